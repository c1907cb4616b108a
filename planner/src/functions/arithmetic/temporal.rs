//! Operators on dates, times, timestamps and intervals, as PostgreSQL's date.c and timestamp.c.

use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int32Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    Arithmetic, interval,
    types::{Class, Types, resolve},
};
use crate::{
    error::to_datafusion,
    functions::{
        civil::{self, DAY},
        operand::{Operand, division_by_zero, try_zip},
        zone::Zone,
    },
};

type Made<T> = Result<T, ErrorReport>;

type Day = Date32Type;
type Clock = Time64MicrosecondType;
type Moment = TimestampMicrosecondType;
type Span = IntervalMonthDayNanoType;

/// Evaluates an operator with a temporal operand.
pub(super) fn evaluate(
    op: Arithmetic,
    args: &ScalarFunctionArgs,
    left: &ColumnarValue,
    right: &ColumnarValue,
) -> Result<ColumnarValue> {
    let classes = Class::of(&left.data_type()).zip(Class::of(&right.data_type()));
    let types = classes.and_then(|(left, right)| resolve(op, left, right));
    let Some(types) = types else {
        return Err(to_datafusion(ErrorReport::internal("an operator without types")));
    };
    let run = Run { op, left, right, args };
    let moment = |class| matches!(class, Class::Timestamp | Class::TimestampTz);
    if types.left == Class::Date || types.right == Class::Date {
        run.days(types)
    } else if moment(types.left) || moment(types.right) {
        run.moments(types)
    } else {
        run.spans(types)
    }
}

fn field_overflow(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

fn interval_range() -> ErrorReport {
    field_overflow("interval out of range")
}

/// One evaluation.
struct Run<'a> {
    op: Arithmetic,
    left: &'a ColumnarValue,
    right: &'a ColumnarValue,
    args: &'a ScalarFunctionArgs,
}

impl Run<'_> {
    fn zip<A, B, R>(
        &self,
        f: impl Fn(A::Native, B::Native) -> Made<R::Native>,
    ) -> Result<ColumnarValue>
    where
        A: ArrowPrimitiveType,
        B: ArrowPrimitiveType,
        R: ArrowPrimitiveType,
    {
        let (left, right) = (Operand::<A>::of(self.left)?, Operand::<B>::of(self.right)?);
        let values: Operand<R> = try_zip(
            &left,
            &right,
            |a, b| f(a, b).map_or((R::default_value(), true), |v| (v, false)),
            |a, b| match f(a, b) {
                Err(report) => report,
                Ok(_) => ErrorReport::internal("an operation failed only once"),
            },
        )?;
        values.finish(self.args.return_field.data_type())
    }

    /// The right operand counts negative in a difference.
    fn sign(&self) -> i64 {
        if self.op == Arithmetic::Subtract { -1 } else { 1 }
    }

    /// Dates with dates and integers.
    fn days(&self, types: Types) -> Result<ColumnarValue> {
        let sign = self.sign();
        match (types.left, types.right) {
            (Class::Date, Class::Date) => self.zip::<Day, Day, Int32Type>(|a, b| {
                a.checked_sub(b).ok_or_else(|| field_overflow("date out of range"))
            }),
            (Class::Date, _) => self
                .zip::<Day, Int32Type, Day>(|a, b| civil::date(i64::from(a) + sign * i64::from(b))),
            _ => self.zip::<Int32Type, Day, Day>(|a, b| civil::date(i64::from(a) + i64::from(b))),
        }
    }

    /// Timestamps with timestamps, times and intervals.
    fn moments(&self, types: Types) -> Result<ColumnarValue> {
        let sign = self.sign();
        match (types.left, types.right) {
            (_, Class::Time) => {
                self.zip::<Moment, Clock, Moment>(|a, b| civil::timestamp(a.checked_add(sign * b)))
            }
            (Class::Time, _) => {
                self.zip::<Clock, Moment, Moment>(|a, b| civil::timestamp(a.checked_add(b)))
            }
            (class, Class::Interval) => {
                let shift = Shift::new(class, self.args)?;
                self.zip::<Moment, Span, Moment>(|a, b| shift.by(a, b, sign))
            }
            (Class::Interval, class) => {
                let shift = Shift::new(class, self.args)?;
                self.zip::<Span, Moment, Moment>(|a, b| shift.by(b, a, 1))
            }
            _ => self.zip::<Moment, Moment, Span>(|a, b| {
                a.checked_sub(b).and_then(interval::of_difference).ok_or_else(interval_range)
            }),
        }
    }

    /// Times and intervals.
    fn spans(&self, types: Types) -> Result<ColumnarValue> {
        let (op, sign) = (self.op, self.sign());
        match (types.left, types.right) {
            (Class::Time, Class::Interval) => self.zip::<Clock, Span, Clock>(|a, b| {
                Ok((a + sign * (interval::micros(b) % DAY)).rem_euclid(DAY))
            }),
            (Class::Interval, Class::Time) => self.zip::<Span, Clock, Clock>(|a, b| {
                Ok((b + interval::micros(a) % DAY).rem_euclid(DAY))
            }),
            (Class::Time, _) => self.zip::<Clock, Clock, Span>(|a, b| {
                interval::new(0, 0, a - b).ok_or_else(interval_range)
            }),
            (Class::Interval, Class::Interval) => self.zip::<Span, Span, Span>(|a, b| {
                let b = if sign < 0 { interval::negate(b) } else { Some(b) };
                b.and_then(|b| interval::add(a, b)).ok_or_else(interval_range)
            }),
            (Class::Interval, _) => self.zip::<Span, Float64Type, Span>(|a, b| match op {
                Arithmetic::Divide if b == 0.0 => Err(division_by_zero()),
                Arithmetic::Divide => interval::divide(a, b).ok_or_else(interval_range),
                _ => interval::multiply(a, b).ok_or_else(interval_range),
            }),
            _ => self.zip::<Float64Type, Span, Span>(|a, b| {
                interval::multiply(b, a).ok_or_else(interval_range)
            }),
        }
    }
}

/// Moves timestamps by intervals.
pub(crate) struct Shift {
    /// Months and days of a timestamptz are counted on the session's wall clock.
    zone: Option<Zone>,
}

impl Shift {
    fn new(class: Class, args: &ScalarFunctionArgs) -> Result<Self> {
        let zone = if class == Class::TimestampTz {
            Some(Zone::of_session(&args.config_options))
        } else {
            None
        };
        Ok(Self { zone })
    }

    /// `timestamp_pl_interval`: months first, then days, then time.
    fn by(&self, timestamp: i64, by: IntervalMonthDayNano, sign: i64) -> Made<i64> {
        let (months, days) = (sign * i64::from(by.months), sign * i64::from(by.days));
        let time = interval::micros(by).checked_mul(sign);
        let moved = match self.zone {
            _ if months == 0 && days == 0 => timestamp,
            None => Self::by_calendar(timestamp, months, days)?,
            Some(zone) => {
                let local = zone.to_local(timestamp)?;
                zone.to_utc(Self::by_calendar(local, months, days)?)?
            }
        };
        civil::timestamp(time.and_then(|time| moved.checked_add(time)))
    }

    fn by_calendar(timestamp: i64, months: i64, days: i64) -> Made<i64> {
        let day = civil::add_months(timestamp.div_euclid(DAY), months) + days;
        let micros = day.checked_mul(DAY).and_then(|m| m.checked_add(timestamp.rem_euclid(DAY)));
        civil::timestamp(micros)
    }
}
