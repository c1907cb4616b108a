//! Names and definitions, as PostgreSQL prints them (ruleutils.c).

use kestrel_planner::{
    catalog::{CheckDef, KeyDef, TableDef, ViewDef},
    ddl::view_text,
};

use super::{SystemViewContext, types};

/// Words that cannot stand as a name without quotes: all keywords of PostgreSQL 15 but the
/// unreserved ones.
const KEYWORDS: &str = "\
    all analyse analyze and any array as asc asymmetric authorization between bigint binary \
    bit boolean both case cast char character check coalesce collate collation column \
    concurrently constraint create cross current_catalog current_date current_role \
    current_schema current_time current_timestamp current_user dec decimal default \
    deferrable desc distinct do else end except exists extract false fetch float for foreign \
    freeze from full grant greatest group grouping having ilike in initially inner inout int \
    integer intersect interval into is isnull join lateral leading least left like limit \
    localtime localtimestamp national natural nchar none normalize not notnull null nullif \
    numeric offset on only or order out outer overlaps overlay placing position precision \
    primary real references returning right row select session_user setof similar smallint \
    some substring symmetric table tablesample then time timestamp to trailing treat trim \
    true union unique user using values varchar variadic verbose when where window with \
    xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi \
    xmlroot xmlserialize xmltable";

/// `quote_ident`
pub(super) fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain && !KEYWORDS.split_ascii_whitespace().any(|k| k == name) {
        return name.into();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column's default as `pg_get_expr` prints it: a literal with its type, a sequence without the
/// schema that `search_path` finds it in.
pub(super) fn default_text(default: &str, type_oid: i64, search_path: &[String]) -> String {
    if let Some(sequence) = default.strip_prefix("nextval('")
        && let Some((schema, rest)) = sequence.split_once('.')
        && search_path.iter().any(|s| quoted(s) == schema)
    {
        return format!("nextval('{rest}");
    }
    let inner = default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match inner {
        Some(inner) if !inner.replace("''", "").contains('\'') => {
            let type_name = types::format(type_oid, None);
            let type_name = if type_name == "character" { "bpchar" } else { &type_name };
            format!("{default}::{type_name}")
        }
        _ => default.into(),
    }
}

/// `schema.name`, each quoted where it must be.
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// The parts of a name as SQL writes it, folded to lower case outside of quotes; `None`: it is no
/// name.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![];
    let mut rest = text.trim();
    loop {
        let part;
        if let Some(quoted) = rest.strip_prefix('"') {
            // The first quote that is not doubled ends it.
            let mut end = quoted.find('"')?;
            while quoted[end + 1..].starts_with('"') {
                end += 2 + quoted[end + 2..].find('"')?;
            }
            part = quoted[..end].replace("\"\"", "\"");
            rest = &quoted[end + 1..];
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            part = rest[..end].trim().to_lowercase();
            rest = &rest[end..];
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None => return rest.trim().is_empty().then_some(parts),
        }
    }
}

/// `pg_get_indexdef`; `table_name` as it is to be printed.
pub(super) fn index_definition(table: &TableDef, key: &KeyDef, table_name: &str) -> String {
    let index = quoted(&key.name);
    let unique = if table.unique_sets().any(|set| set.id == key.id) { "UNIQUE " } else { "" };
    format!("CREATE {unique}INDEX {index} ON {table_name} USING btree {}", columns(table, key))
}

/// `pg_get_constraintdef`
pub(super) fn constraint_definition(table: &TableDef, key: &KeyDef) -> String {
    let is_primary = table.primary_key.as_ref().is_some_and(|k| k.id == key.id);
    format!("{} {}", if is_primary { "PRIMARY KEY" } else { "UNIQUE" }, columns(table, key))
}

/// `pg_get_constraintdef` of a CHECK constraint: the condition as it was written.
pub(super) fn check_definition(check: &CheckDef, is_pretty: bool) -> String {
    let condition = &check.condition;
    if is_pretty { format!("CHECK ({condition})") } else { format!("CHECK (({condition}))") }
}

/// `pg_get_viewdef`: the query as it was written, with the names of now.
pub(super) fn view_definition(context: &SystemViewContext, view: &ViewDef) -> String {
    format!(" {};", view_text(view, &context.catalog, &context.session.search_path))
}

fn columns(table: &TableDef, key: &KeyDef) -> String {
    let names = key.columns.iter().filter_map(|id| table.column_by_id(*id));
    format!("({})", names.map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        // select quote_ident(…)
        let cases = [
            ("lineitem", "lineitem"),
            ("l_orderkey2", "l_orderkey2"),
            ("Order", "\"Order\""),
            ("order", "\"order\""),
            ("name", "name"),
            ("2nd", "\"2nd\""),
            ("a b", "\"a b\""),
            ("a\"b", "\"a\"\"b\""),
            ("größe", "\"größe\""),
            ("", "\"\""),
        ];
        for (name, expected) in cases {
            assert_eq!(quoted(name), expected);
            if !name.is_empty() {
                assert_eq!(parse(expected), Some(vec![name.to_string()]));
            }
        }
    }

    #[test]
    fn names_are_read_as_sql_reads_them() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("T", Some(&["t"])),
            ("public.T", Some(&["public", "t"])),
            (" \"My.Schema\".\"T\" ", Some(&["My.Schema", "T"])),
            ("\"a\"\"b\".c", Some(&["a\"b", "c"])),
            ("", None),
            ("a.", None),
            ("a..b", None),
            ("\"a", None),
            ("\"a\"b", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|e| e.iter().map(|p| p.to_string()).collect());
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
