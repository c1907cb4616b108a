//! From an expression on numerics to steps on 64-bit integers.
//!
//! The integers are unscaled: 1.25 of scale 2 is 125. Sums and products of numerics are exact, and
//! so are casts to more fractional digits; they are the same sums and products of integers, with
//! factors of ten. Whatever could round, fail, or leave 64 bits is not compiled.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::ScalarValue,
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr,
        expressions::{CastExpr, Column, Literal},
    },
};
use kestrel_planner::functions::ExactFunction;

use super::program::{Operation, Program, Range, Value};

/// The columns that expressions are over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    pub(crate) schema: &'a Schema,
    /// Of each column, what its integers can be; `None`: not known, or not an integer.
    pub(crate) ranges: &'a [Option<Range>],
}

/// A number, as integer and fractional digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) value: Value,
    pub(crate) scale: i8,
}

/// Expressions within an expression that are looked at; of larger ones there is no form.
const MAX_EXPRESSIONS: usize = 1000;

/// Adds the steps of an expression to a program. `None`: it has no such form; the program may have
/// more steps then, which nobody needs.
pub(crate) fn compile(
    expr: &Arc<dyn PhysicalExpr>,
    columns: Columns<'_>,
    program: &mut Program,
) -> Option<Number> {
    Compiler { columns, program, left: MAX_EXPRESSIONS }.number(expr)
}

struct Compiler<'a> {
    columns: Columns<'a>,
    program: &'a mut Program,
    /// Expressions that may still be looked at.
    left: usize,
}

impl Compiler<'_> {
    fn number(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Number> {
        self.left = self.left.checked_sub(1)?;
        if let Some(column) = expr.downcast_ref::<Column>() {
            let field = self.columns.schema.fields().get(column.index())?;
            let range = (*self.columns.ranges.get(column.index())?)?;
            let scale = scale_of(field.data_type())?;
            return Some(Number { value: self.program.input(column.index(), range), scale });
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return constant(literal.value());
        }
        if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            let number = self.number(cast.expr())?;
            return converted(number, cast.cast_type(), self.program);
        }
        let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
        let function = ExactFunction::of(call.fun())?;
        if function == ExactFunction::Cast {
            let number = self.number(call.args().first()?)?;
            return converted(number, call.return_type(), self.program);
        }
        let DataType::Decimal128(_, scale) = *call.return_type() else { return None };
        let numbers = call.args().iter().map(|argument| self.number(argument));
        let numbers: Vec<Number> = numbers.collect::<Option<_>>()?;
        let value = arithmetic(function, &numbers, scale, self.program)?;
        Some(Number { value, scale })
    }
}

fn arithmetic(
    function: ExactFunction,
    numbers: &[Number],
    scale: i8,
    program: &mut Program,
) -> Option<Value> {
    let operation = match (function, numbers) {
        (ExactFunction::Add, _) => Operation::Add,
        (ExactFunction::Subtract, _) => Operation::Subtract,
        (ExactFunction::Multiply, [left, right]) => {
            // Of more digits the product was rounded.
            let exact = left.scale.checked_add(right.scale)? == scale;
            return match exact {
                true => program.apply(Operation::Multiply, left.value, right.value),
                false => None,
            };
        }
        (ExactFunction::Negate, [number]) => {
            let value = rescaled(*number, scale, program)?;
            return program.apply(Operation::Subtract, Program::constant(0), value);
        }
        (ExactFunction::Multiply | ExactFunction::Negate | ExactFunction::Cast, _) => return None,
    };
    let [left, right] = numbers else { return None };
    let left = rescaled(*left, scale, program)?;
    let right = rescaled(*right, scale, program)?;
    program.apply(operation, left, right)
}

/// The fractional digits of a type whose values are integers here.
fn scale_of(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(0),
        DataType::Decimal128(_, scale) if *scale >= 0 => Some(*scale),
        _ => None,
    }
}

fn constant(value: &ScalarValue) -> Option<Number> {
    let (value, scale) = match value {
        ScalarValue::Int16(value) => (i64::from((*value)?), 0),
        ScalarValue::Int32(value) => (i64::from((*value)?), 0),
        ScalarValue::Int64(value) => ((*value)?, 0),
        ScalarValue::Decimal128(value, _, scale) if *scale >= 0 => {
            (i64::try_from((*value)?).ok()?, *scale)
        }
        _ => return None,
    };
    Some(Number { value: Program::constant(value), scale })
}

/// A number as a value of another type; `None`: that could fail or round.
fn converted(number: Number, to: &DataType, program: &mut Program) -> Option<Number> {
    let scale = scale_of(to)?;
    let value = rescaled(number, scale, program)?;
    let most = match to {
        DataType::Int16 => i64::from(i16::MAX),
        DataType::Int32 => i64::from(i32::MAX),
        DataType::Decimal128(precision, _) => {
            10_i64.checked_pow(u32::from(*precision)).map_or(i64::MAX, |power| power - 1)
        }
        _ => i64::MAX,
    };
    (value.range.magnitude() <= most as u64).then_some(Number { value, scale })
}

/// A number's integer with more fractional digits; `None` for fewer.
fn rescaled(number: Number, scale: i8, program: &mut Program) -> Option<Value> {
    let digits = u32::try_from(i32::from(scale) - i32::from(number.scale)).ok()?;
    let factor = Program::constant(10_i64.checked_pow(digits)?);
    program.apply(Operation::Multiply, number.value, factor)
}
