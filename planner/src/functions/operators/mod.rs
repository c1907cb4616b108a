//! What stands in for DataFusion's operators while SQL is planned: arithmetic, comparisons, `||`, and
//! the special syntax of extract, substring, position and overlay.
//!
//! DataFusion asks an `ExprPlanner` for these with the types at hand. It does not ask for unary
//! minus, BETWEEN, IN, CASE and casts: [`postgresql_expr`] does those in a plan that is made.

mod array_syntax;
mod branches;
mod comparison;
mod finish;
mod plan;
mod recursive_query;
mod row_call;
mod row_syntax;
mod set_operation;
mod similar;
mod special;
mod syntax;
mod unify;
mod values_syntax;
mod within_group;

use datafusion::{
    common::{Column, DFSchema, Result, TableReference},
    logical_expr::{
        Expr, ExprSchemable, GetFieldAccess,
        expr::{Cast, Placeholder, ScalarFunction},
        planner::{
            ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr,
            RawWindowExpr,
        },
    },
    sql::sqlparser::ast::BinaryOperator,
};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use comparison::Comparison;
pub use finish::postgresql_expr;
pub use plan::postgresql_plan;
pub(crate) use row_call::row_call;
pub(crate) use syntax::call as sql_call;
pub use syntax::postgresql_syntax;
pub(crate) use unify::{Known, common_type};

use super::{
    Arithmetic,
    arithmetic::{ArithmeticFunction, no_operator, resolve_arrow, types::Class},
    cast::cast_to,
    literal::{integer_as_numeric, is_untyped_text, narrow_operand, typed_text},
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::{catalog::SqlType, error::to_datafusion};

/// PostgreSQL's operators.
#[derive(Debug)]
pub(crate) struct PostgresqlOperators;

impl ExprPlanner for PostgresqlOperators {
    fn plan_binary_op(
        &self,
        raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = raw;
        let (left, right) = (narrow_operand(left), narrow_operand(right));
        let original = |left, right| {
            Ok(PlannerResult::Original(RawBinaryExpr { op: op.clone(), left, right }))
        };
        // Without types DataFusion says itself what is missing.
        let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema))
        else {
            return original(left, right);
        };
        if let Some(planned) = special::operator(&op, &left, &right, schema)? {
            return Ok(PlannerResult::Planned(planned));
        }
        if is_nested(&left_type) || is_nested(&right_type) {
            return original(left, right);
        }
        if let Some(op) = arithmetic(&op) {
            return Ok(PlannerResult::Planned(plan_arithmetic(op, left, right, schema)?));
        }
        if let Some(comparison) = Comparison::of(&op) {
            let planned = comparison::plan(comparison, left, right, schema)?;
            return Ok(PlannerResult::Planned(planned));
        }
        match op {
            BinaryOperator::StringConcat => {
                let (left, right) = concatenated(left, right, schema)?;
                original(left, right)
            }
            BinaryOperator::And | BinaryOperator::Or => {
                let word = op.to_string();
                let boolean = |expr: Expr, own: &DataType| boolean(expr, own, &word);
                original(boolean(left, &left_type)?, boolean(right, &right_type)?)
            }
            _ => original(left, right),
        }
    }

    fn plan_aggregate(&self, raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        let mut raw = raw;
        // count(*) is known by its literal, which is not an argument.
        if raw.func.name() != "count" {
            raw.args = raw.args.into_iter().map(narrow_operand).collect();
        }
        if raw.func.name().starts_with("percentile_") || raw.func.name().starts_with("approx_") {
            raw.args = raw.args.into_iter().map(fraction_as_double).collect();
        }
        Ok(PlannerResult::Original(raw))
    }

    fn plan_window(&self, raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        let mut raw = raw;
        if raw.distinct {
            return Err(to_datafusion(ErrorReport::unsupported(
                "DISTINCT is not implemented for window functions",
            )));
        }
        if raw.func_def.name() != "count" {
            raw.args = raw.args.into_iter().map(narrow_operand).collect();
        }
        Ok(PlannerResult::Original(raw))
    }

    fn plan_field_access(
        &self,
        raw: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if !matches!(raw.expr.get_type(schema), Ok(DataType::List(_))) {
            return Ok(PlannerResult::Original(raw));
        }
        let original = raw.clone();
        let planned = match raw.field_access {
            GetFieldAccess::ListIndex { key } => {
                row_call("kestrel_array_element", vec![raw.expr, subscript(*key, schema)?])
            }
            GetFieldAccess::ListRange { start, stop, .. } => {
                let (start, stop) = (subscript(*start, schema)?, subscript(*stop, schema)?);
                row_call("kestrel_array_slice", vec![raw.expr, start, stop])
            }
            GetFieldAccess::NamedStructField { .. } => None,
        };
        Ok(planned.map_or(PlannerResult::Original(original), PlannerResult::Planned))
    }

    /// A column is no row and has no fields: `x.y` is a column of a table that is not there, or that
    /// has none of this name. DataFusion says so of an unknown column.
    fn plan_compound_identifier(
        &self,
        column: &Field,
        _: Option<&TableReference>,
        fields: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        if matches!(column.data_type(), DataType::Struct(_) | DataType::Map(..)) {
            return Ok(PlannerResult::Original(vec![]));
        }
        let (table, name) = match fields {
            [name] => (column.name(), name),
            [.., table, name] => (table, name),
            [] => return Ok(PlannerResult::Original(vec![])),
        };
        let table = TableReference::bare(table.as_str());
        Ok(PlannerResult::Planned(Expr::Column(Column::new(Some(table), name))))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(call(super::datetime::Extract::new(), args)))
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(call(super::string::Substring::new(), args)))
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        // DataFusion hands over (string, substring), the order of strpos.
        Ok(PlannerResult::Planned(call(super::string::Position::new(), args)))
    }
}

