//! `extract(field FROM x)` and `date_part('field', x)`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, PrimitiveArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, FieldRef, Float64Type,
        IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::part::{Part, local_of};
use crate::{
    error::to_datafusion,
    functions::{
        arithmetic::types::Class,
        cast::double_of_decimal,
        civil::DAY,
        operand::{finish, wrong_type},
        sql_name,
        zone::Zone,
    },
};

/// `kestrel_extract('field', x)`, which is `extract(field FROM x)`: a numeric with the digits that
/// the field has.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Extract {
    signature: Signature,
}

impl Extract {
    /// The function.
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Extract {
    fn name(&self) -> &str {
        "kestrel_extract"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("extract", arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(26, 6))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [name, of] = args.arg_fields else { return Err(no_part()) };
        let data_type = match args.scalar_arguments.first().copied().flatten() {
            Some(value) => {
                let part = part_of(value, of.data_type())?;
                let class = Class::of(of.data_type()).unwrap_or(Class::Timestamp);
                DataType::Decimal128(part.precision(class), part.scale(class))
            }
            None => self.return_type(&[])?,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, name.is_nullable() || of.is_nullable())))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Decimal128(_, scale) = *args.return_field.data_type() else {
            return Err(wrong_type(args.return_field.data_type(), &DataType::Decimal128(38, 6)));
        };
        let (numbers, of_scale, constant) = parts(&args)?;
        let up = 10i128.pow(u32::from((scale - of_scale).unsigned_abs()));
        let numbers: PrimitiveArray<Decimal128Type> = numbers.unary(|v| v * up);
        finish(Arc::new(numbers.with_data_type(args.return_field.data_type().clone())), constant)
    }
}

/// `date_part('field', x)`: the same as a double.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DatePart {
    signature: Signature,
    aliases: Vec<String>,
}

impl DatePart {
    /// The function.
    pub(crate) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["datepart".into()],
        }
    }
}

impl ScalarUDFImpl for DatePart {
    fn name(&self) -> &str {
        "date_part"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("date_part", arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (numbers, scale, constant) = parts(&args)?;
        let doubles: PrimitiveArray<Float64Type> = numbers.unary(|v| double_of_decimal(v, scale));
        finish(Arc::new(doubles), constant)
    }
}

fn no_part() -> datafusion::error::DataFusionError {
    to_datafusion(ErrorReport::internal("extract takes a field and a value"))
}

fn coerced(function: &str, arguments: &[DataType]) -> Result<Vec<DataType>> {
    let [part, of] = arguments else { return Err(no_part()) };
    let class = Class::of(of).filter(|class| !class.is_number());
    let of = match class {
        Some(Class::Unknown) => Class::Timestamp.arrow(),
        Some(class) => class.arrow(),
        None => {
            return Err(to_datafusion(ErrorReport::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {function}(unknown, {}) does not exist", sql_name(of)),
            )));
        }
    };
    // A text keeps its form: a cast would hide that it is constant.
    let is_text = matches!(part, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    Ok(vec![if is_text { part.clone() } else { DataType::Utf8View }, of])
}

fn part_of(value: &ScalarValue, of: &DataType) -> Result<Part> {
    let name = value.try_as_str().flatten().ok_or_else(no_part)?;
    Part::parse(name, of).map_err(to_datafusion)
}

/// The parts as unscaled numbers, their scale, and whether there is one for all rows.
fn parts(args: &ScalarFunctionArgs) -> Result<(PrimitiveArray<Decimal128Type>, i8, bool)> {
    let [name, of] = args.args.as_slice() else { return Err(no_part()) };
    let data_type = of.data_type();
    let class = Class::of(&data_type).unwrap_or(Class::Unknown);
    let constant = matches!(of, ColumnarValue::Scalar(_));
    let values = of.to_array(if constant { 1 } else { args.number_rows })?;
    let name = match name {
        ColumnarValue::Scalar(name) => name.clone(),
        // A field that changes from row to row has no type; the first one stands for all.
        ColumnarValue::Array(names) => ScalarValue::try_from_array(names, 0)?,
    };
    let part = part_of(&name, &data_type)?;
    let zone = Zone::of_session(&args.config_options);
    let numbers = take(part, class, &values, zone).map_err(to_datafusion)?;
    Ok((numbers, part.scale(class), constant))
}

fn take(
    part: Part,
    class: Class,
    values: &ArrayRef,
    zone: Zone,
) -> std::result::Result<PrimitiveArray<Decimal128Type>, ErrorReport> {
    let data_type = values.data_type();
    let found =
        |value: Option<i64>| value.map(i128::from).ok_or_else(|| part.unsupported(data_type));
    match class {
        Class::Date => values
            .as_primitive::<Date32Type>()
            .try_unary(|d| found(part.of_moment(class, i64::from(d).saturating_mul(DAY), None))),
        Class::Time => values
            .as_primitive::<Time64MicrosecondType>()
            .try_unary(|t| found(part.of_moment(class, t, None))),
        Class::TimestampTz => values.as_primitive::<TimestampMicrosecondType>().try_unary(|t| {
            let (local, offset) = local_of(zone, t)?;
            found(part.of_moment(class, local, Some(offset)))
        }),
        Class::Interval => values
            .as_primitive::<IntervalMonthDayNanoType>()
            .try_unary(|i| found(part.of_interval(i))),
        _ => values
            .as_primitive::<TimestampMicrosecondType>()
            .try_unary(|t| found(part.of_moment(class, t, None))),
    }
}
