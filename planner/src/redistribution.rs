//! How a table's rows get to another distribution while others read and change them: the queries that
//! copy them, and that find what has gone meanwhile.
//!
//! ```text
//!   segments of the table            the new segments, seen by nobody
//!   columns, addresses   -- copy -->  columns, and where each row came from
//!   what is deleted now  -- lost -->  rows whose origin is there no longer: delete vectors
//! ```
//!
//! Where a row came from stands in columns of the new files that no table has: nobody else reads them,
//! and they go when the rows are written anew.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    common::{Column, ScalarValue, TableReference},
    datasource::provider_as_source,
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit},
};
use kestrel_proto::Result;

use crate::{
    bind::ShardTable,
    catalog::{Catalog, ColumnDef, Distribution, Segment, SqlType, TableDef},
    error::report,
    operators::Address,
};

/// The id of the first of the columns that say where a row came from; tables do not get that far.
const FIRST_ORIGIN_ID: u32 = 2_000_000_000;

/// The names of tables in the queries.
const SOURCE: &str = "rows where they were";
const TARGET: &str = "rows where they are to be";

/// Where a segment is, and its id there.
pub type SegmentKey = (u32, u64);

/// A table's rows where they are: these segments, each row once.
pub fn source(table: &TableDef, segments: Vec<Arc<Segment>>) -> TableDef {
    TableDef { segments, distribution: Distribution::Random, ..standing_alone(table) }
}

/// A table's rows where they are to be, none yet, with the columns that say where they came from.
pub fn target(after: &TableDef) -> TableDef {
    let mut table = TableDef { segments: Vec::new(), ..standing_alone(after) };
    let parts = Address::ALL.into_iter().zip(FIRST_ORIGIN_ID..);
    table.columns.extend(parts.map(|(part, id)| origin_column(part, id)));
    if table.distribution == Distribution::Random {
        // Evenly, whatever the values are, and whether there are many segments or many rows in each.
        let by = [Address::Segment, Address::Row].map(origin_id);
        table.distribution = Distribution::Hash(by.into());
    }
    table
}

/// No partition, and no keys that somebody would look for.
fn standing_alone(table: &TableDef) -> TableDef {
    TableDef { partition_of: None, partitioned_by: None, ..table.clone() }
}

fn origin_id(part: Address) -> u32 {
    let ids = Address::ALL.into_iter().zip(FIRST_ORIGIN_ID..);
    ids.fold(FIRST_ORIGIN_ID, |found, (known, id)| if known == part { id } else { found })
}

fn origin_name(part: Address) -> &'static str {
    match part {
        Address::Datanode => "row origin: datanode",
        Address::Segment => "row origin: segment",
        Address::Row => "row origin: row",
    }
}

fn origin_column(part: Address, id: u32) -> ColumnDef {
    let sql_type = match part {
        Address::Datanode | Address::Row => SqlType::Integer,
        Address::Segment => SqlType::BigInt,
    };
    ColumnDef {
        id,
        name: origin_name(part).into(),
        sql_type,
        not_null: true,
        default: None,
        identity: None,
    }
}

/// The query of all rows of a table, without where they are.
///
/// # Errors
/// XX000
pub fn all_rows(source: &Arc<TableDef>, catalog: &Catalog) -> Result<LogicalPlan> {
    let columns: Vec<_> = source.columns.iter().map(|column| of(SOURCE, &column.name)).collect();
    let query = scan(SOURCE, source, catalog).and_then(|scan| scan.project(columns));
    query.and_then(LogicalPlanBuilder::build).map_err(report)
}

/// The query whose rows are those of [`target`]: all of a [`source`], and where they are.
///
/// # Errors
/// XX000
pub fn copied_rows(source: &Arc<TableDef>, catalog: &Catalog) -> Result<LogicalPlan> {
    let own = source.columns.iter().map(|column| of(SOURCE, &column.name));
    let origin =
        Address::ALL.into_iter().map(|part| of(SOURCE, part.name()).alias(origin_name(part)));
    let columns: Vec<_> = own.chain(origin).collect();
    let query = scan(SOURCE, source, catalog).and_then(|scan| scan.project(columns));
    query.and_then(LogicalPlanBuilder::build).map_err(report)
}

/// The query of the addresses of `target`'s rows that came from one of the segments `of_segments`, and
/// are no longer in it: `source` has what is left of these segments.
///
/// # Errors
/// XX000
pub fn lost_rows(
    target: &Arc<TableDef>,
    source: &Arc<TableDef>,
    of_segments: &[SegmentKey],
    catalog: &Catalog,
) -> Result<LogicalPlan> {
    let column = |table: &str, name: &str| Column::new(Some(TableReference::bare(table)), name);
    let left: Vec<_> = Address::ALL.map(|part| column(TARGET, origin_name(part))).into();
    let right: Vec<_> = Address::ALL.map(|part| column(SOURCE, part.name())).into();
    let addresses: Vec<_> = Address::ALL.map(|part| of(SOURCE, part.name())).into();
    let there = scan(SOURCE, source, catalog)
        .and_then(|scan| scan.project(addresses))
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)?;
    let lost: Vec<_> = Address::ALL.map(|part| of(TARGET, part.name()).alias(part.name())).into();
    scan(TARGET, target, catalog)
        .and_then(|rows| rows.filter(came_from(of_segments)))
        .and_then(|rows| rows.join(there, JoinType::LeftAnti, (left, right), None))
        .and_then(|rows| rows.project(lost))
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}

fn scan(
    name: &str,
    table: &Arc<TableDef>,
    catalog: &Catalog,
) -> datafusion::error::Result<LogicalPlanBuilder> {
    let provider = ShardTable::with_addresses(Arc::clone(table), catalog);
    LogicalPlanBuilder::scan(
        TableReference::bare(name),
        provider_as_source(Arc::new(provider)),
        None,
    )
}

