//! The expressions that DataFusion's SQL planner builds without asking.

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Between, Expr, ExprSchemable, Like, Operator,
        expr::{AggregateFunction, InList, ScalarFunction},
    },
};

use super::{
    branches,
    comparison::{Comparison, as_date, plan},
    literal_of_cast, row_call,
    similar::similar,
    special::typed_field,
};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        Negate,
        arithmetic::types::Class,
        array::VECTOR_TEXT,
        cast::{cast_always, cast_of, cast_to, labelled},
        literal::{is_untyped_text, narrow_integer_literal},
        string::{LikeEscape, escaped_by_backslash},
    },
};

/// PostgreSQL's types and operators in an expression over `schema`: integer literals, unary minus,
/// BETWEEN, IN, simple CASE, LIKE on `char(n)`, and casts. Subqueries within are left alone: their
/// plans have expressions of their own.
pub fn postgresql_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down_up(
        |expr| match expr {
            // DataFusion knows count(*) by its literal.
            Expr::AggregateFunction(mut count) if is_of_literal(&count) => {
                let filter = count.params.filter.map(|filter| postgresql_expr(*filter, schema));
                count.params.filter = filter.transpose()?.map(|filter| Box::new(filter.data));
                let count = Expr::AggregateFunction(count);
                Ok(Transformed::new(count, true, TreeNodeRecursion::Jump))
            }
            expr => Ok(Transformed::no(expr)),
        },
        |expr| finish(expr, schema),
    )
}

fn is_of_literal(AggregateFunction { func, params }: &AggregateFunction) -> bool {
    func.name() == "count" && matches!(params.args.as_slice(), [Expr::Literal(..)])
}

fn finish(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Literal(..) => {
            let narrowed = narrow_integer_literal(expr.clone());
            let changed = narrowed != expr;
            Ok(Transformed::new_transformed(narrowed, changed))
        }
        Expr::Negative(operand) => Ok(Transformed::yes(negated(*operand))),
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema)?;
            match SqlType::of_field(&cast.field) {
                Some(to @ (SqlType::Text | SqlType::Varchar(None)))
                    if is_more_than_text(&cast.expr, schema) =>
                {
                    Ok(Transformed::yes(as_bare_text(*cast.expr, to)))
                }
                Some(to) if sql_type(&cast.expr, schema).is_some_and(SqlType::is_vector) => {
                    of_vector(*cast.expr, &from, to).map(Transformed::yes)
                }
                Some(to) if is_relabelling(&cast.expr, to, schema) => {
                    Ok(Transformed::yes(cast_always(*cast.expr, to)))
                }
                Some(to) => {
                    let cast = cast_to(*cast.expr, &from, to).map_err(to_datafusion)?;
                    Ok(Transformed::yes(cast))
                }
                None => Ok(Transformed::no(Expr::Cast(cast))),
            }
        }
        Expr::BinaryExpr(mut binary) if binary.op.supports_propagation() => {
            for side in [&mut binary.left, &mut binary.right] {
                without_label(side, schema);
            }
            Ok(Transformed::yes(Expr::BinaryExpr(binary)))
        }
        Expr::Between(between) => finish_between(between, schema).map(Transformed::yes),
        Expr::InList(list) => finish_in_list(list, schema).map(Transformed::yes),
        Expr::Case(case) => branches::case(case, schema).map(Transformed::yes),
        Expr::ScalarFunction(call) => branches::call(call, schema).map(Transformed::yes),
        Expr::Like(like) => finish_like(like, schema).map(Transformed::yes),
        Expr::SimilarTo(like) => similar(like).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    }
}

/// Is this a text that has more than its Arrow type to say what it is?
fn is_more_than_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(sql_type(expr, schema), Some(SqlType::Char(_) | SqlType::Json | SqlType::Jsonb))
}

fn sql_type(expr: &Expr, schema: &DFSchema) -> Option<SqlType> {
    SqlType::of_field(typed_field(expr, schema).ok()?.as_ref())
}

