//! `to_char(moment, template)`, `to_date(text, template)`, `to_timestamp(text, template)` and
//! `to_timestamp(seconds)`.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array, StringViewArray, TimestampMicrosecondArray},
    datatypes::{DataType, Float64Type, IntervalMonthDayNanoType, TimestampMicrosecondType},
};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::pattern::Template;
use crate::{
    error::to_datafusion,
    functions::{
        arithmetic::types::Class,
        civil::{self, DAY},
        operand::finish,
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

/// Columns of the arguments, and whether all are constant.
fn columns(args: &ScalarFunctionArgs) -> Result<(Vec<ArrayRef>, usize, bool)> {
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let columns = args.args.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?;
    Ok((columns, rows, constant))
}

/// Templates by row; a constant one is read once.
struct Templates {
    column: StringViewArray,
    constant: Option<Template>,
}

impl Templates {
    fn new(value: &ColumnarValue, column: &ArrayRef) -> Self {
        let column = column.as_string_view().clone();
        let constant = match value {
            ColumnarValue::Scalar(value) => value.try_as_str().flatten().map(Template::parse),
            ColumnarValue::Array(_) => None,
        };
        Self { column, constant }
    }

    fn get(&self, row: usize) -> Option<Template> {
        if !self.column.is_valid(row) {
            return None;
        }
        Some(match &self.constant {
            Some(template) => template.clone(),
            None => Template::parse(self.column.value(row)),
        })
    }
}

/// `to_char` of dates, timestamps and intervals.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar {
    signature: Signature,
}

impl ToChar {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [of, _] = arguments else { return Err(no_function("to_char", arguments)) };
        match Class::of(of) {
            Some(Class::TimestampTz | Class::Interval) => Ok(vec![of.clone(), DataType::Utf8View]),
            Some(Class::Date | Class::Timestamp | Class::Unknown) => {
                Ok(vec![Class::Timestamp.arrow(), DataType::Utf8View])
            }
            // Numbers have a function of their own, which this call becomes.
            Some(class) if class.is_number() => Ok(vec![of.clone(), DataType::Utf8View]),
            Some(_) => Err(to_datafusion(ErrorReport::unsupported(format!(
                "to_char of {} is not supported",
                sql_name(of)
            )))),
            None => Err(no_function("to_char", arguments)),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = match Class::of(&args.args[0].data_type()) {
            Some(Class::TimestampTz) => Some(Zone::of_session(&args.config_options)),
            _ => None,
        };
        let format = |template: &Template, moment: i64| -> Result<String, ErrorReport> {
            let Some(zone) = zone else { return Ok(template.format(moment, None)) };
            let (name, offset) = (zone.abbreviation(moment), zone.offset_seconds(moment));
            Ok(template.format(zone.to_local(moment)?, Some((&name, offset))))
        };
        let (columns, rows, constant) = columns(&args)?;
        let templates = Templates::new(&args.args[1], &columns[1]);
        if let Some(intervals) = columns[0].as_primitive_opt::<IntervalMonthDayNanoType>() {
            let text = |row: usize| match templates.get(row) {
                Some(template) if intervals.is_valid(row) && !template.pieces().is_empty() => {
                    template.format_interval(intervals.value(row)).map(Some)
                }
                _ => Ok(None),
            };
            let texts: Result<StringViewArray, ErrorReport> = (0..rows).map(text).collect();
            return finish(Arc::new(texts.map_err(to_datafusion)?), constant);
        }
        let moments = columns[0].as_primitive::<TimestampMicrosecondType>();
        let texts: Result<StringViewArray, ErrorReport> = (0..rows)
            .map(|row| match templates.get(row) {
                Some(template) if moments.is_valid(row) => {
                    format(&template, moments.value(row)).map(Some)
                }
                _ => Ok(None),
            })
            .collect();
        finish(Arc::new(texts.map_err(to_datafusion)?), constant)
    }
}

/// `to_date` and `to_timestamp`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromText {
    to_date: bool,
    signature: Signature,
}

impl FromText {
    /// `to_date`, or `to_timestamp`.
    pub(super) fn new(to_date: bool) -> Self {
        Self { to_date, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FromText {
    fn name(&self) -> &str {
        if self.to_date { "to_date" } else { "to_timestamp" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [_, _] => Ok(vec![DataType::Utf8View, DataType::Utf8View]),
            [seconds] if !self.to_date && Class::of(seconds).is_some_and(Class::is_number) => {
                Ok(vec![DataType::Float64])
            }
            _ => Err(no_function(self.name(), arguments)),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.to_date { DataType::Date32 } else { Class::TimestampTz.arrow() })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (columns, rows, constant) = columns(&args)?;
        let zoned = |stamps: TimestampMicrosecondArray| -> ArrayRef {
            Arc::new(stamps.with_data_type(Class::TimestampTz.arrow()))
        };
        let [texts, _] = columns.as_slice() else {
            let seconds = columns[0].as_primitive::<Float64Type>();
            let stamps = seconds.try_unary(of_seconds).map_err(to_datafusion)?;
            return finish(zoned(stamps), constant);
        };
        let zone = Zone::of_session(&args.config_options);
        let texts = texts.as_string_view();
        let templates = Templates::new(&args.args[1], &columns[1]);
        let moment = |row: usize| match templates.get(row) {
            Some(template) if texts.is_valid(row) => template.read(texts.value(row)).map(Some),
            _ => Ok(None),
        };
        let result: Result<ArrayRef, ErrorReport> = if self.to_date {
            let dates: Result<Date32Array, ErrorReport> = (0..rows)
                .map(|row| moment(row)?.map(|m| civil::date(m.div_euclid(DAY))).transpose())
                .collect();
            dates.map(|dates| Arc::new(dates) as ArrayRef)
        } else {
            let stamps: Result<TimestampMicrosecondArray, ErrorReport> =
                (0..rows).map(|row| moment(row)?.map(|m| zone.to_utc(m)).transpose()).collect();
            stamps.map(zoned)
        };
        finish(result.map_err(to_datafusion)?, constant)
    }
}

fn of_seconds(seconds: f64) -> Result<i64, ErrorReport> {
    let micros = (seconds * 1e6).round_ties_even();
    if !micros.is_finite() || micros.abs() > 9e18 {
        return Err(ErrorReport::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{seconds}\""),
        ));
    }
    civil::timestamp(Some(micros as i64))
}