/// A subscript is an integer: other whole numbers are assigned to one (`transformContainerSubscripts`,
/// parse_node.c).
fn subscript(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let expr = narrow_operand(expr);
    match expr.get_type(schema)? {
        from @ (DataType::Int16 | DataType::Int64) => {
            cast_to(expr, &from, SqlType::Integer).map_err(to_datafusion)
        }
        _ => Ok(expr),
    }
}

fn call(function: impl datafusion::logical_expr::ScalarUDFImpl + 'static, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(super::function(function), args))
}

/// DataFusion's percentiles take their fraction as a double only.
fn fraction_as_double(expr: Expr) -> Expr {
    use datafusion::common::ScalarValue;
    match &expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), metadata) => {
            let value = super::cast::double_of_decimal(*value, *scale);
            Expr::Literal(ScalarValue::Float64(Some(value)), metadata.clone())
        }
        _ => expr,
    }
}

/// Lists, structs and maps: DataFusion's operators on them are kept.
fn is_nested(data_type: &DataType) -> bool {
    data_type.is_nested()
}

fn arithmetic(op: &BinaryOperator) -> Option<Arithmetic> {
    Some(match op {
        BinaryOperator::Plus => Arithmetic::Add,
        BinaryOperator::Minus => Arithmetic::Subtract,
        BinaryOperator::Multiply => Arithmetic::Multiply,
        BinaryOperator::Divide => Arithmetic::Divide,
        BinaryOperator::Modulo => Arithmetic::Modulo,
        _ => return None,
    })
}

fn plan_arithmetic(op: Arithmetic, left: Expr, right: Expr, schema: &DFSchema) -> Result<Expr> {
    let (left, right) = typed_pair(left, right, schema)?;
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    let (left, right) = shortened(left, right, (&left_type, &right_type));
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    let types = resolve_arrow(op, &left_type, &right_type).map_err(to_datafusion)?;
    // A date as a timestamptz begins at the session's midnight, which no Arrow cast knows.
    let left = zoned(left, &left_type, types.left)?;
    let right = zoned(right, &right_type, types.right)?;
    // Dates and intervals are computed at once, so that comparisons see their value.
    if let (Expr::Literal(l, _), Expr::Literal(r, _)) = (&left, &right)
        && !types.left.is_number()
        && let Some(value) = ArithmeticFunction::new(op).of_constants(l, r, types)
    {
        return Ok(Expr::Literal(value, None));
    }
    Ok(op.call(left, right))
}

