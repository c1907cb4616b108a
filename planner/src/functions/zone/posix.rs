//! Time zones as POSIX strings: `EST5EDT`, `CET-1CEST,M3.5.0,M10.5.0/3`, `<+05:30>-05:30`
//! (`tzparse` in PostgreSQL's localtime.c).

use crate::functions::civil::{Civil, DAY, SECOND, civil_from_days, days_from_civil, month_length};

/// Without rules of their own, zones change as the United States do.
const DEFAULT_RULES: &str = "M3.2.0,M11.1.0";
/// Offsets and times of rules stay within a week.
const HOURS_MAX: i32 = 24 * 7 - 1;
/// When a rule says no time: 02:00.
const DEFAULT_RULE_SECONDS: i32 = 2 * 3600;

/// A zone with at most two offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posix {
    standard: Period,
    daylight: Option<Daylight>,
}

/// What the clocks show in a part of the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) name: Word,
    /// East of Greenwich.
    pub(super) offset_seconds: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Daylight {
    period: Period,
    start: Rule,
    end: Rule,
}

/// The moment of a change in every year, on the wall clock before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    day: RuleDay,
    seconds: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleDay {
    /// `Jn`: 1 to 365, 29 February is never counted.
    WithoutLeapDay(i64),
    /// `n`: 0 to 365.
    OfYear(i64),
    /// `Mm.w.d`: the w-th weekday d (0: Sunday) of a month, the last if w is 5.
    OfMonth { month: i64, week: i64, weekday: i64 },
}

/// A name of at most 15 bytes, kept in place: zones are copied for every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    bytes: [u8; 15],
    length: u8,
}

impl Word {
    /// `None`: empty, too long, or not ASCII.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 15];
        let place = bytes.get_mut(..text.len()).filter(|_| text.is_ascii() && !text.is_empty())?;
        place.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: text.len() as u8 })
    }

    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The POSIX string of a fixed offset, as PostgreSQL names it (`pg_tzset_offset`): `<+05:30>-05:30`.
pub(super) fn offset_name(offset_seconds: i32) -> String {
    let seconds = offset_seconds.abs();
    let mut digits = format!("{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        digits.push_str(&format!(":{:02}", seconds / 60 % 60));
    }
    if seconds % 60 != 0 {
        digits.push_str(&format!(":{:02}", seconds % 60));
    }
    match offset_seconds < 0 {
        true => format!("<-{digits}>+{digits}"),
        false => format!("<+{digits}>-{digits}"),
    }
}

impl Posix {
    pub(super) fn fixed(name: Word, offset_seconds: i32) -> Self {
        Self { standard: Period { name, offset_seconds }, daylight: None }
    }

    /// `None`: not such a string.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let mut input = Input(&text);
        let name = input.name()?;
        let offset_seconds = -input.signed_time()?;
        let standard = Period { name, offset_seconds };
        if input.0.is_empty() {
            return Some(Self { standard, daylight: None });
        }
        let name = input.name()?;
        let offset_seconds = match input.0.is_empty() || input.0.starts_with(',') {
            true => offset_seconds + 3600,
            false => -input.signed_time()?,
        };
        let period = Period { name, offset_seconds };
        let mut rules = match input.0.strip_prefix(',') {
            Some(rules) => Input(rules),
            None if input.0.is_empty() => Input(DEFAULT_RULES),
            None => return None,
        };
        let start = rules.rule()?;
        rules.eat(',')?;
        let end = rules.rule()?;
        rules.0.is_empty().then_some(())?;
        Some(Self { standard, daylight: Some(Daylight { period, start, end }) })
    }

    /// What holds at an instant (microseconds since 1970).
    pub(super) fn period(&self, utc_micros: i64) -> Period {
        match &self.daylight {
            Some(daylight) if self.is_daylight(utc_micros) => daylight.period,
            _ => self.standard,
        }
    }

    /// Whether an instant is between the start and the end of daylight saving time.
    pub(super) fn is_daylight(&self, utc_micros: i64) -> bool {
        let Some(daylight) = &self.daylight else { return false };
        let offset_micros = i64::from(self.standard.offset_seconds) * SECOND;
        let year = civil_from_days(utc_micros.saturating_add(offset_micros).div_euclid(DAY)).year;
        let start = daylight.start.utc_micros(year, self.standard.offset_seconds);
        let end = daylight.end.utc_micros(year, daylight.period.offset_seconds);
        match start < end {
            true => (start..end).contains(&utc_micros),
            false => !(end..start).contains(&utc_micros),
        }
    }
}

