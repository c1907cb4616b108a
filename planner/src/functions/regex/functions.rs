//! `regexp_replace`, `regexp_match` and the others.

use ::regex::{Captures, Regex};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::row::{
    Call, Datum, Function,
    Type::{Boolean, Integer, Text, TextArray, TextArrays},
    strict,
};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "regexp_count",
        overloads: &[
            strict(&[Text, Text], Integer, count),
            strict(&[Text, Text, Integer], Integer, count),
            strict(&[Text, Text, Integer, Text], Integer, count),
        ],
    },
    Function {
        name: "regexp_instr",
        overloads: &[
            strict(&[Text, Text], Integer, instr),
            strict(&[Text, Text, Integer], Integer, instr),
            strict(&[Text, Text, Integer, Integer], Integer, instr),
            strict(&[Text, Text, Integer, Integer, Integer], Integer, instr),
            strict(&[Text, Text, Integer, Integer, Integer, Text], Integer, instr),
            strict(&[Text, Text, Integer, Integer, Integer, Text, Integer], Integer, instr),
        ],
    },
    Function {
        name: "regexp_like",
        overloads: &[
            strict(&[Text, Text], Boolean, is_like),
            strict(&[Text, Text, Text], Boolean, is_like),
        ],
    },
    Function {
        name: "regexp_match",
        overloads: &[
            strict(&[Text, Text], TextArray, first_match),
            strict(&[Text, Text, Text], TextArray, first_match),
        ],
    },
    Function {
        name: "regexp_matches",
        overloads: &[
            strict(&[Text, Text], TextArrays, all_matches),
            strict(&[Text, Text, Text], TextArrays, all_matches),
        ],
    },
    Function {
        name: "regexp_replace",
        overloads: &[
            strict(&[Text, Text, Text], Text, |call, a| replace(call, a, 1, Some(1), "")),
            strict(&[Text, Text, Text, Text], Text, |call, a| {
                replace(call, a, 1, Some(1), a[3].text())
            }),
            strict(&[Text, Text, Text, Integer], Text, |call, a| {
                replace(call, a, at(a, 3), Some(1), "")
            }),
            strict(&[Text, Text, Text, Integer, Integer], Text, |call, a| {
                replace(call, a, at(a, 3), Some(at(a, 4)), "")
            }),
            strict(&[Text, Text, Text, Integer, Integer, Text], Text, |call, a| {
                replace(call, a, at(a, 3), Some(at(a, 4)), a[5].text())
            }),
        ],
    },
    Function {
        name: "regexp_split_to_array",
        overloads: &[
            strict(&[Text, Text], TextArray, split),
            strict(&[Text, Text, Text], TextArray, split),
        ],
    },
    Function {
        name: "regexp_substr",
        overloads: &[
            strict(&[Text, Text], Text, substr),
            strict(&[Text, Text, Integer], Text, substr),
            strict(&[Text, Text, Integer, Integer], Text, substr),
            strict(&[Text, Text, Integer, Integer, Text], Text, substr),
            strict(&[Text, Text, Integer, Integer, Text, Integer], Text, substr),
        ],
    },
    Function {
        name: "kestrel_regex_match",
        overloads: &[strict(&[Text, Text, Text], Boolean, is_like)],
    },
    Function {
        name: "kestrel_regex_substring",
        overloads: &[strict(&[Text, Text], Text, |call, a| {
            let pattern = call.patterns.get(a[1].text(), "")?;
            let found = pattern.regex.captures(a[0].text());
            Ok(found.map_or(Datum::Null, |found| match found.len() {
                1 => group(&found, 0),
                _ => group(&found, 1),
            }))
        })],
    },
];

fn at(arguments: &[Datum], index: usize) -> i64 {
    arguments.get(index).and_then(Datum::int).unwrap_or(1)
}

fn invalid(name: &str, value: i64) -> ErrorReport {
    let message = format!("invalid value for parameter \"{name}\": {value}");
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The functions that look for all matches anyway refuse the flag g.
fn without_global<'a>(function: &str, flags: &'a str) -> Result<&'a str> {
    if !flags.contains('g') {
        return Ok(flags);
    }
    let message = format!("{function} does not support the \"global\" option");
    Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message))
}

fn group(found: &Captures<'_>, index: usize) -> Datum {
    found.get(index).map_or(Datum::Null, |group| Datum::Text(group.as_str().into()))
}

/// The byte at which a character (from 1) begins; the text's end if it has fewer.
fn byte_of(text: &str, start: i64) -> Result<usize> {
    let skip = usize::try_from(start - 1).map_err(|_| invalid("start", start))?;
    Ok(text.char_indices().nth(skip).map_or(text.len(), |(at, _)| at))
}

/// All matches from a byte on. The text before it is still there for `^` and word bounds.
fn captures_from<'t>(
    regex: &'t Regex,
    text: &'t str,
    from: usize,
) -> impl Iterator<Item = Captures<'t>> {
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let from = next.filter(|from| *from <= text.len())?;
        let found = regex.captures_at(text, from)?;
        let whole = found.get(0)?;
        // After an empty match the search goes on one character later.
        next = match whole.is_empty() {
            false => Some(whole.end()),
            true => text[whole.end()..].chars().next().map(|c| whole.end() + c.len_utf8()),
        };
        Some(found)
    })
}

fn count(call: &Call, a: &[Datum]) -> Result<Datum> {
    let flags = without_global("regexp_count()", a.get(3).map_or("", Datum::text))?;
    let from = byte_of(a[0].text(), at(a, 2))?;
    let pattern = call.patterns.get(a[1].text(), flags)?;
    Ok(Datum::Int(captures_from(&pattern.regex, a[0].text(), from).count() as i64))
}

