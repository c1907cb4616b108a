//! Direct aggregates.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::{
    common::ScalarValue,
    physical_expr::{
        aggregate::AggregateExprBuilder,
        expressions::{Literal, col},
    },
    physical_plan::{
        aggregates::AggregateMode,
        projection::{ProjectionExec, ProjectionExpr},
    },
};

use super::{
    Plan, aggregate, call, charge, function, lines, merged, revenue, rows,
    scan::{SHAPE, Shape, find, schema, table},
    text,
};
use crate::rules::direct_aggregate::apply;

fn one() -> super::Expr {
    Arc::new(Literal::new(ScalarValue::Int64(Some(1))))
}

/// Every function over every kind of argument.
pub(super) fn all_functions(schema: &Schema) -> Vec<AggregateExprBuilder> {
    let column = |name: &str| col(name, schema).unwrap();
    let mut functions = vec![function("count", one(), schema)];
    for name in ["flag", "done", "price", "n"] {
        functions.push(function("count", column(name), schema));
    }
    functions.push(function("count", charge(schema), schema));
    let negated = call("kestrel_negate", vec![column("qty")], schema);
    let numbers = [column("qty"), revenue(schema), charge(schema), column("n"), column("size")];
    for argument in numbers.into_iter().chain([column("big"), column("wide"), negated]) {
        for name in ["sum", "avg", "min", "max"] {
            functions.push(function(name, Arc::clone(&argument), schema));
        }
    }
    functions.push(function("min", column("day"), schema));
    functions.push(function("max", column("day"), schema));
    functions
}

/// The rows of a partial aggregate, merged, with the rule and without; whether the rule replaced it.
async fn check(keys: &[&str], shape: Shape) -> bool {
    let functions = all_functions(&schema());
    let ordinary = aggregate(AggregateMode::Partial, keys, functions, table(shape));
    let direct = apply(Arc::clone(&ordinary), find).unwrap();
    let replaced = text(&direct).starts_with("DirectAggregateExec");
    assert_eq!(direct.schema(), ordinary.schema());
    let expected = rows(&merged(&ordinary, &ordinary)).await;
    let found = rows(&merged(&direct, &ordinary)).await;
    assert_eq!(lines(&found), lines(&expected), "{keys:?} {shape:?}");
    replaced
}

#[tokio::test]
async fn the_rows_are_those_of_the_aggregate() {
    let keys: [&[&str]; 6] = [
        &[],
        &["flag"],
        &["flag", "status"],
        &["done", "size"],
        &["day"],
        &["status", "done", "day"],
    ];
    for keys in keys {
        for (seed, nulls) in [(1, 0), (2, 1), (3, 5), (4, 10)] {
            assert!(check(keys, Shape { seed, nulls, ..SHAPE }).await, "{keys:?}");
        }
    }
}

#[tokio::test]
async fn no_rows_are_no_groups_but_for_an_aggregate_without_keys() {
    for (batches, limit) in [(0, 0), (2, 0), (3, 1)] {
        let all: [&[&str]; 3] = [&[], &["flag"], &["flag", "done"]];
        for keys in all {
            // A batch has 0 or 1 rows; a partition without rows has no bounds.
            assert!(check(keys, Shape { batches, rows: limit, ..SHAPE }).await, "{keys:?}");
        }
    }
}

#[tokio::test]
async fn more_groups_than_there_is_place_for_are_as_right() {
    // 63 x 63 fit, 70 x 70 are too many at some time, 300 x 300 have too many codes.
    for keys in [63, 70, 300, 4000] {
        let shape = Shape { keys, batches: 4, rows: 9000, ..SHAPE };
        assert!(check(&["flag", "status"], shape).await, "{keys}");
        assert!(check(&["flag", "size"], shape).await, "{keys}");
    }
    // Once the first groups are given out, the others find place.
    let shape = Shape { keys: 6000, batches: 2, rows: 4500, ..SHAPE };
    assert!(check(&["status"], shape).await);
}

#[tokio::test]
async fn integers_of_a_wide_range_are_no_keys() {
    assert!(!check(&["size"], Shape { keys: 5000, ..SHAPE }).await);
    assert!(!check(&["size"], Shape { bounds: false, ..SHAPE }).await);
    assert!(!check(&["big"], SHAPE).await);
    assert!(!check(&["flag", "status", "done", "day"], SHAPE).await);
}

