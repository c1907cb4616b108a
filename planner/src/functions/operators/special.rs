//! The operators of arrays, json, jsonb, bytea and regular expressions, as calls.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    logical_expr::{Cast, Expr, ExprSchemable, Operator, TryCast, binary_expr, lit},
    sql::sqlparser::ast::BinaryOperator as Op,
};

use super::{branches::special_type, comparison::Comparison, is_text, row_call};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{arithmetic::no_operator, cast::cast_to, literal::is_untyped_text, regex},
};

/// What an operator stands between.
struct Operand {
    expr: Expr,
    data_type: DataType,
    json: Option<SqlType>,
    vector: Option<SqlType>,
    is_untyped: bool,
}

impl Operand {
    fn of(expr: Expr, schema: &DFSchema) -> Option<Self> {
        let field = typed_field(&expr, schema).ok()?;
        let data_type = field.data_type().clone();
        let sql_type = special_type(&expr, schema).or_else(|| SqlType::of_field(&field));
        let json = sql_type.filter(|t| matches!(t, SqlType::Json | SqlType::Jsonb));
        let vector = sql_type.filter(|t| t.is_vector());
        let is_untyped = is_untyped_text(&expr) || data_type == DataType::Null;
        Some(Self { expr, data_type, json, vector, is_untyped })
    }

    /// The operand as it is compared: a quoted text beside a vector is read as one.
    fn beside(self, vector: Option<SqlType>) -> Result<Expr> {
        match vector {
            Some(vector) if self.is_untyped => {
                cast_to(self.expr, &self.data_type, vector).map_err(to_datafusion)
            }
            _ => Ok(self.expr),
        }
    }

    fn is_list(&self) -> bool {
        matches!(self.data_type, DataType::List(_))
    }

    fn is_bytea(&self) -> bool {
        matches!(self.data_type, DataType::Binary | DataType::BinaryView)
    }
}

/// What an expression is. A cast to an Arrow type keeps the label of what it casts in DataFusion's
/// view of it: a json as text would be called json.
pub(super) fn typed_field(expr: &Expr, schema: &DFSchema) -> Result<FieldRef> {
    match expr {
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => {
            Ok(Arc::clone(field))
        }
        _ => Ok(expr.to_field(schema)?.1),
    }
}

/// The operator as a call; `None`: it is none of these.
pub(super) fn operator(
    op: &Op,
    left: &Expr,
    right: &Expr,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    let (Some(left), Some(right)) =
        (Operand::of(left.clone(), schema), Operand::of(right.clone(), schema))
    else {
        return Ok(None);
    };
    if let Some(flags) = regex_flags(op) {
        return regex_match(op, flags, left, right).map(Some);
    }
    if left.json.is_some() || right.json.is_some() {
        return json(op, left, right);
    }
    if left.is_list() || right.is_list() {
        return array(op, left, right);
    }
    let bytes = |operand: &Operand| operand.is_bytea() || operand.is_untyped;
    let some_bytes = left.is_bytea() || right.is_bytea();
    if *op == Op::StringConcat && some_bytes && bytes(&left) && bytes(&right) {
        return Ok(call("kestrel_bytea_concat", vec![left.expr, right.expr]));
    }
    Ok(None)
}

fn call(name: &str, arguments: Vec<Expr>) -> Option<Expr> {
    row_call(name, arguments)
}

fn array(op: &Op, left: Operand, right: Operand) -> Result<Option<Expr>> {
    if let Some(Comparison(comparison)) = Comparison::of(op) {
        if matches!(comparison, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
            return Ok(None);
        }
        let (of_left, of_right) = (left.vector, right.vector);
        let (left, right) = (left.beside(of_right)?, right.beside(of_left)?);
        let order = call("kestrel_array_compare", vec![left, right]);
        return Ok(order.map(|order| binary_expr(order, comparison, lit(0i32))));
    }
    let whole = |operand: &Operand| operand.is_list() || operand.is_untyped;
    let name = match op {
        Op::StringConcat if whole(&left) && whole(&right) => "array_cat",
        Op::StringConcat if left.is_list() => "array_append",
        Op::StringConcat => "array_prepend",
        Op::AtArrow => "kestrel_array_contains",
        Op::ArrowAt => return Ok(call("kestrel_array_contains", vec![right.expr, left.expr])),
        Op::PGOverlap => "kestrel_array_overlaps",
        _ => return Ok(None),
    };
    Ok(call(name, vec![left.expr, right.expr]))
}

