//! How facts are collected from a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    physical_expr::{PhysicalExpr, expressions::Column, utils::collect_columns},
    physical_plan::{
        aggregates::{AggregateExec, AggregateMode},
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
    },
};

use super::super::ran::shown;
use super::{JoinFacts, MotionFacts, MotionKey, PlanFacts, ScanFacts, SideFacts};
use crate::{
    cardinality::{ColumnFacts, Origin},
    catalog::TableDef,
    distribute::{Placed, without_casts},
    explain::{Columns, Printer, title},
    motion::{HashKey, Motion},
    operators::ShardScanExec,
    plan::Plan,
    shard_sql::{Capabilities, obstacle},
};

impl PlanFacts {
    /// What there is to see of a plan.
    pub fn of(plan: &Plan, datanodes: usize) -> Self {
        let mut dispatched = plan.slices.iter().filter(|slice| slice.id.0 != 0);
        let is_counted = dispatched.any(|slice| !slice.is_direct);
        let root = Some(Arc::clone(&plan.root));
        let mut facts = Self { datanodes, root, is_counted, ..Self::default() };
        let mut numbers = Numbers { next: 1, is_main: true };
        facts.walk(&plan.root, None, &mut numbers);
        numbers.is_main = false;
        facts.of_init(plan, &mut numbers);
        for (table, columns) in &facts.keys {
            let scans = facts.scans.iter_mut().filter(|scan| scan.table.id == *table);
            scans.for_each(|scan| scan.columns.extend(columns));
        }
        facts
    }

    fn of_init(&mut self, plan: &Plan, numbers: &mut Numbers) {
        for init in &plan.init {
            self.walk(&init.root, None, numbers);
            self.of_init(init, numbers);
        }
    }

    /// In the order in which slicing numbers motions. `consumer`: whoever gets its rows; `None`: the
    /// client.
    fn walk(&mut self, placed: &Placed, consumer: Option<&Placed>, numbers: &mut Numbers) {
        if placed.motion().is_some() && numbers.is_main {
            self.motions.extend(motion_facts(placed, consumer, numbers.next));
            numbers.next += 1;
        }
        self.scans.extend(placed.plan.downcast_ref::<ShardScanExec>().map(scan_facts));
        self.note_keys(placed);
        self.joins.extend(join_facts(placed, self.datanodes));
        placed.children.iter().for_each(|child| self.walk(child, Some(placed), numbers));
    }

    /// The columns of tables that an operator joins or groups by.
    fn note_keys(&mut self, placed: &Placed) {
        if let Some(join) = placed.plan.downcast_ref::<HashJoinExec>() {
            let [left, right] = placed.children.as_slice() else { return };
            self.note_columns(join.on().iter().filter_map(|on| origin(&on.0, left)));
            self.note_columns(join.on().iter().filter_map(|on| origin(&on.1, right)));
        } else if let Some(aggregate) = placed.plan.downcast_ref::<AggregateExec>() {
            let finishes =
                matches!(aggregate.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned);
            let groups = aggregate.group_expr().input_exprs();
            if let ([input], false) = (placed.children.as_slice(), finishes) {
                self.note_columns(groups.iter().filter_map(|group| origin(group, input)));
            }
        }
    }

    fn note_columns(&mut self, origins: impl Iterator<Item = Origin>) {
        let mut tables: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        for origin in origins {
            tables.entry(origin.table.table.id).or_default().insert(origin.column);
        }
        self.keys.extend(tables);
    }
}

/// Numbers of motions.
struct Numbers {
    next: u32,
    /// Those of init plans have numbers of their own.
    is_main: bool,
}

fn scan_facts(scan: &ShardScanExec) -> ScanFacts {
    let table = scan.table();
    let obstacles = scan.filters().iter().filter(|_| table.is_on_shards());
    let schema = table.arrow_schema();
    let obstacles = obstacles.filter_map(|f| obstacle(f, &schema, Capabilities::default()));
    let obstacles = obstacles.map(|part| Printer::new(Columns::Named).text(part));
    let filtered = filtered(scan);
    ScanFacts {
        table: Arc::clone(table),
        columns: filtered.clone(),
        filtered,
        obstacles: obstacles.collect(),
    }
}

/// The columns that a scan's own conditions name.
pub(in crate::advice) fn filtered(scan: &ShardScanExec) -> BTreeSet<u32> {
    let columns = &scan.table().columns;
    let column = |column: Column| columns.get(column.index()).map(|column| column.id);
    scan.filters().iter().flat_map(collect_columns).filter_map(column).collect()
}

