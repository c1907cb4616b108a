//! Templates of `to_char`, `to_date` and `to_timestamp` (PostgreSQL's formatting.c): a list of fields
//! and of texts between them.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::civil::{Civil, DAY, SECOND, civil_from_days, days_from_civil, month_length};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Keywords, longest first among those with a common beginning.
const KEYWORDS: &[&str] = &[
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "A.M.", "P.M.", "a.m.", "p.m.",
    "AM", "PM", "am", "pm", "YYYY", "YYY", "YY", "Y,YYY", "Y", "IYYY", "MONTH", "Month", "month",
    "MON", "Mon", "mon", "MM", "DAY", "Day", "day", "DDD", "DD", "DY", "Dy", "dy", "D", "IW", "ID",
    "WW", "W", "CC", "J", "Q", "BC", "AD", "TZH", "TZM", "TZ", "tz", "OF",
];

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// A keyword; `FM` before it: no padding.
    Field {
        keyword: &'static str,
        fill: bool,
        ordinal: Option<bool>,
    },
    Text(String),
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Piece>);

impl Template {
    /// Reads a template. What is no keyword stands for itself.
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let mut fill = true;
        while let Some(c) = rest.chars().next() {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or(quoted.len());
                literal.push_str(&quoted[..end]);
                rest = quoted.get(end + 1..).unwrap_or("");
                continue;
            }
            if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
                fill = false;
                rest = after;
                continue;
            }
            let Some((keyword, after)) = keyword(rest) else {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let ordinal = match after.get(..2) {
                Some("TH") => Some(true),
                Some("th") => Some(false),
                _ => None,
            };
            rest = if ordinal.is_some() { &after[2..] } else { after };
            pieces.push(Piece::Field { keyword, fill, ordinal });
            fill = true;
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Self(pieces)
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// A wall-clock moment in the form of the template; `zone` is what the clock's zone is called and
    /// how many seconds it is east of Greenwich, if it has one.
    pub(super) fn format(&self, local: i64, zone: Option<(&str, i64)>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Field { keyword, fill, ordinal } => {
                    let field = match zone_field(keyword, zone) {
                        Some(field) => field,
                        None => field(keyword, local, *fill),
                    };
                    text.push_str(&field);
                    if let Some(upper) = ordinal {
                        text.push_str(&ordinal_suffix(&field, *upper));
                    }
                }
            }
        }
        text
    }

    /// The moment that a text in the form of the template names, in microseconds since 1970.
    pub(super) fn read(&self, text: &str) -> Result<i64> {
        let mut found = Found::default();
        let mut rest = text;
        for (at, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(literal) => {
                    for _ in literal.chars() {
                        // Any separator matches any other.
                        let next = rest.chars().next();
                        if next.is_some_and(|c| !c.is_ascii_alphanumeric()) {
                            rest = &rest[next.map_or(0, char::len_utf8)..];
                        }
                    }
                }
                Piece::Field { keyword, .. } => {
                    rest = rest.trim_start_matches(' ');
                    // Digits end at their field's width only where the next field follows at once.
                    let tight = matches!(self.0.get(at + 1), Some(Piece::Field { .. }));
                    rest = found.take(keyword, rest, tight, text)?;
                }
            }
        }
        found.micros(text)
    }
}

fn keyword(rest: &str) -> Option<(&'static str, &str)> {
    KEYWORDS.iter().find_map(|keyword| {
        let start = rest.get(..keyword.len())?;
        // Case tells names apart; numbers may be in any.
        let named = matches!(
            keyword.to_ascii_uppercase().as_str(),
            "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "A.M." | "P.M." | "TZ"
        );
        let same = if named { start == *keyword } else { start.eq_ignore_ascii_case(keyword) };
        same.then(|| (*keyword, &rest[keyword.len()..]))
    })
}

fn number(value: i64, width: usize, fill: bool) -> String {
    if fill { format!("{value:0width$}") } else { value.to_string() }
}

fn name(full: &str, keyword: &str, fill: bool) -> String {
    let short = keyword.len() <= 3 && !keyword.eq_ignore_ascii_case("day");
    let shown = if short { &full[..3] } else { full };
    let shown = match keyword {
        k if k.chars().all(|c| c.is_ascii_uppercase()) => shown.to_ascii_uppercase(),
        k if k.chars().all(|c| c.is_ascii_lowercase()) => shown.to_ascii_lowercase(),
        _ => shown.to_string(),
    };
    // Full names are padded to the longest, September and Wednesday.
    if fill && !short { format!("{shown:<9}") } else { shown }
}