fn json(op: &Op, left: Operand, right: Operand) -> Result<Option<Expr>> {
    let is_jsonb = left.json == Some(SqlType::Jsonb);
    let name = match op {
        Op::Arrow if is_jsonb => "kestrel_jsonb_get",
        Op::Arrow => "kestrel_json_get",
        Op::LongArrow if is_jsonb => "kestrel_jsonb_get_text",
        Op::LongArrow => "kestrel_json_get_text",
        Op::HashArrow if is_jsonb => "kestrel_jsonb_path",
        Op::HashArrow => "kestrel_json_path",
        Op::HashLongArrow if is_jsonb => "kestrel_jsonb_path_text",
        Op::HashLongArrow => "kestrel_json_path_text",
        Op::AtArrow => "kestrel_jsonb_contains",
        Op::ArrowAt => return Ok(call("kestrel_jsonb_contains", vec![right.expr, left.expr])),
        Op::Question => "kestrel_jsonb_exists",
        Op::QuestionPipe => "kestrel_jsonb_exists_any",
        Op::QuestionAnd => "kestrel_jsonb_exists_all",
        Op::Minus => "kestrel_jsonb_delete",
        Op::HashMinus => "kestrel_jsonb_delete_path",
        // A text beside a jsonb is concatenated as text.
        Op::StringConcat if !is_json_or_untyped(&left) || !is_json_or_untyped(&right) => {
            return Ok(None);
        }
        Op::StringConcat => "kestrel_jsonb_concat",
        _ => return compared(op, left, right),
    };
    Ok(call(name, vec![left.expr, right.expr]))
}

fn is_json_or_untyped(operand: &Operand) -> bool {
    operand.json.is_some() || operand.is_untyped
}

/// Equal values of jsonb have equal texts; there is no comparison of json.
fn compared(op: &Op, left: Operand, right: Operand) -> Result<Option<Expr>> {
    let Some(Comparison(comparison)) = Comparison::of(op) else { return Ok(None) };
    let none = |operand: &Operand| operand.json != Some(SqlType::Jsonb) && !operand.is_untyped;
    if none(&left) || none(&right) {
        let name = |operand: &Operand| operand.data_type.clone();
        let report = no_operator(&op.to_string(), &name(&left), &name(&right));
        return Err(to_datafusion(report));
    }
    let value = |operand: Operand| match operand.is_untyped {
        true => cast_to(operand.expr, &operand.data_type, SqlType::Jsonb).map_err(to_datafusion),
        false => Ok(operand.expr),
    };
    Ok(Some(binary_expr(value(left)?, comparison, value(right)?)))
}

/// The flags of the operators `~`, `~*`, `!~`, `!~*`.
fn regex_flags(op: &Op) -> Option<&'static str> {
    match op {
        Op::PGRegexMatch | Op::PGRegexNotMatch => Some(""),
        Op::PGRegexIMatch | Op::PGRegexNotIMatch => Some("i"),
        _ => None,
    }
}

/// A constant pattern stays with the engine's operator, which knows how to turn simple ones into
/// LIKE; another is translated row by row.
fn regex_match(op: &Op, flags: &str, left: Operand, right: Operand) -> Result<Expr> {
    let text = |operand: &Operand| is_text(&operand.data_type) || operand.is_untyped;
    if !text(&left) || !text(&right) {
        return Err(to_datafusion(no_operator(&op.to_string(), &left.data_type, &right.data_type)));
    }
    let negated = matches!(op, Op::PGRegexNotMatch | Op::PGRegexNotIMatch);
    if let Expr::Literal(value, _) = &right.expr
        && let Some(Some(pattern)) = value.try_as_str()
    {
        let pattern = regex::for_operator(pattern).map_err(to_datafusion)?;
        let operator = match (flags.is_empty(), negated) {
            (true, false) => Operator::RegexMatch,
            (true, true) => Operator::RegexNotMatch,
            (false, false) => Operator::RegexIMatch,
            (false, true) => Operator::RegexNotIMatch,
        };
        let pattern = Expr::Literal(ScalarValue::Utf8View(Some(pattern)), None);
        return Ok(binary_expr(left.expr, operator, pattern));
    }
    let flags = Expr::Literal(ScalarValue::Utf8View(Some(flags.into())), None);
    let matched = call("kestrel_regex_match", vec![left.expr, right.expr, flags]);
    let matched = matched.unwrap_or_else(|| lit(ScalarValue::Boolean(None)));
    Ok(if negated { Expr::Not(Box::new(matched)) } else { matched })
}
