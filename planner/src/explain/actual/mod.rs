//! What ran of a plan, by the nodes that EXPLAIN prints.
//!
//! Each fragment reports its operators. [`align`] tells which planned one they are; those that are
//! none are shown at the nearest planned one above them.

mod align;
mod describe;
mod rows;
mod show;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use datafusion::physical_plan::displayable;
use kestrel_proto::{
    DatanodeId,
    message::{FragmentReport, OperatorCounter, OperatorReport},
};

use self::align::{Operator, Place, Tree, align, operator};
pub use self::{
    rows::{OperatorRows, operator_rows},
    slices::{slice_lines, slice_values},
};
use crate::{distribute::Placed, operators::ShardScanExec};

/// What ran of a plan.
#[derive(Clone, Debug, Default)]
pub struct Execution {
    /// Slice, datanode and report of every fragment; slice 0 is the coordinator's.
    pub fragments: Vec<(u32, DatanodeId, FragmentReport)>,
    /// Of each init plan.
    pub init: Vec<Execution>,
}

/// What ran of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// Its operator, on each datanode where there was one.
    runs: Vec<Run>,
    /// Operators that nobody has planned.
    others: Vec<Other>,
    /// Of a motion: what each datanode has sent.
    sent: Vec<Sent>,
}

/// An operator of one datanode.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    datanode: DatanodeId,
    report: OperatorReport,
    /// A join whose inputs are the other way round than they are printed.
    is_turned: bool,
}

/// The same unplanned operator, on each datanode where there was one.
#[derive(Clone, Debug, PartialEq)]
struct Other {
    name: String,
    /// Which of those with this name.
    number: usize,
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    datanode: DatanodeId,
    rows: u64,
    bytes: u64,
    /// Of these, what has left the datanode: to another one, or to the coordinator.
    moved: Moved,
    /// Finding out where each row goes, and handing it over.
    own_ns: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    rows: u64,
    bytes: u64,
}

/// What ran of all nodes.
#[derive(Debug, Default)]
pub(super) struct Actuals {
    /// By slice and position in it: in pre-order, with a motion's two ends in its two slices.
    nodes: BTreeMap<usize, Vec<Actual>>,
}

impl Actuals {
    /// Of a plan, whose motions are numbered as slicing does.
    pub(super) fn of(root: &Placed, execution: &Execution) -> Self {
        let mut slices = Slices { trees: BTreeMap::new(), next: 1 };
        slices.add(root, 0, None);
        let mut nodes: BTreeMap<_, _> = slices
            .trees
            .iter()
            .map(|(slice, tree)| (*slice, vec![Actual::default(); tree.size()]))
            .collect();
        let mut fragments: Vec<_> = execution.fragments.iter().collect();
        fragments.sort_by_key(|(slice, datanode, _)| (*slice, *datanode));
        for (slice, datanode, report) in fragments {
            let slice = *slice as usize;
            let (Some(tree), Some(nodes)) = (slices.trees.get(&slice), nodes.get_mut(&slice))
            else {
                continue;
            };
            note(tree, nodes, *datanode, &report.operators);
            if let Some(send) = nodes.first_mut() {
                send.sent.extend(sent(slice, *datanode, report));
            }
        }
        Self { nodes }
    }

    /// Of the operator at a position of a slice; it is asked for once.
    pub(super) fn take(&mut self, slice: usize, position: usize) -> Actual {
        let node = self.nodes.get_mut(&slice).and_then(|nodes| nodes.get_mut(position));
        node.map(std::mem::take).unwrap_or_default()
    }
}

/// The planned operators of each slice.
struct Slices {
    trees: BTreeMap<usize, Tree>,
    next: usize,
}

impl Slices {
    fn add(&mut self, placed: &Placed, slice: usize, parent: Option<usize>) {
        let tree = self.trees.entry(slice).or_default();
        if placed.motion().is_none() {
            let at = tree.add(parent, planned(placed));
            return placed.children.iter().for_each(|child| self.add(child, slice, Some(at)));
        }
        let motion = self.next;
        self.next += 1;
        tree.add(parent, Operator { kind: "receive".into(), variant: motion.to_string() });
        let sender = self.trees.entry(motion).or_default();
        let send = sender.add(None, operator("MotionSendExec", ""));
        placed.children.iter().for_each(|child| self.add(child, motion, Some(send)));
    }
}

