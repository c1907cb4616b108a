//! Settings against PostgreSQL 15's values, errors and SHOW, and against their documentation.

use std::collections::HashMap;

use super::{
    FORMAT_SETTINGS, OF_TRANSACTION, PARAMETERS, RULES, Settings, SettingsNow, find,
    list::{Effect, read_line, settings},
    startup,
};

const DOCUMENTATION: &str = include_str!("../../../../docs/settings.md");

type Result<T, E> = std::result::Result<T, E>;

fn set(settings: &Settings, name: &str, value: &str) -> Result<String, String> {
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
    for setting in settings() {
        assert_eq!(find(&setting.name.to_uppercase()), Some(setting));
    }
    assert_eq!((find(""), find("zz"), find("work_me")), (None, None, None));
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
    let heading = |name: &str, effect| match effect {
        Effect::Works if name.starts_with("kestrel.") => "## Settings of Kestrel's own",
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
        .map(|s| (heading(s.name, s.effect), s.name, s.default))
        .map(|(heading, name, default)| match name {
            "server_version" => (heading, name, ""),
            _ => (heading, name, default),
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(documented, expected);
}

/// Sets a setting, and compares what SHOW prints then, or the error.
fn check(name: &str, value: &str, expected: Result<&str, &str>) {
    let settings = Settings::default();
    let expected = expected.map(String::from).map_err(String::from);
    assert_eq!(set(&settings, name, value), expected, "{name} = {value}");
}

#[test]
fn numbers_and_units() {
    let invalid = |value: &str, more: &str| {
        format!("22023 invalid value for parameter \"statement_timeout\": \"{value}\"{more}")
    };
    let units = invalid(
        "2 S",
        " / Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
    );
    let too_large = invalid("999d", " / Value exceeds integer range.");
    let none = invalid("x", "");
    let negative = "22023 -1 ms is outside the valid range for parameter \"statement_timeout\" \
                    (0 .. 2147483647)";
    for (value, expected) in [
        ("2s", Ok("2s")),
        ("1500", Ok("1500ms")),
        ("1.5min", Ok("90s")),
        ("500us", Ok("0")),
        (" 1 h ", Ok("1h")),
        ("0x10", Ok("16ms")),
        ("1e3", Ok("1s")),
        ("2 S", Err(units.as_str())),
        ("999d", Err(too_large.as_str())),
        ("x", Err(none.as_str())),
        ("-1", Err(negative)),
    ] {
        check("statement_timeout", value, expected);
    }
    for (name, value, expected) in [
        ("work_mem", "64MB", "64MB"),
        ("work_mem", "1025", "1025kB"),
        ("effective_cache_size", "1GB", "1GB"),
        ("effective_cache_size", "1", "8kB"),
        ("seq_page_cost", "1.50", "1.5"),
    ] {
        check(name, value, Ok(expected));
    }
}

#[test]
fn words_and_switches() {
    for (name, value, expected) in [
        ("client_min_messages", "WARNING", Ok("warning")),
        ("client_min_messages", "info", Ok("notice")),
        (
            "client_min_messages",
            "loud",
            Err("22023 invalid value for parameter \"client_min_messages\": \"loud\" / Available \
                 values: debug5, debug4, debug3, debug2, debug1, log, notice, warning, error."),
        ),
        (
            "IntervalStyle",
            "x",
            Err("22023 invalid value for parameter \"intervalstyle\": \"x\" / Available values: \
                 postgres, postgres_verbose, sql_standard, iso_8601."),
        ),
        ("default_transaction_read_only", "t", Ok("on")),
        ("default_transaction_read_only", "of", Ok("off")),
        (
            "default_transaction_read_only",
            "o",
            Err("22023 parameter \"default_transaction_read_only\" requires a Boolean value"),
        ),
        ("synchronous_commit", "true", Ok("on")),
        ("datestyle", "sql", Ok("SQL, MDY")),
        (
            "datestyle",
            "mayan",
            Err("22023 invalid value for parameter \"DateStyle\": \"mayan\" / Unrecognized key \
                 word: \"mayan\"."),
        ),
        ("timezone", "europe/berlin", Ok("Europe/Berlin")),
        ("timezone", "nowhere", Err("22023 invalid value for parameter \"TimeZone\": \"nowhere\"")),
        ("client_encoding", "utf-8", Ok("UTF8")),
        ("client_encoding", "sql_ascii", Ok("SQL_ASCII")),
        (
            "client_encoding",
            "klingon",
            Err("22023 invalid value for parameter \"client_encoding\": \"klingon\""),
        ),
        ("my.Var", "Any", Ok("Any")),
    ] {
        check(name, value, expected);
    }
}

#[test]
fn what_cannot_be_set() {
    for (name, value, error) in [
        (
            "client_encoding",
            "latin1",
            "0A000 client encoding \"latin1\" is not supported / Use UTF8.",
        ),
        // A second name of WIN1258.
        ("client_encoding", "abc", "0A000 client encoding \"abc\" is not supported / Use UTF8."),
        (
            "standard_conforming_strings",
            "off",
            "0A000 parameter \"standard_conforming_strings\" cannot be \"off\" yet / Use \"on\".",
        ),
        (
            "default_transaction_isolation",
            "serializable",
            "0A000 isolation level SERIALIZABLE is not supported / Use REPEATABLE READ, which is \
             snapshot isolation.",
        ),
        ("block_size", "1", "55P02 parameter \"block_size\" cannot be changed"),
        (
            "max_connections",
            "1",
            "55P02 parameter \"max_connections\" cannot be changed without restarting the server",
        ),
        ("ssl", "on", "55P02 parameter \"ssl\" cannot be changed now"),
        ("nothing", "1", "42704 unrecognized configuration parameter \"nothing\""),
        (
            "my.a b",
            "1",
            "42602 invalid configuration parameter name \"my.a b\" / Custom parameter names must \
             be two or more simple identifiers separated by dots.",
        ),
        (
            "kestrel.x",
            "1",
            "42602 invalid configuration parameter name \"kestrel.x\" / \"kestrel\" is a reserved \
             prefix.",
        ),
    ] {
        check(name, value, Err(error));
    }
}

#[test]
fn a_date_style_changes_by_what_it_names() {
    let settings = Settings::default();
    assert_eq!(set(&settings, "datestyle", "sql").as_deref(), Ok("SQL, MDY"));
    assert_eq!(set(&settings, "datestyle", "dmy").as_deref(), Ok("SQL, DMY"));
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

/// A statement sees settings as they were before it, whatever it sets itself.
#[test]
fn who_has_looked_at_settings_sees_them_as_they_were() {
    let settings = Settings::default();
    let value = |now: SettingsNow, name: &str| {
        now.facts().into_iter().find(|fact| fact.name == name).map(|fact| fact.value)
    };
    set(&settings, "work_mem", "64MB").unwrap();
    let before = settings.now();
    set(&settings, "work_mem", "8MB").unwrap();
    settings.set_local("my.var", &["a".into()]).unwrap();
    settings.fix("is_superuser", "off".into());
    let during = settings.now();
    settings.rollback();
    for (name, now, then, at_last) in [
        ("work_mem", Some("64MB"), Some("8MB"), Some("4MB")),
        ("my.var", None, Some("a"), Some("")),
        ("is_superuser", Some("on"), Some("off"), Some("off")),
    ] {
        assert_eq!(value(before.clone(), name).as_deref(), now, "{name}");
        assert_eq!(value(during.clone(), name).as_deref(), then, "{name}");
        assert_eq!(value(settings.now(), name).as_deref(), at_last, "{name}");
    }
}

#[test]
fn roles_are_reset_one_by_one() {
    let settings = Settings::default();
    set(&settings, "role", "staff").unwrap();
    set(&settings, "work_mem", "64MB").unwrap();
    settings.reset_all();
    assert_eq!(settings.show("role").as_deref(), Ok("staff"));
    assert_ne!(settings.show("work_mem").as_deref(), Ok("64MB"));
    assert!(settings.facts().iter().any(|fact| fact.name == "role" && fact.is_hidden));
    settings.discard();
    assert_eq!(settings.show("role").as_deref(), Ok("none"));
}

#[test]
fn what_others_are_to_set_is_kept_as_it_was_written() {
    let settings = Settings::default();
    let check = |name: &str, value: &str| {
        let checked = settings.checked_for_others(name, &[value.to_string()]);
        checked.map(|(name, value)| format!("{name}={value}")).map_err(|error| error.message)
    };
    assert_eq!(check("STATEMENT_TIMEOUT", "5s").as_deref(), Ok("statement_timeout=5s"));
    assert!(check("statement_timeout", "soon").is_err() && check("no_such", "1").is_err());
    assert_eq!(check("my.var", "a").as_deref(), Ok("my.var=a"));
    assert!(settings.show("my.var").is_err());
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
fn every_rule_has_a_switch_and_fragments_carry_it() {
    let settings = Settings::default();
    for rule in RULES {
        let setting = find(&rule.setting()).expect(rule.name);
        assert_eq!((setting.default, setting.description), ("on", rule.description));
        assert_eq!(setting.effect, Effect::Works, "{}", rule.name);
    }
    let switches = settings.facts();
    let switches = switches.iter().filter(|fact| fact.name.starts_with("kestrel.enable_"));
    assert_eq!(switches.count(), RULES.len());
    assert!(settings.fragment_options().is_empty());
    set(&settings, "timezone", "asia/tokyo").unwrap();
    set(&settings, "kestrel.enable_runtime_filters", "false").unwrap();
    set(&settings, "kestrel.enable_local_joins", "on").unwrap();
    let expected = [("TimeZone", "Asia/Tokyo"), ("kestrel.enable_runtime_filters", "off")];
    let expected = expected.map(|(name, value)| (name.to_string(), value.to_string()));
    assert_eq!(settings.fragment_options(), HashMap::from(expected));
    // What functions follow is a session's own matter, too.
    assert_eq!(settings.format_options().len(), 1);
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
        let expected: Result<Vec<String>, String> =
            expected.map(|list| list.into_iter().map(String::from).collect());
        assert_eq!(read(options), expected, "{options}");
    }
}
