//! The rules of the code that no lint checks.
//!
//! A rule is a pure function of one file. [`RULES`] lists them; one test applies them to the tree,
//! another shows for each a text that it passes and one that it must not pass.

use std::{fs, io, path::Path};

/// A file of the project.
struct SourceFile {
    /// From the root of the project, with `/`.
    path: String,
    text: String,
}

/// What is wrong, and on which line (0: the whole file).
type Violation = (usize, String);

/// A rule: what is wrong with a file.
type Rule = fn(&SourceFile) -> Vec<Violation>;

const RULES: &[Rule] = &[
    starts_with_its_doc,
    is_not_too_long,
    keeps_the_arrows,
    planner_is_pure,
    is_finished,
    leans_on_nothing_outside,
];

const LINES_MAX: usize = 600;

/// Who may use whom: proto <- planner <- {coordinator, datanode} <- src.
const ARROWS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("planner", &["proto"]),
    ("datanode", &["proto", "planner"]),
    ("coordinator", &["proto", "planner"]),
];

/// What would make plans depend on more than their inputs.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "tokio::fs",
    "tokio::net",
    "tokio::spawn",
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
];

// Written in pieces, or this file would break the rules itself.
const UNFINISHED: &[&str] = &[concat!("to", "do!("), concat!("unimpl", "emented!(")];
const OUTSIDE: &[&str] =
    &[concat!("DES", "IGN §"), concat!("DES", "IGN.md"), concat!("..", "/shared")];
const OUTSIDE_DIRECTORY: &str = concat!("refer", "ence/");

/// The first thing that a reader sees says what the file is about.
fn starts_with_its_doc(file: &SourceFile) -> Vec<Violation> {
    if !file.is_rust() || file.text.starts_with("//! ") {
        return vec![];
    }
    vec![(1, "start the file with //! and a sentence that says what it is about".into())]
}

/// Nobody reads a long file as a whole.
fn is_not_too_long(file: &SourceFile) -> Vec<Violation> {
    let lines = file.text.lines().count();
    if !file.is_rust() || lines <= LINES_MAX {
        return vec![];
    }
    vec![(0, format!("{lines} lines are more than {LINES_MAX}; split the file by concept"))]
}

/// The crates see each other in one direction only.
fn keeps_the_arrows(file: &SourceFile) -> Vec<Violation> {
    let Some((name, allowed)) = ARROWS.iter().find(|(name, _)| file.is_of(name)) else {
        return vec![];
    };
    let manifest = file.path.ends_with("Cargo.toml");
    if !manifest && !file.is_rust() {
        return vec![];
    }
    let others = ARROWS.iter().map(|(other, _)| other);
    let forbidden: Vec<_> = others.filter(|o| *o != name && !allowed.contains(*o)).collect();
    let mut violations = vec![];
    for (number, line) in numbered(&file.text) {
        let comment = if manifest { "#" } else { "//" };
        if line.trim_start().starts_with(comment) {
            continue;
        }
        // Sources need no look for the command: `kestrel` is also what our schema is called.
        if manifest && depends_on(line, "kestrel", "..") {
            violations.push((number, format!("{name} must not see the command")));
        }
        for other in &forbidden {
            let used = if manifest {
                depends_on(line, &format!("kestrel-{other}"), &format!("../{other}"))
            } else {
                has_word(line, &format!("kestrel_{other}"))
            };
            if used {
                violations.push((number, format!("{name} must not see {other}")));
            }
        }
    }
    violations
}

/// Whether a line of a manifest makes the package depend on `package`, which is in `directory`,
/// under whatever name.
fn depends_on(line: &str, package: &str, directory: &str) -> bool {
    let line = line.trim();
    let key = line.split(['=', '.']).next().unwrap_or_default().trim().trim_matches('"');
    let table = line.strip_suffix(']').and_then(|table| table.rsplit('.').next());
    let renamed = [format!("package = \"{package}\""), format!("path = \"{directory}\"")];
    key == package || table == Some(package) || renamed.iter().any(|r| line.contains(r))
}

