//! Runtime filters: sets of keys, how far down filters go, and that no row is lost by them.

mod joins;
mod keys;
mod passages;
mod plans;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    common::{JoinType, NullEquality},
    datasource::{memory::MemorySourceConfig, source::DataSourceExec},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        aggregates::AggregateExec,
        displayable,
        joins::{HashJoinExec, PartitionMode},
    },
};

use super::{RuntimeFilter, Scans, filter::KeyFilterExec};

type Plan = Arc<dyn ExecutionPlan>;

/// Tables in memory, whose filters are operators above them.
struct MemoryScans;

impl Scans for MemoryScans {
    fn filtered(&self, scan: &Plan, column: usize, filter: &Arc<RuntimeFilter>) -> Option<Plan> {
        scan.is::<DataSourceExec>().then(|| {
            let (scan, filter) = (Arc::clone(scan), Arc::clone(filter));
            Arc::new(KeyFilterExec::new(column, filter, scan)) as _
        })
    }

    fn is_selective(&self, scan: &Plan) -> bool {
        !scan.is::<DataSourceExec>()
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A table without rows, of bigint columns.
fn table(names: &[&str]) -> Plan {
    let field = |name: &&str| Field::new(*name, DataType::Int64, true);
    let schema = Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()));
    let batch = RecordBatch::new_empty(Arc::clone(&schema));
    MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).unwrap()
}

/// A column of an operator's output.
fn column(plan: &Plan, position: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(plan.schema().field(position).name(), position))
}

/// A join whose keys are these columns, and whose output is these columns of what it joins, or all.
fn join(
    left: Plan,
    right: Plan,
    join_type: JoinType,
    on: &[(usize, usize)],
    projection: Option<Vec<usize>>,
) -> HashJoinExec {
    let on = on.iter().map(|(l, r)| (column(&left, *l), column(&right, *r))).collect();
    let (mode, nulls) = (PartitionMode::CollectLeft, NullEquality::NullEqualsNothing);
    HashJoinExec::try_new(left, right, on, None, &join_type, projection, mode, nulls, false)
        .unwrap()
}

const JOIN_TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

/// A plan, an operator on a line: what decides about runtime filters.
fn shape(plan: &Plan) -> String {
    let mut lines = String::new();
    draw(plan, 0, &mut lines);
    lines
}

fn draw(plan: &Plan, depth: usize, lines: &mut String) {
    let text = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        format!("{} join", join.join_type())
    } else if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        format!("{:?} aggregate", aggregate.mode())
    } else if plan.is::<DataSourceExec>() {
        let schema = plan.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        format!("scan of {}", names.join(" "))
    } else if plan.name().starts_with("Key") {
        displayable(plan.as_ref()).one_line().to_string().trim_end().to_string()
    } else {
        plan.name().to_string()
    };
    *lines += &format!("{}{text}\n", "  ".repeat(depth));
    for child in plan.children() {
        draw(child, depth + 1, lines);
    }
}

/// How many operators of this name a plan has.
fn count(plan: &Plan, name: &str) -> usize {
    let below = plan.children().into_iter().map(|child| count(child, name));
    below.sum::<usize>() + usize::from(plan.name() == name)
}

/// Compares two texts, without the indentation that the second has as a whole.
fn assert_text(found: &str, expected: &str, what: &str) {
    let lines: Vec<_> = expected.lines().filter(|line| !line.trim().is_empty()).collect();
    let indent = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let expected: String = lines.iter().map(|line| format!("{}\n", &line[indent..])).collect();
    assert_eq!(found, expected, "{what}, found:\n{found}");
}
