//! `import`: which files it takes, and how their errors are told.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::path::Path;

use command::run;
use varpin::engine::{Program, ProgramError};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn streams(folder: &Path) -> Vec<String> {
    let program = Program::load(folder.join("main.vpl")).unwrap_or_else(|error| panic!("{error}"));
    program.plan().streams.iter().map(|stream| stream.name.clone()).collect()
}

/// The report of a program that has errors.
fn report(folder: &Path) -> String {
    let Err(ProgramError::Program(report)) = Program::load(folder.join("main.vpl")) else {
        panic!("it loads");
    };
    report.render(false, 100)
}

#[test]
fn the_statements_of_a_file_stand_where_it_is_imported() {
    let folder = folder(&[
        ("main.vpl", "let limit = 5\nstream A = R\nimport \"parts/b.vpl\"\nstream D = C.where(v > limit)"),
        ("parts/b.vpl", "import \"deeper/c.vpl\"\nstream B = R"),
        ("parts/deeper/c.vpl", "stream C = R.where(v > 1)"),
    ]);
    assert_eq!(streams(folder.path()), ["A", "C", "B", "D"]);
}

#[test]
fn a_file_is_taken_once_however_often_it_is_imported() {
    let folder = folder(&[
        ("main.vpl", "import \"a.vpl\"\nimport \"b.vpl\"\nimport \"./a.vpl\""),
        ("a.vpl", "stream A = R"),
        ("b.vpl", "import \"a.vpl\"\nstream B = A"),
    ]);
    assert_eq!(streams(folder.path()), ["A", "B"]);
}

#[test]
fn errors_name_the_file_and_line_in_which_they_are() {
    let folder = folder(&[
        ("main.vpl", "import \"a.vpl\"\nstream A = R.where(lenn(x))"),
        ("a.vpl", "# one\n\nstream B = R.where(uper(x))"),
    ]);
    let report = report(folder.path());
    assert!(report.contains("main.vpl:2:20 (line 2): unknown function `lenn`"), "{report}");
    assert!(report.contains("a.vpl:3:20 (line 3): unknown function `uper`"), "{report}");
    assert!(report.contains("stream B = R.where(uper(x))"), "{report}");

    let ran = run([Path::new("check"), Path::new("--json"), &folder.path().join("main.vpl")], "");
    let places: Vec<serde_json::Value> =
        ran.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let imported = places.iter().find(|place| place["message"].as_str().unwrap().contains("uper")).unwrap();
    assert!(imported["file"].as_str().unwrap().ends_with("a.vpl"));
    assert_eq!((&imported["line"], &imported["column"]), (&3.into(), &20.into()));
}

#[test]
fn a_syntax_error_of_an_imported_file_is_told_with_its_place() {
    let folder = folder(&[("main.vpl", "import \"a.vpl\""), ("a.vpl", "stream = R\nstream B = R.wher(x)")]);
    let report = report(folder.path());
    assert!(report.contains("a.vpl:1:8"), "{report}");
    assert!(report.contains("a.vpl:2:14") && report.contains("did you mean `.where`"), "{report}");
}

#[test]
fn an_import_cannot_leave_the_directory_of_its_file() {
    let root = folder(&[
        ("outside.vpl", "stream X = R"),
        ("inside/main.vpl", "import \"../outside.vpl\""),
        ("linked/main.vpl", "import \"link.vpl\""),
        ("absolute/main.vpl", "import \"/etc/passwd\""),
        ("sub/main.vpl", "import \"deep/a.vpl\""),
        ("sub/b.vpl", "stream B = R"),
        ("sub/deep/a.vpl", "import \"../b.vpl\""),
    ]);
    std::os::unix::fs::symlink(root.path().join("outside.vpl"), root.path().join("linked/link.vpl")).unwrap();
    for (folder, words) in [
        ("inside", "cannot leave the directory"),
        ("linked", "cannot leave the directory"),
        ("absolute", "relative to the file"),
        ("sub", "cannot leave the directory"),
    ] {
        let report = report(&root.path().join(folder));
        assert!(report.contains(words), "{folder}: {report}");
    }
}

