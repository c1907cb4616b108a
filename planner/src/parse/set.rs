//! SET, SHOW, RESET.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::Result;

use super::{cursor::Cursor, name, statement::StatementKind, transaction};
use crate::functions::normal_interval;

/// `SET name = value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetVariable {
    /// LOCAL: until the transaction ends.
    pub local: bool,
    /// In lower case; PostgreSQL's name where the statement has words of its own (`SET TIME ZONE`).
    pub name: String,
    /// What to set it to.
    pub value: SetValue,
    /// 1-based position of the name.
    pub position: u32,
}

/// The right side of SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT
    Default,
    /// One text per value of the list, without quotes; most variables take one.
    Values(Vec<String>),
}

/// What SHOW or RESET names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// ALL
    All,
    /// In lower case.
    Named(String),
}

pub(super) fn set(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("SET")?;
    if cursor.are_words("CONSTRAINTS") {
        return Ok(unsupported(cursor, "SET CONSTRAINTS"));
    }
    if cursor.eat("TRANSACTION") {
        return transaction::set_transaction(cursor, false);
    }
    if cursor.eat("SESSION CHARACTERISTICS AS TRANSACTION") {
        return transaction::set_transaction(cursor, true);
    }
    // `SET session TO 1` names a variable.
    let is_scope = !cursor.is_word_at(1, "TO")
        && cursor.peek_nth(1).map(|l| &l.token.token) != Some(&Token::Eq);
    let local = is_scope && cursor.eat("LOCAL");
    if is_scope && !local && !cursor.are_words("SESSION AUTHORIZATION") {
        cursor.eat("SESSION");
    }
    let position = cursor.position();
    let (name, value) = assignment(cursor)?;
    Ok(StatementKind::Set(SetVariable { local, name, value, position }))
}

/// `name TO value`, and the other forms of SET, behind their first word.
pub(super) fn assignment(cursor: &mut Cursor<'_>) -> Result<(String, SetValue)> {
    // The forms without TO, by the variable that they set.
    let special = [
        ("TIME ZONE", "timezone"),
        ("NAMES", "client_encoding"),
        ("SESSION AUTHORIZATION", "session_authorization"),
        ("SCHEMA", "search_path"),
        ("ROLE", "role"),
    ];
    let is_assignment = cursor.is_word_at(1, "TO")
        || cursor.peek_nth(1).is_some_and(|l| l.token.token == Token::Eq);
    if !is_assignment && let Some(name) = cursor.eat_one_of(&special) {
        if cursor.at_end() && name == "client_encoding" || cursor.eat("DEFAULT") {
            return Ok((name.into(), SetValue::Default));
        }
        if name == "timezone" && cursor.eat("LOCAL") {
            return Ok((name.into(), SetValue::Default));
        }
        let value = if name == "timezone" { zone_value(cursor)? } else { value(cursor)? };
        return Ok((name.into(), SetValue::Values(vec![value])));
    }
    let name = variable_name(cursor)?;
    if !cursor.eat("TO") {
        cursor.expect_token(&Token::Eq)?;
    }
    if cursor.eat("DEFAULT") {
        return Ok((name, SetValue::Default));
    }
    let mut values = vec![value(cursor)?];
    while cursor.eat_token(&Token::Comma) {
        values.push(value(cursor)?);
    }
    Ok((name, SetValue::Values(values)))
}

/// `name` or `prefix.name`
pub(super) fn variable_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let mut name = cursor.identifier()?.name;
    while cursor.eat_token(&Token::Period) {
        name = format!("{name}.{}", cursor.word()?);
    }
    // Variables are found in any case, quoted or not.
    Ok(name::fold(&name))
}

/// What SET TIME ZONE takes besides values: `INTERVAL '5:30' HOUR TO MINUTE`, as text.
fn zone_value(cursor: &mut Cursor<'_>) -> Result<String> {
    let is_interval = matches!(
        cursor.peek_nth(1).map(|l| &l.token.token),
        Some(Token::SingleQuotedString(_) | Token::LParen)
    );
    if !is_interval || !cursor.eat("INTERVAL") {
        return value(cursor);
    }
    if cursor.token() == Some(&Token::LParen) {
        // A precision.
        let mut precision = cursor.parenthesized()?;
        value(&mut precision)?;
        precision.expect_end()?;
    }
    let interval = normal_interval(&cursor.string()?)?;
    if cursor.eat("HOUR") {
        let _ = cursor.eat("TO MINUTE");
    }
    Ok(format!("INTERVAL '{interval}'"))
}

/// A string, a word or a number, as text.
fn value(cursor: &mut Cursor<'_>) -> Result<String> {
    let sign = if cursor.eat_token(&Token::Minus) {
        "-"
    } else {
        cursor.eat_token(&Token::Plus);
        ""
    };
    match cursor.token() {
        Some(Token::Number(number, _)) => {
            cursor.advance();
            Ok(format!("{sign}{number}"))
        }
        _ if !sign.is_empty() => cursor.fail(),
        Some(Token::Word(_)) => cursor.word(),
        _ => cursor.string(),
    }
}

pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("SHOW")?;
    variable(cursor).map(StatementKind::Show)
}

pub(super) fn reset(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("RESET")?;
    variable(cursor).map(StatementKind::Reset)
}

/// What RESET names.
pub(super) fn variable(cursor: &mut Cursor<'_>) -> Result<Variable> {
    let special = [
        ("TIME ZONE", "timezone"),
        ("TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
        ("SESSION AUTHORIZATION", "session_authorization"),
    ];
    if cursor.eat("ALL") {
        return Ok(Variable::All);
    }
    match cursor.eat_one_of(&special) {
        Some(name) => Ok(Variable::Named(name.into())),
        None => variable_name(cursor).map(Variable::Named),
    }
}

fn unsupported(cursor: &mut Cursor<'_>, what: &'static str) -> StatementKind {
    let end = cursor.range().end;
    *cursor = cursor.over(end..end);
    StatementKind::Unsupported(what)
}
