//! What is known of a table where a plan begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use arrow::datatypes::Schema;
use datafusion::physical_expr::PhysicalExpr;
use kestrel_proto::message::{ColumnSummary, ZoneSummary};
use prost::Message;

use super::{ColumnFacts, Estimate, Origin, value_set::Scans};
use crate::{
    catalog::{ColumnDef, Distribution, SqlType, TableDef},
    statistics::{TableStatistics, Value},
};

/// Of more segments nobody reads the summaries while a query is planned.
const SUMMARIES_MAX: usize = 200;

/// A table as one scan reads it.
#[derive(Debug)]
pub struct TableFacts {
    /// The table; of a partitioned one, with the segments that are read.
    pub table: Arc<TableDef>,
    /// What ANALYZE has found out.
    pub statistics: Option<Arc<TableStatistics>>,
    /// How many rows there are, of which the statistics are; of a replicated table those of a copy.
    pub rows: f64,
    /// What its table and filters are known by: scans of which it is the same give the same rows.
    /// `None`: another time it might be other rows.
    pub(super) fingerprint: Option<u64>,
    /// Does the scan leave rows out?
    pub(super) is_filtered: bool,
}

impl TableFacts {
    /// Of a scan that gives the rows that pass the conjuncts `filters`. `None`: another time it might be
    /// other rows.
    pub fn new(
        table: Arc<TableDef>,
        statistics: Option<Arc<TableStatistics>>,
        rows: f64,
        filters: Option<&[Arc<dyn PhysicalExpr>]>,
    ) -> Self {
        let fingerprint = filters.map(|filters| fingerprint(table.id, filters));
        let is_filtered = filters.is_some_and(|filters| !filters.is_empty());
        Self { table, statistics, rows, fingerprint, is_filtered }
    }

    /// Do both scans give the same rows?
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let is_same = self.fingerprint.is_some() && self.fingerprint == other.fingerprint;
        is_same || std::ptr::eq(self, other)
    }

    /// How many of the rows are counted, of a copy where there are several.
    pub fn counted(table: &TableDef, datanodes: usize) -> f64 {
        let rows = table.size().0 as f64;
        match table.distribution {
            Distribution::Replicated => rows / datanodes as f64,
            Distribution::Hash(_) | Distribution::Random => rows,
        }
    }

    /// All rows; `schema`: the table's columns, and what a scan knows besides.
    pub fn estimate(self: &Arc<Self>, schema: &Schema, datanodes: usize) -> Estimate {
        let rows = self.rows;
        let mut estimate = Estimate::unknown(rows, schema);
        // What databases hold changes without us.
        if !self.table.is_on_shards() {
            (estimate.lower, estimate.upper) = (rows, rows);
        }
        let summaries = self.summaries();
        let facts = schema.fields().iter().enumerate().map(|(at, field)| {
            let unknown = ColumnFacts::unknown(field);
            match self.table.columns.get(at) {
                Some(column) => self.column(column, unknown, &summaries),
                None => unknown,
            }
        });
        estimate = estimate.of_columns(facts.collect());
        let keys = self.table.unique_sets().map(|key| {
            key.columns.iter().map(|id| self.table.column_index(*id)).collect::<Option<_>>()
        });
        let is_useful = |key: &BTreeSet<usize>| !key.is_empty();
        estimate.keys = keys.flatten().filter(is_useful).collect::<Vec<_>>().into();
        estimate.skew = self.skew(datanodes);
        estimate.scans = Scans::of(self);
        estimate.is_guess = self.statistics.is_none();
        estimate
    }

    fn column(
        self: &Arc<Self>,
        column: &ColumnDef,
        mut facts: ColumnFacts,
        summaries: &BTreeMap<u32, ColumnSummary>,
    ) -> ColumnFacts {
        let analyzed = self.statistics.as_ref().and_then(|s| s.columns.get(&column.id));
        facts = match (analyzed, summaries.get(&column.id)) {
            (Some(statistics), _) => facts.analyzed(statistics, self.rows),
            (None, Some(summary)) => summarized(facts, summary, column.sql_type, self.rows),
            (None, None) => facts,
        };
        if self.table.unique_sets().any(|key| key.columns == [column.id]) && self.rows > 0.0 {
            facts.distinct = Some((self.rows * facts.values_fraction()).max(1.0));
            facts.domain = facts.distinct;
        }
        let origin = Origin { table: Arc::clone(self), column: column.id };
        facts.class = Some(origin.clone());
        facts.origin = Some(origin);
        facts
    }

    /// Summaries of all segments together, of columns that each has one of, if they are needed.
    fn summaries(&self) -> BTreeMap<u32, ColumnSummary> {
        let is_analyzed = |column: &ColumnDef| {
            let statistics = self.statistics.as_ref();
            statistics.is_some_and(|statistics| statistics.columns.contains_key(&column.id))
        };
        let segments = &self.table.segments;
        if segments.len() > SUMMARIES_MAX || self.table.columns.iter().all(is_analyzed) {
            return BTreeMap::new();
        }
        let mut together: Option<BTreeMap<u32, ColumnSummary>> = None;
        for segment in segments {
            let Ok(summary) = ZoneSummary::decode(segment.zone_summary.as_slice()) else {
                return BTreeMap::new();
            };
            let mut columns: BTreeMap<_, _> =
                summary.columns.into_iter().map(|column| (column.column_id, column)).collect();
            if let Some(before) = together {
                columns.retain(|id, column| match before.get(id) {
                    Some(before) => {
                        merge(column, before);
                        true
                    }
                    None => false,
                });
            }
            together = Some(columns);
        }
        together.unwrap_or_default()
    }

    /// How many times the average the largest datanode's rows are.
    fn skew(&self, datanodes: usize) -> f64 {
        if self.table.distribution == Distribution::Replicated || datanodes < 2 {
            return 1.0;
        }
        let mut parts = vec![0.0f64; datanodes];
        let segments = self.table.segments.iter().map(|s| (s.datanode, s.live_rows()));
        let shards = self.table.shard_rows.iter().map(|s| (s.datanode, s.rows));
        for (datanode, rows) in segments.chain(shards) {
            if let Some(part) = parts.get_mut(datanode as usize) {
                *part += rows as f64;
            }
        }
        let all: f64 = parts.iter().sum();
        let most = parts.into_iter().fold(0.0, f64::max);
        if all > 0.0 { (most * datanodes as f64 / all).max(1.0) } else { 1.0 }
    }
}

