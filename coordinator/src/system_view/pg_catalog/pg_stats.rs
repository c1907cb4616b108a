//! `pg_stats`: what ANALYZE has found out about the columns that the role may read.

use arrow::datatypes::IntervalMonthDayNano;
use kestrel_planner::{
    catalog::{ObjectKind, Privilege, SqlType},
    functions::{SessionFormats, output},
    statistics::{ColumnStatistics, Value},
};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, tablename, attname, inherited, null_frac, avg_width, n_distinct, \
         most_common_vals, most_common_freqs, histogram_bounds, correlation",
    );
    let actor = context.actor();
    for table in context.catalog.tables.values() {
        let Some(statistics) = context.catalog.statistics_of(table.id) else { continue };
        let may_read_all = actor.privileges(table.id, ObjectKind::Table).has(Privilege::Select);
        for column in &table.columns {
            let Some(known) = statistics.column(column.id) else { continue };
            let may_read = || actor.column_privileges(table.id, column.id).has(Privilege::Select);
            if !may_read_all && !may_read() {
                continue;
            }
            let frequencies = known.common.iter().map(|common| common.frequency);
            let frequencies: Vec<f64> = frequencies.collect();
            rows.push(row![
                &table.schema_name,
                &table.name,
                &column.name,
                table.partitioned_by.is_some(),
                known.null_fraction,
                known.average_width as i64,
                known.n_distinct(),
                common_values(known, column.sql_type),
                (!frequencies.is_empty()).then_some(frequencies),
                array(known.histogram.iter(), column.sql_type),
                known.correlation,
            ]);
        }
    }
    rows
}

fn common_values(known: &ColumnStatistics, sql_type: SqlType) -> Option<String> {
    array(known.common.iter().map(|common| &common.value), sql_type)
}

/// As PostgreSQL prints an array (`array_out`, arrayfuncs.c); `None`: of nothing.
fn array<'a>(values: impl Iterator<Item = &'a Value>, sql_type: SqlType) -> Option<String> {
    let texts: Vec<_> = values.map(|value| element(&text(value, sql_type))).collect();
    (!texts.is_empty()).then(|| format!("{{{}}}", texts.join(",")))
}

fn element(text: &str) -> String {
    let is_special = |c: char| "{},\"\\ \t\n\r\x0b\x0c".contains(c);
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(is_special) {
        return text.to_string();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value as its type prints it, in the styles that sessions begin with.
fn text(value: &Value, sql_type: SqlType) -> String {
    let formats = SessionFormats::default();
    match (value, sql_type) {
        (Value::Boolean(value), _) => if *value { "t" } else { "f" }.to_string(),
        (Value::Integer(value), SqlType::Numeric(_, scale)) => numeric((*value).into(), 0, scale),
        (Value::Integer(i64::MAX), SqlType::Timestamp | SqlType::TimestampTz) => "infinity".into(),
        (Value::Integer(i64::MIN), SqlType::Timestamp | SqlType::TimestampTz) => "-infinity".into(),
        (Value::Integer(value), SqlType::Date) => match i32::try_from(*value) {
            Ok(i32::MIN) => "-infinity".into(),
            Ok(i32::MAX) | Err(_) => "infinity".into(),
            Ok(days) => output::date(days, formats.date_style),
        },
        (Value::Integer(value), SqlType::Time) => output::time(*value),
        (Value::Integer(value), SqlType::Timestamp) => {
            output::timestamp(*value, formats.date_style)
        }
        (Value::Integer(value), SqlType::TimestampTz) => {
            output::timestamp_tz(*value, formats.date_style, formats.zone)
        }
        (Value::Integer(value), _) => value.to_string(),
        (Value::Decimal(digits, from), SqlType::Numeric(_, scale)) => {
            numeric((*digits).into(), *from, scale)
        }
        (Value::Decimal(digits, from), _) => numeric((*digits).into(), *from, *from),
        (Value::Float(bits), SqlType::Real) => output::real(f64::from_bits(*bits) as f32, 1),
        (Value::Float(bits), _) => output::double(f64::from_bits(*bits), 1),
        (Value::Text(text), SqlType::Char(length)) => {
            format!("{text:<width$}", width = length as usize)
        }
        (Value::Text(text), _) => text.to_string(),
        (Value::Bytes(bytes), SqlType::Uuid) => output::uuid(bytes),
        (Value::Bytes(bytes), _) => output::bytea(bytes, formats.bytea_output),
        (Value::Interval(months, days, nanos), _) => {
            let value = IntervalMonthDayNano::new(*months, *days, *nanos);
            output::interval(value, formats.interval_style)
        }
    }
}

/// `unscaled · 10^-from` with so many digits behind the point, which is enough.
fn numeric(unscaled: i128, from: i8, scale: i8) -> String {
    let scale = usize::from(scale.max(from).max(0).unsigned_abs());
    let zeros = scale - usize::from(from.max(0).unsigned_abs());
    let digits = format!("{}{}", unscaled.unsigned_abs(), "0".repeat(zeros));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_their_type_is() {
        use SqlType::*;
        let cases = [
            (Value::Integer(5), Integer, "5"),
            (Value::Integer(5), Numeric(10, 2), "5.00"),
            (Value::decimal(-5, 2), Numeric(10, 3), "-0.050"),
            (Value::decimal(1234, 1), Numeric(10, 1), "123.4"),
            (Value::Integer(0), Date, "1970-01-01"),
            (Value::Integer(1_000_000), Time, "00:00:01"),
            (Value::Integer(0), Timestamp, "1970-01-01 00:00:00"),
            (Value::float(1.5), Double, "1.5"),
            (Value::Boolean(true), Boolean, "t"),
            (Value::Text("a".into()), Char(3), "a  "),
            (Value::Bytes([255].into()), Bytea, "\\xff"),
        ];
        for (value, sql_type, expected) in cases {
            assert_eq!(text(&value, sql_type), expected, "{sql_type}");
        }
    }

    #[test]
    fn arrays_are_quoted_where_they_must_be() {
        let values = ["a", "", "b c", "null", "d\"e\\"].map(|text| Value::Text(text.into()));
        let printed = array(values.iter(), SqlType::Text);
        assert_eq!(printed.as_deref(), Some(r#"{a,"","b c","null","d\"e\\"}"#));
        assert_eq!(array([].iter(), SqlType::Text), None);
    }
}
