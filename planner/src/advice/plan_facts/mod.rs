//! What deciders see of a plan, and of its run.

mod collect;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_proto::message::MotionTraffic;

use crate::{
    cardinality::Origin, catalog::TableDef, motion::MotionKind, statistics::ColumnStatistics,
};

/// A plan, its init plans' operators among the others.
#[derive(Debug, Default)]
pub struct PlanFacts {
    /// How many datanodes there are.
    pub datanodes: usize,
    /// Its scans of tables.
    pub scans: Vec<ScanFacts>,
    /// What each join and grouping names of a table: its id, and columns.
    pub keys: Vec<(u64, BTreeSet<u32>)>,
    /// Its joins.
    pub joins: Vec<JoinFacts>,
    /// The motions of the main plan, the first one's number is 1.
    pub motions: Vec<MotionFacts>,
}

/// The scan of a table.
#[derive(Clone, Debug)]
pub struct ScanFacts {
    /// The table; of a partitioned one with the segments that are read.
    pub table: Arc<TableDef>,
    /// The columns that the query filters, joins or groups by.
    pub columns: BTreeSet<u32>,
    /// Those that the scan's own conditions name.
    pub filtered: BTreeSet<u32>,
    /// Of a table that a database holds: what of its conditions the database cannot compute.
    pub obstacles: Vec<String>,
}

/// A join.
#[derive(Debug)]
pub struct JoinFacts {
    /// As EXPLAIN calls it.
    pub title: String,
    /// Has it a condition?
    pub has_condition: bool,
    /// Is one side built as a hash table?
    pub is_hashed: bool,
    /// The first side, which is built.
    pub build: SideFacts,
    /// The second side.
    pub probe: SideFacts,
}

/// A side of a join.
#[derive(Debug)]
pub struct SideFacts {
    /// Rows that it is thought to give, on all datanodes; of one copy, where there are several.
    pub rows: f64,
    /// The same on the datanode with most of them.
    pub rows_on_one: f64,
    /// Every datanode gets all rows.
    pub is_broadcast: bool,
    /// The tables that it is made of.
    pub tables: Vec<Arc<TableDef>>,
    /// Those of them that were never analyzed.
    pub unknown: Vec<Arc<TableDef>>,
    /// The columns by which it is joined, if it is one table's rows where they are stored.
    pub stored_key: Option<(Arc<TableDef>, Vec<u32>)>,
}

/// A motion.
#[derive(Debug)]
pub struct MotionFacts {
    /// Its number in the plan.
    pub number: u32,
    /// Its kind.
    pub kind: MotionKind,
    /// As EXPLAIN calls the operator that gets the rows.
    pub consumer: String,
    /// As EXPLAIN calls the operator that gives them.
    pub producer: String,
    /// What rows are redistributed by.
    pub keys: Vec<MotionKey>,
    /// Rows that it is thought to carry, each counted once.
    pub rows: f64,
    /// Several datanodes get rows from it.
    pub is_between_datanodes: bool,
    /// It carries rows of this table as they are stored, and of no other.
    pub only_table: Option<u64>,
    /// The motions below it.
    pub below: Vec<u32>,
    /// Fewer rows may come than there are: under a limit, or on the probed side of a join, whose keys
    /// filter scans.
    pub may_be_cut: bool,
    /// The tables whose rows it carries, those that other motions bring first, too.
    pub tables: Vec<Arc<TableDef>>,
    /// Those of its own slice's scans that have conditions on several columns: which.
    pub several_conditions: Vec<(Arc<TableDef>, BTreeSet<u32>)>,
}

/// A key of a motion.
#[derive(Debug)]
pub struct MotionKey {
    /// As EXPLAIN prints it.
    pub text: String,
    /// The column that it is.
    pub column: Option<Origin>,
    /// What is known of its values.
    pub statistics: Option<Arc<ColumnStatistics>>,
}

/// What a plan's motions have carried.
#[derive(Debug, Default)]
pub struct RunFacts {
    motions: BTreeMap<u32, Carried>,
    /// Tables whose statistics are missing or stale.
    pub stale: BTreeSet<u64>,
}

/// What a motion has carried to each receiver: rows and bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried(pub BTreeMap<u32, (u64, u64)>);

impl Carried {
    /// Rows, a row for each receiver that got it.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|(rows, _)| rows).sum()
    }

    /// Bytes in memory, likewise.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|(_, bytes)| bytes).sum()
    }
}

impl RunFacts {
    /// From what the fragments of the main plan report.
    pub fn of<'a>(traffic: impl Iterator<Item = &'a MotionTraffic>, stale: BTreeSet<u64>) -> Self {
        let mut motions: BTreeMap<u32, Carried> = BTreeMap::new();
        for sent in traffic {
            let to = motions.entry(sent.motion).or_default().0.entry(sent.receiver).or_default();
            *to = (to.0.saturating_add(sent.rows), to.1.saturating_add(sent.bytes));
        }
        Self { motions, stale }
    }

    /// What a motion has carried.
    pub fn motion(&self, number: u32) -> Option<&Carried> {
        self.motions.get(&number)
    }
}
