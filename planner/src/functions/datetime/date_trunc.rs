//! `date_trunc('field', x [, 'zone'])`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, PrimitiveArray},
    datatypes::{DataType, Date32Type, IntervalMonthDayNanoType, TimestampMicrosecondType},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::part::Part;
use crate::{
    error::to_datafusion,
    functions::{arithmetic::types::Class, civil, operand::finish, sql_name, zone::Zone},
};

/// Timestamps keep their type; a date is truncated as the timestamptz that it begins.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DateTrunc {
    signature: Signature,
    aliases: Vec<String>,
}

impl DateTrunc {
    /// The function.
    pub(crate) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["datetrunc".into()],
        }
    }
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let of = arguments.get(1).unwrap_or(&DataType::Null);
        let class = match Class::of(of) {
            Some(Class::Unknown) => Class::Timestamp,
            Some(
                class @ (Class::Date | Class::Timestamp | Class::TimestampTz | Class::Interval),
            ) => class,
            // A quoted text is a timestamptz, the preferred type of its kind.
            None if matches!(of, DataType::Utf8 | DataType::Utf8View) => Class::TimestampTz,
            _ => {
                return Err(to_datafusion(ErrorReport::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function date_trunc(unknown, {}) does not exist", sql_name(of)),
                )));
            }
        };
        let mut types = vec![DataType::Utf8View, class.arrow()];
        types.extend(arguments.get(2).map(|_| DataType::Utf8View));
        Ok(types)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let of = arguments.get(1).unwrap_or(&DataType::Null);
        Ok(match Class::of(of) {
            Some(Class::Date) => Class::TimestampTz.arrow(),
            _ => of.clone(),
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [name, of, rest @ ..] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("date_trunc takes two arguments")));
        };
        let result = args.return_field.data_type();
        let (Some(name), Some(zone)) = (constant(name)?, zone(rest, &args)?) else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(result)?));
        };
        let part = Part::parse(&name, &of.data_type()).map_err(to_datafusion)?;
        let is_constant = matches!(of, ColumnarValue::Scalar(_));
        let values = of.to_array(if is_constant { 1 } else { args.number_rows })?;
        let array = truncate(part, &values, zone).map_err(to_datafusion)?;
        let array = match array.data_type() {
            found if found == result => array,
            _ => {
                let stamps = array.as_primitive::<TimestampMicrosecondType>().clone();
                Arc::new(stamps.with_data_type(result.clone()))
            }
        };
        finish(array, is_constant)
    }
}

fn zone(rest: &[ColumnarValue], args: &ScalarFunctionArgs) -> Result<Option<Zone>> {
    let zone = match rest.first() {
        Some(name) => match constant(name)? {
            Some(name) => Zone::parse(&name),
            None => return Ok(None),
        },
        None => Ok(Zone::of_session(&args.config_options)),
    };
    zone.map(Some).map_err(to_datafusion)
}

/// The text of a constant argument; `None`: NULL.
fn constant(value: &ColumnarValue) -> Result<Option<String>> {
    match value {
        ColumnarValue::Scalar(value) => Ok(value.try_as_str().flatten().map(str::to_string)),
        ColumnarValue::Array(_) => Err(to_datafusion(ErrorReport::unsupported(
            "date_trunc with a field or time zone that changes from row to row",
        ))),
    }
}

fn truncate(
    part: Part,
    values: &ArrayRef,
    zone: Zone,
) -> std::result::Result<ArrayRef, ErrorReport> {
    let data_type = values.data_type();
    let unsupported = || part.unsupported(data_type);
    let in_zone = |utc: i64| {
        let local = part.truncate(zone.to_local(utc)?).ok_or_else(unsupported)?;
        if part.is_calendar() {
            return zone.to_utc(local);
        }
        // Within a day the offset stays, also where it changes.
        civil::timestamp(local.checked_sub(zone.offset_seconds(utc) * civil::SECOND))
    };
    type Stamps = PrimitiveArray<TimestampMicrosecondType>;
    Ok(match Class::of(data_type) {
        Some(Class::Date) => {
            let stamps: Stamps = values.as_primitive::<Date32Type>().try_unary(|d| {
                let local = part.truncate(civil::midnight(d)?).ok_or_else(unsupported)?;
                zone.to_utc(local)
            })?;
            Arc::new(stamps)
        }
        Some(Class::TimestampTz) => {
            let stamps: Stamps =
                values.as_primitive::<TimestampMicrosecondType>().try_unary(in_zone)?;
            Arc::new(stamps)
        }
        Some(Class::Interval) => {
            let intervals: PrimitiveArray<IntervalMonthDayNanoType> = values
                .as_primitive::<IntervalMonthDayNanoType>()
                .try_unary(|i| part.truncate_interval(i).ok_or_else(unsupported))?;
            Arc::new(intervals)
        }
        _ => {
            let stamps: Stamps = values
                .as_primitive::<TimestampMicrosecondType>()
                .try_unary(|t| part.truncate(t).ok_or_else(unsupported))?;
            Arc::new(stamps)
        }
    })
}
