//! `avg`: of integers and numerics a numeric with at least 16 fractional digits, the exact sum
//! divided by the count and rounded half away from zero; of floats a double. No value: NULL.

use std::{mem::size_of, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, PrimitiveArray},
    buffer::NullBuffer,
    datatypes::{
        ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type,
        Int16Type, Int32Type, Int64Type,
    },
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
        Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
    physical_expr::NullState,
};
use kestrel_proto::ErrorReport;

use super::{
    distinct::{Distinct, kept},
    summand::{
        Big, Exact, Floating, Small, StateOf, Summand, add_all, finished, for_summand, state_type,
    },
};
use crate::{
    error::to_datafusion,
    functions::{
        arithmetic::types::Class,
        decimal::{self, MAX_PRECISION},
        operand::wrong_type,
    },
};

/// Fractional digits of averages, if the input does not have more.
const SCALE: i8 = 16;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct Avg {
    signature: Signature,
    aliases: Vec<String>,
}

impl Avg {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["mean".into()],
        }
    }
}

impl AggregateUDFImpl for Avg {
    fn name(&self) -> &str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if let [DataType::Interval(_)] = arguments {
            return Err(to_datafusion(ErrorReport::unsupported("avg(interval) is not supported")));
        }
        super::sum::coerced("avg", arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let argument = arguments.first().unwrap_or(&DataType::Null);
        Ok(match Class::of(argument) {
            Some(Class::Integer(_)) => DataType::Decimal128(MAX_PRECISION, SCALE),
            Some(Class::Numeric(_, scale)) => DataType::Decimal128(MAX_PRECISION, scale.max(SCALE)),
            Some(Class::Real | Class::Double) => DataType::Float64,
            _ => return Err(wrong_type(argument, &DataType::Float64)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields[0].data_type();
        if args.is_distinct {
            return Ok(vec![super::distinct::state_field(args.name, input)]);
        }
        let field = |name: &str, data_type| {
            Arc::new(Field::new(format_state_name(args.name, name), data_type, true))
        };
        Ok(vec![field("sum", state_type(input)?), field("count", DataType::Int64)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let input = args.expr_fields[0].data_type().clone();
        let result = args.return_field.data_type().clone();
        let avg = for_summand!(&input, accumulator(&input, result))?;
        if args.is_distinct { Distinct::wrap(avg, input) } else { Ok(avg) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let input = args.expr_fields[0].data_type();
        let result = args.return_field.data_type().clone();
        for_summand!(input, groups_accumulator(input, result))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

fn accumulator<K: Summand>(input: &DataType, result: DataType) -> Result<Box<dyn Accumulator>> {
    Ok(Box::new(AvgAccumulator::<K> {
        sum: K::State::default_value(),
        count: 0,
        state: state_type(input)?,
        result,
    }))
}

fn groups_accumulator<K: Summand>(
    input: &DataType,
    result: DataType,
) -> Result<Box<dyn GroupsAccumulator>> {
    Ok(Box::new(AvgGroups::<K> {
        sums: vec![],
        counts: vec![],
        nulls: NullState::new(),
        state: state_type(input)?,
        result,
    }))
}

/// Sums divided by counts. Where there is no sum the count does not matter.
fn divide(sums: &ArrayRef, counts: &[i64], result: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = match result {
        DataType::Decimal128(precision, scale) => (*precision, *scale),
        _ => {
            let sums = sums.as_primitive::<Float64Type>();
            let quotients = sums.values().iter().zip(counts).map(|(s, n)| s / *n as f64);
            let quotients = quotients.collect::<Vec<_>>();
            let array = PrimitiveArray::<Float64Type>::new(quotients.into(), sums.nulls().cloned());
            return Ok(Arc::new(array));
        }
    };
    let exact = |sum: i128, from: i8, count: i64| {
        decimal::divide(sum, i128::from(count), i32::from(scale) - i32::from(from))
            .ok_or_else(|| to_datafusion(decimal::overflow()))
    };
    let mut quotients = Vec::with_capacity(counts.len());
    let (of_integers, of_decimals, from) = match sums.data_type() {
        DataType::Int64 => (Some(sums.as_primitive::<Int64Type>()), None, 0),
        DataType::Decimal128(_, from) => (None, Some(sums.as_primitive::<Decimal128Type>()), *from),
        other => return Err(wrong_type(other, result)),
    };
    for (row, count) in counts.iter().enumerate() {
        let sum = of_integers
            .map(|sums| i128::from(sums.value(row)))
            .or_else(|| of_decimals.map(|sums| sums.value(row)))
            .unwrap_or_default();
        let empty = *count == 0 || sums.is_null(row);
        quotients.push(if empty { 0 } else { exact(sum, from, *count)? });
    }
    let array = PrimitiveArray::<Decimal128Type>::new(quotients.into(), sums.nulls().cloned());
    Ok(Arc::new(array.with_data_type(DataType::Decimal128(precision, scale))))
}

/// The average of one group, or of a window that values enter and leave.
#[derive(Debug)]
struct AvgAccumulator<K: Summand> {
    sum: StateOf<K>,
    count: i64,
    state: DataType,
    result: DataType,
}

impl<K: Summand> AvgAccumulator<K> {
    fn column(&self) -> Result<ArrayRef> {
        let nulls = (self.count == 0).then(|| NullBuffer::new_null(1));
        finished::<K>(vec![self.sum], nulls, &self.state)
    }
}

impl<K: Summand> Accumulator for AvgAccumulator<K> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<K::Input>();
        self.sum = add_all::<K>(self.sum, values, false)?;
        self.count += (values.len() - values.null_count()) as i64;
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<K::Input>();
        self.sum = add_all::<K>(self.sum, values, true)?;
        self.count -= (values.len() - values.null_count()) as i64;
        if self.count == 0 {
            self.sum = K::State::default_value();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = states[0].as_primitive::<K::State>();
        let counts = states[1].as_primitive::<Int64Type>();
        for (sum, count) in sums.iter().zip(counts) {
            let (Some(sum), Some(count)) = (sum, count) else { continue };
            let (sum, overflowed) = K::add(self.sum, sum);
            if overflowed {
                return Err(to_datafusion(K::overflow()));
            }
            self.sum = sum;
            self.count += count;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let quotient = divide(&self.column()?, &[self.count], &self.result)?;
        ScalarValue::try_from_array(&quotient, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::try_from_array(&self.column()?, 0)?,
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// The averages of many groups.
struct AvgGroups<K: Summand> {
    sums: Vec<StateOf<K>>,
    counts: Vec<i64>,
    nulls: NullState,
    state: DataType,
    result: DataType,
}

impl<K: Summand> AvgGroups<K> {
    fn emit(&mut self, emit_to: EmitTo) -> Result<(ArrayRef, Vec<i64>)> {
        let sums = emit_to.take_needed(&mut self.sums);
        let counts = emit_to.take_needed(&mut self.counts);
        Ok((finished::<K>(sums, self.nulls.build(emit_to), &self.state)?, counts))
    }
}

impl<K: Summand> GroupsAccumulator for AvgGroups<K> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = values[0].as_primitive::<K::Input>();
        self.sums.resize(total_num_groups, K::State::default_value());
        self.counts.resize(total_num_groups, 0);
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        let mut failed = false;
        self.nulls.accumulate(
            group_indices,
            values,
            opt_filter,
            total_num_groups,
            |group, value| {
                let (sum, overflowed) = K::add(sums[group], K::widen(value));
                sums[group] = sum;
                counts[group] += 1;
                failed |= overflowed;
            },
        );
        if failed { Err(to_datafusion(K::overflow())) } else { Ok(()) }
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let partial_sums = values[0].as_primitive::<K::State>();
        let partial_counts = values[1].as_primitive::<Int64Type>();
        self.sums.resize(total_num_groups, K::State::default_value());
        self.counts.resize(total_num_groups, 0);
        let sums = &mut self.sums;
        let mut failed = false;
        self.nulls.accumulate(
            group_indices,
            partial_sums,
            None,
            total_num_groups,
            |group, value| {
                let (sum, overflowed) = K::add(sums[group], value);
                sums[group] = sum;
                failed |= overflowed;
            },
        );
        for (group, count) in group_indices.iter().zip(partial_counts) {
            self.counts[*group] += count.unwrap_or(0);
        }
        if failed { Err(to_datafusion(K::overflow())) } else { Ok(()) }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = self.emit(emit_to)?;
        divide(&sums, &counts, &self.result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.emit(emit_to)?;
        Ok(vec![sums, Arc::new(Int64Array::from(counts))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<K::Input>();
        let sums: Vec<_> = values.values().iter().map(|v| K::widen(*v)).collect();
        let nulls = kept(values.nulls(), opt_filter);
        let counts: Int64Array = match &nulls {
            None => Int64Array::from_value(1, values.len()),
            Some(nulls) => nulls.iter().map(|valid| Some(i64::from(valid))).collect(),
        };
        Ok(vec![finished::<K>(sums, nulls, &self.state)?, Arc::new(counts)])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<StateOf<K>>()
            + self.counts.capacity() * size_of::<i64>()
            + self.nulls.size()
    }
}
