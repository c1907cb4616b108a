//! A batch of a raw scan, as a direct aggregate reads it.

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch, UInt16Array},
    buffer::NullBuffer,
    datatypes::{Int64Type, UInt16Type},
};
use datafusion::error::{DataFusionError, Result};

use super::spec::{Key, KeyForm, Spec};
use crate::rules::narrow::Source;

/// The columns of a batch by what they are for.
pub(super) struct BatchColumns<'a> {
    pub(super) keys: Vec<KeyColumn<'a>>,
    /// Of the program's inputs.
    pub(super) sources: Vec<Source<'a>>,
    /// Of each of [`Spec::nulls`]; `None`: no row of the batch has a NULL there.
    pub(super) nulls: Vec<Option<NullBuffer>>,
}

impl<'a> BatchColumns<'a> {
    /// # Errors
    /// XX000: the scan gives other forms than it was asked for.
    pub(super) fn new(spec: &Spec, batch: &'a RecordBatch) -> Result<Self> {
        let column = |column: usize| batch.columns().get(column).ok_or_else(wrong_form);
        let keys = spec.keys.iter().map(|key| KeyColumn::new(*key, column(key.column)?.as_ref()));
        let source = |input: &usize| Source::of(column(*input)?.as_ref()).ok_or_else(wrong_form);
        let nulls = spec.nulls.iter().map(|columns| -> Result<Option<NullBuffer>> {
            let all = columns.iter().map(|c| column(*c)).collect::<Result<Vec<_>>>()?;
            let union = NullBuffer::union_many(all.iter().map(|array| array.nulls()));
            Ok(union.filter(|nulls| nulls.null_count() > 0))
        });
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
            sources: spec.program.inputs.iter().map(source).collect::<Result<_>>()?,
            nulls: nulls.collect::<Result<_>>()?,
        })
    }
}

/// A key's values.
pub(super) enum KeyColumn<'a> {
    Strings(&'a UInt16Array),
    Booleans(&'a BooleanArray),
    Integers { values: &'a [i64], nulls: Option<&'a NullBuffer>, least: i64 },
}

impl<'a> KeyColumn<'a> {
    fn new(key: Key, array: &'a dyn Array) -> Result<Self> {
        let column = match key.form {
            KeyForm::Strings => array.as_primitive_opt::<UInt16Type>().map(Self::Strings),
            KeyForm::Booleans => array.as_boolean_opt().map(Self::Booleans),
            KeyForm::Integers { least } => array.as_primitive_opt::<Int64Type>().map(|array| {
                Self::Integers { values: array.values(), nulls: array.nulls(), least }
            }),
        };
        column.ok_or_else(wrong_form)
    }

    /// The codes of some rows: 0 for NULL, and the value's from 1 on.
    pub(super) fn codes(&self, at: usize, rows: usize, codes: &mut Vec<u32>) {
        codes.clear();
        let nulls = match self {
            Self::Strings(array) => {
                let values = array.values().get(at..at + rows).unwrap_or_default();
                codes.extend(values.iter().map(|code| u32::from(*code) + 1));
                array.nulls()
            }
            Self::Booleans(array) => {
                let values = array.values().slice(at, rows);
                codes.extend(values.iter().map(|value| u32::from(value) + 1));
                array.nulls()
            }
            Self::Integers { values, nulls, least } => {
                let values = values.get(at..at + rows).unwrap_or_default();
                // What is out of its range has too large a code, and is noticed by that.
                let code = |value: &i64| {
                    u32::try_from(value.wrapping_sub(*least))
                        .map_or(u32::MAX, |c| c.saturating_add(1))
                };
                codes.extend(values.iter().map(code));
                *nulls
            }
        };
        if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
            let valid = nulls.inner().slice(at, rows);
            for (code, valid) in codes.iter_mut().zip(valid.iter()) {
                *code *= u32::from(valid);
            }
        }
    }
}

fn wrong_form() -> DataFusionError {
    DataFusionError::Internal("a scan gives its columns in other forms than asked for".into())
}