/// Of a table and conjuncts, in whichever order. Scans are compared very often, so that nothing else is;
/// should two others ever have the same, an estimate is wrong.
fn fingerprint(table: u64, filters: &[Arc<dyn PhysicalExpr>]) -> u64 {
    let of = |filter: &Arc<dyn PhysicalExpr>| {
        let mut hasher = DefaultHasher::new();
        filter.hash(&mut hasher);
        hasher.finish()
    };
    let mut hashes: Vec<u64> = filters.iter().map(of).collect();
    hashes.sort_unstable();
    let mut hasher = DefaultHasher::new();
    (table, hashes).hash(&mut hasher);
    hasher.finish()
}

/// Of a few strings each segment has most: the largest number is taken for that of all.
fn merge(column: &mut ColumnSummary, other: &ColumnSummary) {
    column.min = column.min.min(other.min);
    column.max = column.max.max(other.max);
    column.nulls = column.nulls.saturating_add(other.nulls);
    column.distinct = column.distinct.zip(other.distinct).map(|(a, b)| a.max(b));
}

/// What segments' summaries tell. Integers that leave little room are all there.
fn summarized(
    mut facts: ColumnFacts,
    summary: &ColumnSummary,
    sql_type: SqlType,
    rows: f64,
) -> ColumnFacts {
    if rows > 0.0 && facts.null_fraction.is_none() {
        facts.null_fraction = Some((summary.nulls as f64 / rows).min(1.0));
    }
    if let Some(distinct) = summary.distinct {
        facts.distinct = Some(f64::from(distinct).max(1.0));
    } else if summary.min <= summary.max {
        let value = |number: i64| match sql_type {
            SqlType::SmallInt
            | SqlType::Integer
            | SqlType::BigInt
            | SqlType::Date
            | SqlType::Time
            | SqlType::Timestamp
            | SqlType::TimestampTz => Some(Value::Integer(number)),
            SqlType::Numeric(_, scale) => Some(Value::decimal(number.into(), scale)),
            _ => None,
        };
        facts.bounds = value(summary.min).zip(value(summary.max));
        let room = summary.max as f64 - summary.min as f64 + 1.0;
        facts.distinct = (facts.bounds.is_some() && room <= rows).then_some(room);
    }
    facts.domain = facts.distinct;
    facts
}
