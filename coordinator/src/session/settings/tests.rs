//! Settings against PostgreSQL 15's values, errors and SHOW, and against their documentation.

use super::{
    list::{Effect, read_line},
    *,
};

const DOCUMENTATION: &str = include_str!("../../../../docs/settings.md");

fn set(settings: &Settings, name: &str, value: &str) -> std::result::Result<String, String> {
    let set = settings.set(name, &[value.to_string()]).and_then(|()| settings.show(name));
    set.map_err(|error| {
        let more = error.hint.or(error.detail).map(|more| format!(" / {more}"));
        format!("{} {}{}", error.sqlstate.as_str(), error.message, more.unwrap_or_default())
    })
}

#[test]
fn the_table_is_read_and_sorted() {
    let table = include_str!("settings.tsv");
    let read: Vec<_> = table.lines().map(|line| read_line(line).expect(line)).collect();
    let names: Vec<_> = read.iter().map(|setting| setting.name.to_lowercase()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for setting in &read {
        let default = match setting.effect {
            Effect::Shown => continue,
            _ => setting.checked(setting.default, setting.default),
        };
        assert_eq!(default.as_deref(), Ok(setting.default), "{}", setting.name);
    }
    for (own, from) in OF_TRANSACTION {
        assert!(find(own).is_some() && find(from).is_some(), "{own}");
    }
    for name in FORMAT_SETTINGS.iter().chain(PARAMETERS.iter().map(|(name, _)| name)) {
        assert_eq!(find(name).map(|setting| setting.name), Some(*name));
    }
}

/// Each setting has a row under the heading that says what it does.
#[test]
fn the_documentation_lists_the_same() {
    let heading = |effect| match effect {
        Effect::Works => "## Settings that work as in PostgreSQL",
        Effect::Shown => "## Settings that can only be read",
        Effect::Fixed => "## Settings with one value",
        Effect::Ignored => "## Settings without effect",
    };
    let mut section = "";
    let mut documented = Vec::new();
    for line in DOCUMENTATION.lines() {
        if line.starts_with("## ") {
            section = line;
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim()).collect();
            documented.push((section, cells[0].trim_matches('`'), cells[1].trim_matches('`')));
        }
    }
    documented.sort_unstable();
    let mut expected: Vec<_> = settings()
        .iter()
        .map(|setting| (heading(setting.effect), setting.name, setting.default))
        .map(|(heading, name, default)| match name {
            "server_version" => (heading, name, ""),
            _ => (heading, name, default),
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(documented, expected);
}

#[test]
fn values_and_errors_are_postgresqls() {
    let times =
        "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";
    let levels = "debug5, debug4, debug3, debug2, debug1, log, notice, warning, error";
    let invalid = |name: &str, value: &str, more: &str| {
        format!("22023 invalid value for parameter \"{name}\": \"{value}\"{more}")
    };
    let level_hint = format!(" / Available values: {levels}.");
    let out_of_range = |number: &str, range: &str| {
        let name = "statement_timeout";
        format!("22023 {number} is outside the valid range for parameter \"{name}\" ({range})")
    };
    for (name, value, expected) in [
        ("statement_timeout", "2s", Ok("2s")),
        ("statement_timeout", "1500", Ok("1500ms")),
        ("statement_timeout", "1.5min", Ok("90s")),
        ("statement_timeout", "500us", Ok("0")),
        ("statement_timeout", " 1 h ", Ok("1h")),
        ("statement_timeout", "0x10", Ok("16ms")),
        ("statement_timeout", "1e3", Ok("1s")),
        (
            "statement_timeout",
            "2 S",
            Err(invalid("statement_timeout", "2 S", &format!(" / {times}"))),
        ),
        ("statement_timeout", "x", Err(invalid("statement_timeout", "x", ""))),
        ("statement_timeout", "-1", Err(out_of_range("-1 ms", "0 .. 2147483647"))),
        (
            "statement_timeout",
            "999d",
            Err(invalid("statement_timeout", "999d", " / Value exceeds integer range.")),
        ),
        ("work_mem", "64MB", Ok("64MB")),
        ("work_mem", "1025", Ok("1025kB")),
        ("effective_cache_size", "1GB", Ok("1GB")),
        ("effective_cache_size", "1", Ok("8kB")),
        ("client_min_messages", "WARNING", Ok("warning")),
        ("client_min_messages", "info", Ok("notice")),
        ("client_min_messages", "loud", Err(invalid("client_min_messages", "loud", &level_hint))),
        ("default_transaction_read_only", "t", Ok("on")),
        ("default_transaction_read_only", "of", Ok("off")),
        (
            "default_transaction_read_only",
            "o",
            Err("22023 parameter \"default_transaction_read_only\" requires a Boolean value".into()),
        ),
        ("synchronous_commit", "true", Ok("on")),
        ("datestyle", "sql", Ok("SQL, MDY")),
        ("datestyle", "dmy", Ok("SQL, DMY")),
        (
            "datestyle",
            "mayan",
            Err(invalid("DateStyle", "mayan", " / Unrecognized key word: \"mayan\".")),
        ),
        ("timezone", "europe/berlin", Ok("Europe/Berlin")),
        ("timezone", "nowhere", Err(invalid("TimeZone", "nowhere", ""))),
        ("client_encoding", "utf-8", Ok("UTF8")),
        ("client_encoding", "klingon", Err(invalid("client_encoding", "klingon", ""))),
        (
            "client_encoding",
            "latin1",
            Err("0A000 client encoding \"latin1\" is not supported / Use UTF8.".into()),
        ),
        (
            "standard_conforming_strings",
            "off",
            Err("0A000 parameter \"standard_conforming_strings\" cannot be \"off\" yet / \
                 Use \"on\"."
                .into()),
        ),
        (
            "default_transaction_isolation",
            "serializable",
            Err("0A000 isolation level SERIALIZABLE is not supported / \
                 Use REPEATABLE READ, which is snapshot isolation."
                .into()),
        ),
        ("block_size", "1", Err("55P02 parameter \"block_size\" cannot be changed".into())),
        (
            "max_connections",
            "1",
            Err("55P02 parameter \"max_connections\" cannot be changed without restarting the \
                 server"
                .into()),
        ),
        ("ssl", "on", Err("55P02 parameter \"ssl\" cannot be changed now".into())),
        ("nothing", "1", Err("42704 unrecognized configuration parameter \"nothing\"".into())),
        ("my.Var", "Any", Ok("Any")),
        (
            "my.a b",
            "1",
            Err("42602 invalid configuration parameter name \"my.a b\" / Custom parameter names \
                 must be two or more simple identifiers separated by dots."
                .into()),
        ),
        (
            "kestrel.x",
            "1",
            Err("42602 invalid configuration parameter name \"kestrel.x\" / \
                 \"kestrel\" is a reserved prefix."
                .into()),
        ),
    ] {
        let settings = Settings::default();
        if value == "dmy" {
            set(&settings, name, "sql").unwrap();
        }
        assert_eq!(set(&settings, name, value), expected.map(String::from), "{name} = {value}");
    }
}

#[test]
fn own_settings_live_as_long_as_the_session() {
    let settings = Settings::default();
    assert!(settings.show("my.var").is_err());
    assert_eq!(set(&settings, "my.var", "a").as_deref(), Ok("a"));
    settings.commit();
    settings.set_local("my.var", &["b".into()]).unwrap();
    assert_eq!(settings.show("MY.VAR").as_deref(), Ok("b"));
    settings.commit();
    assert_eq!(settings.show("my.var").as_deref(), Ok("a"));
    settings.reset("my.var").unwrap();
    assert_eq!(settings.show("my.var").as_deref(), Ok(""));
    assert!(settings.facts().iter().any(|fact| fact.name == "my.var" && fact.is_hidden));
}

#[test]
fn transactions_begin_with_the_defaults() {
    let settings = Settings::default();
    set(&settings, "default_transaction_isolation", "repeatable read").unwrap();
    set(&settings, "default_transaction_read_only", "on").unwrap();
    assert_eq!(settings.show("transaction_isolation").as_deref(), Ok("repeatable read"));
    assert!(settings.is_read_only());
    set(&settings, "transaction_read_only", "off").unwrap();
    assert!(!settings.is_read_only());
    settings.commit();
    assert!(settings.is_read_only());
}

#[test]
fn formats_and_reports_are_what_differs() {
    let settings = Settings::default();
    assert!(settings.format_options().is_empty());
    assert!(settings.reported().iter().all(|(name, _)| *name == "server_version"));
    set(&settings, "timezone", "asia/tokyo").unwrap();
    set(&settings, "bytea_output", "escape").unwrap();
    let expected = [("TimeZone", "Asia/Tokyo"), ("bytea_output", "escape")];
    let expected = expected.map(|(name, value)| (name.to_string(), value.to_string()));
    assert_eq!(settings.format_options(), HashMap::from(expected));
    assert_eq!(settings.formats().map(|f| f.zone.offset_seconds(0)), Ok(9 * 3600));
    assert_eq!(settings.reported(), [("TimeZone", "Asia/Tokyo".to_string())]);
}

#[test]
fn options_of_a_connection() {
    let read = |options: &str| {
        let found = startup::assignments(options).map_err(|error| error.message)?;
        Ok(found.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
    };
    let invalid =
        |word: &str| Err(format!("invalid command-line argument for server process: {word}"));
    for (options, expected) in [
        ("-c timezone=UTC", Ok(vec!["timezone=UTC"])),
        ("-ctimezone=UTC  --datestyle=sql", Ok(vec!["timezone=UTC", "datestyle=sql"])),
        (r"-c my.var=a\ b\\c", Ok(vec![r"my.var=a b\c"])),
        ("--statement-timeout=5s", Ok(vec!["statement_timeout=5s"])),
        ("", Ok(vec![])),
        ("-c", invalid("-c")),
        ("-x", invalid("-x")),
        ("-c timezone", Err("-c timezone requires a value".to_string())),
    ] {
        let expected: std::result::Result<Vec<String>, String> =
            expected.map(|list| list.into_iter().map(String::from).collect());
        assert_eq!(read(options), expected, "{options}");
    }
}
