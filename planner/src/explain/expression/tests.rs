//! Expressions and their texts.

use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, Schema};
use datafusion::{
    common::config::ConfigOptions,
    logical_expr::physical_planning_context::{ScalarSubqueryResults, SubqueryIndex},
    physical_expr::expressions::Column,
};

use super::*;
use crate::functions::FunctionRegistry;

type Expr = Arc<dyn PhysicalExpr>;

#[track_caller]
fn check(cases: &[(Expr, &str)]) {
    let printer = Printer::new(Columns::Named);
    for (expr, expected) in cases {
        assert_eq!(printer.text(expr), *expected);
    }
}

fn col(name: &str) -> Expr {
    Arc::new(Column::new(name, 0))
}

fn lit(value: ScalarValue) -> Expr {
    Arc::new(Literal::new(value))
}

fn int(value: i32) -> Expr {
    lit(ScalarValue::Int32(Some(value)))
}

fn text(value: &str) -> Expr {
    lit(ScalarValue::Utf8View(Some(value.into())))
}

fn op(left: Expr, op: Operator, right: Expr) -> Expr {
    Arc::new(BinaryExpr::new(left, op, right))
}

fn is(left: &str, right: &str) -> Expr {
    op(col(left), Operator::Eq, text(right))
}

/// Only its name counts, not what it computes.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let functions = FunctionRegistry::new();
    let any = functions.scalars().into_iter().next().unwrap();
    let field = Arc::new(Field::new("", DataType::Int32, true));
    Arc::new(ScalarFunctionExpr::new(name, any, args, field, Arc::new(ConfigOptions::default())))
}

#[test]
fn literals() {
    use ScalarValue as V;
    let utc = || Some("UTC".into());
    let interval = IntervalMonthDayNano::new(14, -3, 5_400_000_000_000);
    check(&[
        (int(5), "5"),
        (int(-1), "'-1'::integer"),
        (lit(V::Int16(Some(-2))), "'-2'::smallint"),
        (lit(V::Int64(Some(9))), "9"),
        (lit(V::Int64(Some(-9))), "'-9'::bigint"),
        (lit(V::Decimal128(Some(5), 15, 2)), "0.05"),
        (lit(V::Decimal128(Some(-5), 15, 2)), "'-0.05'::numeric"),
        (lit(V::Decimal128(Some(1), 1, 0)), "1"),
        (lit(V::Float64(Some(0.5))), "'0.5'::double precision"),
        (lit(V::Boolean(Some(false))), "false"),
        (text("it's"), "'it''s'::text"),
        (lit(V::Utf8(Some(String::new()))), "''::text"),
        (lit(V::Date32(Some(8766))), "'1994-01-01'::date"),
        (
            lit(V::TimestampMicrosecond(Some(1_500_000), None)),
            "'1970-01-01 00:00:01.5'::timestamp without time zone",
        ),
        (
            lit(V::TimestampMicrosecond(Some(0), utc())),
            "'1970-01-01 00:00:00+00'::timestamp with time zone",
        ),
        (
            lit(V::IntervalMonthDayNano(Some(interval))),
            "'1 year 2 mons -3 days +01:30:00'::interval",
        ),
        (lit(V::Date32(None)), "NULL::date"),
        (lit(V::Null), "NULL"),
    ]);
}

#[test]
fn operators_are_in_parentheses() {
    use Operator as O;
    let ship = || op(is("l_shipmode", "AIR"), O::Or, is("l_shipmode", "AIR REG"));
    let sum = || op(col("a"), O::Plus, int(1));
    check(&[
        (col("a"), "a"),
        (op(col("a"), O::NotEq, col("b")), "(a <> b)"),
        (op(sum(), O::Multiply, int(2)), "((a + 1) * 2)"),
        (
            op(op(ship(), O::And, is("l_shipinstruct", "NONE")), O::And, col("c")),
            "(((l_shipmode = 'AIR'::text) OR (l_shipmode = 'AIR REG'::text)) AND \
             (l_shipinstruct = 'NONE'::text) AND c)",
        ),
        (op(col("a"), O::And, op(col("b"), O::And, col("c"))), "(a AND b AND c)"),
        (op(col("a"), O::IsDistinctFrom, col("b")), "(a IS DISTINCT FROM b)"),
        (
            Arc::new(NotExpr::new(ship())),
            "(NOT ((l_shipmode = 'AIR'::text) OR (l_shipmode = 'AIR REG'::text)))",
        ),
        (Arc::new(IsNullExpr::new(col("a"))), "(a IS NULL)"),
        (Arc::new(IsNotNullExpr::new(sum())), "((a + 1) IS NOT NULL)"),
        (Arc::new(NegativeExpr::new(col("a"))), "(- a)"),
        (Arc::new(LikeExpr::new(false, false, col("s"), text("%x"))), "(s LIKE '%x'::text)"),
        (Arc::new(LikeExpr::new(true, true, col("s"), text("x"))), "(s NOT ILIKE 'x'::text)"),
    ]);
}

