//! Templates of numbers, and `to_char(number, template)` (`NUM_processor` in PostgreSQL's formatting.c).
//!
//! Of its patterns `EEEE`, `RN` and `V` are not there (0A000).

use kestrel_proto::{ErrorReport, Result, SqlState};

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// 9
    Digit,
    /// 0
    Zero,
    /// `.`, D
    Point,
    /// `,`, G
    Group,
    /// S
    Sign,
    /// MI
    Minus,
    /// PL
    Plus,
    /// SG
    PlusOrMinus,
    /// TH, th
    Ordinal {
        lower: bool,
    },
    /// L: a blank in locale C
    Currency,
    Text(String),
}

/// A template and what it says as a whole.
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
    /// FM
    pub(super) fill: bool,
    /// PR
    pub(super) angles: bool,
    /// Positions before and after the point.
    whole: usize,
    pub(super) fraction: usize,
}

fn syntax(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::SYNTAX_ERROR, message)
}

pub(super) fn parse(text: &str) -> Result<Template> {
    const KEYWORDS: &[(&str, Part)] = &[
        ("SG", Part::PlusOrMinus),
        ("MI", Part::Minus),
        ("PL", Part::Plus),
        ("TH", Part::Ordinal { lower: false }),
        ("9", Part::Digit),
        ("0", Part::Zero),
        (".", Part::Point),
        ("D", Part::Point),
        (",", Part::Group),
        ("G", Part::Group),
        ("S", Part::Sign),
        ("L", Part::Currency),
    ];
    let mut template =
        Template { parts: vec![], fill: false, angles: false, whole: 0, fraction: 0 };
    let (mut rest, mut has_point) = (text, false);
    while let Some(first) = rest.chars().next() {
        let upper = rest.get(..2).unwrap_or(rest).to_ascii_uppercase();
        if upper.starts_with("FM") || upper.starts_with("PR") {
            template.fill |= upper == "FM";
            template.angles |= upper == "PR";
            rest = &rest[2..];
            continue;
        }
        let long = rest.get(..4).unwrap_or_default().to_ascii_uppercase();
        if long == "EEEE" || upper == "RN" || upper.starts_with('V') {
            let message = format!("the number template '{text}' is not supported");
            return Err(ErrorReport::unsupported(message));
        }
        if let Some((keyword, part)) = KEYWORDS.iter().find(|(k, _)| upper.starts_with(k)) {
            let part = match part {
                Part::Ordinal { .. } => Part::Ordinal { lower: rest.starts_with("th") },
                Part::Point if has_point => return Err(syntax("multiple decimal points")),
                part => part.clone(),
            };
            match part {
                Part::Point => has_point = true,
                Part::Digit | Part::Zero if has_point => template.fraction += 1,
                Part::Digit | Part::Zero => template.whole += 1,
                _ => {}
            }
            template.parts.push(part);
            rest = &rest[keyword.len()..];
            continue;
        }
        if first == '"' {
            let quoted: String = rest[1..].chars().take_while(|c| *c != '"').collect();
            rest = rest.get(quoted.len() + 2..).unwrap_or_default();
            template.parts.push(Part::Text(quoted));
            continue;
        }
        let skipped = usize::from(first == '\\' && rest.len() > 1);
        let shown = rest[skipped..].chars().next().unwrap_or(first);
        template.parts.push(Part::Text(shown.to_string()));
        rest = &rest[skipped + shown.len_utf8()..];
    }
    Ok(template)
}

/// Digits after the point that a template asks for.
pub(crate) fn fraction_digits(template: &str) -> Result<usize> {
    parse(template).map(|template| template.fraction)
}

/// A number, given as a text with exactly [`fraction_digits`] digits after its point.
pub(super) fn format(number: &str, template: &str) -> Result<String> {
    let template = parse(template)?;
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_zero = digits.bytes().all(|b| matches!(b, b'0' | b'.'));
    let mut printer = Printer {
        negative: negative && !is_zero,
        // Zero before a point is not shown, unless the template has a 0 there.
        whole: if whole == "0" && template.fraction > 0 { "" } else { whole }.into(),
        fraction: fraction.into(),
        out: String::new(),
        sign_is_due: false,
        template: &template,
    };
    printer.print();
    Ok(printer.out)
}

struct Printer<'a> {
    negative: bool,
    whole: String,
    fraction: String,
    out: String,
    /// The sign stands right before the first digit.
    sign_is_due: bool,
    template: &'a Template,
}

