//! Conditions on integers, and on all that is an integer in memory: dates, timestamps, decimals by
//! their unscaled value.
//!
//! A comparison with a constant is an interval. Over a chunk that holds `base + offset` the interval
//! is moved by the base, once, and then compared with the offsets as they are.

use std::ops::{Range, RangeInclusive};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{common::ScalarValue, logical_expr::Operator};

use super::{
    super::chunk::{Values, Zone},
    selection::Selection,
};

/// A list that spans no more than this has a bit per value.
const BITS_MAX: u64 = 1 << 16;

/// What a value must be. NULL never passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IntegerTest {
    /// In the interval; nothing is, when it is empty.
    Within(RangeInclusive<i64>),
    /// Any but this.
    Except(i64),
    /// One of these.
    OneOf(IntegerSet),
    /// None of these.
    NoneOf(IntegerSet),
}

/// Some integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntegerSet {
    /// Ascending, without repetition, at least one.
    sorted: Vec<i64>,
    /// A bit for each value from the least on, if they are close together.
    bits: Vec<u64>,
}

/// What is known of the rows of a zone or a piece beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None passes.
    None,
    /// Some may pass.
    Some,
    /// All pass.
    All,
}

/// The integer that a value of this column type is in memory; `None`: it is NULL, or of another type.
pub(super) fn integer_of(value: &ScalarValue, data_type: &DataType) -> Option<i64> {
    match (value, data_type) {
        (ScalarValue::Int16(value), DataType::Int16) => value.map(i64::from),
        (ScalarValue::Int32(value), DataType::Int32)
        | (ScalarValue::Date32(value), DataType::Date32) => value.map(i64::from),
        (ScalarValue::Int64(value), DataType::Int64)
        | (ScalarValue::Time64Microsecond(value), DataType::Time64(TimeUnit::Microsecond))
        | (
            ScalarValue::TimestampMicrosecond(value, _),
            DataType::Timestamp(TimeUnit::Microsecond, _),
        ) => *value,
        (
            ScalarValue::Decimal128(value, _, scale),
            DataType::Decimal128(precision, column_scale),
        ) if *precision <= 18 && scale == column_scale => {
            value.and_then(|value| i64::try_from(value).ok())
        }
        _ => None,
    }
}

/// Whether a column of this type is of integers in memory.
pub(super) fn is_integer(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Timestamp(TimeUnit::Microsecond, _) => true,
        DataType::Decimal128(precision, _) => *precision <= 18,
        _ => false,
    }
}

impl IntegerTest {
    /// `value operator constant`; `None`: it is no comparison.
    pub(super) fn of(operator: Operator, constant: i64) -> Option<Self> {
        const NOTHING: RangeInclusive<i64> = RangeInclusive::new(1, 0);
        let below = constant.checked_sub(1).map_or(NOTHING, |max| i64::MIN..=max);
        let above = constant.checked_add(1).map_or(NOTHING, |min| min..=i64::MAX);
        match operator {
            Operator::Eq => Some(Self::Within(constant..=constant)),
            Operator::NotEq => Some(Self::Except(constant)),
            Operator::Lt => Some(Self::Within(below)),
            Operator::LtEq => Some(Self::Within(i64::MIN..=constant)),
            Operator::Gt => Some(Self::Within(above)),
            Operator::GtEq => Some(Self::Within(constant..=i64::MAX)),
            _ => None,
        }
    }

