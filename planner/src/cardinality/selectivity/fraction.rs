//! Which part of the rows passes the tests of a column.

use super::{
    super::ColumnFacts, Comparison, EQUALITY, INEQUALITY, MATCH, OTHER, Selectivity, Test,
    pattern::Pattern,
};
use crate::statistics::{ColumnStatistics, Value};

/// So many bounds a histogram has at least where patterns are tried on them, and so many where
/// nothing else is (PostgreSQL's `patternsel_common`, like_support.c).
const BOUNDS_MIN: usize = 10;
const BOUNDS_ENOUGH: f64 = 100.0;

impl ColumnFacts {
    /// The part of all rows whose value passes all tests.
    pub(in crate::cardinality) fn fraction(&self, tests: &[Test]) -> Selectivity {
        if tests.contains(&Test::IsNull) {
            let is_all = tests.iter().all(|test| *test == Test::IsNull);
            return match (is_all, self.null_fraction) {
                (false, _) => Selectivity::known(0.0),
                (true, Some(part)) => Selectivity::known(part),
                (true, None) => Selectivity::guess(EQUALITY),
            };
        }
        let is_open = |test: &&Test| matches!(test, Test::Compare(_, None));
        let (open, closed): (Vec<_>, Vec<_>) = tests.iter().partition(is_open);
        let mut selectivity = match &self.statistics {
            Some(statistics) => self.of_analyzed(&closed, statistics),
            None => self.of_counted(&closed),
        };
        for test in open {
            let next = self.of_open(test);
            // NULL passes neither.
            let values = self.values_fraction().max(f64::MIN_POSITIVE);
            let passes = if next.is_guess { next.fraction } else { next.fraction / values };
            selectivity.fraction *= passes.min(1.0);
            selectivity.is_guess |= next.is_guess;
        }
        selectivity
    }

    /// Common values are tried one by one; the rest is the histogram's.
    fn of_analyzed(&self, tests: &[&Test], statistics: &ColumnStatistics) -> Selectivity {
        let passes = |value: &Value| tests.iter().all(|test| test.passes(value));
        let common = statistics.common.iter().filter(|common| passes(&common.value));
        let of_common: f64 = common.map(|common| common.frequency).sum();
        let rest = statistics.rest_fraction();
        if statistics.common_are_all() || rest <= 0.0 {
            return Selectivity::known(of_common);
        }
        let (range, mut is_guess) = self.of_range(tests);
        let mut part = range;
        for test in tests {
            let next = match test {
                Test::Compare(Comparison::Equal, Some(value)) => {
                    self.one_of_rest(value, statistics)
                }
                Test::Compare(Comparison::NotEqual, Some(value)) => {
                    1.0 - self.one_of_rest(value, statistics)
                }
                Test::In { values, unknown, negated } => {
                    let known = values.iter().map(|value| self.one_of_rest(value, statistics));
                    let unknown = *unknown as f64 / self.rest_distinct(statistics);
                    let within = (known.sum::<f64>() + unknown).min(1.0);
                    if *negated { 1.0 - within } else { within }
                }
                Test::Like { pattern, negated } => {
                    let (within, guess) = self.of_pattern(pattern, statistics);
                    is_guess |= guess;
                    if *negated { 1.0 - within } else { within }
                }
                // A range, or of all values.
                Test::Compare(..) | Test::IsNull | Test::IsNotNull => 1.0,
            };
            part *= next;
        }
        let fraction = (of_common + rest * part).clamp(0.0, 1.0);
        Selectivity { fraction, is_guess }
    }

    /// Of a column that was not analyzed: its bounds and the number of its values, if they are known.
    fn of_counted(&self, tests: &[&Test]) -> Selectivity {
        let (range, mut is_guess) = self.of_range(tests);
        let mut fraction = range;
        for test in tests {
            let next = self.of_one(test);
            fraction *= next.fraction;
            is_guess |= next.is_guess;
        }
        // NULL passes no test.
        let fraction = if is_guess { fraction } else { fraction.min(self.values_fraction()) };
        Selectivity { fraction: fraction.clamp(0.0, 1.0), is_guess }
    }