impl Printer<'_> {
    fn print(&mut self) {
        let parts = &self.template.parts;
        let is_digit = |part: &Part| matches!(part, Part::Digit | Part::Zero);
        let first_digit = parts.iter().position(is_digit);
        let sign = parts.iter().position(|part| *part == Part::Sign);
        let own_sign =
            parts.iter().any(|part| matches!(part, Part::Sign | Part::Minus | Part::PlusOrMinus));
        let leading = sign.is_some() && sign < first_digit;
        self.sign_is_due = leading || !own_sign;
        let overflows = self.whole.len() > self.template.whole;
        let first_zero = self.first_shown();
        let (mut position, mut started, mut in_fraction, mut shown) = (0, false, false, 0usize);
        let needed = self.needed_fraction();
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Digit | Part::Zero if in_fraction => {
                    let digit = self.fraction.chars().nth(shown).unwrap_or('0');
                    if shown < needed {
                        self.out.push(if overflows { '#' } else { digit });
                    }
                    shown += 1;
                }
                Part::Digit | Part::Zero => {
                    if overflows {
                        self.due_sign(&mut started);
                        self.out.push('#');
                    } else if position >= first_zero {
                        self.due_sign(&mut started);
                        let from_end = self.template.whole - position;
                        let digit = self.whole.len().checked_sub(from_end);
                        let digit = digit.and_then(|at| self.whole.chars().nth(at));
                        self.out.push(digit.unwrap_or('0'));
                    } else {
                        self.blank();
                    }
                    position += 1;
                }
                Part::Point => {
                    self.due_sign(&mut started);
                    // A zero of which nothing would be seen.
                    let is_zero = self.whole.is_empty() && self.fraction.bytes().all(|b| b == b'0');
                    if self.template.fill && needed == 0 && is_zero && first_zero == position {
                        self.out.push('0');
                    }
                    self.out.push('.');
                    in_fraction = true;
                }
                Part::Group if started => self.out.push(','),
                Part::Group => self.blank(),
                Part::Sign if leading => {}
                Part::Sign => self.out.push(if self.negative { '-' } else { '+' }),
                Part::Minus if self.negative => self.out.push('-'),
                Part::Minus => self.blank(),
                Part::Plus if !self.negative => self.out.push('+'),
                Part::Plus => self.blank(),
                Part::PlusOrMinus => self.out.push(if self.negative { '-' } else { '+' }),
                Part::Ordinal { lower } => self.ordinal(*lower),
                Part::Currency => self.out.push(' '),
                Part::Text(text) => self.out.push_str(text),
            }
            let ends_digits = !parts[at + 1..].iter().any(|p| is_digit(p) || *p == Part::Point);
            if ends_digits
                && started
                && self.template.angles
                && (is_digit(part) || *part == Part::Point)
            {
                self.closing_angle();
            }
        }
    }

    fn blank(&mut self) {
        if !self.template.fill {
            self.out.push(' ');
        }
    }

    /// The first position before the point that shows a digit: where the number begins, or the
    /// template's first 0.
    fn first_shown(&self) -> usize {
        let begins = self.template.whole.saturating_sub(self.whole.len());
        let before_point = self.template.parts.iter().take_while(|part| **part != Part::Point);
        let digits = before_point.filter(|part| matches!(part, Part::Digit | Part::Zero));
        let zero = digits.enumerate().find(|(_, part)| **part == Part::Zero).map(|(at, _)| at);
        zero.map_or(begins, |zero| zero.min(begins))
    }

    /// FM leaves out the zeros at the end, but for those that the template has a 0 for.
    fn needed_fraction(&self) -> usize {
        if !self.template.fill || self.whole.len() > self.template.whole {
            return usize::MAX;
        }
        let after_point = self.template.parts.iter().skip_while(|part| **part != Part::Point);
        let digits = after_point.filter(|part| matches!(part, Part::Digit | Part::Zero));
        let zero =
            digits.enumerate().filter(|(_, part)| **part == Part::Zero).map(|(at, _)| at + 1);
        self.fraction.trim_end_matches('0').len().max(zero.last().unwrap_or(0))
    }

    fn due_sign(&mut self, started: &mut bool) {
        if std::mem::replace(started, true) || !self.sign_is_due {
            return;
        }
        let explicit = self.template.parts.contains(&Part::Sign);
        match (self.negative, explicit) {
            (true, _) if self.template.angles => self.out.push('<'),
            (true, _) => self.out.push('-'),
            (false, true) => self.out.push('+'),
            (false, false) => self.blank(),
        }
    }

    fn closing_angle(&mut self) {
        match self.negative {
            true => self.out.push('>'),
            false => self.blank(),
        }
    }

    fn ordinal(&mut self, lower: bool) {
        // Negative numbers, those with a fraction and those that do not fit have none.
        let overflows = self.whole.len() > self.template.whole;
        if self.negative || overflows || self.template.fraction > 0 {
            return;
        }
        let last_two = self.whole.get(self.whole.len().saturating_sub(2)..).unwrap_or_default();
        let ending = match (last_two, last_two.chars().last()) {
            ("11" | "12" | "13", _) => "TH",
            (_, Some('1')) => "ST",
            (_, Some('2')) => "ND",
            (_, Some('3')) => "RD",
            _ => "TH",
        };
        match lower {
            true => self.out.push_str(&ending.to_ascii_lowercase()),
            false => self.out.push_str(ending),
        }
    }
}
