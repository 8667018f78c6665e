//! Connectors: `connector name = kind (..)`, `.to(..)` and `Type.from(..)`. There are files and the console; every
//! setting is known and has a value of its type, and no path leaves the directory of the program.

use std::path::{Component, Path};

use crate::format::Format;
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{
    ConsoleSourcePlan, InputPlan, ResultPlan, SinkPlan, SinkTarget, SourceFilePlan, SourcePlan,
};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{
    self, ExprKind, Literal, Name, NamedExpr, OperatorKind, Program, Setting, SettingKind, Span,
    StatementKind,
};

use super::Resolver;
use super::scope::Scope;
use super::stream::Draft;

/// What a connector can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Console,
}

const KINDS: [(&str, Kind); 2] = [("file", Kind::File), ("console", Kind::Console)];
const FORMATS: [(&str, Format); 3] = [("evt", Format::Evt), ("jsonl", Format::Jsonl), ("csv", Format::Csv)];

impl Kind {
    fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::File => &["path", "format", "append"],
            Self::Console => &["format"],
        }
    }
}

/// A declared connector.
#[derive(Debug)]
pub(super) struct Connector {
    /// None where it is of a kind that there is not; that has been said.
    kind: Option<Kind>,
    settings: Settings,
    used: bool,
}

/// What settings say, each with its place.
#[derive(Clone, Debug, Default)]
struct Settings {
    path: Option<(String, Span)>,
    format: Option<(Format, Span)>,
    append: Option<(bool, Span)>,
}

/// A connector where it is used, with what is said there.
struct Used {
    name: String,
    kind: Kind,
    settings: Settings,
}

impl<'a> Resolver<'a> {
    pub(super) fn connectors(&mut self, program: &'a Program) {
        for statement in &program.statements {
            let StatementKind::Connector { name, kind, settings } = &statement.kind else { continue };
            let known = Kind::named(&kind.text);
            if known.is_none() {
                let message = format!("connectors of kind `{}` are not supported", kind.text);
                self.findings.push(Diagnostic::error(kind.span, message).help(kinds(&kind.text)));
            }
            let mut read = Settings::default();
            if let Some(kind) = known {
                self.settings_of(kind, settings.iter().map(|(key, value)| (key, Some(value))), &mut read);
            }
            let connector = Connector { kind: known, settings: read, used: false };
            if self.connectors.insert(&name.text, connector).is_some() {
                let message = format!("connector `{}` is declared twice", name.text);
                self.findings.push(Diagnostic::error(name.span, message).label("second declaration"));
            }
        }
    }