/// Sums near the ends of what 64 bits hold, and beyond: those are left alone.
#[tokio::test]
async fn values_near_the_bounds() {
    let product = |schema: &Schema| {
        let price = col("price", schema).unwrap();
        super::times(Arc::clone(&price), price, schema)
    };
    // 3037000499 squared is the last square below 2^63.
    for (price, fits) in [(3_037_000_499, true), (3_037_000_500, false), (100_000_000_000, false)] {
        for bounds in [true, false] {
            let schema = schema();
            let functions =
                ["sum", "avg", "min"].map(|name| function(name, product(&schema), &schema)).into();
            let input = table(Shape { price, bounds, ..SHAPE });
            let ordinary = aggregate(AggregateMode::Partial, &["flag"], functions, input);
            let direct = apply(Arc::clone(&ordinary), find).unwrap();
            let replaced = text(&direct).starts_with("DirectAggregateExec");
            assert_eq!(replaced, fits && bounds, "{price} {bounds}");
            let expected = rows(&merged(&ordinary, &ordinary)).await;
            let found = rows(&merged(&direct, &ordinary)).await;
            assert_eq!(lines(&found), lines(&expected), "{price} {bounds}");
        }
    }
}

#[tokio::test]
async fn one_phase_becomes_two() {
    let all: [&[&str]; 2] = [&[], &["flag", "done"]];
    for keys in all {
        for (batches, limit) in [(3, 5000), (0, 0)] {
            let shape = Shape { partitions: 1, batches, rows: limit, ..SHAPE };
            let functions = all_functions(&schema());
            let single = aggregate(AggregateMode::Single, keys, functions, table(shape));
            let direct = apply(Arc::clone(&single), find).unwrap();
            let text = text(&direct);
            assert!(text.starts_with("AggregateExec: mode=Final"), "{text}");
            assert!(text.contains("\n  DirectAggregateExec"), "{text}");
            assert_eq!(direct.schema(), single.schema());
            assert_eq!(lines(&rows(&direct).await), lines(&rows(&single).await), "{keys:?}");
        }
    }
}

#[test]
fn what_it_cannot_do_stays() {
    let schema = schema();
    let column = |name: &str| col(name, &schema).unwrap();
    let unchanged = |functions| {
        let plan = aggregate(AggregateMode::Partial, &["flag"], functions, table(SHAPE));
        let same = apply(Arc::clone(&plan), find).unwrap();
        Arc::ptr_eq(&plan, &same)
    };
    assert!(unchanged(vec![function("sum", column("qty"), &schema).distinct()]));
    assert!(unchanged(vec![function("min", column("status"), &schema)]));
    assert!(unchanged(vec![function("stddev", column("big"), &schema)]));
    let quotient = call("kestrel_divide", vec![column("price"), column("qty")], &schema);
    assert!(unchanged(vec![function("sum", Arc::clone(&quotient), &schema)]));
    // A division can fail: it is not left out.
    assert!(unchanged(vec![function("count", quotient, &schema)]));
    assert!(!unchanged(vec![function("sum", column("qty"), &schema)]));
}

#[tokio::test]
async fn projections_in_between_are_looked_through() {
    let scan = table(SHAPE);
    let schema = scan.schema();
    let projected = |exprs: Vec<(super::Expr, &str)>, input: Plan| -> Plan {
        let exprs = exprs.into_iter().map(|(expr, alias)| ProjectionExpr::new(expr, alias));
        Arc::new(ProjectionExec::try_new(exprs, input).unwrap())
    };
    let column = |name: &str| col(name, &schema).unwrap();
    let below = vec![(revenue(&schema), "revenue"), (column("tax"), "tax"), (column("flag"), "f")];
    let below = projected(below, scan);
    let schema = below.schema();
    let column = |name: &str| col(name, &schema).unwrap();
    let above = projected(vec![(column("f"), "flag"), (column("revenue"), "r")], below);
    let schema = above.schema();
    let r = || col("r", &schema).unwrap();
    let functions = ["sum", "count"].map(|name| function(name, r(), &schema)).into();
    let ordinary = aggregate(AggregateMode::Partial, &["flag"], functions, above);
    let direct = apply(Arc::clone(&ordinary), find).unwrap();
    assert!(text(&direct).starts_with("DirectAggregateExec: gby=[flag]"), "{}", text(&direct));
    let expected = rows(&merged(&ordinary, &ordinary)).await;
    assert_eq!(lines(&rows(&merged(&direct, &ordinary)).await), lines(&expected));
}
