//! Work that is uneven though the table may not be: one datanode gets many times more of a motion's rows
//! than the others, or a join or grouping there gets or gives many times more. Below a limit, the datanode
//! that is first has done more than those that it has stopped: that is none.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    physical_expr::PhysicalExpr,
    physical_plan::{aggregates::AggregateExec, joins::HashJoinExec},
};
use kestrel_proto::DatanodeId;

use super::{
    Carried, Delivery, Finding, MotionFacts, Object, PlanFacts, RunFacts, Thresholds,
    finding::{analyze, bytes, percent},
    plan_facts::{MotionKey, motion_key, scans_below},
    ran::{Ran, is_join, is_partial},
};
use crate::{distribute::Placed, explain::title};

pub(super) fn decide(facts: &PlanFacts, run: &RunFacts, t: &Thresholds) -> Vec<Finding> {
    let ran = Ran::of(facts, run);
    let (mut found, mut told) = (Vec::new(), Vec::new());
    let is_stopped = |number: u32| ran.of_motion(number).is_some_and(|node| node.may_be_stopped);
    let motions = facts.motions.iter().filter(|motion| !motion.keys.is_empty());
    for motion in motions.filter(|motion| !is_stopped(motion.number)) {
        let carried = run.motion(motion.number);
        if let Some(finding) = carried.and_then(|carried| of_motion(facts, motion, carried, t)) {
            found.push(finding);
            told.push(motion.number);
        }
    }
    found.extend(of_operators(&ran, run, &told, t));
    found
}

/// What datanodes have got or given, and that one of them has much more of it.
struct Uneven {
    datanode: String,
    rows: u64,
    total: u64,
    /// Bytes.
    most: f64,
    mean: f64,
}

impl Uneven {
    /// Of rows and bytes on datanodes, of which there are so many: those that are missing have none.
    fn of(parts: &[(u32, u64, f64)], nodes: usize, t: &Thresholds) -> Option<Self> {
        let nodes = nodes.max(parts.len());
        let mut sizes: Vec<f64> = parts.iter().map(|(.., bytes)| *bytes).collect();
        sizes.resize(nodes, 0.0);
        sizes.sort_by(f64::total_cmp);
        let (most, median) = (*sizes.last()?, sizes[(nodes - 1) / 2]);
        let mean = sizes.iter().sum::<f64>() / nodes as f64;
        let is_uneven = most > t.processing_skew_ratio * median;
        if nodes < 2 || !is_uneven || most - mean < t.processing_skew_min_size * 1024.0 {
            return None;
        }
        let (datanode, rows, _) = parts.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
        let total = parts.iter().map(|(_, rows, _)| rows).sum();
        Some(Self { datanode: DatanodeId(*datanode).name(), rows: *rows, total, most, mean })
    }

    fn part(&self) -> String {
        percent(self.rows as f64 / self.total.max(1) as f64)
    }
}

fn of_motion(
    facts: &PlanFacts,
    motion: &MotionFacts,
    carried: &Carried,
    t: &Thresholds,
) -> Option<Finding> {
    let parts = carried.0.iter().map(|(to, (rows, bytes))| (*to, *rows, *bytes as f64));
    let uneven = Uneven::of(&parts.collect::<Vec<_>>(), facts.datanodes, t)?;
    let tables =
        motion.keys.iter().filter_map(|key| Some(key.column.as_ref()?.table.table.as_ref()));
    let object = Object::tables(tables.chain(motion.tables.iter().map(AsRef::as_ref)));
    let (datanode, part) = (&uneven.datanode, uneven.part());
    let message = format!("a {} is skewed: {datanode} gets {part} of its rows", motion.consumer);
    let mut detail = format!(
        "{} of {} rows, {} and {} on average, are redistributed there by {}.",
        uneven.rows,
        uneven.total,
        bytes(uneven.most),
        bytes(uneven.mean),
        texts(&motion.keys)
    );
    detail.push_str(&heaviest(&motion.keys, "them").unwrap_or_default());
    let hint = hint(&motion.keys);
    Some(Finding { object, at_most: Delivery::Warning, message, detail, hint })
}

/// The lowest joins and groupings that are uneven, where nothing below them was told.
fn of_operators(
    ran: &Ran<'_>,
    run: &RunFacts,
    told_motions: &[u32],
    t: &Thresholds,
) -> Vec<Finding> {
    let (mut found, mut told) = (Vec::new(), Vec::new());
    for (at, node) in ran.nodes().iter().enumerate().rev() {
        if node.motion.is_some_and(|number| told_motions.contains(&number)) {
            told.push(at);
        }
        let is_worth = is_join(node.placed) || node.placed.plan.is::<AggregateExec>();
        let is_told = told.iter().any(|other| ran.below(at).contains(other));
        let is_judged = is_worth && !is_partial(node.placed) && !node.may_be_stopped;
        if !is_judged || is_told || !node.placed.locus.is_partitioned() {
            continue;
        }
        if let Some(finding) = of_operator(ran, at, run, t) {
            found.push(finding);
            told.push(at);
        }
    }
    found
}

