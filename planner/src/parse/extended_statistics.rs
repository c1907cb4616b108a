//! CREATE STATISTICS and DROP STATISTICS.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::Result;

use super::{
    cursor::Cursor,
    ddl::{DdlStatement, cascade},
    name::{Identifier, QualifiedName},
    statement::StatementKind,
};

/// CREATE STATISTICS
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateStatistics {
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Its name.
    pub name: QualifiedName,
    /// `ndistinct`, `dependencies`, `mcv`; empty: all.
    pub kinds: Vec<Identifier>,
    /// The columns.
    pub columns: Vec<Identifier>,
    /// Where an expression stands, which Kestrel does not have.
    pub expression: Option<u32>,
    /// The table.
    pub table: QualifiedName,
}

/// DROP STATISTICS
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropStatistics {
    /// IF EXISTS
    pub if_exists: bool,
    /// The statistics objects.
    pub names: Vec<QualifiedName>,
}

/// `CREATE STATISTICS [IF NOT EXISTS] name [(kind, …)] ON column, … FROM table`
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE STATISTICS")?;
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = cursor.name()?;
    let has_kinds = cursor.token() == Some(&Token::LParen);
    let kinds = if has_kinds { cursor.identifiers()? } else { Vec::new() };
    cursor.expect("ON")?;
    let (mut columns, mut expression) = (Vec::new(), None);
    loop {
        let is_call = cursor.peek_nth(1).is_some_and(|l| l.token.token == Token::LParen);
        if cursor.token() == Some(&Token::LParen) || is_call {
            expression = expression.or(Some(cursor.position()));
            cursor.parse_with(|p| p.parse_expr())?;
        } else {
            columns.push(cursor.identifier()?);
        }
        if !cursor.eat_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect("FROM")?;
    let table = cursor.name()?;
    let create = CreateStatistics { if_not_exists, name, kinds, columns, expression, table };
    Ok(StatementKind::Ddl(DdlStatement::CreateStatistics(create)))
}

/// `DROP STATISTICS [IF EXISTS] name, … [CASCADE | RESTRICT]`
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP STATISTICS")?;
    let if_exists = cursor.eat("IF EXISTS");
    let names = cursor.names()?;
    // Nothing depends on them.
    cascade(cursor);
    Ok(StatementKind::Ddl(DdlStatement::DropStatistics(DropStatistics { if_exists, names })))
}