fn zoned(expr: Expr, from: &DataType, wanted: Class) -> Result<Expr> {
    if wanted == Class::TimestampTz && Class::of(from) != Some(Class::TimestampTz) {
        return cast_to(expr, from, SqlType::TimestampTz).map_err(to_datafusion);
    }
    Ok(expr)
}

/// Integer literals beside a numeric as short numerics.
fn shortened(left: Expr, right: Expr, types: (&DataType, &DataType)) -> (Expr, Expr) {
    let numeric = |t: &DataType| matches!(Class::of(t), Some(Class::Numeric(..)));
    if numeric(types.0)
        && let Some(right) = integer_as_numeric(&right)
    {
        return (left, right);
    }
    if numeric(types.1)
        && let Some(left) = integer_as_numeric(&left)
    {
        return (left, right);
    }
    (left, right)
}

/// Gives a type to an operand that has none (a quoted text, a parameter), that of the other one;
/// reads typed literals (`DATE '1998-12-01'`).
fn typed_pair(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let (left, right) = (literal_of_cast(left)?, literal_of_cast(right)?);
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    let left = typed_beside(left, &left_type, &right, &right_type)?;
    let right = typed_beside(right, &right_type, &left, &left_type)?;
    Ok((left, right))
}

fn typed_beside(expr: Expr, own: &DataType, other: &Expr, other_type: &DataType) -> Result<Expr> {
    let untyped_other = is_untyped_text(other) || *other_type == DataType::Null;
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) if !untyped_other => {
            let field = Arc::new(Field::new("", other_type.clone(), true));
            Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))))
        }
        expr if is_untyped_text(&expr) && !untyped_other && !is_text(other_type) => {
            typed_text(expr, other_type).map_err(to_datafusion)
        }
        expr => {
            debug_assert!(!own.is_nested());
            Ok(expr)
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// `DATE '1998-12-01'` and `'7'::int` reach us as casts of literals; as literals they can be
/// computed with.
fn literal_of_cast(expr: Expr) -> Result<Expr> {
    match expr {
        Expr::Cast(Cast { expr, field }) if matches!(*expr, Expr::Literal(..)) => {
            let expr = Box::new(narrow_operand(*expr));
            let from = expr.get_type(&DFSchema::empty())?;
            match SqlType::of_field(&field) {
                Some(to) => cast_to(*expr, &from, to).map_err(to_datafusion),
                None => Ok(Expr::Cast(Cast { expr, field })),
            }
        }
        expr => Ok(expr),
    }
}

/// What must be a truth value, `AND`'s operand or a condition of CASE.
pub(super) fn boolean(expr: Expr, own: &DataType, of: &str) -> Result<Expr> {
    if is_untyped_text(&expr) {
        return typed_text(expr, &DataType::Boolean).map_err(to_datafusion);
    }
    if let Expr::Placeholder(Placeholder { id, field: None }) = expr {
        let field = Arc::new(Field::new("", DataType::Boolean, true));
        return Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))));
    }
    if matches!(own, DataType::Boolean | DataType::Null) {
        return Ok(expr);
    }
    let message =
        format!("argument of {of} must be type boolean, not type {}", super::sql_name(own));
    Err(to_datafusion(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message)))
}

/// Operands of `||` as texts, as PostgreSQL writes them.
fn concatenated(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    if !is_text(&left_type)
        && !is_text(&right_type)
        && left_type != DataType::Null
        && right_type != DataType::Null
    {
        return Err(to_datafusion(no_operator("||", &left_type, &right_type)));
    }
    let text = |expr: Expr, own: &DataType| {
        if let Expr::Placeholder(Placeholder { id, field: None }) = expr {
            let field = Arc::new(Field::new("", DataType::Utf8View, true));
            return Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))));
        }
        if is_text(own) || *own == DataType::Null {
            return Ok(expr);
        }
        cast_to(expr, own, SqlType::Text).map_err(to_datafusion)
    };
    Ok((text(left, &left_type)?, text(right, &right_type)?))
}