fn of(table: &str, column: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(table)), column))
}

/// Did a row come from one of these segments?
fn came_from(segments: &[SegmentKey]) -> Expr {
    let mut on: BTreeMap<u32, Vec<Expr>> = BTreeMap::new();
    for (datanode, id) in segments {
        let id = ScalarValue::Int64(Some(id.cast_signed()));
        on.entry(*datanode).or_default().push(Expr::Literal(id, None));
    }
    let of_datanode = |(datanode, ids): (u32, Vec<Expr>)| {
        let datanode = ScalarValue::Int32(Some(datanode.cast_signed()));
        let here = of(TARGET, origin_name(Address::Datanode)).eq(Expr::Literal(datanode, None));
        here.and(of(TARGET, origin_name(Address::Segment)).in_list(ids, false))
    };
    on.into_iter().map(of_datanode).reduce(Expr::or).unwrap_or_else(|| lit(false))
}

/// Segments, as many together as have no more rows than `most`; at least one.
pub fn pieces(segments: Vec<Arc<Segment>>, most: u64) -> Vec<Vec<Arc<Segment>>> {
    let mut pieces: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut rows = 0_u64;
    for segment in segments {
        let live = segment.live_rows();
        match pieces.last_mut() {
            Some(piece) if rows.saturating_add(live) <= most => {
                piece.push(segment);
                rows += live;
            }
            _ => {
                pieces.push(vec![segment]);
                rows = live;
            }
        }
    }
    pieces
}

/// What is to be done in a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Segments that have not been copied.
    pub new: Vec<SegmentKey>,
    /// Segments that have lost rows since they were copied, or are gone.
    pub worn: Vec<SegmentKey>,
}

/// What has come and gone since segments were copied, with these delete vectors, in the segments that
/// are there now.
pub fn round<'a>(
    copied: &BTreeMap<SegmentKey, Option<u64>>,
    now: impl IntoIterator<Item = &'a Arc<Segment>>,
) -> Round {
    let mut gone = copied.clone();
    let mut round = Round::default();
    for segment in now {
        let key = (segment.datanode, segment.id);
        match gone.remove(&key) {
            None => round.new.push(key),
            Some(vector) if vector != segment.vector_id() => round.worn.push(key),
            Some(_) => {}
        }
    }
    round.worn.extend(gone.into_keys());
    round
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::DeleteVector;

    fn segment(id: u64, rows: u64, vector: Option<u64>) -> Arc<Segment> {
        let deletes = vector.map(|id| DeleteVector {
            id,
            file: format!("v{id}"),
            length: 1,
            rows: 1,
            checksum: 0,
        });
        Arc::new(Segment {
            datanode: 1,
            id,
            kind: 0,
            file: format!("f{id}"),
            offset: 0,
            length: 1,
            rows,
            bytes: 1,
            zone_summary: Vec::new(),
            deletes,
            checksum: 0,
        })
    }

    #[test]
    fn what_came_and_went_is_found() {
        let copied = [((1, 1), None), ((1, 2), Some(5)), ((1, 3), None), ((1, 4), None)].into();
        let now = [
            segment(1, 9, None),
            segment(2, 9, Some(6)),
            segment(3, 9, Some(7)),
            segment(8, 9, None),
        ];
        let expected = Round { new: vec![(1, 8)], worn: vec![(1, 2), (1, 3), (1, 4)] };
        assert_eq!(round(&copied, &now), expected);
    }

    #[test]
    fn pieces_are_bounded() {
        let check = |rows: &[u64], expected: &[&[u64]]| {
            let segments = rows.iter().zip(1..).map(|(rows, id)| segment(id, *rows, None));
            let pieces = pieces(segments.collect(), 10);
            let ids: Vec<Vec<u64>> =
                pieces.iter().map(|piece| piece.iter().map(|s| s.id).collect()).collect();
            assert_eq!(ids, expected, "{rows:?}");
        };
        check(&[], &[]);
        check(&[3, 7, 1], &[&[1, 2], &[3]]);
        check(&[30, 1, 30], &[&[1], &[2], &[3]]);
    }

    #[test]
    fn rows_know_where_they_came_from() {
        let column = |id, name: &str| ColumnDef {
            id,
            name: name.into(),
            sql_type: SqlType::Integer,
            not_null: false,
            default: None,
            identity: None,
        };
        let columns = vec![column(1, "a"), column(2, "b")];
        let table =
            |distribution| TableDef::new(20_000, ("public", "t"), columns.clone(), distribution);
        let catalog = Catalog::empty();
        let source = Arc::new(source(&table(Distribution::Replicated), Vec::new()));
        let query = copied_rows(&source, &catalog).unwrap();
        for (distribution, expected) in [
            (Distribution::Hash(vec![2]), Distribution::Hash(vec![2])),
            (Distribution::Replicated, Distribution::Replicated),
            (
                Distribution::Random,
                Distribution::Hash(vec![FIRST_ORIGIN_ID + 1, FIRST_ORIGIN_ID + 2]),
            ),
        ] {
            let target = Arc::new(target(&table(distribution)));
            assert_eq!(target.distribution, expected);
            let names: Vec<_> = query.schema().fields().iter().map(|f| f.name().clone()).collect();
            let of_target: Vec<_> = target.columns.iter().map(|c| c.name.clone()).collect();
            assert_eq!(names, of_target);
            let lost = lost_rows(&target, &source, &[(1, 7), (2, 7), (1, 9)], &catalog).unwrap();
            let names: Vec<_> = lost.schema().fields().iter().map(|f| f.name().clone()).collect();
            assert_eq!(names, Address::ALL.map(|part| part.name().to_string()));
        }
    }
}
