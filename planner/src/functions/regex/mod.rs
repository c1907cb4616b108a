//! Regular expressions and their functions (PostgreSQL's regexp.c).

mod functions;
mod translate;

pub(super) use functions::FUNCTIONS;

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use ::regex::{Regex, RegexBuilder};
use kestrel_proto::{ErrorReport, Result, SqlState};

use translate::{Options, invalid, translated};

/// Bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 4 << 20;

/// The patterns that one evaluation has compiled: nearly always it is one for all rows.
#[derive(Default)]
pub(super) struct Patterns(RefCell<HashMap<(String, String), Rc<Pattern>>>);

/// A compiled pattern.
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// The flag g.
    pub(super) global: bool,
}

impl Patterns {
    /// The pattern with these flags.
    ///
    /// Errors: 2201B for no regular expression, 22023 for an unknown flag, 0A000.
    pub(super) fn get(&self, pattern: &str, flags: &str) -> Result<Rc<Pattern>> {
        let key = (pattern.to_string(), flags.to_string());
        if let Some(found) = self.0.borrow().get(&key) {
            return Ok(Rc::clone(found));
        }
        let compiled = Rc::new(compiled(pattern, flags)?);
        let mut patterns = self.0.borrow_mut();
        // Patterns that come from rows are not worth keeping.
        if patterns.len() >= 64 {
            patterns.clear();
        }
        patterns.insert(key, Rc::clone(&compiled));
        Ok(compiled)
    }

    /// Whether the pattern is somewhere in the text.
    pub(super) fn is_match(&self, text: &str, pattern: &str, flags: &str) -> Result<bool> {
        Ok(self.get(pattern, flags)?.regex.is_match(text))
    }
}

/// A constant pattern of `~` in the form of the engine's own operator.
pub(super) fn for_operator(pattern: &str) -> Result<String> {
    let translated = translated(pattern, Options::default())?;
    build(&translated)?;
    Ok(translated)
}

fn compiled(pattern: &str, flags: &str) -> Result<Pattern> {
    let (mut options, mut global) = (Options::default(), false);
    for flag in flags.chars() {
        if flag == 'g' {
            global = true;
        } else if !options.set(flag) {
            return Err(ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid regular expression option: \"{flag}\""),
            ));
        }
    }
    Ok(Pattern { regex: build(&translated(pattern, options)?)?, global })
}

fn build(pattern: &str) -> Result<Regex> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().map_err(|error| {
        if matches!(error, ::regex::Error::CompiledTooBig(_)) {
            return invalid("regular expression is too complex");
        }
        let text = error.to_string();
        let known = [
            ("repetition", "invalid repetition count(s)"),
            ("range", "invalid character range"),
            ("unclosed character class", "brackets [] not balanced"),
        ];
        let what = known.iter().find(|(part, _)| text.contains(part)).map(|(_, what)| *what);
        invalid(what.unwrap_or("invalid expression"))
    })
}