#[test]
fn circles_missing_files_and_directories_are_refused_by_name() {
    let root = folder(&[
        ("circle/main.vpl", "import \"a.vpl\""),
        ("circle/a.vpl", "import \"main.vpl\""),
        ("missing/main.vpl", "stream S = R\nimport \"nope.vpl\""),
        ("directory/main.vpl", "import \"sub\""),
        ("directory/sub/a.vpl", ""),
        ("alias/main.vpl", "import \"a.vpl\" as x\nimport \"b.vpl\" as x"),
        ("alias/a.vpl", "stream A = R"),
        ("alias/b.vpl", "stream B = R"),
    ]);
    for (folder, words) in [
        ("circle", "main.vpl -> a.vpl -> main.vpl"),
        ("missing", "main.vpl:2:8 (line 2): cannot read"),
        ("directory", "it is no file"),
        ("alias", "two imports are called `x`"),
    ] {
        let report = report(&root.path().join(folder));
        assert!(report.contains(words), "{folder}: {report}");
    }
}

#[test]
fn functions_and_values_of_an_import_with_a_name_can_be_called_by_it_or_not() {
    let main = "import \"a.vpl\" as lib\nstream S = R.where(lib.twice(v) > lib.limit and twice(v) < 9).emit(v: v, x: r.x)";
    let folder = folder(&[
        ("main.vpl", main),
        ("a.vpl", "import \"b.vpl\" as deep\nlet limit = deep.one + 4\nfn twice(x: int): return x * 2"),
        ("b.vpl", "let one = 1"),
    ]);
    let path = folder.path().join("main.vpl");
    let events = "R { v: 2 }\nR { v: 3, r: {x: 1} }\nR { v: 5 }\n";
    let ran = run(["run".as_ref(), path.as_os_str(), "-".as_ref()], events);
    assert_eq!(ran.stdout.lines().count(), 1, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("\"data\":{\"v\":3,\"x\":1}"), "{}", ran.stdout);
}

#[test]
fn imports_are_bounded_in_depth() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("main.vpl"), "import \"f0.vpl\"").unwrap();
    for file in 0..40 {
        let text = format!("import \"f{}.vpl\"", file + 1);
        std::fs::write(root.path().join(format!("f{file}.vpl")), text).unwrap();
    }
    let report = report(root.path());
    assert!(report.contains("more than 32 files deep"), "{report}");
}

#[test]
fn a_program_without_a_file_cannot_import() {
    let Err(error) = Program::parse("import \"a.vpl\"\nstream S = R") else { panic!("it loads") };
    assert!(error.to_string().contains("loaded from a file"), "{error}");
}

#[test]
fn the_name_of_an_import_means_nothing_else() {
    for (main, words) in [
        ("import \"lib.vpl\" as lib\nstream S = E.emit(x: lib.twise(v))", "did you mean `lib.twice`?"),
        ("import \"lib.vpl\" as lib\nstream S = E.emit(x: lib.E)", "declares no function or value `E`"),
        ("import \"lib.vpl\" as lib\nstream S = E as lib .emit(x: lib.v)", "`lib` is the name of the import"),
        ("import \"lib.vpl\" as lib\nstream S = R.emit(x: lib)", "`lib` is the name of the import"),
        ("import \"lib.vpl\" as v\nstream S = E.emit(x: v)", "`v` is the name of the import"),
    ] {
        let library = "let limit = 10\nfn twice(x): x * 2\nevent E: v: int\n";
        let root = folder(&[("main.vpl", main), ("lib.vpl", library)]);
        let report = report(root.path());
        assert!(report.contains(words), "{main}\n{report}");
    }
}
