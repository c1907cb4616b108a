//! Plans that rest on wrong numbers: the lowest operator that gave many times more or fewer rows than
//! were thought, and the statistics or conditions that are to blame.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    physical_expr::{PhysicalExpr, utils::collect_columns},
    physical_plan::{
        aggregates::AggregateExec, filter::FilterExec, joins::HashJoinExec,
        projection::ProjectionExec, sorts::sort::SortExec,
    },
};

use super::{
    Delivery, Finding, Object, PlanFacts, RunFacts, Thresholds,
    finding::{analyze, column_names, qualified, rows},
    plan_facts::{filtered, origin, scans_below},
    ran::{Node, Ran, is_bounded, producer},
};
use crate::{
    catalog::TableDef,
    distribute::Placed,
    explain::{condition, title},
    operators::{RowChangeExec, SegmentWriteExec, ShardScanExec},
    parse::quote,
};

/// So far at most the inputs are off where an operator is to blame.
const RIGHT: f64 = 2.0;

pub(super) fn decide(facts: &PlanFacts, run: &RunFacts, t: &Thresholds) -> Vec<Finding> {
    let ran = Ran::of(facts, run);
    let judged = ran.nodes().iter().map(|node| Judged::of(node));
    let judged: Vec<_> = judged.collect();
    let is_off = |at: &usize| judged.get(*at).and_then(Option::as_ref).is_some_and(|j| j.is_off(t));
    let off: Vec<usize> = (0..judged.len()).filter(is_off).collect();
    let lowest = off.iter().filter(|at| {
        let is_lowest = !off.iter().any(|other| ran.below(**at).contains(other));
        is_lowest && inputs_are_right(&ran, &judged, **at)
    });
    let found = lowest.filter_map(|at| {
        let (node, judged) = (ran.nodes().get(*at)?, judged.get(*at)?.as_ref()?);
        finding(node.placed, judged, run)
    });
    found.collect()
}

/// What was thought of an operator, and what came.
struct Judged {
    estimated: f64,
    actual: f64,
    may_be_cut: bool,
}

impl Judged {
    /// `None`: it is not known what came, or that tells nothing.
    fn of(node: &Node<'_>) -> Option<Self> {
        let plan = node.placed.plan.as_ref();
        let producer = producer(node.placed);
        let is_silent = plan.is::<ProjectionExec>() || plan.is::<SortExec>();
        if is_silent || node.is_repeated || node.gives_states {
            return None;
        }
        // What a limit lets pass was not estimated, and what writes gives no rows.
        if is_bounded(node.placed) || is_bounded(producer) || is_write(producer) {
            return None;
        }
        let (actual, estimated) = (node.actual()?, node.placed.estimate.rows);
        Some(Self { estimated, actual, may_be_cut: node.may_be_cut })
    }

    /// The q-error (Moerkotte, Neumann, Steidl: Preventing bad plans, 2009).
    fn times(&self) -> f64 {
        let (estimated, actual) = (self.estimated.max(1.0), self.actual.max(1.0));
        (estimated / actual).max(actual / estimated)
    }

    fn is_more(&self) -> bool {
        self.actual >= self.estimated
    }

    fn is_off(&self, t: &Thresholds) -> bool {
        let is_large = self.actual.max(self.estimated) >= t.misestimate_min_rows;
        // What was not asked for is not missing.
        let is_complete = self.is_more() || !self.may_be_cut;
        is_large && is_complete && self.times() >= t.misestimate_ratio
    }
}

fn is_write(placed: &Placed) -> bool {
    placed.plan.is::<SegmentWriteExec>() || placed.plan.is::<RowChangeExec>()
}

/// Were the nearest inputs of which something is known as they were thought? Too few of those that were
/// cut are no reason for too many above them.
fn inputs_are_right(ran: &Ran<'_>, judged: &[Option<Judged>], at: usize) -> bool {
    let of = |at: usize| judged.get(at).and_then(Option::as_ref);
    let is_more = of(at).is_some_and(Judged::is_more);
    let inputs = ran.inputs_where(at, &|input| of(input).is_some());
    inputs.into_iter().filter_map(of).all(|input| {
        let is_cut = input.may_be_cut && !input.is_more() && is_more;
        is_cut || input.times() <= RIGHT
    })
}

