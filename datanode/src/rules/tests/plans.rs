//! The plans of two of TPC-H's queries, with both rules.

use std::sync::Arc;

use datafusion::{
    common::ScalarValue,
    physical_expr::expressions::{Literal, col},
    physical_plan::{
        ExecutionPlan,
        aggregates::AggregateMode,
        filter::FilterExec,
        joins::CrossJoinExec,
        projection::{ProjectionExec, ProjectionExpr},
        union::UnionExec,
    },
};

use super::{
    Plan, aggregate, charge, function, revenue,
    scan::{SHAPE, Shape, find, schema, table},
    text, times,
};
use crate::rules::{direct_aggregate, narrow};

fn with_rules(plan: Plan) -> String {
    text(&narrow::apply(direct_aggregate::apply(plan, find).unwrap(), find).unwrap())
}

/// The plan must have exactly these lines.
fn check(plan: Plan, expected: &str) {
    let found = with_rules(plan);
    let lines = |text: &str| text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&found), lines(expected), "found:\n{found}");
}

#[test]
fn query_1() {
    let schema = schema();
    let column = |name: &str| col(name, &schema).unwrap();
    let functions = vec![
        function("sum", column("qty"), &schema),
        function("sum", column("price"), &schema),
        function("sum", revenue(&schema), &schema),
        function("sum", charge(&schema), &schema),
        function("avg", column("qty"), &schema),
        function("avg", column("price"), &schema),
        function("avg", column("disc"), &schema),
        function("count", Arc::new(Literal::new(ScalarValue::Int64(Some(1)))), &schema),
    ];
    let plan = aggregate(AggregateMode::Partial, &["flag", "status"], functions, table(SHAPE));
    let product = "(price * (100 - disc))";
    let sums =
        format!("sum(qty), sum(price), sum({product}), sum(({product} * (100 + tax))), sum(disc)");
    check(
        plan,
        &format!(
            "DirectAggregateExec: gby=[flag, status], tables=[{sums}], states=11\n  \
             TestScan: flag=UInt16 status=UInt16 done size day qty=Int64 price=Int64 disc=Int64 \
             tax=Int64 wide n big=Int64"
        ),
    );
}

#[test]
fn query_6() {
    let schema = schema();
    let product = times(col("price", &schema).unwrap(), col("disc", &schema).unwrap(), &schema);
    let functions = vec![function("sum", product, &schema)];
    let plan = aggregate(AggregateMode::Partial, &[], functions, table(SHAPE));
    check(
        plan,
        "DirectAggregateExec: gby=[], tables=[sum((price * disc))], states=1\n  \
         TestScan: flag status done size day qty price=Int64 disc=Int64 tax wide n big=Int64",
    );
}

/// Aggregates over something else than a scan have narrow arguments, if the bounds come through.
#[test]
fn bounds_come_through_filters_joins_and_unions() {
    let schema = schema();
    let is_done = col("done", &schema).unwrap();
    let filtered = |shape| -> Plan {
        Arc::new(FilterExec::try_new(Arc::clone(&is_done), table(shape)).unwrap())
    };
    let joined = |shape| -> Plan { Arc::new(CrossJoinExec::new(table(SHAPE), table(shape))) };
    let union = |shape| UnionExec::try_new(vec![table(SHAPE), table(shape)]).unwrap();
    let inputs: [&dyn Fn(Shape) -> Plan; 3] = [&filtered, &joined, &union];
    for input in inputs {
        // Two prices of 12 digits have a product of 24.
        for (price, fits) in [(10_494_950, true), (1 << 40, false)] {
            let input = input(Shape { price, ..SHAPE });
            let columns = input.schema();
            // The last column of the name: of the join's right side.
            let price = columns.fields().iter().rposition(|field| field.name() == "price").unwrap();
            let price: super::Expr =
                Arc::new(datafusion::physical_expr::expressions::Column::new("price", price));
            let square = times(Arc::clone(&price), price, &columns);
            let plan = aggregate(
                AggregateMode::Partial,
                &[],
                vec![function("sum", square, &columns)],
                input,
            );
            let narrow = narrow::apply(Arc::clone(&plan), find).unwrap();
            assert_eq!(!Arc::ptr_eq(&plan, &narrow), fits, "{}", text(&narrow));
            assert_eq!(narrow.schema(), plan.schema());
        }
    }
}

#[test]
fn projections_have_narrow_columns() {
    let scan = table(SHAPE);
    let schema = scan.schema();
    let exprs = [(revenue(&schema), "revenue"), (col("flag", &schema).unwrap(), "flag")];
    let exprs = exprs.map(|(expr, alias)| ProjectionExpr::new(expr, alias));
    let plan: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(exprs, scan).unwrap());
    check(
        plan,
        "ProjectionExec: expr=[narrow(price@6 * (100 - disc@7)) as revenue, flag@0 as flag]\n  \
         TestScan: flag status done size day qty price disc tax wide n big=Int64",
    );
}
