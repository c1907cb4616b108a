//! `to_number(text, template)` (`NUM_processor` and `NUM_numpart_from_char` in PostgreSQL's
//! formatting.c, in locale C).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::number_format::{Part, Template, parse};
use crate::functions::{decimal, row::Datum};

/// The number that a text in the form of the template stands for.
///
/// Errors: 22P02 for a text without digits, 22003.
pub(super) fn number(text: &str, template: &str) -> Result<Datum> {
    if template.is_empty() {
        return Ok(Datum::Null);
    }
    let template = parse(template)?;
    let mut reader = Reader {
        characters: text.chars().collect(),
        at: 0,
        sign: None,
        digits: String::new(),
        whole: 0,
        fraction: 0,
        has_point: false,
        signs: Signs::of(&template),
        template: &template,
    };
    reader.read();
    reader.number()
}

/// Where a template has signs.
struct Signs {
    /// S
    is_anchored: bool,
    /// S before the point.
    is_leading: bool,
    /// MI, PL, SG
    is_free: bool,
}

impl Signs {
    fn of(template: &Template) -> Self {
        let parts = &template.parts;
        let has = |wanted: Part| parts.contains(&wanted);
        let mut before_point = parts.iter().take_while(|part| **part != Part::Point);
        Self {
            is_anchored: has(Part::Sign),
            is_leading: before_point.any(|part| *part == Part::Sign),
            is_free: has(Part::Minus) || has(Part::Plus) || has(Part::PlusOrMinus),
        }
    }
}

struct Reader<'a> {
    characters: Vec<char>,
    at: usize,
    sign: Option<char>,
    /// Digits and the point, as they are read.
    digits: String,
    whole: usize,
    fraction: usize,
    has_point: bool,
    signs: Signs,
    template: &'a Template,
}

impl Reader<'_> {
    fn next(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn read(&mut self) {
        let template = self.template;
        for part in &template.parts {
            let Some(next) = self.next() else { return };
            match part {
                Part::Digit | Part::Zero => {
                    self.digit(true);
                    self.at += 1;
                }
                Part::Point => {
                    self.digit(false);
                    self.at += 1;
                }
                Part::Group if next == ',' && !template.fill => self.at += 1,
                Part::Group | Part::Sign => {}
                Part::Minus => self.free_sign(next, "-"),
                Part::Plus => self.free_sign(next, "+"),
                Part::PlusOrMinus => self.free_sign(next, "+-"),
                Part::Ordinal { .. } => self.skip(2),
                Part::Currency => self.skip(1),
                Part::Text(text) => self.at += text.chars().count(),
            }
        }
    }

    fn free_sign(&mut self, next: char, signs: &str) {
        match signs.contains(next) {
            true => {
                self.sign = Some(next);
                self.at += 1;
            }
            false => self.skip(1),
        }
    }

    /// Passes characters that can be no part of a number.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if self.next().is_none_or(|c| "0123456789.,+-".contains(c)) {
                return;
            }
            self.at += 1;
        }
    }

    /// A digit or the point, and the sign before the first or behind the last one.
    fn digit(&mut self, is_digit: bool) {
        if self.next() == Some(' ') {
            self.at += 1;
        }
        let is_first = self.whole + self.fraction == 0;
        if self.sign.is_none() && is_digit && is_first {
            let angle = self.template.angles && !(self.signs.is_anchored && self.signs.is_leading);
            match self.next() {
                Some('-') => self.take_sign('-'),
                Some('<') if angle => self.take_sign('-'),
                Some('+') => self.take_sign('+'),
                _ => {}
            }
        }
        let Some(next) = self.next() else { return };
        let has_decimals = self.template.parts.contains(&Part::Point);
        let mut is_read = true;
        if next.is_ascii_digit() {
            if self.has_point && self.fraction == self.template.fraction {
                return;
            }
            self.digits.push(next);
            *(if self.has_point { &mut self.fraction } else { &mut self.whole }) += 1;
        } else if next == '.' && has_decimals && !self.has_point {
            self.digits.push('.');
            self.has_point = true;
        } else {
            is_read = false;
        }
        if self.sign.is_some() || self.whole + self.fraction == 0 {
            return;
        }
        if self.signs.is_anchored && is_read {
            if let Some(sign @ ('-' | '+')) = self.characters.get(self.at + 1) {
                self.take_sign(*sign);
            }
        } else if !is_read && !self.signs.is_anchored && self.signs.is_free && "+-".contains(next) {
            self.sign = Some(next);
        }
    }

    fn take_sign(&mut self, sign: char) {
        self.sign = Some(sign);
        self.at += 1;
    }

    fn number(self) -> Result<Datum> {
        let digits = self.digits.trim_end_matches('.');
        let scale = i8::try_from(self.fraction.min(38)).unwrap_or(38);
        let sign = if self.sign == Some('-') { "-" } else { "" };
        match decimal::parse(&format!("{sign}{digits}"), scale) {
            Ok(value) if !digits.is_empty() => Ok(Datum::Numeric(value, scale)),
            Err(true) => Err(decimal::overflow()),
            _ => {
                let text = format!("{}{digits}", self.sign.unwrap_or(' '));
                let message = format!("invalid input syntax for type numeric: \"{text}\"");
                Err(ErrorReport::new(SqlState::INVALID_TEXT_REPRESENTATION, message))
            }
        }
    }
}
