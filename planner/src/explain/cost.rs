//! The costs and widths that EXPLAIN shows.
//!
//! A simple model in PostgreSQL's units (costsize.c): one sequential read of a page of 8 KiB is 1,
//! looking at a row 0.01, computing an operator 0.0025; a page that moves between processes costs as
//! much as one that is read. Costs are those of one executor of a slice, as rows are. The startup
//! cost is what must be done before the first row; operators that need all their input first (sorts,
//! aggregates, the built side of a hash join) start at the total of their input. Plans are not chosen
//! by these numbers but by the bytes that move ([`crate::distribute`]); they tell where the work is.

use arrow::datatypes::Schema;
use datafusion::{
    physical_expr::utils::split_conjunction,
    physical_plan::{
        aggregates::AggregateExec,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
        limit::{GlobalLimitExec, LocalLimitExec},
        sorts::sort::SortExec,
    },
};

use super::{ExplainNode, describe::window_exprs};
use crate::{
    catalog::SqlType,
    distribute::Placed,
    locus::Locus,
    operators::{RowChangeExec, SegmentWriteExec, ShardScanExec},
};

/// PostgreSQL's seq_page_cost, of so many bytes.
const PAGE: f64 = 1.0;
const PAGE_BYTES: f64 = 8192.0;
/// PostgreSQL's cpu_tuple_cost.
const ROW: f64 = 0.01;
/// PostgreSQL's cpu_operator_cost.
const OPERATOR: f64 = 0.0025;

/// Until the first row, and until the last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Before the first row
    pub startup: f64,
    /// With the last row
    pub total: f64,
}

impl Cost {
    /// After this one, more work for its rows.
    fn then(self, work: f64) -> Self {
        Self { startup: self.startup, total: self.total + work }
    }

    /// Work that must be done before there is a row, and more for the rows.
    fn blocking(work: f64, more: f64) -> Self {
        Self { startup: work, total: work + more }
    }
}

/// The cost of an operator whose inputs have theirs. `share`: how many executors divide the rows.
pub(super) fn cost(placed: &Placed, node: &ExplainNode, share: f64) -> Cost {
    let plan = placed.plan.as_ref();
    let first = node.children.first().map_or(Cost::default(), |child| child.cost);
    let input_rows: f64 = node.children.iter().map(|child| child.rows).sum();
    let pages = |rows: f64| rows * node.width as f64 / PAGE_BYTES * PAGE;
    if placed.motion().is_some() {
        return first.then(node.rows * ROW + pages(node.rows));
    }
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        let rows = read_rows(scan, &placed.locus, share);
        let conjuncts: usize = scan.filters().iter().map(|f| split_conjunction(f).len()).sum();
        return Cost::default().then(pages(rows) + rows * (ROW + conjuncts as f64 * OPERATOR));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let conjuncts = split_conjunction(filter.predicate()).len() as f64;
        return first.then(input_rows * conjuncts * OPERATOR);
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let kept = sort.fetch().map_or(input_rows, |fetch| input_rows.min(2.0 * fetch as f64));
        let comparisons = input_rows * kept.max(2.0).log2();
        return Cost::blocking(first.total + 2.0 * OPERATOR * comparisons, node.rows * OPERATOR);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let keys = aggregate.group_expr().input_exprs().len() + aggregate.aggr_expr().len();
        let work = input_rows * keys as f64 * OPERATOR;
        return Cost::blocking(first.total + work, node.rows * ROW);
    }
    if plan.downcast_ref::<GlobalLimitExec>().is_some()
        || plan.downcast_ref::<LocalLimitExec>().is_some()
    {
        let part = (node.rows / input_rows.max(1.0)).min(1.0);
        return Cost { startup: first.startup, total: first.startup }
            .then((first.total - first.startup) * part);
    }
    if plan.is::<SegmentWriteExec>() || plan.is::<RowChangeExec>() {
        let rows = input_rows.max(1.0);
        let width = node.children.first().map_or(0, |child| child.width) as f64;
        return Cost::blocking(first.total + rows * ROW + rows * width / PAGE_BYTES * PAGE, ROW);
    }
    if let Some(windows) = window_exprs(placed) {
        return first.then(input_rows * (ROW + windows.len() as f64 * OPERATOR));
    }
    join_cost(placed, node).unwrap_or_else(|| {
        // Append, Result, Values: the rows of all inputs, one after the other.
        let total: f64 = node.children.iter().map(|child| child.cost.total).sum();
        Cost { startup: first.startup, total }.then(node.rows * ROW)
    })
}

