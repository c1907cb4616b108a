//! EXPLAIN

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    name, prepare,
    statement::{Statement, StatementKind},
};

/// EXPLAIN. Options about what Kestrel does not measure (BUFFERS, WAL, …) are read and dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// ANALYZE: run it and tell what happened.
    pub analyze: bool,
    /// VERBOSE
    pub verbose: bool,
    /// COSTS; on, unless switched off
    pub costs: bool,
    /// SUMMARY: times; on with ANALYZE, unless switched off
    pub summary: bool,
    /// TIMING: times of each operator; on, unless switched off
    pub timing: bool,
    /// FORMAT
    pub format: ExplainFormat,
    /// What to explain.
    pub statement: Box<Statement>,
}

/// How the plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    /// One line per operator and property
    Text,
    /// One JSON document
    Json,
}

#[derive(Default)]
struct Options {
    analyze: bool,
    verbose: bool,
    no_costs: bool,
    no_timing: bool,
    summary: Option<bool>,
    /// An option that is on and needs ANALYZE.
    measured: Option<&'static str>,
    json: bool,
}

pub(super) fn explain(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("EXPLAIN")?;
    let mut options = Options::default();
    if cursor.token() == Some(&Token::LParen) && !begins_query(cursor) {
        for mut option in cursor.parenthesized()?.split_commas() {
            read_option(&mut option, &mut options)?;
            option.expect_end()?;
        }
        if let (Some(option), false) = (options.measured, options.analyze) {
            let message = format!("EXPLAIN option {option} requires ANALYZE");
            return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    } else {
        options.analyze = cursor.eat("ANALYZE") || cursor.eat("ANALYSE");
        options.verbose = cursor.eat("VERBOSE");
    }
    let statement = Box::new(prepare::inner(cursor)?);
    Ok(StatementKind::Explain(Box::new(Explain {
        analyze: options.analyze,
        verbose: options.verbose,
        costs: !options.no_costs,
        summary: options.summary.unwrap_or(options.analyze),
        timing: !options.no_timing,
        format: if options.json { ExplainFormat::Json } else { ExplainFormat::Text },
        statement,
    })))
}

/// `EXPLAIN (SELECT …)` has no options.
fn begins_query(cursor: &Cursor<'_>) -> bool {
    ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| cursor.is_word_at(1, word))
        || cursor.peek_nth(1).is_some_and(|l| l.token.token == Token::LParen)
}

fn read_option(cursor: &mut Cursor<'_>, options: &mut Options) -> Result<()> {
    let position = cursor.position();
    let name = cursor.word()?;
    match name.as_str() {
        "analyze" | "analyse" => options.analyze = switch(cursor, &name)?,
        "verbose" => options.verbose = switch(cursor, &name)?,
        "costs" => options.no_costs = !switch(cursor, &name)?,
        "summary" => options.summary = Some(switch(cursor, &name)?),
        "timing" => {
            options.no_timing = !switch(cursor, &name)?;
            if !options.no_timing {
                options.measured = Some("TIMING");
            }
        }
        "wal" if switch(cursor, &name)? => options.measured = Some("WAL"),
        "wal" => {}
        "settings" | "buffers" => {
            switch(cursor, &name)?;
        }
        "format" => options.json = format(cursor)?,
        _ => {
            let message = format!("unrecognized EXPLAIN option \"{name}\"");
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
        }
    }
    Ok(())
}

/// On, unless it says off.
fn switch(cursor: &mut Cursor<'_>, option: &str) -> Result<bool> {
    if cursor.at_end() {
        return Ok(true);
    }
    let value = match cursor.token() {
        Some(Token::Number(number, _)) => {
            cursor.advance();
            number.clone()
        }
        Some(Token::Word(_)) => cursor.word()?,
        _ => cursor.string()?,
    };
    match name::fold(&value).as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(ErrorReport::new(
            SqlState::SYNTAX_ERROR,
            format!("{option} requires a Boolean value"),
        )),
    }
}

/// Is it JSON?
fn format(cursor: &mut Cursor<'_>) -> Result<bool> {
    let position = cursor.position();
    let value = match cursor.token() {
        Some(Token::Word(_)) => cursor.word()?,
        _ => cursor.string()?,
    };
    match name::fold(&value).as_str() {
        "text" => Ok(false),
        "json" => Ok(true),
        "xml" | "yaml" => {
            Err(ErrorReport::unsupported(format!("EXPLAIN (FORMAT {value}) is not supported"))
                .hint("Use FORMAT TEXT or FORMAT JSON.")
                .position(position))
        }
        _ => Err(ErrorReport::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{value}\""),
        )
        .position(position)),
    }
}