/// They look at how long running operators take; no plan depends on it.
const TIMED_OPERATORS: &[&str] =
    &["planner/src/operators/yielding.rs", "planner/src/operators/measured.rs"];

/// Equal inputs give equal plans: the planner does no IO, reads no clock, starts no tasks. Its tests
/// may.
fn planner_is_pure(file: &SourceFile) -> Vec<Violation> {
    let test = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    let is_timed = TIMED_OPERATORS.contains(&file.path.as_str());
    if !file.is_of("planner/src") || !file.is_rust() || test || is_timed {
        return vec![];
    }
    let lines = production_lines(&file.text);
    let imports = grouped_imports(&lines);
    let imports = imports.iter().map(|(number, import)| (*number, import.as_str()));
    let mut violations = vec![];
    for (number, line) in lines.iter().copied().chain(imports) {
        for impure in IMPURE.iter().filter(|impure| has_word(line, impure)) {
            violations.push((number, format!("the planner is pure: no {impure}")));
        }
    }
    violations
}

/// What is on main is finished.
fn is_finished(file: &SourceFile) -> Vec<Violation> {
    if !file.is_rust() {
        return vec![];
    }
    let mut violations = vec![];
    for (number, line) in numbered(&file.text) {
        for macro_name in UNFINISHED.iter().filter(|name| line.contains(**name)) {
            violations.push((number, format!("no {macro_name}…); give an error that says 0A000")));
        }
    }
    violations
}

/// A reader of the project has the project, and not the notes that it was made from.
fn leans_on_nothing_outside(file: &SourceFile) -> Vec<Violation> {
    let mut violations = vec![];
    for (number, line) in numbered(&file.text) {
        let pages = line.split(OUTSIDE_DIRECTORY).skip(1).any(|page| {
            let name_length = page.find(|c: char| !c.is_alphanumeric() && !"-_…".contains(c));
            page[name_length.unwrap_or(page.len())..].starts_with(".md")
        });
        if pages || OUTSIDE.iter().any(|words| line.contains(words)) {
            violations.push((number, "say it here, or cite something public".into()));
        }
    }
    violations
}

impl SourceFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_of(&self, directory: &str) -> bool {
        self.path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The lines with their numbers, from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// The lines without comments and without what is under `#[cfg(test)]`. Relies on rustfmt: an item
/// ends with the first line that closes it at its own indentation.
fn production_lines(text: &str) -> Vec<(usize, &str)> {
    let mut kept = vec![];
    let mut lines = numbered(text).filter(|(_, line)| !line.trim_start().starts_with("//"));
    while let Some((number, line)) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push((number, line));
            continue;
        }
        let indentation = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indentation}}}");
        let mut within = false;
        for (_, line) in lines.by_ref() {
            within |= line.ends_with('{');
            if line.trim_end_matches(';') == end || (!within && line.ends_with([';', '}'])) {
                break;
            }
        }
    }
    kept
}

/// The paths that `use std::{a, b::{c, d}};` names, in full up to their own groups: `std::a`,
/// `std::b::{c, d}`.
fn grouped_imports(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut imports = vec![];
    let mut lines = lines.iter();
    while let Some((number, line)) = lines.next() {
        let Some(group) = line.trim_start().strip_prefix("use std::{") else {
            continue;
        };
        let mut group = group.to_string();
        while !group.contains("};") {
            let Some((_, line)) = lines.next() else { break };
            group += line.trim();
        }
        let mut depth = 0;
        let paths = group.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        imports.extend(paths.map(|path| (*number, format!("std::{}", path.trim()))));
    }
    imports
}

/// Whether `word` stands in `line`, and not as a part of longer names.
fn has_word(line: &str, word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(of_name) && (!word.ends_with(of_name) || !after.starts_with(of_name))
    })
}