    fn of_one(&self, test: &Test) -> Selectivity {
        let each = self.domain.map(|domain| self.values_fraction() / domain.max(1.0));
        let is_outside = |value: &Value| {
            self.bounds.as_ref().is_some_and(|(low, high)| value < low || value > high)
        };
        match test {
            Test::Compare(comparison, Some(value)) => {
                let negated = match comparison {
                    Comparison::Equal => false,
                    Comparison::NotEqual => true,
                    _ => return Selectivity::known(1.0),
                };
                let equal = match each {
                    _ if is_outside(value) => Selectivity::known(0.0),
                    Some(each) => Selectivity::known(each),
                    None if matches!(value, Value::Boolean(_)) => Selectivity::guess(OTHER),
                    None => Selectivity::guess(EQUALITY),
                };
                let all = if equal.is_guess { 1.0 } else { self.values_fraction() };
                let fraction = if negated { all - equal.fraction } else { equal.fraction };
                Selectivity { fraction: fraction.max(0.0), ..equal }
            }
            Test::In { values, unknown, negated } => {
                let listed = values.len() + unknown;
                let inside = values.iter().filter(|value| !is_outside(value)).count() + unknown;
                let (within, all, is_guess) = match each {
                    Some(each) => {
                        let all = self.values_fraction();
                        ((inside as f64 * each).min(all), all, false)
                    }
                    None => ((listed as f64 * EQUALITY).min(0.5), 1.0, true),
                };
                let fraction = if *negated { all - within } else { within };
                Selectivity { fraction, is_guess }
            }
            Test::Like { negated, .. } => {
                Selectivity::guess(if *negated { 1.0 - MATCH } else { MATCH })
            }
            Test::IsNotNull => match self.null_fraction {
                Some(part) => Selectivity::known(1.0 - part),
                None => Selectivity::guess(1.0 - EQUALITY),
            },
            Test::Compare(_, None) | Test::IsNull => Selectivity::known(1.0),
        }
    }

    /// Compared with a constant that only the running query knows (PostgreSQL's `var_eq_non_const`).
    fn of_open(&self, test: &Test) -> Selectivity {
        let Test::Compare(comparison, _) = test else { return Selectivity::known(1.0) };
        let values = self.values_fraction();
        let most = self.statistics.as_ref().and_then(|s| s.common.first());
        let equal = self.domain.map(|domain| {
            let each = values / domain.max(1.0);
            most.map_or(each, |most| each.min(most.frequency))
        });
        match (comparison, equal) {
            (Comparison::Equal, Some(equal)) => Selectivity::known(equal),
            (Comparison::Equal, None) => Selectivity::guess(EQUALITY),
            (Comparison::NotEqual, Some(equal)) => Selectivity::known(values - equal),
            (Comparison::NotEqual, None) => Selectivity::guess(1.0 - EQUALITY),
            _ => Selectivity::guess(INEQUALITY),
        }
    }

    /// All of `<`, `<=`, `>`, `>=` as one range (PostgreSQL's `addRangeClause`, clausesel.c): the part
    /// of the histogram's rows, or of what is between the bounds. And whether it is a guess.
    fn of_range(&self, tests: &[&Test]) -> (f64, bool) {
        let (mut low, mut high, mut count) = (0.0f64, 1.0f64, 0);
        for test in tests {
            let Test::Compare(comparison, Some(value)) = test else { continue };
            // Rows that have just this value.
            let (is_lower, with_it) = match comparison {
                Comparison::Less => (false, false),
                Comparison::LessOrEqual => (false, true),
                Comparison::Greater => (true, true),
                Comparison::GreaterOrEqual => (true, false),
                Comparison::Equal | Comparison::NotEqual => continue,
            };
            count += 1;
            let Some(below) = self.part_below(value) else {
                return self.guessed_range(tests);
            };
            let below = below + if with_it { self.part_of(value) } else { 0.0 };
            match is_lower {
                true => low = low.max(below),
                false => high = high.min(below),
            }
        }
        if count == 0 {
            return (1.0, false);
        }
        let buckets = self.statistics.as_ref().map_or(0, |s| s.histogram.len()).saturating_sub(1);
        // A histogram does not know so exactly that there is nothing.
        let least = if buckets > 0 { 0.01 / buckets as f64 } else { 0.0 };
        let part = (high - low).max(least).min(1.0);
        let nulls = if self.statistics.is_some() { 1.0 } else { self.values_fraction() };
        (part * nulls, false)
    }