/// Whether a cast leaves the values as they are and only changes what they are called (a `name`
/// as `text`, an `oid` as `bigint`).
fn is_relabelling(expr: &Expr, to: SqlType, schema: &DFSchema) -> bool {
    use SqlType::{BigInt, Char, Json, Jsonb, Name, Oid, Text, Varchar};
    let from = sql_type(expr, schema).filter(|from| !matches!(from, Char(_) | Json | Jsonb));
    !matches!(expr, Expr::Literal(..))
        && matches!(to, Text | Varchar(None) | Name | BigInt | Oid)
        && from.is_some_and(|from| from != to && from.arrow() == to.arrow())
}

/// Takes away a cast that only relabels: a comparison sees no difference, and joins and scans
/// know more about a column than about a cast of it.
fn without_label(expr: &mut Expr, schema: &DFSchema) {
    if let Some((value, to)) = cast_of(expr)
        && is_relabelling(value, to, schema)
    {
        *expr = value.clone();
    }
}

/// A vector as another type: its text is not that of an array.
fn of_vector(expr: Expr, from: &DataType, to: SqlType) -> Result<Expr> {
    let cast = match to {
        SqlType::Array(_) => return Ok(cast_always(expr, to)),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name => {
            let text = row_call(VECTOR_TEXT, vec![expr.clone()]).unwrap_or(expr);
            cast_to(text, &DataType::Utf8View, to)
        }
        _ => cast_to(expr, from, to),
    };
    cast.map_err(to_datafusion)
}

/// A `char(n)`, json or jsonb as a text. A `char(n)` is held without its blanks; what has to go is
/// its length, which would bring them back when it is shown.
fn as_bare_text(expr: Expr, to: SqlType) -> Expr {
    match expr {
        Expr::Literal(value, _) => labelled(Expr::Literal(value, None), to),
        expr => cast_always(expr, to),
    }
}

/// A negated literal is a literal.
fn negated(operand: Expr) -> Expr {
    match &operand {
        Expr::Literal(ScalarValue::Decimal128(Some(v), p, s), metadata) => {
            Expr::Literal(ScalarValue::Decimal128(Some(-v), *p, *s), metadata.clone())
        }
        Expr::Literal(ScalarValue::Float64(Some(v)), metadata) => {
            Expr::Literal(ScalarValue::Float64(Some(-v)), metadata.clone())
        }
        _ => Negate::call(operand),
    }
}

/// `x BETWEEN a AND b` is `x >= a AND x <= b`, each with its own types.
fn finish_between(between: Between, schema: &DFSchema) -> Result<Expr> {
    let Between { expr, negated, low, high } = between;
    let low = literal_of_cast(*low)?;
    let high = literal_of_cast(*high)?;
    // The usual case keeps its form: same types, or a literal that becomes of the same type.
    let field = expr.get_type(schema)?;
    let low = beside(low, &expr, &field, Operator::GtEq, schema)?;
    let high = beside(high, &expr, &field, Operator::LtEq, schema)?;
    match (low, high) {
        (Side::Bound(low), Side::Bound(high)) => {
            Ok(Expr::Between(Between::new(expr, negated, Box::new(low), Box::new(high))))
        }
        (low, high) => {
            let both =
                low.condition(&expr, Operator::GtEq).and(high.condition(&expr, Operator::LtEq));
            Ok(if negated { Expr::Not(Box::new(both)) } else { both })
        }
    }
}

/// One side of BETWEEN.
enum Side {
    /// Comparable as it stands.
    Bound(Expr),
    /// A comparison that needs more.
    Condition(Expr),
}

impl Side {
    fn condition(self, expr: &Expr, op: Operator) -> Expr {
        match self {
            Self::Bound(bound) => datafusion::logical_expr::binary_expr(expr.clone(), op, bound),
            Self::Condition(condition) => condition,
        }
    }
}

