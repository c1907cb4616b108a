//! What EXPLAIN says of each operator.

use std::sync::Arc;

use datafusion::{
    common::JoinType,
    logical_expr::Operator,
    physical_plan::{
        WindowExpr,
        aggregates::{AggregateExec, AggregateMode},
        empty::EmptyExec,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, utils::JoinFilter},
        limit::{GlobalLimitExec, LocalLimitExec},
        placeholder_row::PlaceholderRowExec,
        projection::ProjectionExec,
        recursive_query::RecursiveQueryExec,
        sorts::sort::SortExec,
        union::UnionExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
        work_table::WorkTableExec,
    },
};

use kestrel_proto::DatanodeId;

use super::{
    Cost, ExplainNode,
    expression::{Columns, Printer, joined},
};
use crate::{
    distribute::Placed,
    motion::Motion,
    operators::{FileScanExec, RowChangeExec, RowChangeKind, SegmentWriteExec, ShardScanExec},
    shard_sql::{Capabilities, Piece, Relation, ScanSql},
};

/// The operator's name in a plan.
pub(crate) fn title(placed: &Placed) -> String {
    let plan = placed.plan.as_ref();
    if let Some(motion) = placed.motion() {
        return motion.label().into();
    }
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        return format!("Seq Scan on {}", scan.table().name);
    }
    if plan.is::<FileScanExec>() {
        return "File Scan".into();
    }
    if let Some(table) = plan.downcast_ref::<WorkTableExec>() {
        return format!("WorkTable Scan on {}", table.name());
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        if join.null_aware {
            return "Hash Left Anti Semi (Not-In) Join".into();
        }
        return format!("Hash {}Join", join_word(*join.join_type()));
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return match join_word(*join.join_type()) {
            "" => "Nested Loop".into(),
            word => format!("Nested Loop {word}Join"),
        };
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let phase = match aggregate.mode() {
            AggregateMode::Partial | AggregateMode::PartialReduce => "Partial ",
            AggregateMode::Final | AggregateMode::FinalPartitioned => "Finalize ",
            AggregateMode::Single | AggregateMode::SinglePartitioned => "",
        };
        let grouped = !aggregate.group_expr().input_exprs().is_empty();
        return format!("{phase}{}", if grouped { "HashAggregate" } else { "Aggregate" });
    }
    if let Some(write) = plan.downcast_ref::<SegmentWriteExec>() {
        return format!("Insert on {}", write.table);
    }
    if let Some(change) = plan.downcast_ref::<RowChangeExec>() {
        return row_change_title(change.kind, &change.table);
    }
    fixed_title(placed).map_or_else(|| plan.name().trim_end_matches("Exec").into(), Into::into)
}

/// `Delete on t`
pub(super) fn row_change_title(kind: RowChangeKind, table: &str) -> String {
    match kind {
        RowChangeKind::Delete => format!("Delete on {table}"),
        RowChangeKind::Update => format!("Update on {table}"),
    }
}

fn fixed_title(placed: &Placed) -> Option<&'static str> {
    let plan = placed.plan.as_ref();
    let is = |name: &str| plan.name() == name;
    if plan.downcast_ref::<CrossJoinExec>().is_some() {
        return Some("Nested Loop");
    }
    if plan.downcast_ref::<SortExec>().is_some() {
        return Some("Sort");
    }
    if plan.downcast_ref::<GlobalLimitExec>().is_some()
        || plan.downcast_ref::<LocalLimitExec>().is_some()
    {
        return Some("Limit");
    }
    if plan.downcast_ref::<RecursiveQueryExec>().is_some() {
        return Some("Recursive Union");
    }
    if plan.downcast_ref::<UnionExec>().is_some() {
        return Some("Append");
    }
    if window_exprs(placed).is_some() {
        return Some("WindowAgg");
    }
    if plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<PlaceholderRowExec>().is_some()
        || plan.downcast_ref::<EmptyExec>().is_some()
    {
        return Some("Result");
    }
    match () {
        () if is("DataSourceExec") => Some("Values Scan"),
        () if is("LazyMemoryExec") => Some("Function Scan"),
        () if is("UnnestExec") => Some("ProjectSet"),
        () if is("FilterExec") => Some("Filter"),
        () => None,
    }
}

fn join_word(join_type: JoinType) -> &'static str {
    match join_type {
        JoinType::Inner => "",
        JoinType::Left => "Left ",
        JoinType::Right => "Right ",
        JoinType::Full => "Full ",
        JoinType::LeftSemi => "Semi ",
        JoinType::RightSemi => "Right Semi ",
        JoinType::LeftAnti => "Anti ",
        JoinType::RightAnti => "Right Anti ",
        JoinType::LeftMark => "Mark ",
        JoinType::RightMark => "Right Mark ",
    }
}

/// Not worth a line: PostgreSQL computes expressions in the node below.
pub(super) fn is_silent(placed: &Placed) -> bool {
    placed.plan.downcast_ref::<ProjectionExec>().is_some()
}

