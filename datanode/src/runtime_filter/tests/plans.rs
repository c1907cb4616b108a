//! Plans before and after the rule.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{JoinType, ScalarValue},
    logical_expr::Operator,
    physical_expr::{
        LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr,
        expressions::{BinaryExpr, CastExpr, Literal, lit},
    },
    physical_plan::{
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
        coalesce_partitions::CoalescePartitionsExec,
        filter::FilterExecBuilder,
        projection::ProjectionExec,
        repartition::RepartitionExec,
        sorts::sort::SortExec,
        union::UnionExec,
    },
};

use super::{
    super::{RuntimeFilter, Scans, with_runtime_filters},
    JOIN_TYPES, MemoryScans, Plan, assert_text, column, count, join, shape, table,
};

/// Tables that are worth a filter, whatever their sizes are.
struct SelectiveScans;

impl Scans for SelectiveScans {
    fn filtered(&self, scan: &Plan, column: usize, filter: &Arc<RuntimeFilter>) -> Option<Plan> {
        MemoryScans.filtered(scan, column, filter)
    }

    fn is_selective(&self, _: &Plan) -> bool {
        true
    }
}

fn filtered(plan: Plan) -> Plan {
    with_runtime_filters(plan, &SelectiveScans).unwrap()
}

/// k = the column of `right` at this position.
fn probed(right: Plan, key: usize) -> Plan {
    Arc::new(join(table(&["k"]), right, JoinType::Inner, &[(0, key)], None))
}

fn check(right: Plan, key: usize, expected: &str) {
    let plan = probed(right, key);
    let before = shape(&plan);
    assert_text(&shape(&filtered(plan)), expected, &before);
}

/// The same, where no filter can be.
fn check_none(right: Plan, key: usize) {
    let plan = probed(right, key);
    let before = shape(&plan);
    assert_eq!(shape(&filtered(plan)), before);
}

fn projected(input: Plan, exprs: Vec<Arc<dyn PhysicalExpr>>) -> Plan {
    // All of one name: only positions count.
    let exprs = exprs.into_iter().map(|expr| (expr, "x".to_string()));
    Arc::new(ProjectionExec::try_new(exprs, input).unwrap())
}

fn is_positive(input: &Plan, position: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(column(input, position), Operator::Gt, lit(0_i64)))
}

fn sorted(input: Plan, fetch: Option<usize>) -> Plan {
    let key = PhysicalSortExpr::new_default(column(&input, 0));
    let sort = SortExec::new(LexOrdering::new([key]).unwrap(), input);
    Arc::new(sort.with_fetch(fetch))
}

/// Groups by these columns, and computes nothing of them.
fn grouped(input: Plan, keys: &[usize], mode: AggregateMode) -> Plan {
    let keys = keys.iter().map(|key| (column(&input, *key), format!("g{key}"))).collect();
    let schema = input.schema();
    let groups = PhysicalGroupBy::new_single(keys);
    Arc::new(AggregateExec::try_new(mode, groups, vec![], vec![], input, schema).unwrap())
}

#[test]
fn joins_that_need_only_partners_filter_their_right_side() {
    for join_type in JOIN_TYPES {
        let plan: Plan =
            Arc::new(join(table(&["a0", "a1"]), table(&["b0", "b1"]), join_type, &[(1, 0)], None));
        let has_filter = match join_type {
            JoinType::Inner
            | JoinType::Left
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
            | JoinType::RightSemi => true,
            JoinType::Right | JoinType::Full | JoinType::RightAnti | JoinType::RightMark => false,
        };
        let expected = match has_filter {
            true => {
                "KeyCollectorExec: keys=[a1@1]\n    scan of a0 a1\n  KeyFilterExec: b0@0\n    scan of b0 b1"
            }
            false => "scan of a0 a1\n  scan of b0 b1",
        };
        let expected = format!("{join_type} join\n  {expected}\n");
        assert_text(&shape(&filtered(plan)), &expected, "");
    }
}

#[test]
fn each_key_that_is_a_column_has_a_filter() {
    let right = table(&["b0", "b1"]);
    let plan = join(table(&["a0", "a1"]), right, JoinType::Inner, &[(0, 1), (1, 0)], None);
    assert_text(
        &shape(&filtered(Arc::new(plan))),
        "
        Inner join
          KeyCollectorExec: keys=[a0@0, a1@1]
            scan of a0 a1
          KeyFilterExec: b1@1
            KeyFilterExec: b0@0
              scan of b0 b1
        ",
        "two keys",
    );
}

#[test]
fn keys_that_are_computed_or_of_other_types_have_none() {
    let computed = |input: Plan| {
        let cast: Arc<dyn PhysicalExpr> =
            Arc::new(CastExpr::new(column(&input, 0), DataType::Int64, None));
        projected(input, vec![cast])
    };
    check_none(computed(table(&["b0"])), 0);
    let real = |input: Plan| {
        let cast: Arc<dyn PhysicalExpr> =
            Arc::new(CastExpr::new(column(&input, 0), DataType::Float64, None));
        projected(input, vec![cast])
    };
    let (left, right) = (real(table(&["a0"])), real(table(&["b0"])));
    let plan: Plan = Arc::new(join(left, right, JoinType::Inner, &[(0, 0)], None));
    let before = shape(&plan);
    assert_eq!(shape(&filtered(plan)), before);
}