fn beside(
    bound: Expr,
    expr: &Expr,
    of: &DataType,
    op: Operator,
    schema: &DFSchema,
) -> Result<Side> {
    if *of == DataType::Date32
        && let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), _) = &bound
        && let Some((found, day)) = as_date(op, *micros)
        && found == op
    {
        return Ok(Side::Bound(Expr::Literal(ScalarValue::Date32(Some(day)), None)));
    }
    match plan(Comparison(op), expr.clone(), bound, schema)? {
        Expr::BinaryExpr(binary) if *binary.left == *expr && binary.op == op => {
            Ok(Side::Bound(*binary.right))
        }
        condition => Ok(Side::Condition(condition)),
    }
}

/// Members of an IN list in the type of what is looked for.
pub(super) fn finish_in_list(list: InList, schema: &DFSchema) -> Result<Expr> {
    let InList { expr, list, negated } = list;
    let mut members = Vec::with_capacity(list.len());
    let mut conditions = Vec::new();
    for member in list {
        match beside(member, &expr, &expr.get_type(schema)?, Operator::Eq, schema)? {
            Side::Bound(member) => members.push(member),
            Side::Condition(condition) => conditions.push(condition),
        }
    }
    let rest = conditions.into_iter().reduce(Expr::or);
    let found = match (members.is_empty(), rest) {
        (_, None) => return Ok(Expr::InList(InList::new(expr, members, negated))),
        (true, Some(rest)) => rest,
        (false, Some(rest)) => Expr::InList(InList::new(expr, members, false)).or(rest),
    };
    Ok(if negated { Expr::Not(Box::new(found)) } else { found })
}

/// LIKE sees the blanks of a `char(n)`, which are not held. A pattern that ends in `%` does not
/// care.
fn finish_like(like: Like, schema: &DFSchema) -> Result<Expr> {
    let Like { negated, expr, pattern, escape_char, case_insensitive } = like;
    let pattern = Box::new(with_backslash(*pattern, escape_char)?);
    let ends_open = match pattern.as_ref() {
        Expr::Literal(value, _) => {
            value.try_as_str().flatten().is_some_and(|p| p.ends_with('%') && !p.ends_with("\\%"))
        }
        _ => false,
    };
    let length = match expr.to_field(schema) {
        Ok((_, field)) => match SqlType::of_field(&field) {
            Some(SqlType::Char(n)) if !ends_open => i64::from(n),
            _ => 0,
        },
        Err(_) => 0,
    };
    let expr = if length > 0 {
        let length = Expr::Literal(ScalarValue::Int64(Some(length)), None);
        let rpad = datafusion::functions::unicode::rpad();
        Box::new(Expr::ScalarFunction(ScalarFunction::new_udf(rpad, vec![*expr, length])))
    } else if Class::of(&expr.get_type(schema)?).is_some_and(|c| c != Class::Unknown) {
        let own = expr.get_type(schema)?;
        let of_pattern = match is_untyped_text(&pattern) {
            true => DataType::Null,
            false => pattern.get_type(schema)?,
        };
        return Err(to_datafusion(crate::functions::arithmetic::no_operator(
            if negated { "!~~" } else { "~~" },
            &own,
            &of_pattern,
        )));
    } else {
        expr
    };
    Ok(Expr::Like(Like::new(negated, expr, pattern, None, case_insensitive)))
}

/// The pattern with `\` for its escape character.
fn with_backslash(pattern: Expr, escape: Option<char>) -> Result<Expr> {
    let escape = escape.unwrap_or('\\');
    let text = match &pattern {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    match text {
        Some(text) => {
            let rewritten = escaped_by_backslash(text, Some(escape)).map_err(to_datafusion)?;
            if rewritten == text {
                return Ok(pattern);
            }
            Ok(Expr::Literal(ScalarValue::Utf8View(Some(rewritten)), None))
        }
        None if escape == '\\' => Ok(pattern),
        None => {
            let escape = Expr::Literal(ScalarValue::Utf8View(Some(escape.to_string())), None);
            let function = crate::functions::function(LikeEscape::new());
            Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![pattern, escape])))
        }
    }
}