fn of_operator(ran: &Ran<'_>, at: usize, run: &RunFacts, t: &Thresholds) -> Option<Finding> {
    let placed = ran.nodes().get(at)?.placed;
    // A table that lies unevenly is told of as that.
    let mut own = scans_below(placed, false).into_iter();
    if own.any(|scan| run.skewed.contains(&scan.table().id)) {
        return None;
    }
    let given = parts(ran, &[at]);
    let got = parts(ran, &ran.inputs_where(at, &|input| is_known(ran, input)));
    // Those that have run it.
    let nodes = given.len().max(got.len());
    let of = |parts: &[(u32, u64, f64)]| Uneven::of(parts, nodes, t);
    let (uneven, does) = match (of(&got), of(&given)) {
        (Some(got), _) => (got, "gets"),
        (None, Some(given)) => (given, "gives"),
        (None, None) => return None,
    };
    let keys = keys_of(placed);
    let scans = scans_below(placed, true);
    let object = Object::tables(scans.iter().map(|scan| scan.table().as_ref()));
    let Uneven { datanode, rows, total, most, mean } = &uneven;
    let (name, part) = (title(placed), uneven.part());
    let message = format!("a {name} is skewed: {datanode} {does} {part} of its rows");
    let mut detail = format!(
        "{rows} of {total} rows, about {} and {} on average, are {} there{}.",
        bytes(*most),
        bytes(*mean),
        if is_join(placed) { "joined" } else { "grouped" },
        if keys.is_empty() { String::new() } else { format!(" by {}", texts(&keys)) }
    );
    detail.push_str(&heaviest(&keys, "the rows of its table").unwrap_or_default());
    let hint = hint(&keys);
    Some(Finding { object, at_most: Delivery::Warning, message, detail, hint })
}

fn is_known(ran: &Ran<'_>, at: usize) -> bool {
    ran.nodes().get(at).is_some_and(|node| node.rows.is_some())
}

/// Rows and bytes of operators on each datanode; of copies that all have, none.
fn parts(ran: &Ran<'_>, operators: &[usize]) -> Vec<(u32, u64, f64)> {
    let mut parts = BTreeMap::<u32, (u64, f64)>::new();
    let nodes = operators.iter().filter_map(|at| ran.nodes().get(*at));
    for node in nodes.filter(|node| node.placed.locus.is_partitioned()) {
        let width = node.placed.estimate.width as f64;
        for (datanode, rows) in node.rows.iter().flatten() {
            let part = parts.entry(*datanode).or_default();
            *part = (part.0.saturating_add(*rows), part.1 + *rows as f64 * width);
        }
    }
    parts.into_iter().map(|(datanode, (rows, bytes))| (datanode, rows, bytes)).collect()
}

/// What an operator joins or groups by: of a join, what is known best of its two sides.
fn keys_of(placed: &Placed) -> Vec<MotionKey> {
    let plan = placed.plan.as_ref();
    if let (Some(join), [left, right]) =
        (plan.downcast_ref::<HashJoinExec>(), placed.children.as_slice())
    {
        let heavier = |(of_left, of_right): &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)| {
            let (of_left, of_right) = (motion_key(of_left, left), motion_key(of_right, right));
            let weight = |key: &MotionKey| {
                let known = key.statistics.as_ref();
                let common = known.and_then(|known| known.common.first());
                common.map_or(0.0, |common| common.frequency)
            };
            if weight(&of_left) > weight(&of_right) { of_left } else { of_right }
        };
        return join.on().iter().map(heavier).collect();
    }
    match (plan.downcast_ref::<AggregateExec>(), placed.children.as_slice()) {
        (Some(aggregate), [input]) => {
            let groups = aggregate.group_expr().input_exprs();
            groups.iter().map(|group| motion_key(group, input)).collect()
        }
        _ => Vec::new(),
    }
}

fn texts(keys: &[MotionKey]) -> String {
    let texts: Vec<_> = keys.iter().map(|key| key.text.as_str()).collect();
    texts.join(", ")
}

/// Of keys that are columns of which nothing is known: ANALYZE.
fn hint(keys: &[MotionKey]) -> Option<String> {
    let mut columns = keys.iter().filter_map(|key| key.column.as_ref());
    let unknown = columns.find(|origin| {
        let known = origin.table.statistics.as_ref();
        known.is_none_or(|known| known.column(origin.column).is_none())
    });
    unknown.map(|origin| analyze(&origin.table.table))
}

/// The value that most rows have, of a key of one column. `whose`: of which rows that is known.
fn heaviest(keys: &[MotionKey], whose: &str) -> Option<String> {
    let [key] = keys else { return None };
    let (origin, known) = (key.column.as_ref()?, key.statistics.as_ref()?);
    let column = origin.table.table.column_by_id(origin.column)?;
    let common = known.common.first().filter(|common| common.frequency > known.null_fraction);
    let (value, part) = match common {
        Some(common) => (common.value.quoted(column.sql_type), common.frequency),
        None if known.null_fraction > 0.0 => ("NULL".to_string(), known.null_fraction),
        None => return None,
    };
    Some(format!(" {} is {value} in about {} of {whose}.", key.text, percent(part)))
}