impl Rule {
    /// `offset_seconds`: what the clocks that change are at.
    fn utc_micros(&self, year: i64, offset_seconds: i32) -> i64 {
        let seconds = i64::from(self.seconds) - i64::from(offset_seconds);
        self.day.days(year).saturating_mul(DAY).saturating_add(seconds * SECOND)
    }
}

impl RuleDay {
    /// Days since 1970.
    fn days(self, year: i64) -> i64 {
        let first = |month| days_from_civil(Civil { year, month, day: 1 });
        match self {
            Self::OfYear(day) => first(1) + day,
            Self::WithoutLeapDay(day) => {
                let leap = i64::from(day > 59 && month_length(year, 2) == 29);
                first(1) + day - 1 + leap
            }
            Self::OfMonth { month, week, weekday } => {
                let first = first(month);
                // 1970-01-01 was a Thursday.
                let until = (weekday - (first + 4)).rem_euclid(7);
                let day = until + (week - 1) * 7;
                let beyond = day >= month_length(year, month);
                first + if beyond { day - 7 } else { day }
            }
        }
    }
}

/// What is left to read.
struct Input<'a>(&'a str);

impl Input<'_> {
    fn eat(&mut self, wanted: char) -> Option<()> {
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    /// Letters, or anything in `<>`.
    fn name(&mut self) -> Option<Word> {
        let (name, rest) = match self.0.strip_prefix('<') {
            Some(quoted) => quoted.split_once('>')?,
            None => {
                let end = self.0.find(|c: char| c.is_ascii_digit() || ",+-".contains(c));
                let name = self.0.split_at(end.unwrap_or(self.0.len()));
                name.0.bytes().all(|b| b.is_ascii_alphabetic()).then_some(name)?
            }
        };
        self.0 = rest;
        Word::new(name)
    }

    fn number(&mut self, range: std::ops::RangeInclusive<i32>) -> Option<i32> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits.parse().ok().filter(|number| range.contains(number))
    }

    /// `[+-]hh[:mm[:ss]]`, in seconds.
    fn signed_time(&mut self) -> Option<i32> {
        let sign = match self.eat('-') {
            Some(()) => -1,
            None => {
                let _ = self.eat('+');
                1
            }
        };
        let mut seconds = self.number(0..=HOURS_MAX)? * 3600;
        if self.eat(':').is_some() {
            seconds += self.number(0..=59)? * 60;
            if self.eat(':').is_some() {
                seconds += self.number(0..=60)?;
            }
        }
        Some(sign * seconds)
    }

    /// A day, and `/time`.
    fn rule(&mut self) -> Option<Rule> {
        let day = if self.eat('J').is_some() {
            RuleDay::WithoutLeapDay(i64::from(self.number(1..=365)?))
        } else if self.eat('M').is_some() {
            let month = i64::from(self.number(1..=12)?);
            self.eat('.')?;
            let week = i64::from(self.number(1..=5)?);
            self.eat('.')?;
            RuleDay::OfMonth { month, week, weekday: i64::from(self.number(0..=6)?) }
        } else {
            RuleDay::OfYear(i64::from(self.number(0..=365)?))
        };
        let seconds = match self.eat('/') {
            Some(()) => self.signed_time()?,
            None => DEFAULT_RULE_SECONDS,
        };
        Some(Rule { day, seconds })
    }
}
