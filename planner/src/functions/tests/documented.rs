//! `docs/functions.md` lists the functions that there are.

use std::collections::BTreeSet;

use super::{super::row, FUNCTIONS};

const DOCUMENT: &str = include_str!("../../../../docs/functions.md");

/// Names that are syntax, or that become other functions before anything is looked up.
const SYNTAX: &[&str] = &[
    "aclexplode",
    "extract",
    "gen_random_uuid",
    "json_agg",
    "json_each",
    "json_each_text",
    "json_object_agg",
    "json_to_record",
    "json_to_recordset",
    "jsonb_agg",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_agg",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "make_interval",
    "mode",
    "percentile_disc",
    "position",
    "regexp_split_to_table",
    "string_to_table",
    "timeofday",
    "to_number",
    "unnest",
];

/// The names in the lists.
fn documented() -> BTreeSet<&'static str> {
    let mut in_list = false;
    let mut names = BTreeSet::new();
    for line in DOCUMENT.lines() {
        in_list = line.starts_with("- ") || in_list && line.starts_with("  ");
        // Between the names of a list stand only commas.
        let is_between = |text: &str| text.chars().all(|c| matches!(c, ' ' | ',' | '-'));
        let is_names = in_list && line.split('`').step_by(2).all(is_between);
        if is_names {
            names.extend(line.split('`').skip(1).step_by(2));
        }
    }
    names
}

#[test]
fn every_documented_function_exists() {
    let exists = |name: &str| {
        SYNTAX.contains(&name)
            || FUNCTIONS.scalar(name).is_some()
            || FUNCTIONS.aggregate(name).is_some()
            || FUNCTIONS.window(name).is_some()
    };
    let documented = documented();
    assert!(documented.len() > 150, "only {} names were read", documented.len());
    let missing: Vec<_> = documented.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "docs/functions.md lists what is not there: {missing:?}");
}

#[test]
fn every_function_of_the_lists_is_documented() {
    let documented = documented();
    let known = row::names().chain(SYNTAX.iter().copied());
    let missing: Vec<_> =
        known.filter(|n| !n.starts_with("kestrel_") && !documented.contains(n)).collect();
    assert!(missing.is_empty(), "docs/functions.md does not list {missing:?}");
}