/// `None`: no table has to do with it.
fn finding(placed: &Placed, judged: &Judged, run: &RunFacts) -> Option<Finding> {
    let producer = producer(placed);
    let scans = scans_below(producer, true);
    let tables: Vec<_> = scans.iter().map(|scan| scan.table()).collect();
    if tables.is_empty() {
        return None;
    }
    let object = Object::tables(tables.iter().map(|table| table.as_ref()));
    let condition = condition(producer).map(|text| format!(", {text},")).unwrap_or_default();
    let message = format!("the rows of a {}{condition} were misestimated", title(producer));
    let mut detail = format!(
        "{} were expected, and there were {}: {:.0} times {}.",
        rows(judged.estimated),
        rows(judged.actual),
        judged.times(),
        if judged.is_more() { "more" } else { "fewer" }
    );
    let stale = tables.iter().find(|table| run.stale.contains(&table.id));
    let hint = match (stale, of_one_table(producer)) {
        (Some(table), _) => {
            detail.push_str(&format!(" The statistics of table \"{}\" are to blame.", table.name));
            Some(analyze(table))
        }
        (None, Some((table, columns, what))) => {
            let names = column_names(&table, columns.iter().copied());
            detail.push_str(&format!(
                " {what} {names} of table \"{}\" may depend on one another.",
                table.name
            ));
            create_statistics(&table, &columns)
        }
        (None, None) => None,
    };
    Some(Finding { object, at_most: Delivery::Warning, message, detail, hint })
}

/// The statement that has these columns' values counted together, if that has not been done.
fn create_statistics(table: &TableDef, columns: &BTreeSet<u32>) -> Option<String> {
    let ids: Vec<u32> = columns.iter().copied().collect();
    let is_known = table.extended_statistics.iter().any(|known| known.columns == ids);
    let columns = ids.iter().filter_map(|id| table.column_by_id(*id));
    let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
    let statistics = quote(&format!("{}_{}", table.name, names.join("_")));
    let quoted: Vec<_> = names.iter().map(|name| quote(name)).collect();
    (!is_known && !table.is_on_shards()).then(|| {
        format!(
            "CREATE STATISTICS {statistics} ON {} FROM {}; {}",
            quoted.join(", "),
            qualified(table),
            analyze(table)
        )
    })
}

type Together = (Arc<TableDef>, BTreeSet<u32>, &'static str);

/// Several columns of a table that an operator filters, joins or groups by: estimates take them for
/// independent.
fn of_one_table(placed: &Placed) -> Option<Together> {
    let plan = placed.plan.as_ref();
    let inputs = placed.children.as_slice();
    let (columns, what) = if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        let columns =
            BTreeMap::from([(scan.table().id, (Arc::clone(scan.table()), filtered(scan)))]);
        (columns, "Conditions on")
    } else if let (Some(filter), [input]) = (plan.downcast_ref::<FilterExec>(), inputs) {
        let columns = collect_columns(filter.predicate()).into_iter();
        let columns = columns.map(|column| Arc::new(column) as Arc<dyn PhysicalExpr>);
        (origins(columns, input), "Conditions on")
    } else if let (Some(join), [left, right]) = (plan.downcast_ref::<HashJoinExec>(), inputs) {
        let mut columns = origins(join.on().iter().map(|on| Arc::clone(&on.0)), left);
        columns.extend(origins(join.on().iter().map(|on| Arc::clone(&on.1)), right));
        (columns, "Keys on")
    } else if let (Some(aggregate), [input]) = (plan.downcast_ref::<AggregateExec>(), inputs) {
        (origins(aggregate.group_expr().input_exprs().into_iter(), input), "Groups by")
    } else {
        return None;
    };
    let mut several = columns.into_values().filter(|(_, columns)| columns.len() > 1);
    several.next().map(|(table, columns)| (table, columns, what))
}

type Columns = BTreeMap<u64, (Arc<TableDef>, BTreeSet<u32>)>;

/// The columns of tables that expressions over an operator's output are.
fn origins(exprs: impl Iterator<Item = Arc<dyn PhysicalExpr>>, input: &Placed) -> Columns {
    let mut columns = Columns::new();
    for origin in exprs.filter_map(|expr| origin(&expr, input)) {
        let table = &origin.table.table;
        let of_table = columns.entry(table.id);
        of_table.or_insert_with(|| (Arc::clone(table), BTreeSet::new())).1.insert(origin.column);
    }
    columns
}
