//! VACUUM, ANALYZE, and questions to the databases that hold shards about their tables.

use kestrel_proto::{BucketMap, DatanodeId, ErrorReport, Result};

use super::{Relation, bucket::bucket, quote::identifier, string};
use crate::{
    catalog::{Distribution, TableDef},
    parse::Maintenance,
};

/// `ANALYZE "s"."t" ("a", "b")`
///
/// # Errors
/// Those of [`identifier`].
pub fn analyze(table: &TableDef, columns: &[String]) -> Result<String> {
    let name = Relation::of(table).quoted()?;
    if columns.is_empty() {
        return Ok(format!("ANALYZE {name}"));
    }
    let columns = columns.iter().map(|column| identifier(column));
    Ok(format!("ANALYZE {name} ({})", columns.collect::<Result<Vec<_>>>()?.join(", ")))
}

/// `VACUUM (FULL) "s"."t"`: ANALYZE comes after it, by itself.
///
/// # Errors
/// Those of [`identifier`].
pub fn vacuum(table: &TableDef, command: &Maintenance) -> Result<String> {
    let name = Relation::of(table).quoted()?;
    Ok(match command.full {
        false => format!("VACUUM {name}"),
        true => format!("VACUUM (FULL) {name}"),
    })
}

/// The database's estimate of a table's rows (-1: none), and the bytes of its files; both with those of its
/// partitions and heirs, which a query of it reads, too.
///
/// A table that was never analyzed or vacuumed has a `reltuples` of -1, before PostgreSQL 14 of 0 with
/// `relpages` of 0; a partitioned one has no rows of its own, and may have such a sum.
///
/// # Errors
/// Those of [`string`].
pub fn size(table: &TableDef) -> Result<String> {
    // Another server has a foreign table's pages.
    let is_unknown = "c.relkind <> 'p' AND (c.reltuples < 0 OR c.reltuples = 0 AND c.relpages = 0) \
                      AND (c.relkind = 'f' OR pg_catalog.pg_relation_size(c.oid) > 0)";
    let rows = "CASE WHEN c.relkind = 'p' OR c.reltuples < 0 THEN 0 \
                ELSE CAST(c.reltuples AS pg_catalog.int8) END";
    Ok(format!(
        "WITH RECURSIVE parts (part) AS (\
         SELECT c.oid \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {} \
         UNION \
         SELECT i.inhrelid FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.part) \
         SELECT CASE WHEN pg_catalog.max(CASE WHEN {is_unknown} THEN 1 ELSE 0 END) = 1 THEN -1 \
         ELSE CAST(pg_catalog.sum({rows}) AS pg_catalog.int8) END, \
         CAST(pg_catalog.sum(pg_catalog.pg_table_size(c.oid)) AS pg_catalog.int8) \
         FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.part",
        string(&table.schema_name)?,
        string(&table.name)?
    ))
}

/// How many rows there are, and how many of them should be on other datanodes.
///
/// # Errors
/// Those of [`bucket`]; XX000 for a key without its columns.
pub fn misplaced(table: &TableDef, datanode: DatanodeId, map: &BucketMap) -> Result<String> {
    let from = Relation::of(table).quoted()?;
    match &table.distribution {
        Distribution::Replicated | Distribution::Random => {
            Ok(format!("SELECT pg_catalog.count(*), 0 FROM {from}"))
        }
        Distribution::Hash(_) => {
            let key = table.distribution_columns().into_iter();
            let key: Vec<_> = key.map(|column| (column.name.as_str(), column.sql_type)).collect();
            let bucket = bucket(&key)?;
            let own = runs(map, datanode).into_iter();
            let own = own.map(|(first, last)| format!("b BETWEEN {first} AND {last}"));
            let own: Vec<_> = own.collect();
            let own = if own.is_empty() { "false".to_string() } else { own.join(" OR ") };
            Ok(format!(
                "SELECT pg_catalog.count(*), pg_catalog.count(CASE WHEN {own} THEN NULL ELSE 1 END) \
                 FROM (SELECT {bucket} AS b FROM {from}) AS buckets"
            ))
        }
    }
}

/// The buckets of a datanode, as first and last of runs.
fn runs(map: &BucketMap, datanode: DatanodeId) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let own = map.owners().iter().enumerate().filter(|(_, owner)| **owner == datanode);
    for (bucket, _) in own {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == bucket => *last = bucket,
            _ => runs.push((bucket, bucket)),
        }
    }
    runs
}

/// The columns of a table that is there already: name, type, whether it is NOT NULL, and its place
/// in the primary key.
///
/// # Errors
/// Those of [`string`].
pub fn columns(schema: &str, table: &str) -> Result<String> {
    Ok(format!(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, \
         (SELECT pg_catalog.array_position(CAST(i.indkey AS pg_catalog.int2[]), a.attnum) \
          FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p') \
         AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        string(schema)?,
        string(table)?
    ))
}

/// The first row's values as numbers.
///
/// # Errors
/// XX000 when the answer has another form.
pub fn numbers<const N: usize>(rows: &[Vec<Option<String>>]) -> Result<[i64; N]> {
    let wrong = || ErrorReport::internal("a database gave an answer of another form");
    let row = rows.first().ok_or_else(wrong)?;
    let numbers = row.iter().map(|value| value.as_deref().and_then(|text| text.parse().ok()));
    let numbers: Option<Vec<i64>> = numbers.collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_in_runs() {
        let map = BucketMap::even(1, 3);
        let all: Vec<_> = (0..3).flat_map(|id| runs(&map, DatanodeId(id))).collect();
        let buckets: usize = all.iter().map(|(first, last)| last - first + 1).sum();
        assert_eq!(buckets, map.owners().len());
        assert!(runs(&map, DatanodeId(9)).is_empty());
    }

    #[test]
    fn answers_are_numbers() {
        let row = |values: &[Option<&str>]| -> Vec<Vec<Option<String>>> {
            vec![values.iter().map(|value| value.map(String::from)).collect()]
        };
        assert_eq!(numbers(&row(&[Some("7"), Some("-1")])), Ok([7, -1]));
        assert!(numbers::<2>(&row(&[Some("7")])).is_err());
        assert!(numbers::<1>(&row(&[None])).is_err());
        assert!(numbers::<1>(&[]).is_err());
    }
}