/// Every text file below `directory` that could be of the project.
fn files(root: &Path, directory: &Path, found: &mut Vec<SourceFile>) -> io::Result<()> {
    const BYTES_MAX: u64 = 1 << 20;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name, kind) = (entry.path(), entry.file_name(), entry.file_type()?);
        if kind.is_dir() && name != "target" && name != ".git" {
            files(root, &path, found)?;
        }
        if !kind.is_file() || entry.metadata()?.len() > BYTES_MAX {
            continue;
        }
        // What is not UTF-8 is data.
        if let Ok(text) = String::from_utf8(fs::read(&path)?) {
            let parts = path.strip_prefix(root).unwrap_or(&path).components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
            found.push(SourceFile { path: parts.join("/"), text });
        }
    }
    Ok(())
}

#[test]
fn the_tree_keeps_the_rules() -> io::Result<()> {
    // Tests run in their package.
    let root = Path::new(".");
    let mut found = vec![];
    files(root, root, &mut found)?;
    for (name, _) in ARROWS {
        for file in ["Cargo.toml", "src/lib.rs"] {
            let path = format!("{name}/{file}");
            assert!(found.iter().any(|file| file.path == path), "{path} was not looked at");
        }
    }

    let mut report = String::new();
    for file in &found {
        for (line, what) in RULES.iter().flat_map(|rule| rule(file)) {
            report += &format!("\n{}:{line}: {what}", file.path);
        }
    }
    assert!(report.is_empty(), "{report}");
    Ok(())
}

/// Path and text of a file.
type Example<'a> = (&'a str, &'a str);

/// Every rule finds nothing wrong with the first examples, and something with the second.
#[track_caller]
fn check(rule: Rule, good: &[Example<'_>], bad: &[Example<'_>]) {
    let violations = |(path, text): &Example<'_>| {
        rule(&SourceFile { path: path.to_string(), text: text.to_string() })
    };
    for example in good {
        assert_eq!(violations(example), Vec::<Violation>::new(), "{example:?}");
    }
    for example in bad {
        assert!(!violations(example).is_empty(), "passed: {example:?}");
    }
}

#[test]
fn files_start_with_their_doc() {
    check(
        starts_with_its_doc,
        &[("src/a.rs", "//! The a.\n"), ("README.md", "# Kestrel\n")],
        &[
            ("src/a.rs", ""),
            ("src/a.rs", "//!\n"),
            ("src/a.rs", "use b;\n//! The a.\n"),
            ("tests/a.rs", "// The a.\n"),
        ],
    );
}

#[test]
fn files_are_not_too_long() {
    let (longest, longer) = ("x\n".repeat(LINES_MAX), "x\n".repeat(LINES_MAX + 1));
    check(
        is_not_too_long,
        &[("src/a.rs", &longest), ("bench-data/a.sql", &longer)],
        &[("src/a.rs", &longer)],
    );
}