    /// Reads settings; a value of none is one that is no constant.
    fn settings_of<'s>(
        &mut self,
        kind: Kind,
        settings: impl Iterator<Item = (&'s Name, Option<&'s Setting>)>,
        into: &mut Settings,
    ) {
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in settings {
            let text = key.text.as_str();
            if seen.contains(&text) {
                let message = format!("setting `{text}` is given twice");
                self.findings.push(Diagnostic::error(key.span, message));
                continue;
            }
            seen.push(text);
            if !kind.settings().contains(&text) {
                let message = format!("unknown setting `{text}`");
                let finding = Diagnostic::error(key.span, message).label("no such setting");
                self.findings.push(match closest(text, kind.settings().iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help(format!("settings are: {}", kind.settings().join(", "))),
                });
                continue;
            }
            let span = value.map_or(key.span, |value| value.span);
            let word = match value.map(|value| &value.kind) {
                Some(SettingKind::Name(word) | SettingKind::Literal(Literal::Str(word))) => Some(word),
                _ => None,
            };
            let expected = match text {
                "path" => match value.map(|value| &value.kind) {
                    Some(SettingKind::Literal(Literal::Str(path))) => {
                        match normal(path) {
                            Ok(path) => into.path = Some((path, span)),
                            Err(message) => self.findings.push(Diagnostic::error(span, message)),
                        }
                        continue;
                    }
                    _ => "`path` is a text: path: \"file.jsonl\"".to_owned(),
                },
                "format" => {
                    let named = FORMATS.iter().find(|(name, _)| word.is_some_and(|word| word == name));
                    if let Some((_, format)) = named {
                        into.format = Some((*format, span));
                        continue;
                    }
                    "`format` is one of: evt, jsonl, csv".to_owned()
                }
                _ => match value.map(|value| &value.kind) {
                    Some(SettingKind::Literal(Literal::Bool(append))) => {
                        into.append = Some((*append, span));
                        continue;
                    }
                    _ => format!("`{text}` is true or false"),
                },
            };
            self.findings.push(Diagnostic::error(span, expected));
        }
    }

    /// The connector that `name` means at a place that says `settings` about it.
    fn used(&mut self, name: &Name, settings: &[(Name, Option<Setting>)]) -> Option<Used> {
        let (kind, mut said) = match self.connectors.get_mut(name.text.as_str()) {
            Some(connector) => {
                connector.used = true;
                (connector.kind?, connector.settings.clone())
            }
            None => (self.unnamed(name)?, Settings::default()),
        };
        let settings = settings.iter().map(|(key, value)| (key, value.as_ref()));
        self.settings_of(kind, settings, &mut said);
        Some(Used { name: name.text.clone(), kind, settings: said })
    }

    /// The kind that `name` means, where no connector is called so.
    fn unnamed(&mut self, name: &Name) -> Option<Kind> {
        let kind = Kind::named(&name.text);
        if kind.is_none() {
            let message = format!("no connector is called `{}`", name.text);
            let finding = Diagnostic::missing(name.span, message).label("no such connector");
            let declared = self.connectors.keys().copied().chain(KINDS.map(|(kind, _)| kind));
            self.findings.push(match closest(&name.text, declared) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("declare it: connector {} = file (path: ..)", name.text)),
            });
        }
        kind
    }

    /// The path and the format of a file.
    fn file(&mut self, used: &Used, at: Span) -> Option<(String, Format)> {
        let Some((path, path_at)) = &used.settings.path else {
            let message = "a `file` needs a path: path: \"file.jsonl\"";
            self.findings.push(Diagnostic::missing(at, message));
            return None;
        };
        let format = used.settings.format.map(|(format, _)| format).or_else(|| Format::from_path(path));
        let Some(format) = format else {
            let message = format!("`{path}` does not say what its lines look like");
            let help = "end it in .evt, .jsonl, .ndjson or .csv, or say it: format: jsonl";
            self.findings.push(Diagnostic::error(*path_at, message).help(help));
            return None;
        };
        Some((path.clone(), format))
    }

    /// `.to(connector, ..)`
    pub(super) fn to(&mut self, args: &[NamedExpr], at: Span, draft: &mut Draft) {
        draft.to.get_or_insert(at);
        let Some((NamedExpr { name: None, value }, settings)) = args.split_first() else {
            let finding = Diagnostic::error(at, "`.to` needs a connector");
            return self.findings.push(finding.help("as in .to(out) or .to(file, path: \"out.jsonl\")"));
        };
        let ExprKind::Name(name) = &value.kind else {
            return self.findings.push(Diagnostic::error(value.span, "the connector of `.to` is a name"));
        };
        let mut said: Vec<(Name, Option<Setting>)> = Vec::new();
        for setting in settings {
            if let Some(key) = &setting.name {
                said.push((key.clone(), constant_setting(&setting.value)));
            } else {
                let message = "behind the connector, `.to` takes settings: name: value";
                self.findings.push(Diagnostic::error(setting.value.span, message));
            }
        }
        let Some(used) = self.used(&Name { text: name.clone(), span: value.span }, &said) else { return };
        let target = match used.kind {
            Kind::Console => {
                if let Some((format, span)) = used.settings.format
                    && format != Format::Jsonl
                {
                    self.findings.push(Diagnostic::error(span, "the console prints JSON lines"));
                }
                SinkTarget::Console
            }
            Kind::File => {
                let Some((path, format)) = self.file(&used, at) else { return };
                let append = used.settings.append.is_some_and(|(append, _)| append);
                SinkTarget::File { path, format, append }
            }
        };
        self.add_sink(used.name, target, at, draft);
    }

    fn add_sink(&mut self, name: String, target: SinkTarget, at: Span, draft: &mut Draft) {
        // Streams are resolved in the order of their ranks.
        let stream = self.plan.streams.len();
        let same = |sink: &SinkPlan| match (&sink.target, &target) {
            (SinkTarget::Console, SinkTarget::Console) => true,
            (SinkTarget::File { path, .. }, SinkTarget::File { path: other, .. }) => path == other,
            _ => false,
        };
        if target == SinkTarget::Console {
            draft.to_console = true;
        }
        if let SinkTarget::File { path, .. } = &target
            && self.plan.source_files.iter().any(|source| source.path == *path)
        {
            self.findings.push(read_and_written(path, at));
        }
        match self.plan.sinks.iter_mut().find(|sink| same(sink)) {
            Some(sink) if sink.target != target => {
                let message = format!(
                    "`{}` is written in another way elsewhere: one format, one `append`",
                    sink.place()
                );
                self.findings.push(Diagnostic::error(at, message));
            }
            Some(sink) if sink.streams.contains(&stream) => {
                let message = format!("the stream goes to {} twice", sink.place());
                self.findings.push(Diagnostic::error(at, message));
            }
            Some(sink) => sink.streams.push(stream),
            None => self.plan.sinks.push(SinkPlan { name, target, streams: vec![stream] }),
        }
    }

    /// Operators that stand behind a `.to`: it writes what leaves the stream, so what changes that stands before it.
    pub(super) fn check_behind_to(&mut self, kind: &OperatorKind, construct: &str, at: Span, draft: &Draft) {
        let changes_nothing = matches!(
            kind,
            OperatorKind::To(_)
                | OperatorKind::Context(_)
                | OperatorKind::OnError(_)
                | OperatorKind::Print(_)
                | OperatorKind::Log(_)
                | OperatorKind::Tap(_)
                | OperatorKind::Watermark(_)
                | OperatorKind::AllowedLateness(_)
        );
        if draft.to.is_some() && !changes_nothing {
            let message =
                format!("{construct} cannot stand behind `.to`, which writes what leaves the stream");
            self.findings.push(Diagnostic::error(at, message).help("put `.to` behind it"));
        }
    }

    /// `Type.from(connector, ..)`
    pub(super) fn from(
        &mut self,
        event_type: &'a Name,
        connector: &Name,
        settings: &[(Name, Setting)],
        at: Span,
        scope: &mut Scope,
    ) -> SourcePlan {
        if self.stream_ids.contains_key(event_type.text.as_str()) {
            let message = format!("`{}` is a stream; `.from` brings events of a type", event_type.text);
            self.findings.push(Diagnostic::error(event_type.span, message));
        }
        let settings: Vec<(Name, Option<Setting>)> =
            settings.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        if let Some(used) = self.used(connector, &settings) {
            if let Some((true, span)) = used.settings.append {
                let message = "`append` says how a file is written; `.from` reads it";
                self.findings.push(Diagnostic::error(span, message));
            }
            let event_type = event_type.text.clone();
            match used.kind {
                Kind::Console => {
                    let format = used.settings.format.map_or(Format::Evt, |(format, _)| format);
                    self.add_console_source(ConsoleSourcePlan { format, event_type }, at);
                }
                Kind::File => {
                    if let Some((path, format)) = self.file(&used, at) {
                        self.add_source_file(SourceFilePlan { path, format, event_type }, at);
                    }
                }
            }
        }
        let (name, row) = self.taken(event_type);
        scope.row = Some(row);
        SourcePlan::Name(InputPlan { name, ..InputPlan::default() })
    }

    fn add_console_source(&mut self, source: ConsoleSourcePlan, at: Span) {
        match &self.plan.console_source {
            Some(known) if known.format != source.format => {
                self.findings
                    .push(Diagnostic::error(at, "standard input is read in another format elsewhere"));
            }
            Some(known) if known.format == Format::Csv && known.event_type != source.event_type => {
                self.findings.push(one_type_of_csv("standard input", &known.event_type, at));
            }
            Some(_) => {}
            None => self.plan.console_source = Some(source),
        }
    }

    fn add_source_file(&mut self, source: SourceFilePlan, at: Span) {
        let writes =
            |sink: &SinkPlan| matches!(&sink.target, SinkTarget::File { path, .. } if *path == source.path);
        if self.plan.sinks.iter().any(writes) {
            self.findings.push(read_and_written(&source.path, at));
        }
        match self.plan.source_files.iter().find(|known| known.path == source.path) {
            Some(known) if known.format != source.format => {
                let message = format!("`{}` is read in another format elsewhere", source.path);
                self.findings.push(Diagnostic::error(at, message));
            }
            Some(known) if known.format == Format::Csv && known.event_type != source.event_type => {
                self.findings.push(one_type_of_csv(&source.path, &known.event_type, at));
            }
            // It is read once: every stream that names a type gets what there is of it.
            Some(_) => {}
            None => self.plan.source_files.push(source),
        }
    }

    /// What can be said when every stream is resolved: the columns of CSV files, and connectors that nobody uses.
    pub(super) fn check_connectors(&mut self, program: &Program) {
        let mut findings = Vec::new();
        for sink in &self.plan.sinks {
            let SinkTarget::File { path, format: Format::Csv, .. } = &sink.target else { continue };
            let mut columns: Option<Vec<&str>> = None;
            for &stream in &sink.streams {
                let Some(stream) = self.plan.streams.get(stream) else { continue };
                for written in &stream.written {
                    let own: Vec<&str> = written.fields.iter().map(|(name, _)| name.as_str()).collect();
                    let finding = |message: String| {
                        Diagnostic::error(stream.span, message)
                            .help("`.select(..)` or `.emit(..)` says which fields there are")
                    };
                    if written.rest.is_some() {
                        let message = format!(
                            "`{path}` is CSV, which needs to know the columns, and stream `{}` passes all fields on",
                            stream.name
                        );
                        findings.push(finding(message));
                    } else if columns.get_or_insert_with(|| own.clone()) != &own {
                        let message = format!(
                            "`{path}` is CSV with the columns {}, and stream `{}` has {}",
                            columns.as_deref().unwrap_or_default().join(", "),
                            stream.name,
                            own.join(", ")
                        );
                        findings.push(finding(message));
                    }
                }
            }
        }
        for statement in &program.statements {
            if let StatementKind::Connector { name, .. } = &statement.kind
                && self.connectors.get(name.text.as_str()).is_some_and(|connector| !connector.used)
            {
                let message = format!("connector `{}` is used by no stream", name.text);
                findings.push(Diagnostic::warning(name.span, message));
            }
        }
        for finding in findings {
            self.findings.push(finding);
        }
    }

    /// How sinks get the rows of a stream, where it has any: as its results look.
    pub(super) fn written(&mut self, draft: &Draft, shape: usize) -> Vec<ResultPlan> {
        if draft.to.is_none() {
            Vec::new()
        } else if draft.plan.results.is_empty() {
            self.results(draft, shape)
        } else {
            draft.plan.results.clone()
        }
    }
}

