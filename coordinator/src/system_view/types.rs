//! The types that columns of tables and system relations have, as `pg_type` describes them.

use std::{collections::HashMap, sync::LazyLock};

/// PostgreSQL's own rows of `pg_type`.
pub(super) const PRINTED: &str = include_str!("data/pg_type.tsv");

/// What other views and functions need of a row of `pg_type`.
#[derive(Debug)]
pub(super) struct TypeInfo {
    pub(super) oid: i64,
    pub(super) name: &'static str,
    pub(super) length: i64,
    pub(super) by_value: bool,
    pub(super) alignment: &'static str,
    pub(super) storage: &'static str,
    pub(super) collation: i64,
    /// Of an array: its element's type.
    element: Option<i64>,
}

static TYPES: LazyLock<Vec<TypeInfo>> = LazyLock::new(|| {
    let mut lines = PRINTED.lines().map(|l| l.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    lines
        .filter_map(|cells| {
            let by_header: HashMap<_, _> = header.iter().copied().zip(cells).collect();
            let text = |column| by_header.get(column).copied();
            let number = |column| text(column)?.parse().ok();
            Some(TypeInfo {
                oid: number("oid")?,
                name: text("typname")?,
                length: number("typlen")?,
                by_value: text("typbyval")? == "t",
                alignment: text("typalign")?,
                storage: text("typstorage")?,
                collation: number("typcollation")?,
                // The vector types have elements, too, but a name of their own.
                element: number("typelem")
                    .filter(|_| text("typname").is_some_and(|n| n.starts_with('_'))),
            })
        })
        .collect()
});

/// The type of this OID.
pub(super) fn by_oid(oid: i64) -> Option<&'static TypeInfo> {
    TYPES.iter().find(|t| t.oid == oid)
}

/// The type of this name in `pg_type`.
pub(super) fn by_name(name: &str) -> Option<&'static TypeInfo> {
    TYPES.iter().find(|t| t.name == name)
}

/// The type of a name as SQL writes it (`integer`, `pg_catalog.int4`, `text[]`).
pub(super) fn by_sql_name(name: &str) -> Option<&'static TypeInfo> {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name).trim();
    if let Some(quoted) = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        return by_name(quoted);
    }
    if let Some(element) = name.strip_suffix("[]") {
        let element = by_sql_name(element)?.oid;
        return TYPES.iter().find(|t| t.element == Some(element));
    }
    let spelled = SPELLED.iter().find(|(_, sql, without)| *sql == name || *without == name);
    by_name(spelled.map_or(name, |(catalog, ..)| catalog))
}

/// (name in `pg_type`, name in SQL before a modifier, other SQL name).
const SPELLED: &[(&str, &str, &str)] = &[
    ("bool", "boolean", "boolean"),
    ("bpchar", "character", "char"),
    ("float4", "real", "real"),
    ("float8", "double precision", "float"),
    ("int2", "smallint", "smallint"),
    ("int4", "integer", "int"),
    ("int8", "bigint", "bigint"),
    ("numeric", "numeric", "decimal"),
    ("time", "time without time zone", "time"),
    ("timestamp", "timestamp without time zone", "timestamp"),
    ("timestamptz", "timestamp with time zone", "timestamptz"),
    ("varchar", "character varying", "varchar"),
];

/// PostgreSQL's `format_type` (format_type.c): `modifier` `None` is a NULL one, -1 none.
pub(super) fn format(oid: i64, modifier: Option<i64>) -> String {
    if oid == 0 {
        return "-".into();
    }
    let Some(found) = by_oid(oid) else { return "???".into() };
    if let Some(element) = found.element {
        return format!("{}[]", format(element, modifier));
    }
    let sql = SPELLED.iter().find(|(name, ..)| *name == found.name).map_or(found.name, |s| s.1);
    match (found.name, modifier.filter(|m| *m >= 0)) {
        // The keyword would not be read back as this type.
        ("char", _) => "\"char\"".into(),
        // `character` alone means character(1).
        ("bpchar", None) if modifier.is_some() => "bpchar".into(),
        ("varchar" | "bpchar", Some(m)) => format!("{sql}({})", m - 4),
        ("numeric", Some(m)) => {
            // The scale is 11 bits, signed.
            let scale = (((m - 4) & 0x7ff) ^ 1024) - 1024;
            format!("numeric({},{scale})", ((m - 4) >> 16) & 0xffff)
        }
        ("time" | "timestamp" | "timestamptz", Some(m)) => match sql.split_once(' ') {
            Some((word, rest)) => format!("{word}({m}) {rest}"),
            None => sql.into(),
        },
        _ => sql.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_postgresql_writes_them() {
        // select format_type(oid, modifier)
        let cases = [
            (23, Some(-1), "integer"),
            (1700, Some(983_046), "numeric(15,2)"),
            (1700, Some(-1), "numeric"),
            (1700, Some((5 << 16) + (0x7ff & -3) + 4), "numeric(5,-3)"),
            (1043, Some(48), "character varying(44)"),
            (1043, None, "character varying"),
            (1042, Some(14), "character(10)"),
            (1042, Some(-1), "bpchar"),
            (1042, None, "character"),
            (18, Some(-1), "\"char\""),
            (1002, Some(-1), "\"char\"[]"),
            (1114, Some(3), "timestamp(3) without time zone"),
            (1184, Some(-1), "timestamp with time zone"),
            (1009, Some(-1), "text[]"),
            (22, Some(-1), "int2vector"),
            (2205, None, "regclass"),
            (0, None, "-"),
            (999_999, None, "???"),
        ];
        for (oid, modifier, expected) in cases {
            assert_eq!(format(oid, modifier), expected, "{oid} {modifier:?}");
        }
        for oid in TYPES.iter().map(|t| t.oid) {
            assert_eq!(by_sql_name(&format(oid, None)).map(|t| t.oid), Some(oid), "{oid}");
        }
    }
}
