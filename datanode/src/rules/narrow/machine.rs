//! Runs a program over columns, some rows at a time, so that what a step leaves is in the processor's
//! cache when the next one wants it.

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Decimal128Type, Int16Type, Int32Type, Int64Type},
};

use super::program::{Operand, Operation, Program, Step};

/// Rows at a time.
pub(crate) const CHUNK: usize = 1024;

/// A column's values, those under NULL included.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Short(&'a [i16]),
    Int(&'a [i32]),
    Long(&'a [i64]),
    /// Decimals; the low 64 bits have the value.
    Wide(&'a [i128]),
}

impl<'a> Source<'a> {
    /// `None`: a column of another type.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Int16 => Self::Short(array.as_primitive_opt::<Int16Type>()?.values()),
            DataType::Int32 => Self::Int(array.as_primitive_opt::<Int32Type>()?.values()),
            DataType::Int64 => Self::Long(array.as_primitive_opt::<Int64Type>()?.values()),
            DataType::Decimal128(..) => {
                Self::Wide(array.as_primitive_opt::<Decimal128Type>()?.values())
            }
            _ => return None,
        })
    }

    fn narrow_into(self, at: usize, rows: usize, out: &mut Vec<i64>) {
        out.clear();
        match self {
            Self::Short(values) => {
                out.extend(piece(values, at, rows).iter().map(|v| i64::from(*v)))
            }
            Self::Int(values) => out.extend(piece(values, at, rows).iter().map(|v| i64::from(*v))),
            Self::Wide(values) => out.extend(piece(values, at, rows).iter().map(|v| *v as i64)),
            // Read where they are.
            Self::Long(_) => {}
        }
    }
}

fn piece<T>(values: &[T], at: usize, rows: usize) -> &[T] {
    values.get(at..at + rows).unwrap_or_default()
}

/// Results of the steps for one chunk of rows.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Of the inputs that are not of 64 bits.
    inputs: Vec<Vec<i64>>,
    steps: Vec<Vec<i64>>,
}

/// The rows of a chunk, and the columns that they are in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) at: usize,
    /// At most [`CHUNK`].
    pub(crate) rows: usize,
}

impl Machine {
    /// Does all steps for these rows.
    pub(crate) fn run(&mut self, program: &Program, rows: Rows<'_>) {
        self.inputs.resize_with(rows.sources.len(), Vec::new);
        for (source, out) in rows.sources.iter().zip(&mut self.inputs) {
            source.narrow_into(rows.at, rows.rows, out);
        }
        self.steps.resize_with(program.steps.len(), Vec::new);
        for (position, step) in program.steps.iter().enumerate() {
            let mut out = self.steps.get_mut(position).map(std::mem::take).unwrap_or_default();
            self.step(step, rows, &mut out);
            if let Some(place) = self.steps.get_mut(position) {
                *place = out;
            }
        }
    }

    /// What an operand is in these rows, which must be those of the last run. Constants have no
    /// column: empty.
    pub(crate) fn values<'a>(&'a self, operand: Operand, rows: Rows<'a>) -> &'a [i64] {
        match operand {
            Operand::Input(input) => match rows.sources.get(input) {
                Some(Source::Long(values)) => piece(values, rows.at, rows.rows),
                _ => self.inputs.get(input).map(Vec::as_slice).unwrap_or_default(),
            },
            Operand::Step(step) => self.steps.get(step).map(Vec::as_slice).unwrap_or_default(),
            Operand::Constant(_) => &[],
        }
    }

    fn step(&self, step: &Step, rows: Rows<'_>, out: &mut Vec<i64>) {
        let sides = (step.left, step.right);
        match step.operation {
            Operation::Add => self.apply(sides, rows, out, i64::wrapping_add),
            Operation::Subtract => self.apply(sides, rows, out, i64::wrapping_sub),
            Operation::Multiply => self.apply(sides, rows, out, i64::wrapping_mul),
        }
    }

    #[inline(always)]
    fn apply(
        &self,
        (left, right): (Operand, Operand),
        rows: Rows<'_>,
        out: &mut Vec<i64>,
        operation: impl Fn(i64, i64) -> i64,
    ) {
        out.clear();
        match (left, right) {
            (Operand::Constant(a), Operand::Constant(b)) => {
                out.resize(rows.rows, operation(a, b));
            }
            (Operand::Constant(a), right) => {
                out.extend(self.values(right, rows).iter().map(|b| operation(a, *b)));
            }
            (left, Operand::Constant(b)) => {
                out.extend(self.values(left, rows).iter().map(|a| operation(*a, b)));
            }
            (left, right) => {
                let (left, right) = (self.values(left, rows), self.values(right, rows));
                out.extend(left.iter().zip(right).map(|(a, b)| operation(*a, *b)));
            }
        }
    }
}