fn kinds(word: &str) -> String {
    match closest(word, KINDS.map(|(kind, _)| kind)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "there are `file` and `console`".to_owned(),
    }
}

fn read_and_written(path: &str, at: Span) -> Diagnostic {
    Diagnostic::error(at, format!("`{path}` cannot be read and written in one program"))
}

fn one_type_of_csv(what: &str, event_type: &str, at: Span) -> Diagnostic {
    let message =
        format!("{what} is CSV, so all its events are of one type, and `{event_type}` is read from it");
    Diagnostic::error(at, message)
}

/// An argument of `.to` as a setting; none where it is no constant.
fn constant_setting(value: &syntax::Expr) -> Option<Setting> {
    let kind = match &value.kind {
        ExprKind::Literal(literal) => SettingKind::Literal(literal.clone()),
        ExprKind::Name(name) => SettingKind::Name(name.clone()),
        _ => return None,
    };
    Some(Setting { kind, span: value.span })
}

/// A path without `.` and `..`, if it stays where the program is.
fn normal(path: &str) -> Result<String, String> {
    if path.is_empty() || path.ends_with('/') || path.contains('\0') {
        return Err(format!("{path:?} is no path of a file"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        let left = match part {
            Component::CurDir => true,
            Component::Normal(part) => {
                parts.push(part.to_str().unwrap_or_default());
                true
            }
            Component::ParentDir => parts.pop().is_some(),
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("the path of a connector is relative to the program: \"{path}\" is not"));
            }
        };
        if !left {
            return Err(format!("a connector cannot leave the directory of the program: \"{path}\" does"));
        }
    }
    if parts.is_empty() {
        return Err(format!("{path:?} is no path of a file"));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn paths_stay_below_the_program() {
        for (path, expected) in [
            ("a.jsonl", Some("a.jsonl")),
            ("./a/./b.csv", Some("a/b.csv")),
            ("a/../b", Some("b")),
            ("a//b", Some("a/b")),
            ("../a", None),
            ("a/../../b", None),
            ("/a", None),
            ("", None),
            ("a/", None),
            ("a/..", None),
            ("a\0b", None),
        ] {
            assert_eq!(normal(path).ok().as_deref(), expected, "{path:?}");
        }
    }
}
