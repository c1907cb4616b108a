//! `pg_statistic_ext`: what CREATE STATISTICS made, and `pg_stats_ext`: what ANALYZE has found out
//! for it.

use kestrel_planner::{
    catalog::{ExtendedStatistics, TableDef},
    statistics::ColumnGroup,
};

use super::super::{
    SystemViewContext, name,
    relation::schema_oid,
    rows::{Rows, row},
};

pub(in super::super) fn pg_statistic_ext(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, stxrelid, stxname, stxnamespace, stxowner, stxstattarget, stxkeys, stxkind",
    );
    for (table, statistics) in all(context) {
        rows.push(row![
            statistics.id,
            table.id,
            &statistics.name,
            schema_oid(&context.catalog, &table.schema_name).unwrap_or(0),
            context.catalog.owner(table.id),
            -1,
            statistics.columns.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(),
            kinds(statistics, ["d", "f"]),
        ]);
    }
    rows
}

pub(in super::super) fn pg_stats_ext(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, tablename, statistics_schemaname, statistics_name, statistics_owner, \
         attnames, kinds, inherited, n_distinct, dependencies",
    );
    for (table, statistics) in all(context) {
        let known = context.catalog.statistics_of(table.id);
        let groups = known.into_iter().flat_map(|known| &known.groups);
        let group = groups.into_iter().find(|group| group.statistics == statistics.id);
        rows.push(row![
            &table.schema_name,
            &table.name,
            &table.schema_name,
            &statistics.name,
            context.owner_name(table.id),
            column_names(table, statistics),
            kinds(statistics, ["d", "f"]),
            table.partitioned_by.is_some(),
            group.and_then(|group| distinct(group)),
            group.and_then(|group| dependencies(group)),
        ]);
    }
    rows
}

fn all(context: &SystemViewContext) -> impl Iterator<Item = (&TableDef, &ExtendedStatistics)> {
    let tables = context.catalog.tables.values();
    tables.flat_map(|table| table.extended_statistics.iter().map(move |s| (&**table, s)))
}

/// Those of the words of `ndistinct` and `dependencies` that are asked for.
fn kinds(statistics: &ExtendedStatistics, words: [&str; 2]) -> Vec<String> {
    let asked = [statistics.distinct, statistics.dependencies];
    let kinds = words.iter().zip(asked).filter(|(_, asked)| *asked);
    kinds.map(|(word, _)| (*word).to_string()).collect()
}

fn column_names(table: &TableDef, statistics: &ExtendedStatistics) -> Vec<String> {
    let columns = statistics.columns.iter().filter_map(|id| table.column_by_id(*id));
    columns.map(|column| column.name.clone()).collect()
}

/// `pg_ndistinct_out` (mvdistinct.c)
fn distinct(group: &ColumnGroup) -> Option<String> {
    let parts = group.distinct.iter().map(|set| {
        let columns: Vec<_> = set.columns.iter().map(u32::to_string).collect();
        format!("\"{}\": {:.0}", columns.join(", "), set.distinct)
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(", ")))
}

/// `pg_dependencies_out` (dependencies.c)
fn dependencies(group: &ColumnGroup) -> Option<String> {
    let parts = group.dependencies.iter().map(|dependency| {
        let from: Vec<_> = dependency.from.iter().map(u32::to_string).collect();
        format!("\"{} => {}\": {:.6}", from.join(", "), dependency.to, dependency.degree)
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(", ")))
}

/// The statistics object of this OID, and its table.
pub(in super::super) fn found(
    context: &SystemViewContext,
    oid: i64,
) -> Option<(&TableDef, &ExtendedStatistics)> {
    all(context).find(|(_, statistics)| statistics.id.cast_signed() == oid)
}

/// Its columns: `a, b`.
pub(in super::super) fn columns(table: &TableDef, statistics: &ExtendedStatistics) -> String {
    let names = column_names(table, statistics);
    names.iter().map(|column| name::quoted(column)).collect::<Vec<_>>().join(", ")
}

/// The statement that makes it, on a table of this name.
pub(in super::super) fn definition(
    (table, statistics): (&TableDef, &ExtendedStatistics),
    on: &str,
) -> String {
    let kinds = kinds(statistics, ["ndistinct", "dependencies"]).join(", ");
    let columns = columns(table, statistics);
    let name = name::qualified(&table.schema_name, &statistics.name);
    format!("CREATE STATISTICS {name} ({kinds}) ON {columns} FROM {on}")
}
