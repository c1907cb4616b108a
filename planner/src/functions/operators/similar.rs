//! `SIMILAR TO`: SQL's regular expressions as those of the engine (`similar_escape` in PostgreSQL's
//! regexp.c).

use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{BinaryExpr, Expr, Like, Operator},
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::error::to_datafusion;

/// `expr [NOT] SIMILAR TO 'pattern'` as a match of a regular expression.
pub(super) fn similar(like: Like) -> Result<Expr> {
    let Like { negated, expr, pattern, escape_char, .. } = like;
    let Expr::Literal(value, metadata) = *pattern else {
        return Err(to_datafusion(ErrorReport::unsupported(
            "SIMILAR TO takes only a constant pattern",
        )));
    };
    let regex = match value.try_as_str() {
        Some(Some(pattern)) => {
            let escape = escape_char.unwrap_or('\\');
            Some(regex(pattern, escape).map_err(to_datafusion)?)
        }
        _ => None,
    };
    let pattern = Expr::Literal(ScalarValue::Utf8View(regex), metadata);
    let op = if negated { Operator::RegexNotMatch } else { Operator::RegexMatch };
    Ok(Expr::BinaryExpr(BinaryExpr::new(expr, op, Box::new(pattern))))
}

fn regex(pattern: &str, escape: char) -> Result<String, ErrorReport> {
    let mut regex = String::with_capacity(pattern.len() + 8);
    regex.push_str("^(?:");
    let mut in_brackets = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => {
                let Some(next) = chars.next() else {
                    return Err(ErrorReport::new(
                        SqlState::INVALID_ESCAPE_SEQUENCE,
                        "invalid escape sequence at the end of the pattern",
                    ));
                };
                regex.push('\\');
                regex.push(next);
            }
            ']' if in_brackets => {
                in_brackets = false;
                regex.push(']');
            }
            c if in_brackets => {
                if c == '\\' {
                    regex.push('\\');
                }
                regex.push(c);
            }
            '[' => {
                in_brackets = true;
                regex.push('[');
            }
            '%' => regex.push_str("(?s:.*)"),
            '_' => regex.push_str("(?s:.)"),
            '(' => regex.push_str("(?:"),
            '\\' | '.' | '^' | '$' => {
                regex.push('\\');
                regex.push(c);
            }
            c => regex.push(c),
        }
    }
    regex.push_str(")$");
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            ("a%", "^(?:a(?s:.*))$"),
            ("(a|b)_", "^(?:(?:a|b)(?s:.))$"),
            ("a.b", "^(?:a\\.b)$"),
            ("[a-c%]+", "^(?:[a-c%]+)$"),
            ("a\\%", "^(?:a\\%)$"),
        ] {
            assert_eq!(regex(pattern, '\\').unwrap(), expected);
        }
        assert!(regex("a\\", '\\').is_err());
    }
}
