//! Compares varpin with its peers in one run: hops and throughput of rings, programs in process, the whole process on a file.
//!
//! ```text
//! compare [--quick] [--check] [--rounds N] [--only TABLE]... [--varpin BINARY] DIRECTORY
//! ```
//!
//! Writes `compare.md` and `compare.json` into DIRECTORY. `--check` exits with 1 and a list where a target of the project is missed.

mod engines;
mod hop;
mod latency;
mod machine;
mod process;
mod programs;
mod report;
mod samples;
mod throughput;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use report::{Table, Target};

const USAGE: &str = "compare [--quick] [--check] [--rounds N] [--only hop|latency|throughput|programs|process]... \
                     [--varpin BINARY] DIRECTORY";
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 2;
const TABLES: [&str; 5] = ["process", "hop", "latency", "throughput", "programs"];

/// What was asked for.
struct Options {
    quick: bool,
    check: bool,
    rounds: usize,
    only: Vec<String>,
    varpin: Option<PathBuf>,
    directory: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            check: false,
            rounds: 0,
            only: Vec::new(),
            varpin: None,
            directory: PathBuf::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--check" => options.check = true,
                "--rounds" => {
                    let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = rounds.ok_or("--rounds needs a number from 1")?;
                }
                "--only" => {
                    let name = value()?;
                    if !TABLES.contains(&name.as_str()) {
                        return Err(format!("`{name}` is no table; known are {}", TABLES.join(", ")));
                    }
                    options.only.push(name.clone());
                }
                "--varpin" => options.varpin = Some(PathBuf::from(value()?)),
                flag if flag.starts_with('-') => return Err(format!("`{flag}` is no option")),
                directory => options.directory = PathBuf::from(directory),
            }
        }
        if options.directory.as_os_str().is_empty() {
            return Err("a directory for the results is needed".to_owned());
        }
        if options.rounds == 0 {
            options.rounds = if options.quick { QUICK_ROUNDS } else { ROUNDS };
        }
        Ok(options)
    }

    fn wants(&self, table: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == table)
    }
}

/// What was measured, and what the project wants of it.
#[derive(Default)]
struct Findings {
    tables: Vec<Table>,
    targets: Vec<Target>,
}

impl Findings {
    fn measure(options: &Options) -> Result<Self, String> {
        let mut findings = Self::default();
        if let Some(varpin) = options.varpin.as_ref().filter(|_| options.wants("process")) {
            let table = process::table(varpin.clone(), &options.directory, options.quick)?;
            findings.add(table, options.rounds, |table, targets| {
                let figure = |column| table.figure(process::CASE, process::VARPIN, column);
                targets.push(Target::at_least("whole process, lines/s", 8e6, figure(0)));
                targets.push(Target::at_most("whole process, peak MiB", 32.0, figure(1)));
            });
        }
        if options.wants("hop") {
            findings.add(hop::table(options.quick), options.rounds, |table, targets| {
                let over = |above, below| table.ratio(hop::CASE, above, below, 0);
                targets.push(Target::at_most("hop p50, varpin / rtrb", 1.3, over(hop::VARPIN, hop::RTRB)));
                targets.push(Target::at_least(
                    "hop p50, tokio / varpin",
                    100.0,
                    over(hop::TOKIO, hop::VARPIN),
                ));
            });
        }
        if options.wants("latency") {
            let table = latency::table(&options.directory, options.quick);
            findings.add(table, options.rounds, |table, targets| {
                for rate in latency::RATES {
                    let case = latency::case(rate);
                    let found = table.ratio(&case, latency::TOKIO, latency::VARPIN, 0);
                    targets.push(Target::at_least(
                        format!("latency p50 at {case}, tokio / varpin"),
                        1.0,
                        found,
                    ));
                }
            });
        }
        if options.wants("throughput") {
            findings.add(throughput::table(options.quick), options.rounds, |table, targets| {
                for item in ["u64", "160 bytes"] {
                    for size in throughput::CHUNKS {
                        let case = throughput::case(item, Some(size));
                        let found = table.ratio(&case, throughput::VARPIN, throughput::RTRB, 0);
                        targets.push(Target::at_least(format!("{case}, varpin / rtrb"), 0.8, found));
                    }
                }
            });
        }
        if options.wants("programs") {
            findings.add(engines::table(options.quick), options.rounds, |table, targets| {
                let sync = |program: programs::Program, bound| {
                    let found = table.ratio(program.name, engines::VARPIN, engines::VARPULIS, 0);
                    Target::at_least(format!("{}, varpin / varpulis", program.name), bound, found)
                };
                targets.push(sync(programs::FILTER_EMIT, 15.0));
                let tenfold = [
                    programs::PARTITIONED,
                    programs::SEQUENCE,
                    programs::SEQUENCE_BY_KEY,
                    programs::ALL,
                    programs::JOINED,
                    programs::FUNCTIONS,
                ];
                targets.extend(tenfold.map(|program| sync(program, 10.0)));
                for peer in [engines::VARPULIS_CONTEXTS, engines::VARPULIS_LOSSLESS] {
                    let program = programs::THREE_CONTEXTS.name;
                    let found = table.ratio(program, engines::VARPIN_CONTEXTS, peer, 0);
                    targets.push(Target::at_least(format!("{program}, varpin / {peer}"), 25.0, found));
                }
            });
        }
        Ok(findings)
    }