/// `TZ`, `OF` and their like: without a zone there is no name, and the offset is 0.
fn zone_field(keyword: &str, zone: Option<(&str, i64)>) -> Option<String> {
    let (name, offset) = zone.unwrap_or(("", 0));
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    Some(match keyword {
        "TZ" => name.to_ascii_uppercase(),
        "tz" => name.to_ascii_lowercase(),
        "TZH" => format!("{sign}{hours:02}"),
        "TZM" => format!("{minutes:02}"),
        "OF" if minutes == 0 => format!("{sign}{hours:02}"),
        "OF" => format!("{sign}{hours:02}:{minutes:02}"),
        _ => return None,
    })
}

fn field(keyword: &str, local: i64, fill: bool) -> String {
    let days = local.div_euclid(DAY);
    let clock = local.rem_euclid(DAY);
    let Civil { year, month, day } = civil_from_days(days);
    let seconds = clock / SECOND;
    let (hour, micros) = (seconds / 3600, clock % SECOND);
    let shown_year = if year > 0 { year } else { 1 - year };
    let weekday = (days + 4).rem_euclid(7);
    let day_of_year = days - days_from_civil(Civil { year, month: 1, day: 1 }) + 1;
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let iso_year = civil_from_days(thursday).year;
    let iso_week = (thursday - days_from_civil(Civil { year: iso_year, month: 1, day: 1 })) / 7 + 1;
    let at = |index: i64| usize::try_from(index).unwrap_or(0);
    match keyword {
        "HH24" => number(hour, 2, fill),
        "HH12" | "HH" => number((hour + 11) % 12 + 1, 2, fill),
        "MI" => number(seconds / 60 % 60, 2, fill),
        "SS" => number(seconds % 60, 2, fill),
        "SSSS" | "SSSSS" => seconds.to_string(),
        "MS" => number(micros / 1000, 3, true),
        "US" => number(micros, 6, true),
        "AM" | "PM" => if hour < 12 { "AM" } else { "PM" }.into(),
        "am" | "pm" => if hour < 12 { "am" } else { "pm" }.into(),
        "A.M." | "P.M." => if hour < 12 { "A.M." } else { "P.M." }.into(),
        "a.m." | "p.m." => if hour < 12 { "a.m." } else { "p.m." }.into(),
        "YYYY" => number(shown_year, 4, fill),
        "YYY" => number(shown_year % 1000, 3, fill),
        "YY" => number(shown_year % 100, 2, fill),
        "Y" => (shown_year % 10).to_string(),
        "Y,YYY" => format!("{},{:03}", shown_year / 1000, shown_year % 1000),
        "IYYY" => number(iso_year, 4, fill),
        "MM" => number(month, 2, fill),
        "DDD" => number(day_of_year, 3, fill),
        "DD" => number(day, 2, fill),
        "D" => (weekday + 1).to_string(),
        "ID" => ((weekday + 6) % 7 + 1).to_string(),
        "IW" => number(iso_week, 2, fill),
        "WW" => number((day_of_year - 1) / 7 + 1, 2, fill),
        "W" => ((day - 1) / 7 + 1).to_string(),
        "CC" => number((shown_year + 99) / 100, 2, fill),
        "J" => (days + 2_440_588).to_string(),
        "Q" => ((month - 1) / 3 + 1).to_string(),
        "BC" | "AD" => if year > 0 { "AD" } else { "BC" }.into(),
        k if k.eq_ignore_ascii_case("month") || k.eq_ignore_ascii_case("mon") => {
            name(MONTHS[at(month - 1)], k, fill)
        }
        k => name(DAYS[at(weekday)], k, fill),
    }
}

/// `st`, `nd`, `rd` or `th`.
pub(super) fn ordinal_suffix(number: &str, upper: bool) -> String {
    let digits = number.as_bytes();
    let teen = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    let suffix = match digits.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    };
    if upper { suffix.to_ascii_uppercase() } else { suffix.into() }
}

/// What has been read.
#[derive(Debug, Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    pm: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    bc: bool,
}