    /// Both at once, if that is one test, too.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Within(a), Self::Within(b)) => {
                Some(Self::Within(*a.start().max(b.start())..=*a.end().min(b.end())))
            }
            _ => None,
        }
    }

    pub(super) fn passes(&self, value: i64) -> bool {
        match self {
            Self::Within(range) => range.contains(&value),
            Self::Except(other) => value != *other,
            Self::OneOf(set) => set.contains(value),
            Self::NoneOf(set) => !set.contains(value),
        }
    }

    /// What is known of rows whose values lie in these bounds.
    pub(super) fn verdict(&self, zone: &Zone) -> Verdict {
        let (min, max) = (zone.min, zone.max);
        if min > max {
            return Verdict::None;
        }
        let (none, all) = match self {
            Self::Within(range) => (
                range.is_empty() || max < *range.start() || min > *range.end(),
                range.contains(&min) && range.contains(&max),
            ),
            Self::Except(other) => (min == max && min == *other, *other < min || *other > max),
            Self::OneOf(set) => (set.misses(min, max), min == max && set.contains(min)),
            Self::NoneOf(set) => (min == max && set.contains(min), set.misses(min, max)),
        };
        match (none, all && zone.nulls == 0) {
            (true, _) => Verdict::None,
            (_, true) => Verdict::All,
            _ => Verdict::Some,
        }
    }

    /// Keeps the rows of `zone` whose values pass; NULLs are the caller's. `false`: the values are no
    /// integers.
    pub(super) fn keep(
        &self,
        values: &Values,
        zone: &Range<usize>,
        selection: &mut Selection,
    ) -> bool {
        match values {
            Values::U8 { base, offsets } => self.keep_bytes(*base, part(offsets, zone), selection),
            Values::U16 { base, offsets } => {
                self.keep_narrow(*base, part(offsets, zone), selection);
            }
            Values::U32 { base, offsets } => {
                self.keep_narrow(*base, part(offsets, zone), selection);
            }
            Values::I64(values) => self.keep_wide(part(values, zone), selection),
            Values::Coded { .. } | Values::Plain(_) => return false,
        }
        true
    }

    /// Lists become a table of the 256 offsets.
    fn keep_bytes(&self, base: i64, offsets: &[u8], selection: &mut Selection) {
        match self {
            Self::Within(_) | Self::Except(_) => self.keep_narrow(base, offsets, selection),
            Self::OneOf(_) | Self::NoneOf(_) => {
                let mut table = [false; 256];
                for (offset, passes) in table.iter_mut().enumerate() {
                    *passes = self.passes(base.wrapping_add(offset as i64));
                }
                selection.keep(offsets, |offset| table[usize::from(offset)]);
            }
        }
    }

    fn keep_narrow<T: Offset>(&self, base: i64, offsets: &[T], selection: &mut Selection) {
        match self {
            Self::Within(range) => match T::moved(range, base) {
                Some(range) => keep_within(range, offsets, selection),
                None => selection.clear(),
            },
            Self::Except(other) => {
                if let Some(range) = T::moved(&(*other..=*other), base) {
                    let other = *range.start();
                    selection.keep(offsets, |offset| offset != other);
                }
            }
            Self::OneOf(set) => {
                selection.keep(offsets, |offset| set.contains(base.wrapping_add(offset.into())));
            }
            Self::NoneOf(set) => {
                selection.keep(offsets, |offset| !set.contains(base.wrapping_add(offset.into())));
            }
        }
    }

    fn keep_wide(&self, values: &[i64], selection: &mut Selection) {
        match self {
            Self::Within(range) => {
                let (min, max) = (*range.start(), *range.end());
                // Without a branch between the two.
                selection.keep(values, |value| (value >= min) & (value <= max));
            }
            Self::Except(other) => selection.keep(values, |value| value != *other),
            Self::OneOf(set) => selection.keep(values, |value| set.contains(value)),
            Self::NoneOf(set) => selection.keep(values, |value| !set.contains(value)),
        }
    }
}

/// The rows of a zone.
pub(super) fn part<'a, T>(values: &'a [T], zone: &Range<usize>) -> &'a [T] {
    values.get(zone.clone()).unwrap_or_default()
}

fn keep_within<T: Offset>(range: RangeInclusive<T>, offsets: &[T], selection: &mut Selection) {
    let (min, max) = (*range.start(), *range.end());
    if min == T::LEAST && max == T::GREATEST {
        return;
    }
    if min == T::LEAST {
        selection.keep(offsets, |offset| offset <= max);
    } else if max == T::GREATEST {
        selection.keep(offsets, |offset| offset >= min);
    } else {
        selection.keep(offsets, |offset| (offset >= min) & (offset <= max));
    }
}

/// An unsigned integer that is added to a base.
trait Offset: Copy + PartialEq + PartialOrd + Into<i64> {
    const LEAST: Self;
    const GREATEST: Self;

    /// The nearest of this type.
    fn clamped(value: i128) -> Self;

    /// The offsets whose sums with the base are in the range; `None`: there is none.
    fn moved(range: &RangeInclusive<i64>, base: i64) -> Option<RangeInclusive<Self>> {
        let greatest: i64 = Self::GREATEST.into();
        let min = i128::from(*range.start()) - i128::from(base);
        let max = i128::from(*range.end()) - i128::from(base);
        let is_empty = min > max || max < 0 || min > i128::from(greatest);
        (!is_empty).then(|| Self::clamped(min)..=Self::clamped(max))
    }
}

macro_rules! offsets {
    ($($offset:ty),*) => {$(
        impl Offset for $offset {
            const LEAST: Self = 0;
            const GREATEST: Self = Self::MAX;

            fn clamped(value: i128) -> Self {
                value.clamp(0, i128::from(Self::MAX)) as Self
            }
        }
    )*};
}

offsets!(u8, u16, u32);

impl IntegerSet {
    /// These; `None`: there is none.
    pub(super) fn of(mut values: Vec<i64>) -> Option<Self> {
        values.sort_unstable();
        values.dedup();
        let (least, greatest) = (*values.first()?, *values.last()?);
        let span = greatest.abs_diff(least);
        let mut bits = Vec::new();
        if span < BITS_MAX {
            bits.resize(span as usize / 64 + 1, 0_u64);
            for value in &values {
                let at = value.abs_diff(least);
                if let Some(word) = bits.get_mut(at as usize / 64) {
                    *word |= 1 << (at % 64);
                }
            }
        }
        Some(Self { sorted: values, bits })
    }