#[test]
fn arrows_point_one_way() {
    check(
        keeps_the_arrows,
        &[
            ("planner/Cargo.toml", "name = \"kestrel-planner\"\nkestrel-proto.workspace = true"),
            ("datanode/Cargo.toml", "kestrel-planner = { path = \"../planner\" }"),
            ("datanode/Cargo.toml", "# kestrel-coordinator would be a cycle"),
            ("Cargo.toml", "kestrel-coordinator.workspace = true"),
            ("src/main.rs", "use kestrel_datanode::Server;"),
            ("coordinator/src/lib.rs", "use kestrel_planner::catalog::Catalog;"),
            ("coordinator/src/lib.rs", "//! Never sees kestrel_datanode."),
            ("coordinator/src/lib.rs", "const SETTING: &str = \"kestrel.print_dispatch\";"),
            ("coordinator/src/lib.rs", "    kestrel::datanodes::rows,"),
            ("proto/src/lib.rs", "include!(\"kestrel.v1.rs\"); mod not_kestrel_planner;"),
        ],
        &[
            ("coordinator/Cargo.toml", "kestrel-datanode.workspace = true"),
            ("coordinator/Cargo.toml", "  kestrel-datanode = \"0.1\""),
            ("coordinator/Cargo.toml", "[dev-dependencies.kestrel-datanode]"),
            ("coordinator/Cargo.toml", "dn = { path = \"../datanode\" }"),
            ("coordinator/Cargo.toml", "dn = { package = \"kestrel-datanode\", version = \"1\" }"),
            ("datanode/Cargo.toml", "kestrel-coordinator.workspace = true"),
            ("datanode/Cargo.toml", "kestrel = { path = \"..\" }"),
            ("planner/Cargo.toml", "kestrel-datanode.workspace = true"),
            ("proto/Cargo.toml", "kestrel-planner.workspace = true"),
            ("coordinator/src/a.rs", "use kestrel_datanode::Server;"),
            ("datanode/src/a.rs", "    kestrel_coordinator::run(),"),
            ("planner/src/a.rs", "use kestrel_coordinator as c;"),
            ("planner/tests/golden.rs", "use kestrel_datanode::Server;"),
            ("proto/src/a.rs", "pub use kestrel_planner::*;"),
        ],
    );
}

#[test]
fn the_planner_is_pure() {
    let after_tests = "#[cfg(test)]\nmod tests;\n\nfn f() {\n    std::fs::read(p);\n}\n";
    let between_tests = "#[cfg(test)]\nimpl A {\n    fn t() {\n    }\n}\nuse std::net::IpAddr;\n";
    check(
        planner_is_pure,
        &[
            ("planner/src/a.rs", "use std::fmt;\nfn now(now: Instant) {}\n"),
            ("planner/src/a.rs", "use std::{\n    fmt,\n    sync::{Arc, net},\n};\nuse fs::f;\n"),
            ("planner/src/a.rs", "/// Never calls `Instant::now`.\n"),
            ("planner/src/a.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n"),
            ("planner/src/a/tests.rs", "use std::fs;\n"),
            ("planner/tests/golden.rs", "use std::fs;\n"),
            ("datanode/src/a.rs", "use std::fs;\n"),
        ],
        &[
            ("planner/src/a.rs", "use std::fs;\n"),
            ("planner/src/a.rs", "use std::net::SocketAddr;\n"),
            ("planner/src/a.rs", "use std::{fmt, fs::File};\n"),
            ("planner/src/a.rs", "use std::{\n    fmt,\n    net::{A, B},\n    sync::Arc,\n};\n"),
            ("planner/src/a.rs", "    tokio::spawn(async {});\n"),
            ("planner/src/a/b.rs", "    let start = std::time::Instant::now();\n"),
            ("planner/src/a.rs", "    let now = SystemTime::now();\n"),
            ("planner/src/a.rs", after_tests),
            ("planner/src/a.rs", between_tests),
        ],
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let [first, second] = [0, 1].map(|which| format!("fn f() {{ {}) }}", UNFINISHED[which]));
    check(
        is_finished,
        &[("src/a.rs", "fn todo() {}"), ("CONTRIBUTING.md", &first)],
        &[("src/a.rs", &first), ("tests/a.rs", &second)],
    );
}

#[test]
fn nothing_outside_is_cited() {
    let page = |name: &str| format!("see {OUTSIDE_DIRECTORY}{name}");
    let (here, there, section) = (page("wire.rs"), page("mpp.md §2"), format!("{} 4", OUTSIDE[0]));
    let directory = format!("cat {}/data", OUTSIDE[1]);
    check(
        leans_on_nothing_outside,
        &[("README.md", &here), ("README.md", "The design: see ARCHITECTURE.md.")],
        &[("README.md", &there), ("src/a.rs", &section), (".ci/run", &directory)],
    );
}