#[test]
fn other_forms() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
    let list = |negated| -> Expr {
        let list = vec![int(1), int(2)];
        Arc::new(InListExpr::try_new(col("a"), list, negated, &schema).unwrap())
    };
    let above = |least| op(col("a"), Operator::Gt, int(least));
    let cast = |expr, to| -> Expr { Arc::new(CastExpr::new(expr, to, None)) };
    let case = |operand, when: Expr| -> Expr {
        Arc::new(CaseExpr::try_new(operand, vec![(when, int(2))], Some(col("b"))).unwrap())
    };
    let value = |index| -> Expr {
        let results = ScalarSubqueryResults::new(2);
        let index = SubqueryIndex::new(index);
        Arc::new(ScalarSubqueryExpr::new(DataType::Int32, true, index, results))
    };
    check(&[
        (list(false), "(a IN (1, 2))"),
        (list(true), "(a NOT IN (1, 2))"),
        (cast(col("a"), DataType::Decimal128(38, 16)), "(a)::numeric(38,16)"),
        (cast(above(1), DataType::Utf8View), "((a > 1))::text"),
        (case(None, above(1)), "CASE WHEN (a > 1) THEN 2 ELSE b END"),
        (case(Some(col("a")), int(1)), "CASE a WHEN 1 THEN 2 ELSE b END"),
        (op(col("a"), Operator::Gt, value(1)), "(a > $1)"),
    ]);
}

#[test]
fn functions_that_stand_for_operators() {
    let (a, b) = (|| col("a"), || col("b"));
    let discounted =
        call("kestrel_subtract", vec![lit(ScalarValue::Decimal128(Some(1), 1, 0)), b()]);
    let length = |expr| call("kestrel_interval_length", vec![expr]);
    let compared = |zero| op(call("kestrel_compare_numeric", vec![a(), b()]), Operator::Gt, zero);
    check(&[
        (call("kestrel_multiply", vec![a(), discounted]), "(a * (1 - b))"),
        (call("kestrel_negate", vec![a()]), "(- a)"),
        (compared(int(0)), "(a > b)"),
        (compared(int(1)), "(compare_numeric(a, b) > 1)"),
        (op(length(a()), Operator::Lt, length(b())), "(a < b)"),
        (op(length(a()), Operator::Lt, int(1)), "(interval_length(a) < 1)"),
        (call("kestrel_cast", vec![a(), text("character(3)")]), "(a)::character(3)"),
        (call("kestrel_numeric", vec![a()]), "(a)::numeric"),
        (call("kestrel_nullable", vec![a(), b()]), "a"),
        (call("kestrel_extract", vec![text("year"), a()]), "EXTRACT(year FROM a)"),
        (call("kestrel_jsonb_get_text", vec![a(), text("k")]), "(a ->> 'k'::text)"),
        (call("kestrel_any", vec![a(), b(), text("=")]), "(a = ANY (b))"),
        (call("kestrel_regex_match", vec![a(), b(), text("i")]), "(a ~* b)"),
        (call("kestrel_array_element", vec![a(), int(1)]), "a[1]"),
        (
            call("kestrel_array_slice", vec![call("make_array", vec![a(), b()]), int(1), int(2)]),
            "(ARRAY[a, b])[1:2]",
        ),
        (call("coalesce", vec![a(), int(0)]), "COALESCE(a, 0)"),
        (call("substr", vec![a(), int(1), int(2)]), "substr(a, 1, 2)"),
        (call("kestrel_to_jsonb", vec![a()]), "to_jsonb(a)"),
    ]);
}

#[test]
fn several_conditions_are_one() {
    let printer = Printer::new(Columns::Named);
    let both = op(is("a", "x"), Operator::And, is("b", "y"));
    for (conditions, expected) in [
        (vec![is("a", "x")], "(a = 'x'::text)"),
        (vec![col("a")], "a"),
        (vec![both, is("c", "z")], "((a = 'x'::text) AND (b = 'y'::text) AND (c = 'z'::text))"),
    ] {
        assert_eq!(printer.conjunction(&conditions), expected);
    }
}