impl Found {
    /// Takes a field from the front of `rest`; the rest after it.
    fn take<'a>(
        &mut self,
        keyword: &str,
        rest: &'a str,
        tight: bool,
        text: &str,
    ) -> Result<&'a str> {
        let upper = keyword.to_ascii_uppercase();
        match upper.as_str() {
            "MONTH" | "MON" => {
                let names = MONTHS.iter().enumerate();
                let (at, length) = longest(names.map(|(at, n)| (at, *n)), rest)
                    .ok_or_else(|| invalid(keyword, rest, text))?;
                self.month = Some(at as i64 + 1);
                Ok(&rest[length..])
            }
            "DAY" | "DY" => {
                let (_, length) = longest(DAYS.iter().enumerate().map(|(at, n)| (at, *n)), rest)
                    .ok_or_else(|| invalid(keyword, rest, text))?;
                Ok(&rest[length..])
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let word: String = rest.chars().take(upper.len()).collect();
                self.pm = Some(word.to_ascii_uppercase().starts_with('P'));
                Ok(&rest[word.len()..])
            }
            "BC" | "AD" => {
                let word: String = rest.chars().take(2).collect();
                self.bc = word.eq_ignore_ascii_case("bc");
                Ok(&rest[word.len()..])
            }
            _ => self.take_number(&upper, rest, tight, text),
        }
    }

    fn take_number<'a>(
        &mut self,
        keyword: &str,
        rest: &'a str,
        tight: bool,
        text: &str,
    ) -> Result<&'a str> {
        let width = match keyword {
            "YYYY" | "IYYY" if !tight => 9,
            "HH24" | "HH12" => 2,
            "US" => 6,
            other => other.len(),
        };
        let end = rest
            .bytes()
            .take(width)
            .position(|b| !b.is_ascii_digit())
            .unwrap_or(rest.len().min(width));
        let (digits, after) = rest.split_at(end);
        let value: i64 = digits.parse().map_err(|_| invalid(keyword, rest, text))?;
        let fraction = |places: usize| {
            let padded = format!("{digits:0<places$}");
            padded.get(..places).and_then(|d| d.parse::<i64>().ok()).unwrap_or(0)
        };
        match keyword {
            "YYYY" | "IYYY" => self.year = Some(value),
            "YYY" | "YY" | "Y" => {
                self.year = Some(if value < 70 { value + 2000 } else { value + 1900 });
            }
            "MM" => self.month = Some(value),
            "DD" => self.day = Some(value),
            "DDD" => self.day_of_year = Some(value),
            "HH24" | "HH12" | "HH" => self.hour = value,
            "MI" => self.minute = value,
            "SS" => self.second = value,
            "MS" => self.micros = fraction(3) * 1000,
            "US" => self.micros = fraction(6),
            _ => {}
        }
        Ok(after)
    }

    fn micros(&self, text: &str) -> Result<i64> {
        let out_of_range = || {
            ErrorReport::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        let year = self.year.unwrap_or(1);
        let year =
            if self.bc || self.year.is_none() && self.month.is_none() { 1 - year } else { year };
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        if !(1..=12).contains(&month)
            || !(1..=month_length(year, month)).contains(&day)
            || hour > 23
            || self.minute > 59
            || self.second > 59
        {
            return Err(out_of_range());
        }
        let days = match self.day_of_year {
            Some(n) => days_from_civil(Civil { year, month: 1, day: 1 }) + n - 1,
            None => days_from_civil(Civil { year, month, day }),
        };
        let clock = (hour * 3600 + self.minute * 60 + self.second) * SECOND + self.micros;
        days.checked_mul(DAY).and_then(|d| d.checked_add(clock)).ok_or_else(out_of_range)
    }
}

/// The name that `rest` begins with, in full or by its first three letters, and how long it is.
fn longest<'a>(
    names: impl Iterator<Item = (usize, &'a str)>,
    rest: &str,
) -> Option<(usize, usize)> {
    let begins =
        |name: &str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    names
        .filter_map(|(at, name)| {
            if begins(name) {
                Some((at, name.len()))
            } else {
                begins(&name[..3]).then_some((at, 3))
            }
        })
        .next()
}

fn invalid(keyword: &str, rest: &str, text: &str) -> ErrorReport {
    let value: String = rest.chars().take(keyword.len()).collect();
    ErrorReport::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!("invalid value \"{value}\" for \"{keyword}\""),
    )
    .detail(format!("The text is \"{text}\"."))
}
