//! A partition's constraint as PostgreSQL prints it (`get_qual_from_partbound`, partitioning/partbounds.c,
//! through utils/adt/ruleutils.c): what its own bound and those of all levels above say of its rows.

use std::{cmp::Ordering, sync::Arc};

use datafusion::common::ScalarValue;
use kestrel_proto::Result;

use crate::{
    catalog::{
        BoundValue, Catalog, ColumnDef, PartitionBound, PartitionStrategy, PartitionedBy, RangeEnd,
        SqlType, TableDef,
    },
    parse::quote,
};

/// The constraint; `None`: the table is no partition, or its rows may be any.
///
/// # Errors
/// XX000: a bound is damaged.
pub fn constraint_text(table: &TableDef, catalog: &Catalog) -> Result<Option<String>> {
    let mut path = catalog.partition_ancestors(table.id);
    path.reverse();
    let mut conjuncts = Vec::new();
    for pair in path.windows(2) {
        let [parent, partition] = pair else { continue };
        let Some(by) = &parent.partitioned_by else { continue };
        conjuncts.extend(of_level(parent, by, partition, catalog)?);
    }
    Ok(joined(conjuncts, "AND"))
}

fn of_level(
    parent: &TableDef,
    by: &PartitionedBy,
    partition: &TableDef,
    catalog: &Catalog,
) -> Result<Vec<String>> {
    let columns = parent.partition_columns();
    match partition.partition_of.as_ref().map(|of| &of.bound) {
        Some(PartitionBound::List(values)) => {
            let values: Vec<_> = values.iter().map(Option::as_ref).collect();
            Ok(of_list(&columns, &values))
        }
        Some(PartitionBound::Range { from, to }) => {
            let mut conjuncts = not_null(&columns);
            conjuncts.extend(of_range(&columns, from, to));
            Ok(conjuncts)
        }
        Some(PartitionBound::Hash { modulus, remainder }) => {
            let names: Vec<_> = columns.iter().map(|column| quote(&column.name)).collect();
            let (oid, names) = (parent.id, names.join(", "));
            Ok(vec![format!(
                "satisfies_hash_partition('{oid}'::oid, {modulus}, {remainder}, {names})"
            )])
        }
        Some(PartitionBound::Default) => {
            let others = match by.strategy {
                PartitionStrategy::List => of_all_lists(&columns, parent, catalog)?,
                PartitionStrategy::Range => of_all_ranges(&columns, parent, catalog)?,
                PartitionStrategy::Hash => Vec::new(),
            };
            Ok(joined(others, "AND").map(|others| format!("(NOT {others})")).into_iter().collect())
        }
        None => Ok(Vec::new()),
    }
}

/// `((a) AND (b))`; a single one as it is, `None` for none.
fn joined(mut terms: Vec<String>, word: &str) -> Option<String> {
    match terms.len() {
        0 | 1 => terms.pop(),
        _ => Some(format!("({})", terms.join(&format!(" {word} ")))),
    }
}

fn not_null(columns: &[&ColumnDef]) -> Vec<String> {
    columns.iter().map(|column| format!("({} IS NOT NULL)", quote(&column.name))).collect()
}

fn of_list(columns: &[&ColumnDef], values: &[Option<&BoundValue>]) -> Vec<String> {
    let Some(column) = columns.first() else { return Vec::new() };
    let is_null = format!("({} IS NULL)", quote(&column.name));
    let present: Vec<_> = values.iter().flatten().map(|value| constant(value, column)).collect();
    let is_one = match present.as_slice() {
        [] => None,
        [only] => Some(format!("({} = {only})", operand(column))),
        _ => Some(format!("({} = ANY (ARRAY[{}]))", operand(column), present.join(", "))),
    };
    match values.iter().any(Option::is_none) {
        true => joined([is_null].into_iter().chain(is_one).collect(), "OR").into_iter().collect(),
        false => not_null(&columns[..1]).into_iter().chain(is_one).collect(),
    }
}

/// What the partitions with lists take together: the values in their order.
fn of_all_lists(
    columns: &[&ColumnDef],
    parent: &TableDef,
    catalog: &Catalog,
) -> Result<Vec<String>> {
    let (mut present, mut has_null) = (Vec::new(), false);
    let partitions = catalog.partitions_of(parent.id);
    for partition in &partitions {
        if let Some(PartitionBound::List(values)) = bound_of(partition) {
            for value in values {
                match value {
                    Some(value) => present.push((value.decoded()?, value)),
                    None => has_null = true,
                }
            }
        }
    }
    present.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    let null = has_null.then_some(None);
    let values: Vec<_> =
        null.into_iter().chain(present.into_iter().map(|(_, value)| Some(value))).collect();
    Ok(if values.is_empty() { Vec::new() } else { of_list(columns, &values) })
}

