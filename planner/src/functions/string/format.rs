//! `format(template, …)` (`text_format` in PostgreSQL's varlena.c): `%s`, `%I`, `%L` with position,
//! width and the flag `-`.

use std::{iter::Peekable, str::Chars};

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::rows::{quoted_ident, quoted_literal};
use crate::functions::row::{Call, Datum};

fn invalid(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// NULL for a NULL template.
pub(super) fn format(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let Datum::Text(template) = &arguments[0] else { return Ok(Datum::Null) };
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut next = 1;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        specifier(&mut chars, arguments, &mut next, &mut out)?;
    }
    Ok(Datum::Text(out))
}

/// The digits at the front as a number.
fn number(chars: &mut Peekable<Chars<'_>>) -> Result<Option<usize>> {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    match digits.parse::<i32>() {
        Ok(value) => Ok(usize::try_from(value).ok()),
        Err(_) => {
            Err(ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"))
        }
    }
}

fn argument<'a>(arguments: &'a [Datum], next: &mut usize, at: Option<usize>) -> Result<&'a Datum> {
    let at = at.unwrap_or(*next);
    *next = at + 1;
    arguments.get(at).ok_or_else(|| invalid("too few arguments for format()"))
}

/// `[position$][-][width]type`, the width a number, `*` or `*position$`.
fn specifier(
    chars: &mut Peekable<Chars<'_>>,
    arguments: &[Datum],
    next: &mut usize,
    out: &mut String,
) -> Result<()> {
    let unterminated =
        || invalid("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".");
    let mut position = None;
    let (mut left, mut width) = (false, None::<i64>);
    match number(chars)? {
        Some(value) if chars.next_if_eq(&'$').is_some() => {
            if value == 0 {
                return Err(invalid(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
            position = Some(value);
        }
        Some(value) => width = Some(value as i64),
        None => {}
    }
    if width.is_none() {
        while chars.next_if_eq(&'-').is_some() {
            left = true;
        }
        if chars.next_if_eq(&'*').is_some() {
            let at = number(chars)?;
            if at.is_some() && chars.next_if_eq(&'$').is_none() {
                return Err(invalid("width argument position must be ended by \"$\""));
            }
            let text = argument(arguments, next, at)?;
            let value = if text.is_null() { 0 } else { text.text().parse::<i64>().unwrap_or(0) };
            left |= value < 0;
            width = Some(value.abs());
        } else {
            width = number(chars)?.map(|value| value as i64);
        }
    }
    let kind = chars.next().ok_or_else(unterminated)?;
    if !matches!(kind, 's' | 'I' | 'L') {
        return Err(invalid(&format!("unrecognized format() type specifier \"{kind}\""))
            .hint("For a single \"%\" use \"%%\"."));
    }
    let value = argument(arguments, next, position)?;
    let text = match (kind, value.is_null()) {
        ('s', true) => String::new(),
        ('s', false) => value.text().into(),
        ('I', true) => {
            return Err(ErrorReport::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null values cannot be formatted as an SQL identifier",
            ));
        }
        ('I', false) => quoted_ident(value.text()),
        (_, true) => "NULL".into(),
        (_, false) => quoted_literal(value.text()),
    };
    let length = text.chars().count();
    let blanks = usize::try_from(width.unwrap_or(0)).unwrap_or(0).min(1 << 20);
    let padding = " ".repeat(blanks.saturating_sub(length));
    if left {
        out.push_str(&text);
        out.push_str(&padding);
    } else {
        out.push_str(&padding);
        out.push_str(&text);
    }
    Ok(())
}
