//! The operators that read a table of the database.
//!
//! ```text
//!   FilterExec (what the database does not filter as Kestrel does)    only if there is such
//!     KesScanExec (a query, by pieces of the table)
//! ```

mod cursor;
mod exec;
mod read;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_plan::ExecutionPlan;
use kestrel_planner::{
    catalog::{MISSING_VALUE_METADATA, SqlType},
    operators::ShardScan,
};
use kestrel_proto::{ErrorReport, Result};

use self::exec::KesScanExec;
pub(crate) use self::exec::{is_inner_scan, is_scan, planned_sql, sent_sql};
use super::{
    probe::Probed,
    sql::{HashKey, Piece, Relation, ScanSql, pieces},
    store::StoreState,
};
use crate::{error::report, shard::filtered::filtered};

/// Fewer rows than this are not worth a session of their own, nor a piece.
const PIECE_ROWS_MIN: u64 = 50_000;
/// So many rows, as the planner thinks, are read in the session that holds the snapshot: one round
/// trip instead of three, which begins the transaction, too, if the query has no snapshot yet.
const SMALL_ROWS_MAX: u64 = 1_000;

/// So few rows, as the planner thinks, are read in one message, where that can be; it asks for more, in
/// case the planner is wrong.
const AT_ONCE_ROWS_MAX: u64 = cursor::FIRST_ROWS as u64 / 4;

/// A table's scan: what its partitions share.
#[derive(Debug)]
struct KesScan {
    store: Arc<StoreState>,
    /// The table's name, for errors.
    table: String,
    relation: Relation,
    sql: ScanSql,
    /// The columns that come, of the table's schema.
    schema: SchemaRef,
    /// What deals rows out to pieces, where ranges of blocks do not.
    key: Option<(String, SqlType)>,
    /// Partitions, at most so many of which get a piece.
    partitions: usize,
    /// Few rows are expected.
    is_small: bool,
    /// And so few that one message may do.
    is_at_once: bool,
    estimated_rows: u64,
    estimated_bytes: u64,
}

/// The operators that do what `scan` asks for.
///
/// # Errors
/// 58K01: the database has not been reached yet. XX000 when `scan` contradicts itself.
pub(super) fn plan(store: &Arc<StoreState>, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
    let probed = store.known()?;
    let no_relation = || ErrorReport::internal("a scan of a database, and no table there");
    let there = scan.relation.as_ref().ok_or_else(no_relation)?;
    let scan = &ShardScan { schema: without_missing_values(&scan.schema), ..scan.clone() };
    let relation = Relation { schema: there.schema.clone(), name: there.table.clone() };
    let sql = ScanSql::of(&relation, scan, probed.capabilities)?;
    let schema = scan.schema.project(&sql.columns).map_err(|e| report(e.into()))?;
    let columns = sql.columns.clone();
    let remaining = ShardScan { filters: sql.remaining.clone(), ..scan.clone() };
    let most = scan.fetch.filter(|_| sql.pushes_fetch).map_or(u64::MAX, |rows| rows as u64);
    let expected = scan.estimated_rows.min(most);
    let partitions = partitions(store.target_partitions, probed, scan, &sql);
    let read = KesScan {
        store: Arc::clone(store),
        table: scan.table.clone(),
        relation,
        schema: Arc::new(schema),
        key: hash_key(scan, &there.columns),
        partitions,
        is_small: expected <= SMALL_ROWS_MAX,
        is_at_once: expected <= AT_ONCE_ROWS_MAX && partitions == 1,
        estimated_rows: scan.estimated_rows,
        estimated_bytes: scan.estimated_bytes,
        sql,
    };
    let read: Arc<dyn ExecutionPlan> = Arc::new(KesScanExec::new(read));
    if remaining.filters.is_empty() {
        return Ok(read);
    }
    filtered(&remaining, &columns, store.batch_rows, read).map_err(report)
}

/// What a new column has in old rows is in the database.
fn without_missing_values(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        metadata.remove(MISSING_VALUE_METADATA);
        field.as_ref().clone().with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// How many partitions there are to be. How large the table is, is only known when it is read: then
/// there may be fewer pieces.
fn partitions(most: usize, probed: &Probed, scan: &ShardScan, sql: &ScanSql) -> usize {
    let names = &probed.names;
    // A sample is small, and each session would read all of its blocks.
    if sql.pushes_fetch || scan.sample.is_some() {
        return 1;
    }
    if names.export_snapshot.is_none() || names.relation_size.is_none() {
        return 1;
    }
    let useful = usize::try_from(scan.estimated_rows / PIECE_ROWS_MIN).unwrap_or(usize::MAX);
    useful.clamp(1, most)
}

/// A column whose values have hashes, if there is one; rather one without NULLs, which would all be
/// in one piece.
fn hash_key(scan: &ShardScan, names: &[String]) -> Option<(String, SqlType)> {
    let fields = scan.schema.fields().iter().zip(names).filter_map(|(field, name)| {
        let sql_type = SqlType::of_field(field)?;
        sql_type.hash_class()?;
        Some((field.is_nullable(), name, sql_type))
    });
    let (_, name, sql_type) = fields.min_by_key(|(is_nullable, ..)| *is_nullable)?;
    Some((name.clone(), sql_type))
}

impl KesScan {
    /// The pieces of a table of so many bytes.
    fn pieces(&self, bytes: u64) -> Result<Vec<Piece>> {
        let probed = self.store.known()?;
        let key = self.key.as_ref().map(|(name, sql_type)| HashKey { name, sql_type: *sql_type });
        pieces(self.partitions, bytes / probed.block_bytes, key, probed.capabilities)
    }
}
