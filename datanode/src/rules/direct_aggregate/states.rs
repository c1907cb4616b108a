//! The output: keys and states of groups as the aggregate's schema has them.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int16Array, Int32Array,
        Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
    },
    buffer::NullBuffer,
    compute::take,
    datatypes::{DataType, SchemaRef},
};
use datafusion::error::{DataFusionError, Result};
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    accumulation::{Total, Totals},
    spec::{Key, KeyForm, Spec, State},
};
use crate::{error::to_datafusion, rules::raw_scan::Codebook};

/// The codebooks of a scan's columns.
pub(super) type Codebooks = [Option<Arc<dyn Codebook>>];

/// The batch of all groups.
///
/// # Errors
/// 22003: a sum of integers is no bigint.
pub(super) fn batch(
    totals: &Totals,
    spec: &Spec,
    codebooks: &Codebooks,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut fields = schema.fields().iter().map(|field| field.data_type());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (position, key) in spec.keys.iter().enumerate() {
        let codes = totals.groups.iter().filter_map(|codes| codes.get(position).copied());
        let data_type = fields.next().ok_or_else(wrong_type)?;
        columns.push(key_column(key, codes.collect(), codebooks, data_type)?);
    }
    for state in &spec.states {
        let data_type = fields.next().ok_or_else(wrong_type)?;
        columns.push(state_column(*state, totals, spec, data_type)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(totals.groups.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn key_column(
    key: &Key,
    codes: Vec<u32>,
    codebooks: &Codebooks,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let nulls = nulls_where(codes.iter().map(|code| *code == 0));
    match key.form {
        KeyForm::Strings => {
            let book = codebooks.get(key.column).and_then(Option::as_ref).ok_or_else(wrong_type)?;
            let positions = codes.iter().map(|code| code.saturating_sub(1)).collect();
            let positions = UInt32Array::new(positions, nulls);
            strings(book.as_ref(), &positions)
        }
        KeyForm::Booleans => {
            let values = codes.iter().map(|code| *code > 1).collect();
            Ok(Arc::new(BooleanArray::new(values, nulls)))
        }
        KeyForm::Integers { least } => {
            let value = |code: u32| least.wrapping_add(i64::from(code)).wrapping_sub(1);
            integers(codes.into_iter().map(value), nulls, data_type)
        }
    }
}

/// The strings of some codes.
pub(super) fn strings(book: &dyn Codebook, codes: &dyn Array) -> Result<ArrayRef> {
    Ok(take(&book.strings(), codes, None)?)
}

fn state_column(
    state: State,
    totals: &Totals,
    spec: &Spec,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let counts = |nulls: usize| totals.counts.get(nulls).ok_or_else(wrong_type);
    let table = match state {
        State::Count(nulls) => return Ok(Arc::new(Int64Array::from(counts(nulls)?.clone()))),
        State::Table(table) => table,
    };
    let nulls = spec.tables.get(table).ok_or_else(wrong_type)?.nulls;
    let nulls = nulls_where(counts(nulls)?.iter().map(|count| *count == 0));
    match (totals.tables.get(table).ok_or_else(wrong_type)?, data_type) {
        (Total::Extremes(values), data_type) => integers(values.iter().copied(), nulls, data_type),
        (Total::Sums(sums), DataType::Int64) => {
            let sums = sums.iter().map(|sum| i64::try_from(*sum)).collect::<Result<Vec<_>, _>>();
            let sums = sums.map_err(|_| {
                let state = SqlState::NUMERIC_VALUE_OUT_OF_RANGE;
                to_datafusion(ErrorReport::new(state, "bigint out of range"))
            })?;
            Ok(Arc::new(Int64Array::new(sums.into(), nulls)))
        }
        (Total::Sums(sums), data_type @ DataType::Decimal128(..)) => {
            // 38 digits hold the sum of as many values of 64 bits as there can be.
            let sums = Decimal128Array::new(sums.clone().into(), nulls);
            Ok(Arc::new(sums.with_data_type(data_type.clone())))
        }
        (Total::Sums(_), _) => Err(wrong_type()),
    }
}

/// 64-bit integers as what they stand for: dates by their days, decimals unscaled.
pub(super) fn integers(
    values: impl Iterator<Item = i64>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Int16 => Arc::new(Int16Array::new(values.map(|v| v as i16).collect(), nulls)),
        DataType::Int32 => Arc::new(Int32Array::new(values.map(|v| v as i32).collect(), nulls)),
        DataType::Int64 => Arc::new(Int64Array::new(values.collect(), nulls)),
        DataType::Date32 => Arc::new(Date32Array::new(values.map(|v| v as i32).collect(), nulls)),
        DataType::Decimal128(..) => {
            let decimals = Decimal128Array::new(values.map(i128::from).collect(), nulls);
            Arc::new(decimals.with_data_type(data_type.clone()))
        }
        _ => return Err(wrong_type()),
    })
}

fn nulls_where(null: impl Iterator<Item = bool>) -> Option<NullBuffer> {
    let valid: NullBuffer = null.map(|null| !null).collect::<Vec<bool>>().into();
    (valid.null_count() > 0).then_some(valid)
}

fn wrong_type() -> DataFusionError {
    DataFusionError::Internal("a direct aggregate has another schema than its aggregate".into())
}
