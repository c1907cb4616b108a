//! The SQL parser's errors in PostgreSQL's words.

use datafusion::sql::sqlparser::parser::ParserError;
use kestrel_proto::{ErrorReport, SqlState};

/// The report of a parser error. Its place in the text is found by `position`.
pub(super) fn report(error: &ParserError) -> ErrorReport {
    match error {
        ParserError::TokenizerError(message) => {
            ErrorReport::new(SqlState::SYNTAX_ERROR, unplaced(message).to_lowercase())
        }
        ParserError::ParserError(message) => of_parser(unplaced(message)),
        ParserError::RecursionLimitExceeded => {
            ErrorReport::new(SqlState::STATEMENT_TOO_COMPLEX, "the statement is nested too deeply")
                .hint("Split it, or nest its expressions and subqueries less deeply.")
        }
    }
}

/// The message without ` at Line: 1, Column: 2`.
fn unplaced(message: &str) -> &str {
    message.rfind(" at Line: ").map_or(message, |end| &message[..end])
}

/// `Expected: an expression, found: FROM` becomes `syntax error at or near "FROM"`.
fn of_parser(message: &str) -> ErrorReport {
    let Some((expected, found)) = message.split_once("found: ") else {
        return ErrorReport::new(SqlState::SYNTAX_ERROR, format!("syntax error: {message}"));
    };
    let text = match found {
        "EOF" => "syntax error at end of input".to_string(),
        token => format!("syntax error at or near \"{token}\""),
    };
    let report = ErrorReport::new(SqlState::SYNTAX_ERROR, text);
    let expected = expected.trim_end_matches([' ', ',']).trim_start_matches("Expected");
    match expected.trim_start_matches([':', ' ']) {
        "" => report,
        what => report.detail(format!("Expected {what}.")),
    }
}