fn planned(placed: &Placed) -> Operator {
    let plan = placed.plan.as_ref();
    let Some(scan) = plan.downcast_ref::<ShardScanExec>() else {
        return operator(plan.name(), &displayable(plan).one_line().to_string());
    };
    // As the scan of segments describes itself.
    let schema = plan.schema();
    let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut variant = format!("{}, columns=[{}]", scan.table().name, columns.join(", "));
    if !scan.filters().is_empty() {
        let filters: Vec<_> = scan.filters().iter().map(ToString::to_string).collect();
        variant.push_str(&format!(", filter={}", filters.join(" AND ")));
    }
    Operator { kind: "scan".into(), variant }
}

fn note(tree: &Tree, nodes: &mut [Actual], datanode: DatanodeId, reports: &[OperatorReport]) {
    // So often a name has come at a node.
    let mut seen: HashMap<(usize, &str), usize> = HashMap::new();
    for (report, place) in reports.iter().zip(align(tree, &Tree::of_reports(reports))) {
        let run = |is_turned| Run { datanode, report: report.clone(), is_turned };
        match place {
            Place::Same { planned, is_turned } => {
                if let Some(node) = nodes.get_mut(planned) {
                    node.runs.push(run(is_turned));
                }
            }
            Place::Below(planned) => {
                let Some(node) = nodes.get_mut(planned) else { continue };
                let number = seen.entry((planned, report.name.as_str())).or_default();
                node.add_other(&report.name, *number, run(false));
                *number += 1;
            }
        }
    }
}

fn sent(slice: usize, datanode: DatanodeId, report: &FragmentReport) -> Option<Sent> {
    // The root of its operators.
    let own_ns = report.operators.first().map_or(0, |send| send.elapsed_compute_ns);
    let mut sent = Sent { datanode, rows: 0, bytes: 0, moved: Moved::default(), own_ns };
    for traffic in report.traffic.iter().filter(|traffic| traffic.motion as usize == slice) {
        sent.rows += traffic.rows;
        sent.bytes += traffic.bytes;
        if traffic.receiver != datanode.0 {
            sent.moved.rows += traffic.rows;
            sent.moved.bytes += traffic.bytes;
        }
    }
    (slice > 0).then_some(sent)
}

impl Actual {
    fn add_other(&mut self, name: &str, number: usize, run: Run) {
        let same = |other: &&mut Other| other.name == name && other.number == number;
        match self.others.iter_mut().find(same) {
            Some(other) => other.runs.push(run),
            None => self.others.push(Other { name: name.into(), number, runs: vec![run] }),
        }
    }

    /// Of a motion, whose other end has this.
    pub(super) fn add_sender(&mut self, sender: Actual) {
        self.sent = sender.sent;
        self.others.extend(sender.others);
    }

    /// Of the node below one that is not printed, which has this.
    pub(super) fn add_silent(&mut self, silent: Actual) {
        let own = silent.runs.into_iter().fold(Vec::new(), |mut own: Vec<Other>, run| {
            match own.first_mut() {
                Some(other) => other.runs.push(run),
                None => {
                    let name = run.report.name.clone();
                    own.push(Other { name, number: 0, runs: vec![run] });
                }
            }
            own
        });
        let below = std::mem::take(&mut self.others);
        self.others = own.into_iter().chain(silent.others).chain(below).collect();
    }

    /// Of a filter over this input: how many rows it has removed.
    pub(super) fn add_removed(&mut self, input: &Actual) {
        for run in &mut self.runs {
            let below = input.runs.iter().find(|below| below.datanode == run.datanode);
            let removed =
                below.map(|below| below.report.rows_out.saturating_sub(run.report.rows_out));
            if let Some(value @ 1..) = removed {
                run.report
                    .counters
                    .push(OperatorCounter { name: describe::ROWS_REMOVED.into(), value });
            }
        }
    }
}