/// What the partitions with ranges take together: the ranges in their order.
fn of_all_ranges(
    columns: &[&ColumnDef],
    parent: &TableDef,
    catalog: &Catalog,
) -> Result<Vec<String>> {
    let mut ranges = Vec::new();
    let partitions = catalog.partitions_of(parent.id);
    for partition in &partitions {
        if let Some(PartitionBound::Range { from, to }) = bound_of(partition) {
            let key = from.iter().map(place).collect::<Result<Vec<_>>>()?;
            let range = joined(of_range(columns, from, to), "AND");
            ranges.push((key, range.unwrap_or_else(|| "true".into())));
        }
    }
    ranges.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    let ranges = joined(ranges.into_iter().map(|(_, range)| range).collect(), "OR");
    Ok(ranges.map_or_else(Vec::new, |ranges| {
        let mut all = not_null(columns);
        all.push(ranges);
        all
    }))
}

fn bound_of(partition: &Arc<TableDef>) -> Option<&PartitionBound> {
    partition.partition_of.as_ref().map(|of| &of.bound)
}

/// What an end of a range sorts by.
fn place(end: &RangeEnd) -> Result<(i8, Option<ScalarValue>)> {
    Ok(match end {
        RangeEnd::MinValue => (-1, None),
        RangeEnd::Value(value) => (0, Some(value.decoded()?)),
        RangeEnd::MaxValue => (1, None),
    })
}

/// The conjuncts of a range, but for those that forbid NULL (`get_qual_for_range`).
fn of_range(columns: &[&ColumnDef], from: &[RangeEnd], to: &[RangeEnd]) -> Vec<String> {
    let compared = |column: &ColumnDef, operator: &str, value: &BoundValue| {
        format!("({} {operator} {})", operand(column), constant(value, column))
    };
    let mut conjuncts = Vec::new();
    let mut first = 0;
    // Columns of one value only.
    while let (Some(column), Some(RangeEnd::Value(low)), Some(RangeEnd::Value(high))) =
        (columns.get(first), from.get(first), to.get(first))
        && low.value == high.value
    {
        conjuncts.push(compared(column, "=", low));
        first += 1;
    }
    let columns = columns.get(first..).unwrap_or_default();
    let sides = [(from, RangeEnd::MinValue, ">", ">="), (to, RangeEnd::MaxValue, "<", "<=")];
    for (ends, open, strict, inclusive) in sides {
        let ends = ends.get(first..).unwrap_or_default();
        let mut arms = Vec::new();
        for (at, (column, end)) in columns.iter().zip(ends).enumerate() {
            let RangeEnd::Value(value) = end else { break };
            let equal = columns.iter().zip(ends).take(at).filter_map(|(column, end)| match end {
                RangeEnd::Value(value) => Some(compared(column, "=", value)),
                RangeEnd::MinValue | RangeEnd::MaxValue => None,
            });
            let mut arm: Vec<_> = equal.collect();
            let is_inclusive = match ends.get(at + 1) {
                Some(next) => *next == open,
                None => strict == ">",
            };
            arm.push(compared(column, if is_inclusive { inclusive } else { strict }, value));
            arms.extend(joined(arm, "AND"));
        }
        conjuncts.extend(joined(arms, "OR"));
    }
    conjuncts
}

/// A column as the operators of its type see it.
fn operand(column: &ColumnDef) -> String {
    match column.sql_type {
        SqlType::Varchar(_) => format!("({})::text", quote(&column.name)),
        _ => quote(&column.name),
    }
}

/// A value with its type, where it would not have it by itself (`get_const_expr`).
fn constant(value: &BoundValue, column: &ColumnDef) -> String {
    let (text, sql_type) = (&value.text, column.sql_type);
    let is_quoted = text.starts_with('\'');
    match sql_type {
        SqlType::Boolean => text.clone(),
        SqlType::Integer if !is_quoted => text.clone(),
        SqlType::Numeric(..) if !is_quoted && !text.contains('.') => {
            format!("'{text}'::{sql_type}")
        }
        // As long as it was declared.
        SqlType::Char(length) if is_quoted => {
            let bare = text.trim_matches('\'').replace("''", "'");
            let padded = format!("{bare:<width$}", width = length as usize).replace('\'', "''");
            format!("'{padded}'::{sql_type}")
        }
        _ => format!("{text}::{sql_type}"),
    }
}