    fn guessed_range(&self, tests: &[&Test]) -> (f64, bool) {
        let is_range = |test: &&&Test| match test {
            Test::Compare(Comparison::Equal | Comparison::NotEqual, _) => false,
            Test::Compare(_, value) => value.is_some(),
            _ => false,
        };
        (INEQUALITY.powi(tests.iter().filter(is_range).count() as i32), true)
    }

    /// The part of the histogram's rows below a value.
    fn part_below(&self, value: &Value) -> Option<f64> {
        let below = self.statistics.as_ref().and_then(|s| s.histogram_fraction_below(value));
        below.or_else(|| {
            let (low, high) = self.bounds.as_ref()?;
            let is_beyond = value > high;
            Some(if is_beyond { 1.0 } else { value.position_between(low, high) })
        })
    }

    /// The part of the histogram's rows that has just this value.
    fn part_of(&self, value: &Value) -> f64 {
        let is_inside =
            self.bounds.as_ref().is_some_and(|(low, high)| low <= value && value <= high);
        match (&self.statistics, self.domain) {
            (Some(statistics), _) if is_inside => self.one_of_rest(value, statistics),
            (None, Some(domain)) if is_inside => 1.0 / domain.max(1.0),
            _ => 0.0,
        }
    }

    /// The part of the histogram's rows that has this value: none, if it is a common one; else each of
    /// the others has as many, but no more than the last of the common ones (`var_eq_const`).
    fn one_of_rest(&self, value: &Value, statistics: &ColumnStatistics) -> f64 {
        if statistics.frequency_of(value).is_some() {
            return 0.0;
        }
        let each = 1.0 / self.rest_distinct(statistics);
        let least = statistics.common.last().map_or(f64::INFINITY, |common| common.frequency);
        each.min(least / statistics.rest_fraction().max(f64::MIN_POSITIVE)).min(1.0)
    }

    fn rest_distinct(&self, statistics: &ColumnStatistics) -> f64 {
        let all = self.domain.unwrap_or(statistics.distinct);
        (all - statistics.common.len() as f64).max(1.0)
    }

    /// The part of the histogram's rows that match: of its bounds, taken as a sample, and by the
    /// pattern's form where there are few (`patternsel_common`, like_support.c). And whether that is
    /// a guess.
    fn of_pattern(&self, pattern: &Pattern, statistics: &ColumnStatistics) -> (f64, bool) {
        let prefix = pattern.prefix();
        if pattern.is_exact() {
            return (self.one_of_rest(&Value::Text(prefix.into()), statistics), false);
        }
        let of_prefix = match prefix.is_empty() {
            true => 1.0,
            false => {
                let low = Value::Text(prefix.as_str().into());
                let high = Value::Text(format!("{prefix}{}", char::MAX).into());
                let parts = self.part_below(&high).zip(self.part_below(&low));
                parts.map_or(MATCH, |(high, low)| (high - low).max(0.0))
            }
        };
        let by_form = of_prefix * pattern.rest_selectivity();
        let bounds = &statistics.histogram;
        if bounds.len() < BOUNDS_MIN {
            return (by_form.clamp(0.0001, 0.9999), true);
        }
        let inner = &bounds[1..bounds.len() - 1];
        let matches = |value: &&Value| match value {
            Value::Text(text) => pattern.matches(text),
            _ => false,
        };
        let of_sample = inner.iter().filter(matches).count() as f64 / inner.len() as f64;
        let weight = (bounds.len() as f64 / BOUNDS_ENOUGH).min(1.0);
        let part = of_sample * weight + by_form * (1.0 - weight);
        (part.clamp(0.0001, 0.9999), false)
    }
}