/// The lines below the title.
pub(super) fn properties(placed: &Placed) -> Vec<(&'static str, String)> {
    let plan = placed.plan.as_ref();
    let print = placed.children.first().map_or_else(named, over);
    let mut lines = Vec::new();
    if let Some(motion) = placed.motion() {
        match motion {
            Motion::Redistribute { keys, .. } => {
                lines.push(("Hash Key", print.list(keys.iter().map(|k| &k.expr))));
            }
            Motion::Gather { merge: Some(keys), .. } => {
                lines.push(("Merge Key", print.list(keys.iter().map(|k| &k.expr))));
            }
            Motion::Gather { merge: None, .. } | Motion::Spread | Motion::Broadcast => {}
        }
    } else if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        if let Some(partitions) = scan.partitions() {
            let (read, all) = partitions.counts();
            lines.push(("Partitions", format!("{read} of {all}")));
        }
        if !scan.filters().is_empty() {
            lines.push(("Filter", print.conjunction(scan.filters())));
        }
    } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        lines.push(("Filter", print.text(filter.predicate())));
    } else if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        lines.push(("Hash Cond", hash_condition(placed, join)));
        lines.extend(join.filter().map(|filter| join_filter(placed, filter)));
    } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        lines.extend(join.filter().map(|filter| join_filter(placed, filter)));
    } else if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let groups = aggregate.group_expr().input_exprs();
        if !groups.is_empty() {
            lines.push(("Group Key", print.list(groups.iter())));
        }
    } else if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let keys: Vec<_> = sort.expr().iter().map(|key| print.sort_key(key)).collect();
        lines.push(("Sort Key", keys.join(", ")));
        lines.extend(sort.fetch().map(|rows| ("Top-N", rows.to_string())));
    } else if let Some(windows) = window_exprs(placed)
        && let Some(window) = windows.first()
    {
        if !window.partition_by().is_empty() {
            lines.push(("Partition By", print.list(window.partition_by().iter())));
        }
        if !window.order_by().is_empty() {
            let keys: Vec<_> = window.order_by().iter().map(|key| print.sort_key(key)).collect();
            lines.push(("Order By", keys.join(", ")));
        }
    }
    lines
}

/// The first of its conditions or keys, as people read it: `Filter (k = 9)`. Of a long one the start.
pub(crate) fn condition(placed: &Placed) -> Option<String> {
    const LENGTH: usize = 120;
    let told = ["Filter", "Hash Cond", "Join Filter", "Group Key"];
    let mut all = properties(placed).into_iter();
    let (label, text) = all.find(|(label, _)| told.contains(label))?;
    Some(match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{label} {}…", &text[..end]),
        None => format!("{label} {text}"),
    })
}

/// What databases are sent for a scan, in one piece and as far as every server can do it.
pub(super) fn presumed_sql(scan: &ShardScanExec) -> Option<String> {
    let datanode = scan.table().first_datanode().unwrap_or(DatanodeId(0));
    let relation = Relation::of(scan.table());
    let sent = ScanSql::of(&relation, &scan.on(datanode), Capabilities::default());
    sent.ok().map(|sent| sent.select(&Piece::WHOLE))
}

pub(super) fn window_exprs(placed: &Placed) -> Option<&[Arc<dyn WindowExpr>]> {
    let plan = placed.plan.as_ref();
    let plain = plan.downcast_ref::<WindowAggExec>().map(WindowAggExec::window_expr);
    plain.or_else(|| {
        plan.downcast_ref::<BoundedWindowAggExec>().map(BoundedWindowAggExec::window_expr)
    })
}

/// A hash join prints the probed side first and the built one under `Hash`, as PostgreSQL does.
pub(super) fn arrange(placed: &Placed, mut children: Vec<ExplainNode>) -> Vec<ExplainNode> {
    if placed.plan.downcast_ref::<HashJoinExec>().is_some()
        && children.len() == 2
        && let Some(probe) = children.pop()
        && let Some(build) = children.pop()
    {
        let hash = ExplainNode {
            title: "Hash".into(),
            slice: None,
            cost: Cost { startup: build.cost.total, total: build.cost.total },
            rows: build.rows,
            width: build.width,
            properties: Vec::new(),
            sql: None,
            label: None,
            actual: None,
            children: vec![build],
        };
        return vec![probe, hash];
    }
    children
}

/// For expressions over the rows of this operator.
fn over(input: &Placed) -> Printer<'_> {
    Printer::new(Columns::Output(input))
}

/// For expressions over a table.
fn named<'a>() -> Printer<'a> {
    Printer::new(Columns::Named)
}

/// The probed side stands first, as its input does.
fn hash_condition(placed: &Placed, join: &HashJoinExec) -> String {
    let [build, probe] = match placed.children.as_slice() {
        [build, probe] => [over(build), over(probe)],
        _ => [named(), named()],
    };
    let on = join.on().iter();
    let on = on.map(|(built, probed)| format!("({} = {})", probe.text(probed), build.text(built)));
    joined(on.collect(), Operator::And)
}

fn join_filter(placed: &Placed, filter: &JoinFilter) -> (&'static str, String) {
    let print = Printer::new(Columns::Joined(&placed.children, filter));
    ("Join Filter", print.text(filter.expression()))
}
