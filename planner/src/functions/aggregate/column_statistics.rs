//! `kestrel_column_statistics(column, sample_rows << 16 | target)`: what ANALYZE asks of a column, as
//! the JSON of [`ColumnStatistics`](crate::statistics::ColumnStatistics). With a third argument the
//! rows that come are a sample of so many. Not for users.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, UInt64Array},
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, FieldRef, UInt64Type},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, TypeSignature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::format_state_name,
    },
    physical_expr::expressions::Literal,
};

use crate::statistics::{
    COLUMN_FUNCTION as NAME,
    collect::{ColumnCollector, ColumnState, Wide},
};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ColumnStatisticsOf {
    signature: Signature,
}

impl ColumnStatisticsOf {
    pub(super) fn new() -> Self {
        let either = vec![TypeSignature::Any(2), TypeSignature::Any(3)];
        Self { signature: Signature::one_of(either, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ColumnStatisticsOf {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields[0].data_type();
        let fields = [
            ("counts", list(DataType::UInt64)),
            ("sketch", DataType::Binary),
            ("tags", list(DataType::UInt64)),
            ("values", list(input.clone())),
            ("minimum", input.clone()),
            ("maximum", input.clone()),
        ];
        let field = |(name, data_type)| {
            Arc::new(Field::new(format_state_name(args.name, name), data_type, true))
        };
        Ok(fields.into_iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let number = |at: usize| {
            let literal = args.exprs.get(at).and_then(|expr| expr.downcast_ref::<Literal>());
            literal.and_then(|literal| integer(literal.value()))
        };
        let settings = number(1)
            .ok_or_else(|| DataFusionError::Plan(format!("{NAME} wants a number to begin with")))?;
        let (sample_rows, target) = ((settings >> 16) as usize, (settings & 0xffff) as usize);
        let input = args.expr_fields[0].data_type().clone();
        let collector = ColumnCollector::new(&input, sample_rows)?;
        Ok(Box::new(Collecting { input, target, of_rows: number(2), collector }))
    }
}

pub(super) fn integer(value: &ScalarValue) -> Option<u64> {
    match value.cast_to(&DataType::UInt64).ok()? {
        ScalarValue::UInt64(value) => value,
        _ => None,
    }
}

pub(super) fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[derive(Debug)]
struct Collecting {
    input: DataType,
    target: usize,
    of_rows: Option<u64>,
    collector: ColumnCollector,
}

impl Accumulator for Collecting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.collector.update(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [counts, sketches, tags, values, minima, maxima] = states else {
            return Err(DataFusionError::Internal(format!("{NAME} has another state")));
        };
        for row in 0..counts.len() {
            let part = |lists: &ArrayRef| lists.as_list::<i32>().value(row);
            let counts = part(counts);
            let counts = counts.as_primitive::<UInt64Type>().values();
            let &[rows, nulls, wide_rows, wide_bytes, threshold] = &**counts else {
                return Err(DataFusionError::Internal(format!("{NAME} has another state")));
            };
            self.collector.merge(ColumnState {
                rows,
                nulls,
                wide: Wide { rows: wide_rows, bytes: wide_bytes },
                sketch: sketches.as_binary::<i32>().value(row).to_vec(),
                threshold,
                tags: part(tags).as_primitive::<UInt64Type>().values().to_vec(),
                values: part(values),
                minimum: ScalarValue::try_from_array(minima, row)?,
                maximum: ScalarValue::try_from_array(maxima, row)?,
            })?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.collector.state(&self.input)?;
        let numbers = |numbers: Vec<u64>| one_list(Arc::new(UInt64Array::from(numbers)));
        Ok(vec![
            numbers(vec![
                state.rows,
                state.nulls,
                state.wide.rows,
                state.wide.bytes,
                state.threshold,
            ]),
            ScalarValue::Binary(Some(state.sketch)),
            numbers(state.tags),
            one_list(state.values),
            state.minimum,
            state.maximum,
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let statistics = self.collector.describe(&self.input, self.target, self.of_rows)?;
        let json = serde_json::to_string(&statistics)
            .map_err(|error| DataFusionError::External(error.into()))?;
        Ok(ScalarValue::Utf8View(Some(json)))
    }

    fn size(&self) -> usize {
        self.collector.size()
    }
}

/// A list of these values.
pub(super) fn one_list(values: ArrayRef) -> ScalarValue {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    ScalarValue::List(Arc::new(ListArray::new(field, offsets, values, None)))
}
