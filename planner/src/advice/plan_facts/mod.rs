//! What deciders see of a plan, and of its run.

mod collect;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_proto::{
    DatanodeId,
    message::{FragmentReport, MotionTraffic},
};

pub(super) use collect::{filtered, motion_key, origin, scans_below};

use crate::{
    cardinality::Origin, catalog::TableDef, distribute::Placed, motion::MotionKind,
    statistics::ColumnStatistics,
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
    /// The main plan's operators: they are looked at when they have run.
    pub root: Option<Arc<Placed>>,
    /// It is more than a look at one datanode for some keys: what its operators give is worth counting.
    pub is_counted: bool,
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
    /// What rows are redistributed by.
    pub keys: Vec<MotionKey>,
    /// Several datanodes get rows from it.
    pub is_between_datanodes: bool,
    /// It carries rows of this table as they are stored, and of no other.
    pub only_table: Option<u64>,
    /// The tables whose rows it carries, those that other motions bring first, too.
    pub tables: Vec<Arc<TableDef>>,
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

/// What a plan's motions have carried, and what its operators gave.
#[derive(Debug, Default)]
pub struct RunFacts {
    motions: BTreeMap<u32, Carried>,
    /// By slice: the fragments that tell of their operators.
    fragments: BTreeMap<u32, Vec<Counted>>,
    /// Tables whose statistics are missing or stale.
    pub stale: BTreeSet<u64>,
    /// Tables that lie unevenly.
    pub skewed: BTreeSet<u64>,
}

/// What a fragment tells of its operators, in pre-order.
#[derive(Debug)]
struct Counted {
    datanode: u32,
    /// 1 more than there were; 0: it is not known.
    rows: Vec<u64>,
    turned: Vec<u32>,
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
        Self { motions, stale, ..Self::default() }
    }

    /// With what fragments tell of their operators, by slice and datanode.
    pub fn with_operators<'a>(
        mut self,
        reports: impl Iterator<Item = (u32, DatanodeId, &'a FragmentReport)>,
    ) -> Self {
        for (slice, datanode, report) in reports {
            self.fragments.entry(slice).or_default().push(Counted {
                datanode: datanode.0,
                rows: report.operator_rows.clone(),
                turned: report.turned_joins.clone(),
            });
        }
        self
    }

    /// What the operator at a position of a slice of so many operators gave on each datanode. `None`:
    /// one of these does not tell.
    pub(super) fn rows(&self, slice: u32, position: usize, size: usize) -> Option<Vec<(u32, u64)>> {
        let counted = self.fragments.get(&slice)?.iter().map(|fragment| {
            let rows = fragment.rows.get(position).filter(|_| fragment.rows.len() == size)?;
            Some((fragment.datanode, rows.checked_sub(1)?))
        });
        counted.collect()
    }

    /// How many datanodes have turned a join round, of how many.
    pub(super) fn turned(&self, slice: u32, position: usize) -> (usize, usize) {
        let fragments = self.fragments.get(&slice).map_or(&[][..], Vec::as_slice);
        let is_turned =
            |fragment: &&Counted| fragment.turned.iter().any(|at| *at as usize == position);
        (fragments.iter().filter(is_turned).count(), fragments.len())
    }

    /// What a motion has carried.
    pub fn motion(&self, number: u32) -> Option<&Carried> {
        self.motions.get(&number)
    }
}