fn join_facts(placed: &Placed, datanodes: usize) -> Option<JoinFacts> {
    let [build, probe] = placed.children.as_slice() else { return None };
    let plan = placed.plan.as_ref();
    let hash = plan.downcast_ref::<HashJoinExec>();
    let has_condition = match (hash, plan.downcast_ref::<NestedLoopJoinExec>()) {
        (Some(_), _) => true,
        (None, Some(nested)) => nested.filter().is_some(),
        (None, None) if plan.is::<CrossJoinExec>() => false,
        (None, None) => return None,
    };
    let on = hash.map_or(&[][..], |join| join.on());
    let built: Vec<_> = on.iter().map(|(left, _)| left).collect();
    let probed: Vec<_> = on.iter().map(|(_, right)| right).collect();
    Some(JoinFacts {
        title: title(placed),
        has_condition,
        is_hashed: hash.is_some(),
        build: side_facts(build, &built, datanodes),
        probe: side_facts(probe, &probed, datanodes),
    })
}

fn side_facts(side: &Placed, on: &[&Arc<dyn PhysicalExpr>], datanodes: usize) -> SideFacts {
    let scans = scans_below(side, true);
    let rows = side.estimate.rows;
    let rows_on_one = match side.locus.is_partitioned() {
        true => side.estimate.largest_part(datanodes),
        false => rows,
    };
    let unknown = scans.iter().filter(|scan| scan.statistics().is_none());
    SideFacts {
        rows,
        rows_on_one,
        is_broadcast: matches!(side.motion(), Some(Motion::Broadcast)),
        unknown: unknown.map(|scan| Arc::clone(scan.table())).collect(),
        tables: scans.iter().map(|scan| Arc::clone(scan.table())).collect(),
        stored_key: stored_key(side, on),
    }
}

/// All of `on` are columns of one table, whose rows have not moved.
fn stored_key(side: &Placed, on: &[&Arc<dyn PhysicalExpr>]) -> Option<(Arc<TableDef>, Vec<u32>)> {
    if side.motion().is_some() || !side.locus.is_partitioned() {
        return None;
    }
    let origins = on.iter().map(|expr| origin(expr, side)).collect::<Option<Vec<_>>>()?;
    let first = origins.first()?;
    let is_one = origins.iter().all(|origin| origin.is_beside(first));
    let mut columns: Vec<u32> = origins.iter().map(|origin| origin.column).collect();
    columns.dedup();
    is_one.then(|| (Arc::clone(&first.table.table), columns))
}

fn motion_facts(placed: &Placed, consumer: Option<&Placed>, number: u32) -> Option<MotionFacts> {
    let (motion, below) = (placed.motion()?, placed.children.first()?);
    let (own, all) = (scans_below(below, false), scans_below(below, true));
    let keys: &[HashKey] = match motion {
        Motion::Redistribute { keys, .. } => keys,
        Motion::Gather { .. } | Motion::Spread | Motion::Broadcast => &[],
    };
    let is_between_datanodes = match motion {
        Motion::Redistribute { .. } | Motion::Spread | Motion::Broadcast => true,
        Motion::Gather { .. } => false,
    };
    let is_stored = own.len() == 1 && all.len() == 1 && is_pipeline(below);
    Some(MotionFacts {
        number,
        kind: motion.kind(),
        consumer: consumer.map_or_else(|| "the client".into(), |above| title(shown(above))),
        keys: keys.iter().map(|key| motion_key(&key.expr, placed)).collect(),
        is_between_datanodes,
        only_table: is_stored.then(|| own[0].table().id),
        tables: all.iter().map(|scan| Arc::clone(scan.table())).collect(),
    })
}

/// Does it give rows of its one scan, each at most once?
fn is_pipeline(placed: &Placed) -> bool {
    match (placed.plan.name(), placed.children.as_slice()) {
        ("ShardScanExec", []) => true,
        ("ProjectionExec" | "FilterExec", [below]) => is_pipeline(below),
        _ => false,
    }
}

pub(in crate::advice) fn motion_key(expr: &Arc<dyn PhysicalExpr>, placed: &Placed) -> MotionKey {
    let facts = facts_of(expr, placed);
    MotionKey {
        text: Printer::new(Columns::Output(placed)).text(expr),
        column: facts.and_then(|facts| facts.origin.clone()),
        statistics: facts.and_then(|facts| facts.statistics.clone()),
    }
}

/// The column of a table that an expression over an operator's output is, but for casts.
pub(in crate::advice) fn origin(expr: &Arc<dyn PhysicalExpr>, placed: &Placed) -> Option<Origin> {
    facts_of(expr, placed)?.origin.clone()
}

fn facts_of<'a>(expr: &Arc<dyn PhysicalExpr>, placed: &'a Placed) -> Option<&'a ColumnFacts> {
    let bare = without_casts(expr, &placed.plan.schema());
    let column = bare.downcast_ref::<Column>()?.index();
    placed.estimate.columns.get(column)
}

/// The scans below an operator, and those below other motions, if they are wanted.
pub(in crate::advice) fn scans_below(
    placed: &Placed,
    through_motions: bool,
) -> Vec<&ShardScanExec> {
    if let Some(scan) = placed.plan.downcast_ref::<ShardScanExec>() {
        return vec![scan];
    }
    let children = placed.children.iter();
    let inside = children.filter(|child| through_motions || child.motion().is_none());
    inside.flat_map(|child| scans_below(child, through_motions)).collect()
}