    fn add(&mut self, mut table: Table, rounds: usize, targets: impl Fn(&Table, &mut Vec<Target>)) {
        table.run(rounds);
        targets(&table, &mut self.targets);
        self.tables.push(table);
    }

    fn markdown(&self, about: &Value) -> String {
        let mut out = String::from("# varpin and its peers\n\n");
        for (name, value) in about.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "- {}: {text}", name.replace('_', " "));
        }
        out.push_str(
            "\nMedian of the rounds in bold, lowest and highest beside it; contenders ran by turns.\n",
        );
        out.push_str("\n## Targets\n\nRatios are taken within each round.\n\n| | wanted | found | |\n|---|---:|---:|---|\n");
        for target in &self.targets {
            let sign = if target.at_least { ">=" } else { "<=" };
            let found = target.found.map_or_else(
                || "not measured".to_owned(),
                |found| {
                    format!(
                        "**{}** ({} to {})",
                        report::short(found.median),
                        report::short(found.min),
                        report::short(found.max)
                    )
                },
            );
            let met = if target.is_met() { "met" } else { "missed" };
            let _ = writeln!(
                out,
                "| {} | {sign} {} | {found} | {met} |",
                target.name,
                report::short(target.bound)
            );
        }
        for table in &self.tables {
            table.markdown(&mut out);
        }
        out
    }
}

fn compare(options: &Options) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", options.directory.display());
    std::fs::create_dir_all(&options.directory).map_err(failed)?;
    let mut about = machine::description();
    about["rounds"] = json!(options.rounds);
    about["quick"] = json!(options.quick);
    about["load_before"] = json!(machine::load());
    let findings = Findings::measure(options)?;
    about["load_after"] = json!(machine::load());

    let markdown = findings.markdown(&about);
    let json = json!({
        "about": about,
        "targets": findings.targets.iter().map(Target::json).collect::<Vec<_>>(),
        "tables": findings.tables.iter().map(Table::json).collect::<Vec<_>>(),
    });
    std::fs::write(options.directory.join("compare.md"), &markdown).map_err(failed)?;
    std::fs::write(options.directory.join("compare.json"), format!("{json:#}\n")).map_err(failed)?;
    println!("{markdown}");
    Ok(findings.targets.iter().filter(|target| !target.is_met()).map(Target::line).collect())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, rest @ ..] = &arguments[..]
        && command == process::LAUNCH
    {
        return match process::launch(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("compare: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("compare: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match compare(&options) {
        Ok(missed) if options.check && !missed.is_empty() => {
            eprintln!("targets missed:");
            for line in missed {
                eprintln!("  {line}");
            }
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