#[test]
fn columns_are_followed_by_their_positions() {
    let scan = table(&["b0", "b1", "b2"]);
    let exprs = vec![column(&scan, 2), column(&scan, 0)];
    check(
        projected(Arc::clone(&scan), exprs),
        0,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          ProjectionExec
            KeyFilterExec: b2@2
              scan of b0 b1 b2
        ",
    );
    let filter = FilterExecBuilder::new(is_positive(&scan, 0), Arc::clone(&scan));
    let filter = filter.apply_projection(Some(vec![1, 2])).unwrap().build().unwrap();
    check(
        Arc::new(filter),
        1,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          FilterExec
            KeyFilterExec: b2@2
              scan of b0 b1 b2
        ",
    );
}

#[test]
fn through_what_hands_rows_on() {
    let split = RepartitionExec::try_new(table(&["b0"]), Partitioning::RoundRobinBatch(2));
    let together: Plan = Arc::new(CoalescePartitionsExec::new(Arc::new(split.unwrap())));
    check(
        sorted(together, None),
        0,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          SortExec
            CoalescePartitionsExec
              RepartitionExec
                KeyFilterExec: b0@0
                  scan of b0
        ",
    );
}

#[test]
fn not_through_limits_nor_into_what_is_computed() {
    check_none(sorted(table(&["b0"]), Some(10)), 0);
    let limited = CoalescePartitionsExec::new(table(&["b0"])).with_fetch(Some(1));
    check_none(Arc::new(limited), 0);
    let limited = FilterExecBuilder::new(is_positive(&table(&["b0"]), 0), table(&["b0"]));
    check_none(Arc::new(limited.with_fetch(Some(1)).build().unwrap()), 0);
    let scan = table(&["b0"]);
    let sum = BinaryExpr::new(column(&scan, 0), Operator::Plus, lit(1_i64));
    check_none(projected(scan, vec![Arc::new(sum)]), 0);
}

#[test]
fn into_all_inputs_of_a_union_that_have_scans() {
    let scan = table(&["b0", "b1"]);
    let exprs = vec![column(&scan, 1), column(&scan, 0)];
    let computed = BinaryExpr::new(column(&scan, 0), Operator::Plus, lit(1_i64));
    let computed = projected(Arc::clone(&scan), vec![Arc::new(computed), column(&scan, 1)]);
    let other = table(&["c0", "c1"]);
    let plain = vec![column(&other, 0), column(&other, 1)];
    let inputs = vec![projected(scan, exprs), computed, projected(other, plain)];
    let union = UnionExec::try_new(inputs);
    check(
        union.unwrap(),
        0,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          UnionExec
            ProjectionExec
              KeyFilterExec: b1@1
                scan of b0 b1
            ProjectionExec
              scan of b0 b1
            ProjectionExec
              KeyFilterExec: c0@0
                scan of c0 c1
        ",
    );
}

/// Groups that cannot join are dropped above the aggregate, too: of their rows a part may be gone.
#[test]
fn through_aggregates_by_their_keys() {
    check(
        grouped(table(&["b0", "b1"]), &[1, 0], AggregateMode::Single),
        0,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          KeyFilterExec: g1@0
            Single aggregate
              KeyFilterExec: b1@1
                scan of b0 b1
        ",
    );
    let partial = grouped(table(&["b0", "b1"]), &[1], AggregateMode::Partial);
    let groups = PhysicalGroupBy::new_single(vec![(column(&partial, 0), "g1".into())]);
    let schema = table(&["b0", "b1"]).schema();
    let whole =
        AggregateExec::try_new(AggregateMode::Final, groups, vec![], vec![], partial, schema);
    check(
        Arc::new(whole.unwrap()),
        0,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          KeyFilterExec: g1@0
            Final aggregate
              Partial aggregate
                KeyFilterExec: b1@1
                  scan of b0 b1
        ",
    );
}

#[test]
fn not_through_grouping_sets() {
    let scan = table(&["b0"]);
    let null: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Int64(None)));
    let groups = PhysicalGroupBy::new(
        vec![(column(&scan, 0), "g".into())],
        vec![(null, "g".into())],
        vec![vec![false], vec![true]],
        true,
    );
    let schema = scan.schema();
    let rollup =
        AggregateExec::try_new(AggregateMode::Single, groups, vec![], vec![], scan, schema);
    check_none(Arc::new(rollup.unwrap()), 0);
}

/// a0 = b0 below, k = a0 above: the filter of k goes to both, and b has that of a besides.
#[test]
fn joins_above_filter_joins_below() {
    let below = join(table(&["a0", "a1"]), table(&["b0"]), JoinType::Inner, &[(0, 0)], None);
    check(
        Arc::new(below),
        0,
        "
        Inner join
          KeyCollectorExec: keys=[k@0]
            scan of k
          Inner join
            KeyCollectorExec: keys=[a0@0]
              KeyFilterExec: a0@0
                scan of a0 a1
            KeyFilterExec: b0@0
              KeyFilterExec: b0@0
                scan of b0
        ",
    );
}

/// A build side of whole tables with more rows than the probe side would let all of it pass.
#[test]
fn large_whole_tables_do_not_filter() {
    let plan = |selective: bool| -> Plan {
        let left = table(&["a0"]);
        let left: Plan = match selective {
            true => {
                let filter = FilterExecBuilder::new(is_positive(&left, 0), left);
                Arc::new(filter.build().unwrap())
            }
            false => left,
        };
        // Both have no rows: the build side has as many as the probe side.
        Arc::new(join(left, table(&["b0"]), JoinType::Inner, &[(0, 0)], None))
    };
    for selective in [false, true] {
        let plan = with_runtime_filters(plan(selective), &MemoryScans).unwrap();
        let filters = count(&plan, "KeyFilterExec");
        assert_eq!(filters, usize::from(selective), "{}", shape(&plan));
    }
}