fn is_like(call: &Call, a: &[Datum]) -> Result<Datum> {
    let flags = without_global("regexp_like()", a.get(2).map_or("", Datum::text))?;
    Ok(Datum::Bool(call.patterns.is_match(a[0].text(), a[1].text(), flags)?))
}

/// The groups of a match, or the whole of it where the pattern has none.
fn groups(found: &Captures<'_>) -> Datum {
    let first = usize::from(found.len() > 1);
    Datum::List((first..found.len()).map(|index| group(found, index)).collect())
}

fn first_match(call: &Call, a: &[Datum]) -> Result<Datum> {
    let flags = a.get(2).map_or("", Datum::text);
    if flags.contains('g') {
        return without_global("regexp_match()", flags)
            .map(|_| Datum::Null)
            .map_err(|error| error.hint("Use the regexp_matches function instead."));
    }
    let pattern = call.patterns.get(a[1].text(), flags)?;
    Ok(pattern.regex.captures(a[0].text()).map_or(Datum::Null, |found| groups(&found)))
}

fn all_matches(call: &Call, a: &[Datum]) -> Result<Datum> {
    let pattern = call.patterns.get(a[1].text(), a.get(2).map_or("", Datum::text))?;
    let most = if pattern.global { usize::MAX } else { 1 };
    let found = captures_from(&pattern.regex, a[0].text(), 0).take(most);
    Ok(Datum::List(found.map(|found| groups(&found)).collect()))
}

/// `nth`: which match; 0: all. The flag g asks for all where no match is chosen.
fn replace(call: &Call, a: &[Datum], start: i64, nth: Option<i64>, flags: &str) -> Result<Datum> {
    if a.len() == 4 && flags.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(ErrorReport::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid regular expression option: \"{}\"", &flags[..1]),
        )
        .hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth \
             argument to integer explicitly.",
        ));
    }
    let text = a[0].text();
    let (from, nth) = (byte_of(text, start)?, nth.unwrap_or(1));
    if nth < 0 {
        return Err(invalid("n", nth));
    }
    let pattern = call.patterns.get(a[1].text(), flags)?;
    let all = nth == 0 || (pattern.global && a.len() < 5);
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (found, number) in captures_from(&pattern.regex, text, from).zip(1..) {
        if !all && number != nth {
            continue;
        }
        if let Some(whole) = found.get(0) {
            out.push_str(&text[copied..whole.start()]);
            put_replacement(&found, a[2].text(), &mut out);
            copied = whole.end();
        }
        if !all {
            break;
        }
    }
    out.push_str(&text[copied..]);
    Ok(Datum::Text(out))
}

/// `\1` to `\9` are groups, `\&` the whole, `\\` a backslash.
fn put_replacement(found: &Captures<'_>, replacement: &str, out: &mut String) {
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(found.get(0).map_or("", |group| group.as_str())),
            Some(digit @ '1'..='9') => {
                let index = digit as usize - '0' as usize;
                out.push_str(found.get(index).map_or("", |group| group.as_str()));
            }
            Some('\\') => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}

/// Empty matches at the ends and right after another match do not split.
fn split(call: &Call, a: &[Datum]) -> Result<Datum> {
    let flags = a.get(2).map_or("", Datum::text);
    let flags = without_global("regexp_split_to_array()", flags)?;
    let pattern = call.patterns.get(a[1].text(), flags)?;
    let text = a[0].text();
    let mut pieces = Vec::new();
    let mut copied = 0;
    for found in captures_from(&pattern.regex, text, 0) {
        let Some(whole) = found.get(0) else { continue };
        if whole.is_empty() && (whole.start() == copied || whole.start() == text.len()) {
            continue;
        }
        pieces.push(Datum::Text(text[copied..whole.start()].into()));
        copied = whole.end();
    }
    pieces.push(Datum::Text(text[copied..].into()));
    Ok(Datum::List(pieces))
}

/// Checks the arguments `start` and `N`, and finds that match.
fn nth_match<'t>(regex: &'t Regex, text: &'t str, a: &[Datum]) -> Result<Option<Captures<'t>>> {
    let from = byte_of(text, at(a, 2))?;
    match usize::try_from(at(a, 3) - 1) {
        Ok(skip) => Ok(captures_from(regex, text, from).nth(skip)),
        Err(_) => Err(invalid("n", at(a, 3))),
    }
}

fn instr(call: &Call, a: &[Datum]) -> Result<Datum> {
    let end = a.get(4).and_then(Datum::int).unwrap_or(0);
    if !(0..=1).contains(&end) {
        return Err(invalid("endoption", end));
    }
    let flags = without_global("regexp_instr()", a.get(5).map_or("", Datum::text))?;
    let index = a.get(6).and_then(Datum::int).unwrap_or(0);
    let index = usize::try_from(index).map_err(|_| invalid("subexpr", index))?;
    let pattern = call.patterns.get(a[1].text(), flags)?;
    let text = a[0].text();
    let found = nth_match(&pattern.regex, text, a)?;
    let group = found.as_ref().and_then(|found| found.get(index));
    Ok(Datum::Int(group.map_or(0, |group| {
        let byte = if end == 1 { group.end() } else { group.start() };
        text[..byte].chars().count() as i64 + 1
    })))
}

fn substr(call: &Call, a: &[Datum]) -> Result<Datum> {
    let flags = without_global("regexp_substr()", a.get(4).map_or("", Datum::text))?;
    let index = a.get(5).and_then(Datum::int).unwrap_or(0);
    let index = usize::try_from(index).map_err(|_| invalid("subexpr", index))?;
    let pattern = call.patterns.get(a[1].text(), flags)?;
    let found = nth_match(&pattern.regex, a[0].text(), a)?;
    Ok(found.map_or(Datum::Null, |found| group(&found, index)))
}