/// Rows of a table on one datanode: all of them where every datanode has them.
fn read_rows(scan: &ShardScanExec, locus: &Locus, share: f64) -> f64 {
    let table = scan.table();
    let rows = match *locus == Locus::Replicated {
        true => table.first_datanode().map_or(0, |datanode| table.size_on(datanode).0),
        false => table.size().0,
    };
    rows as f64 / share
}

/// `None`: not a join. Of a hash join the second input is the built one, under its `Hash`.
fn join_cost(placed: &Placed, node: &ExplainNode) -> Option<Cost> {
    let [left, right] = node.children.as_slice() else { return None };
    let plan = placed.plan.as_ref();
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let compared = (left.rows + right.rows) * join.on().len().max(1) as f64 * OPERATOR;
        let startup = left.cost.startup + right.cost.total;
        let total = left.cost.total + right.cost.total;
        return Some(Cost { startup, total }.then(compared + node.rows * ROW));
    }
    let is_nested = plan.downcast_ref::<NestedLoopJoinExec>().is_some()
        || plan.downcast_ref::<CrossJoinExec>().is_some();
    is_nested.then(|| {
        let startup = left.cost.total + right.cost.startup;
        let total = left.cost.total + right.cost.total;
        Cost { startup, total }.then(left.rows * right.rows * OPERATOR + node.rows * ROW)
    })
}

/// Bytes of a row in PostgreSQL's form (`get_typavgwidth`, lsyscache.c).
pub(super) fn width(schema: &Schema) -> usize {
    let known = schema.fields().iter().map(|field| SqlType::of_field(field).map(type_width));
    known.map(|width| width.unwrap_or(UNKNOWN_WIDTH)).sum()
}

/// Where nothing is known of a type's values.
const UNKNOWN_WIDTH: usize = 32;

fn type_width(sql_type: SqlType) -> usize {
    match sql_type {
        SqlType::Boolean => 1,
        SqlType::SmallInt => 2,
        SqlType::Integer | SqlType::Oid | SqlType::Real | SqlType::Date => 4,
        SqlType::BigInt
        | SqlType::Double
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::TimestampTz => 8,
        SqlType::Interval | SqlType::Uuid => 16,
        // Two bytes for four digits, behind eight of a header (`numeric_maximum_size`).
        SqlType::Numeric(precision, _) if precision < 38 => {
            8 + 2 * ((usize::from(precision) + 6) / 4)
        }
        SqlType::Numeric(..)
        | SqlType::Text
        | SqlType::Varchar(None)
        | SqlType::Bytea
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Array(_)
        | SqlType::Int2Vector
        | SqlType::OidVector => UNKNOWN_WIDTH,
        SqlType::Name => 64,
        SqlType::Char(length) => length as usize,
        SqlType::Varchar(Some(length)) => match length as usize {
            short @ ..=32 => short,
            // Long ones are seldom full.
            long => 32 + (long.min(1000) - 32) / 2,
        },
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn widths_are_postgresqls() {
        for (sql_type, expected) in [
            (SqlType::Integer, 4),
            (SqlType::BigInt, 8),
            (SqlType::Boolean, 1),
            (SqlType::Numeric(15, 2), 18),
            (SqlType::Numeric(38, 10), 32),
            (SqlType::Varchar(Some(10)), 10),
            (SqlType::Varchar(Some(132)), 82),
            (SqlType::Varchar(Some(5000)), 516),
            (SqlType::Char(25), 25),
            (SqlType::Text, 32),
            (SqlType::Interval, 16),
        ] {
            let schema = Schema::new(vec![sql_type.field("a", true)]);
            assert_eq!(width(&schema), expected, "{sql_type}");
        }
        let field = arrow::datatypes::Field::new("a", DataType::Int32, true);
        assert_eq!(width(&Schema::new(vec![field.clone(), field])), 8);
        assert_eq!(width(&Schema::empty()), 0);
    }

    #[test]
    fn blocking_work_stands_before_the_first_row() {
        let input = Cost { startup: 1.0, total: 5.0 };
        assert_eq!(input.then(2.0), Cost { startup: 1.0, total: 7.0 });
        assert_eq!(Cost::blocking(6.0, 1.0), Cost { startup: 6.0, total: 7.0 });
    }
}