    #[inline]
    fn contains(&self, value: i64) -> bool {
        if self.bits.is_empty() {
            return self.sorted.binary_search(&value).is_ok();
        }
        let least = self.sorted.first().copied().unwrap_or_default();
        let at = value.wrapping_sub(least) as u64;
        self.bits.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Whether none of them lies in these bounds.
    fn misses(&self, min: i64, max: i64) -> bool {
        let first = self.sorted.partition_point(|value| *value < min);
        self.sorted.get(first).is_none_or(|value| *value > max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests() -> Vec<IntegerTest> {
        use Operator::*;
        let constants = [i64::MIN, -1_000, -7, 0, 3, 200, 255, 256, 65_535, 70_000, i64::MAX];
        let mut tests = Vec::new();
        for constant in constants {
            for operator in [Eq, NotEq, Lt, LtEq, Gt, GtEq] {
                tests.push(IntegerTest::of(operator, constant).unwrap());
            }
        }
        for (min, max) in [(0, 100), (-50, 60_000), (100, 0), (250, 300)] {
            let min = IntegerTest::of(GtEq, min).unwrap();
            tests.push(min.and(&IntegerTest::of(LtEq, max).unwrap()).unwrap());
        }
        let close = IntegerSet::of(vec![7, 3, 3, 200, -7]).unwrap();
        let far = IntegerSet::of(vec![i64::MIN, 5, i64::MAX]).unwrap();
        let one = IntegerSet::of(vec![42]).unwrap();
        for set in [close, far, one] {
            tests.extend([IntegerTest::OneOf(set.clone()), IntegerTest::NoneOf(set)]);
        }
        tests
    }

    /// The same values in each width that holds them.
    fn widths(base: i64, offsets: &[u32]) -> Vec<(Values, Vec<i64>)> {
        let values = |modulus: u32| -> Vec<i64> {
            offsets.iter().map(|offset| base + i64::from(*offset % modulus)).collect()
        };
        let (bytes, words) = (values(256), values(65_536));
        let wide: Vec<i64> = offsets.iter().map(|offset| base + i64::from(*offset)).collect();
        let u8s = offsets.iter().map(|o| (o % 256) as u8).collect();
        let u16s = offsets.iter().map(|o| (o % 65_536) as u16).collect();
        vec![
            (Values::U8 { base, offsets: u8s }, bytes),
            (Values::U16 { base, offsets: u16s }, words),
            (Values::U32 { base, offsets: offsets.iter().copied().collect() }, wide.clone()),
            (Values::I64(wide.iter().copied().collect()), wide),
        ]
    }

    #[test]
    fn every_width_keeps_the_same_rows() {
        let offsets: Vec<u32> = (0..500_u32).map(|i| i.wrapping_mul(2_654_435_761) >> 7).collect();
        let zone = 100..500;
        for base in [0, -100, 1 << 40, -(1 << 50)] {
            for (values, integers) in widths(base, &offsets) {
                for test in tests() {
                    let mut selection = Selection::default();
                    selection.reset(zone.len());
                    assert!(test.keep(&values, &zone, &mut selection));
                    let all: Vec<u32> = (0..400).collect();
                    let kept = selection.list().map_or(all.clone(), <[u32]>::to_vec);
                    let passes = |at: &u32| test.passes(integers[100 + *at as usize]);
                    let expected: Vec<_> = all.into_iter().filter(passes).collect();
                    assert_eq!(kept, expected, "{test:?} over {values:?}");
                }
            }
        }
    }

    #[test]
    fn verdicts_hold_for_all_values_in_the_bounds() {
        for (min, max) in [(0, 3), (3, 3), (-7, -7), (42, 42), (100, 300), (255, 256), (-9, 9)] {
            for test in tests() {
                let passing = (min..=max).filter(|value| test.passes(*value)).count();
                let zone = Zone { min, max, nulls: 0, rows: 400 };
                match test.verdict(&zone) {
                    Verdict::None => assert_eq!(passing, 0, "{test:?} {min} {max}"),
                    Verdict::All => assert_eq!(passing as i64, max - min + 1, "{test:?}"),
                    Verdict::Some => (),
                }
                // Intervals and single values are decided whenever they can be.
                if matches!(test, IntegerTest::Within(_)) && passing == 0 {
                    assert_eq!(test.verdict(&zone), Verdict::None);
                }
                let with_nulls = Zone { nulls: 1, ..zone };
                assert_ne!(test.verdict(&with_nulls), Verdict::All);
                let all_null = Zone { min: i64::MAX, max: i64::MIN, nulls: 400, rows: 400 };
                assert_eq!(test.verdict(&all_null), Verdict::None);
            }
        }
    }
}
