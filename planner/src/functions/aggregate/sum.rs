//! `sum`: of smallint and integer a bigint, of bigint a numeric, of numeric a numeric of its scale,
//! of real a real, of double precision a double, of interval an interval. No value: NULL.

use std::{mem::size_of, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray},
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Field, FieldRef, Float32Type, Float64Type, Int16Type,
        Int32Type,
    },
};
use datafusion::{
    common::{Result, ScalarValue},
    functions_aggregate::sum::sum_udaf,
    logical_expr::{
        Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
        Volatility,
        expr::{AggregateFunctionParams, WindowFunctionParams},
        function::{AccumulatorArgs, StateFieldsArgs},
        udaf_default_display_name, udaf_default_human_display, udaf_default_schema_name,
        udaf_default_window_function_display_name, udaf_default_window_function_schema_name,
        utils::{AggregateOrderSensitivity, format_state_name},
    },
    physical_expr::NullState,
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    distinct::Distinct,
    summand::{
        Big, Exact, Floating, Small, StateOf, Summand, add_all, finished, for_summand, state_type,
    },
};
use crate::{
    error::to_datafusion,
    functions::{arithmetic::types::Class, sql_name},
};

/// The function. Its name has a capital letter because DataFusion's optimizer takes whatever is
/// called `sum` for something that can be summed up again, which changes the type of ours (the sum
/// of bigints is a numeric); SQL finds it in any case of letters.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct Sum {
    signature: Signature,
    aliases: Vec<String>,
}

const NAME: &str = "Sum";

impl Sum {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["sum".into()],
        }
    }
}

/// The argument type that `sum` and `avg` take for a value of this type.
pub(super) fn coerced(function: &str, arguments: &[DataType]) -> Result<Vec<DataType>> {
    let argument = match arguments {
        [argument] => argument,
        _ => &DataType::Utf8View,
    };
    match Class::of(argument) {
        Some(Class::Unknown) => Ok(vec![DataType::Int32]),
        Some(class) if class.is_number() || class == Class::Interval => Ok(vec![class.arrow()]),
        _ => {
            let names: Vec<_> = arguments.iter().map(sql_name).collect();
            Err(to_datafusion(
                ErrorReport::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {function}({}) does not exist", names.join(", ")),
                )
                .hint(
                    "No function matches the given name and argument types. You might need to \
                     add explicit type casts.",
                ),
            ))
        }
    }
}

/// In plans and names the function is in small letters.
fn lower_case(name: String) -> String {
    name.strip_prefix(NAME).map(|rest| format!("sum{rest}")).unwrap_or(name)
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        udaf_default_schema_name(self, params).map(lower_case)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        udaf_default_human_display(self, params).map(lower_case)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        udaf_default_window_function_schema_name(self, params).map(lower_case)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        udaf_default_display_name(self, params).map(lower_case)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        udaf_default_window_function_display_name(self, params).map(lower_case)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("sum", arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [argument @ (DataType::Float32 | DataType::Interval(_))] => Ok(argument.clone()),
            [argument] => state_type(argument),
            _ => Err(to_datafusion(ErrorReport::internal("sum takes one argument"))),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields[0].data_type();
        if args.is_distinct {
            return Ok(vec![super::distinct::state_field(args.name, input)]);
        }
        let state = match input {
            DataType::Interval(_) => input.clone(),
            input => state_type(input)?,
        };
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), state, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let input = args.expr_fields[0].data_type().clone();
        if matches!(input, DataType::Interval(_)) {
            return sum_udaf().accumulator(args);
        }
        let result = args.return_field.data_type().clone();
        let distinct = args.is_distinct;
        let sum = for_summand!(&input, accumulator(&input, result))?;
        if distinct { Distinct::wrap(sum, input) } else { Ok(sum) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if matches!(args.expr_fields[0].data_type(), DataType::Interval(_)) {
            return sum_udaf().create_sliding_accumulator(args);
        }
        self.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct && !matches!(args.expr_fields[0].data_type(), DataType::Interval(_))
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
    Ok(Box::new(SumAccumulator::<K> {
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
    Ok(Box::new(SumGroups::<K> {
        sums: vec![],
        nulls: NullState::new(),
        state: state_type(input)?,
        result,
    }))
}

/// A sum as the result's type: that of the state, but real for sums of real.
fn as_result(sums: ArrayRef, result: &DataType) -> Result<ArrayRef> {
    match result {
        DataType::Float32 => Ok(cast(&sums, result)?),
        _ => Ok(sums),
    }
}

/// The sum of one group, or of a window that values enter and leave.
#[derive(Debug)]
struct SumAccumulator<K: Summand> {
    sum: StateOf<K>,
    /// Values in the sum; none: NULL.
    count: usize,
    state: DataType,
    result: DataType,
}

impl<K: Summand> SumAccumulator<K> {
    fn column(&self) -> Result<ArrayRef> {
        let nulls = (self.count == 0).then(|| arrow::buffer::NullBuffer::new_null(1));
        finished::<K>(vec![self.sum], nulls, &self.state)
    }
}

impl<K: Summand> Accumulator for SumAccumulator<K> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<K::Input>();
        self.sum = add_all::<K>(self.sum, values, false)?;
        self.count += values.len() - values.null_count();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<K::Input>();
        self.sum = add_all::<K>(self.sum, values, true)?;
        self.count -= values.len() - values.null_count();
        if self.count == 0 {
            // Nothing of what was rounded off stays.
            self.sum = K::State::default_value();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = states[0].as_primitive::<K::State>();
        for sum in sums.iter().flatten() {
            let (sum, overflowed) = K::add(self.sum, sum);
            if overflowed {
                return Err(to_datafusion(K::overflow()));
            }
            self.sum = sum;
            self.count += 1;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&as_result(self.column()?, &self.result)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&self.column()?, 0)?])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// The sums of many groups.
struct SumGroups<K: Summand> {
    sums: Vec<StateOf<K>>,
    nulls: NullState,
    state: DataType,
    result: DataType,
}

impl<K: Summand> SumGroups<K> {
    fn add<T: ArrowPrimitiveType + Send>(
        &mut self,
        values: &PrimitiveArray<T>,
        widen: impl Fn(T::Native) -> StateOf<K> + Send + Sync,
        (group_indices, filter): (&[usize], Option<&BooleanArray>),
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.resize(total_num_groups, K::State::default_value());
        let sums = &mut self.sums;
        let mut failed = false;
        self.nulls.accumulate(group_indices, values, filter, total_num_groups, |group, value| {
            let (sum, overflowed) = K::add(sums[group], widen(value));
            sums[group] = sum;
            failed |= overflowed;
        });
        if failed { Err(to_datafusion(K::overflow())) } else { Ok(()) }
    }

    fn emit(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        finished::<K>(sums, self.nulls.build(emit_to), &self.state)
    }
}

impl<K: Summand> GroupsAccumulator for SumGroups<K> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = values[0].as_primitive::<K::Input>();
        self.add(values, K::widen, (group_indices, opt_filter), total_num_groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let sums = values[0].as_primitive::<K::State>();
        self.add(sums, |sum| sum, (group_indices, None), total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        as_result(self.emit(emit_to)?, &self.result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<K::Input>();
        let sums: Vec<_> = values.values().iter().map(|v| K::widen(*v)).collect();
        let nulls = super::distinct::kept(values.nulls(), opt_filter);
        Ok(vec![finished::<K>(sums, nulls, &self.state)?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<StateOf<K>>() + self.nulls.size()
    }
}
