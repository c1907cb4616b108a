//! `make_date(year, month, day)`, `age(later, earlier)` and `timezone(zone, x)`.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array},
    datatypes::{
        DataType, Date32Type, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
        TimestampMicrosecondType,
    },
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
        TypeSignature, Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::{
    error::to_datafusion,
    functions::{
        arithmetic::{interval_micros, new_interval, strict_field, types::Class},
        cast::output::interval as interval_text,
        civil::{self, Civil, DAY, civil_from_days, days_from_civil, month_length},
        formats::IntervalStyle,
        operand::{Operand, finish, try_zip},
        sql_name,
        zone::Zone,
    },
};

fn no_function(name: &str, arguments: &[DataType]) -> datafusion::error::DataFusionError {
    let types: Vec<_> = arguments.iter().map(sql_name).collect();
    to_datafusion(ErrorReport::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {name}({}) does not exist", types.join(", ")),
    ))
}

/// `make_date`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MakeDate {
    signature: Signature,
}

impl MakeDate {
    pub(super) fn new() -> Self {
        // Integer literals come as bigint.
        let of = |data_type| TypeSignature::Exact(vec![data_type; 3]);
        let types = vec![of(DataType::Int32), of(DataType::Int64)];
        Self { signature: Signature::one_of(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MakeDate {
    fn name(&self) -> &str {
        "make_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let parts: Vec<ArrayRef> =
            args.args.iter().map(|a| integers(&a.to_array(rows)?)).collect::<Result<_>>()?;
        let part = |at: usize, row: usize| {
            let column = parts[at].as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let dates: Result<Date32Array, ErrorReport> = (0..rows)
            .map(|row| match (part(0, row), part(1, row), part(2, row)) {
                (Some(year), Some(month), Some(day)) => make_date(year, month, day).map(Some),
                _ => Ok(None),
            })
            .collect();
        finish(Arc::new(dates.map_err(to_datafusion)?), constant)
    }
}

fn integers(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(arrow::compute::cast(values, &DataType::Int64)?)
}

fn make_date(year: i64, month: i64, day: i64) -> Result<i32, ErrorReport> {
    // Negative years are before Christ; there is no year 0.
    let astronomical = if year < 0 { year + 1 } else { year };
    if year == 0
        || !(1..=12).contains(&month)
        || !(1..=month_length(astronomical, month)).contains(&day)
    {
        return Err(ErrorReport::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        ));
    }
    civil::date(days_from_civil(Civil { year: astronomical, month, day }))
}

/// `age` of two timestamps: years, months, days and time (`timestamp_age`).
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Age {
    signature: Signature,
}

impl Age {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Age {
    fn name(&self) -> &str {
        "age"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let classes: Vec<_> = arguments.iter().map(Class::of).collect();
        let moments = [Class::Date, Class::Timestamp, Class::TimestampTz, Class::Unknown];
        match classes.as_slice() {
            [Some(a), Some(b)] if moments.contains(a) && moments.contains(b) => {
                let zoned = [*a, *b].contains(&Class::TimestampTz);
                let class = if zoned { Class::TimestampTz } else { Class::Timestamp };
                Ok(vec![class.arrow(), class.arrow()])
            }
            _ => Err(no_function("age", arguments)),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Class::Interval.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [later, earlier] = args.args.as_slice() else {
            return Err(no_function("age", &[]));
        };
        let zone = match Class::of(&later.data_type()) {
            Some(Class::TimestampTz) => Some(Zone::of_session(&args.config_options)),
            _ => None,
        };
        let local = |utc: i64| zone.map_or(Ok(utc), |zone| zone.to_local(utc));
        let age = |a: i64, b: i64| {
            age(local(a)?, local(b)?).ok_or_else(|| {
                ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
            })
        };
        let (later, earlier) = (
            Operand::<TimestampMicrosecondType>::of(later)?,
            Operand::<TimestampMicrosecondType>::of(earlier)?,
        );
        let ages: Operand<IntervalMonthDayNanoType> = try_zip(
            &later,
            &earlier,
            |a, b| age(a, b).map_or((IntervalMonthDayNano::ZERO, true), |v| (v, false)),
            |a, b| age(a, b).err().unwrap_or_else(|| ErrorReport::internal("age failed once")),
        )?;
        ages.finish(args.return_field.data_type())
    }
}

/// Whole months that fit between, then days counted in the month in which the earlier one is,
/// then time.
fn age(a: i64, b: i64) -> Option<IntervalMonthDayNano> {
    if a < b {
        let age = age(b, a)?;
        return new_interval(-i64::from(age.months), -i64::from(age.days), -age.nanoseconds / 1000);
    }
    let (day_a, day_b) = (civil_from_days(a.div_euclid(DAY)), civil_from_days(b.div_euclid(DAY)));
    let mut months = (day_a.year - day_b.year) * 12 + day_a.month - day_b.month;
    let mut days = day_a.day - day_b.day;
    let mut time = a.rem_euclid(DAY) - b.rem_euclid(DAY);
    if time < 0 {
        time += DAY;
        days -= 1;
    }
    if days < 0 {
        days += month_length(day_b.year, day_b.month);
        months -= 1;
    }
    new_interval(months, days, time)
}

/// `timezone(zone, x)`, which is `x AT TIME ZONE zone`: a timestamp becomes the timestamptz whose wall
/// clock it is there, a timestamptz becomes its wall clock there.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AtTimeZone {
    signature: Signature,
}

impl AtTimeZone {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, of] = arguments else { return Err(no_function("timezone", arguments)) };
        let zone = match Class::of(zone) {
            Some(Class::Interval) => Class::Interval.arrow(),
            _ => DataType::Utf8View,
        };
        match Class::of(of) {
            Some(class @ (Class::Timestamp | Class::TimestampTz)) => Ok(vec![zone, class.arrow()]),
            Some(Class::Date) => Ok(vec![zone, DataType::Date32]),
            _ => Err(no_function("timezone", arguments)),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments.get(1).and_then(Class::of) {
            Some(Class::Timestamp) => Class::TimestampTz.arrow(),
            // A date is first a timestamptz.
            _ => Class::Timestamp.arrow(),
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(name), of] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::unsupported(
                "AT TIME ZONE with a time zone that changes from row to row",
            )));
        };
        let result = args.return_field.data_type();
        let zone = match name {
            ScalarValue::IntervalMonthDayNano(Some(offset)) => offset_zone(*offset),
            name => match name.try_as_str().flatten() {
                Some(name) => Zone::parse(name),
                None => return Ok(ColumnarValue::Scalar(ScalarValue::try_from(result)?)),
            },
        };
        let zone = zone.map_err(to_datafusion)?;
        let session = Zone::of_session(&args.config_options);
        match Class::of(&of.data_type()) {
            Some(Class::Timestamp) => Operand::<TimestampMicrosecondType>::of(of)?
                .try_map(|local| zone.to_utc(local))?
                .finish(result),
            Some(Class::Date) => {
                let dates = Operand::<Date32Type>::of(of)?;
                let convert = |day: i32| zone.to_local(session.to_utc(civil::midnight(day)?)?);
                let stamps: Operand<TimestampMicrosecondType> = try_zip(
                    &dates,
                    &dates,
                    |day, _| convert(day).map_or((0, true), |v| (v, false)),
                    |day, _| convert(day).err().unwrap_or_else(|| ErrorReport::internal("zone")),
                )?;
                stamps.finish(result)
            }
            _ => Operand::<TimestampMicrosecondType>::of(of)?
                .try_map(|utc| zone.to_local(utc))?
                .finish(result),
        }
    }
}

/// The zone that is so far from Greenwich (`timestamptz_izone`).
fn offset_zone(offset: IntervalMonthDayNano) -> Result<Zone, ErrorReport> {
    let text = || interval_text(offset, IntervalStyle::default());
    let invalid = |message| Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if offset.months != 0 || offset.days != 0 {
        return invalid(format!(
            "interval time zone \"{}\" must not include months or days",
            text()
        ));
    }
    let seconds = i32::try_from(interval_micros(offset) / civil::SECOND).ok();
    match seconds.and_then(Zone::of_offset) {
        Some(zone) => Ok(zone),
        None => invalid(format!("interval time zone \"{}\" is out of range", text())),
    }
}
