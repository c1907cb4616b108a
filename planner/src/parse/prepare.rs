//! PREPARE, EXECUTE, DEALLOCATE, DISCARD.

use datafusion::sql::sqlparser::{ast, tokenizer::Token};
use kestrel_proto::Result;

use super::{
    cursor::Cursor,
    statement::{Statement, StatementKind},
    statements,
};

/// PREPARE
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// The statement's name.
    pub name: String,
    /// The types of `$1`, …, as far as they are declared.
    pub types: Vec<ast::DataType>,
    /// What is prepared.
    pub statement: Statement,
}

/// EXECUTE
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// The prepared statement's name.
    pub name: String,
    /// The values of `$1`, ….
    pub arguments: Vec<ast::Expr>,
}

/// What DISCARD forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardTarget {
    /// Everything the session holds.
    All,
    /// Cached plans.
    Plans,
    /// Cached values of sequences.
    Sequences,
    /// Temporary tables.
    Temp,
}

pub(super) fn prepare(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("PREPARE")?;
    if cursor.eat("TRANSACTION") {
        cursor.string()?;
        return Ok(StatementKind::Unsupported("PREPARE TRANSACTION"));
    }
    let name = cursor.identifier()?.name;
    let types = match cursor.token() {
        Some(Token::LParen) => cursor.parenthesized()?.split_commas(),
        _ => Vec::new(),
    };
    let read_type = |mut part: Cursor<'_>| {
        let data_type = part.parse_with(|p| p.parse_data_type())?;
        part.expect_end().map(|()| data_type)
    };
    let types = types.into_iter().map(read_type).collect::<Result<_>>()?;
    cursor.expect("AS")?;
    let statement = inner(cursor)?;
    match statement.kind {
        StatementKind::Query(_)
        | StatementKind::Insert(_)
        | StatementKind::Update(_)
        | StatementKind::Delete(_)
        | StatementKind::Merge(_) => {
            Ok(StatementKind::Prepare(Box::new(Prepare { name, types, statement })))
        }
        _ => cursor.fail(),
    }
}

/// The rest as a statement of its own. The cursor goes behind it only if it can stand there.
pub(super) fn inner(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let statement = statements::statement(cursor.rebased())?;
    if !matches!(
        statement.kind,
        StatementKind::Query(_)
            | StatementKind::Insert(_)
            | StatementKind::Update(_)
            | StatementKind::Delete(_)
            | StatementKind::Merge(_)
            | StatementKind::CreateTableAs(_)
            | StatementKind::Execute(_)
    ) {
        return cursor.fail();
    }
    let end = cursor.range().end;
    *cursor = cursor.over(end..end);
    Ok(statement)
}

pub(super) fn execute(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    call(cursor).map(StatementKind::Execute)
}

/// `EXECUTE p [(value, …)]`
pub(super) fn call(cursor: &mut Cursor<'_>) -> Result<Execute> {
    cursor.expect("EXECUTE")?;
    let name = cursor.identifier()?.name;
    let arguments = match cursor.token() {
        Some(Token::LParen) => cursor.parenthesized()?.split_commas(),
        _ => Vec::new(),
    };
    let read_argument = |mut part: Cursor<'_>| {
        let argument = part.parse_with(|p| p.parse_expr())?;
        part.expect_end().map(|()| argument)
    };
    let arguments = arguments.into_iter().map(read_argument).collect::<Result<_>>()?;
    Ok(Execute { name, arguments })
}

pub(super) fn deallocate(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DEALLOCATE")?;
    cursor.eat("PREPARE");
    if cursor.eat("ALL") {
        return Ok(StatementKind::Deallocate(None));
    }
    Ok(StatementKind::Deallocate(Some(cursor.identifier()?.name)))
}

pub(super) fn discard(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DISCARD")?;
    let targets = [
        ("ALL", DiscardTarget::All),
        ("PLANS", DiscardTarget::Plans),
        ("SEQUENCES", DiscardTarget::Sequences),
        ("TEMPORARY", DiscardTarget::Temp),
        ("TEMP", DiscardTarget::Temp),
    ];
    match cursor.eat_one_of(&targets) {
        Some(target) => Ok(StatementKind::Discard(target)),
        None => cursor.fail(),
    }
}
