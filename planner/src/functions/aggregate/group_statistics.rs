//! `kestrel_group_statistics(sample_rows, column, …)`: what ANALYZE asks of columns together, as the
//! JSON of a [`ColumnGroup`](crate::statistics::ColumnGroup) with positions for columns. Not for users.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, UInt64Array},
    datatypes::{DataType, Field, FieldRef, UInt64Type},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::format_state_name,
    },
    physical_expr::expressions::Literal,
};

use super::column_statistics::{integer, list, one_list};
use crate::statistics::{
    GROUP_FUNCTION as NAME,
    collect::{GroupCollector, GroupState},
};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupStatisticsOf {
    signature: Signature,
}

impl GroupStatisticsOf {
    pub(super) fn new() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for GroupStatisticsOf {
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
        let field = |name: &str, data_type| {
            Arc::new(Field::new(format_state_name(args.name, name), data_type, true))
        };
        let mut fields = vec![
            field("counts", list(DataType::UInt64)),
            field("sketches", list(DataType::Binary)),
            field("tags", list(DataType::UInt64)),
        ];
        for (at, column) in args.input_fields.iter().enumerate().skip(1) {
            fields.push(field(&format!("values{at}"), list(column.data_type().clone())));
        }
        Ok(fields)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let sample_rows = args.exprs.first().and_then(|expr| expr.downcast_ref::<Literal>());
        let sample_rows = sample_rows.and_then(|literal| integer(literal.value()));
        let sample_rows = sample_rows
            .ok_or_else(|| DataFusionError::Plan(format!("{NAME} wants a number to begin with")))?;
        let types = args.expr_fields.iter().skip(1).map(|field| field.data_type().clone());
        let types: Vec<_> = types.collect();
        if types.len() > 8 {
            return Err(DataFusionError::Plan(format!("{NAME} takes eight columns at most")));
        }
        let collector = GroupCollector::new(&types, sample_rows as usize)?;
        Ok(Box::new(Collecting { collector }))
    }
}

#[derive(Debug)]
struct Collecting {
    collector: GroupCollector,
}

impl Accumulator for Collecting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.collector.update(&values[1..])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [counts, sketches, tags, values @ ..] = states else {
            return Err(DataFusionError::Internal(format!("{NAME} has another state")));
        };
        for row in 0..counts.len() {
            let part = |lists: &ArrayRef| lists.as_list::<i32>().value(row);
            let counts = part(counts);
            let &[rows, threshold] = &**counts.as_primitive::<UInt64Type>().values() else {
                return Err(DataFusionError::Internal(format!("{NAME} has another state")));
            };
            let sketches = part(sketches);
            let sketches = sketches.as_binary::<i32>().iter().flatten().map(<[u8]>::to_vec);
            self.collector.merge(GroupState {
                rows,
                sketches: sketches.collect(),
                threshold,
                tags: part(tags).as_primitive::<UInt64Type>().values().to_vec(),
                columns: values.iter().map(part).collect(),
            })?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.collector.state()?;
        let numbers = |numbers: Vec<u64>| one_list(Arc::new(UInt64Array::from(numbers)));
        let sketches = state.sketches.iter().map(|sketch| Some(sketch.as_slice()));
        let mut states = vec![
            numbers(vec![state.rows, state.threshold]),
            one_list(Arc::new(sketches.collect::<BinaryArray>())),
            numbers(state.tags),
        ];
        states.extend(state.columns.into_iter().map(one_list));
        Ok(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let group = self.collector.describe()?;
        let json = serde_json::to_string(&group)
            .map_err(|error| DataFusionError::External(error.into()))?;
        Ok(ScalarValue::Utf8View(Some(json)))
    }

    fn size(&self) -> usize {
        self.collector.size()
    }
}
