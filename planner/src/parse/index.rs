//! CREATE INDEX and DROP INDEX.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::Result;

use super::{
    create_table::UnsupportedClause,
    cursor::Cursor,
    ddl::{DdlStatement, cascade},
    name::{Identifier, QualifiedName},
    statement::StatementKind,
};

/// CREATE INDEX
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndex {
    /// UNIQUE
    pub is_unique: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// `None`: to be chosen.
    pub name: Option<Identifier>,
    /// The table.
    pub table: QualifiedName,
    /// USING
    pub method: Option<Identifier>,
    /// Its columns.
    pub columns: Vec<Identifier>,
    /// What Kestrel does not have, in order.
    pub unsupported: Vec<UnsupportedClause>,
}

/// DROP INDEX
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIndex {
    /// IF EXISTS
    pub if_exists: bool,
    /// The indexes.
    pub indexes: Vec<QualifiedName>,
    /// CASCADE
    pub cascade: bool,
}

/// `CREATE [UNIQUE] INDEX [CONCURRENTLY] [[IF NOT EXISTS] name] ON [ONLY] t [USING m] (…) …`
pub(super) fn create_index(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE")?;
    let is_unique = cursor.eat("UNIQUE");
    cursor.expect("INDEX")?;
    cursor.eat("CONCURRENTLY");
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = match cursor.is_word("ON") && !if_not_exists {
        true => None,
        false => Some(cursor.identifier()?),
    };
    cursor.expect("ON")?;
    cursor.eat("ONLY");
    let table = cursor.name()?;
    let method = if cursor.eat("USING") { Some(cursor.identifier()?) } else { None };
    let mut unsupported = Vec::new();
    let mut refuse = |what, hint, position| {
        unsupported.push(UnsupportedClause { what, hint, position });
    };
    let mut columns = Vec::new();
    for mut part in cursor.parenthesized()?.split_commas() {
        match column(&mut part)? {
            Some(column) => columns.push(column),
            None => refuse("indexes on expressions", Some("Name columns."), part.position()),
        }
    }
    let position = cursor.position();
    if cursor.eat("INCLUDE") {
        cursor.identifiers()?;
        refuse("INCLUDE columns", Some("Leave INCLUDE out."), position);
    }
    if cursor.eat("NULLS NOT DISTINCT") {
        refuse("UNIQUE NULLS NOT DISTINCT", None, position);
    } else {
        cursor.eat("NULLS DISTINCT");
    }
    if cursor.eat("WITH") {
        cursor.parenthesized()?;
    }
    if cursor.eat("TABLESPACE") {
        cursor.identifier()?;
    }
    let position = cursor.position();
    if cursor.eat("WHERE") {
        cursor.parse_with(|p| p.parse_expr())?;
        refuse("partial indexes", Some("Leave WHERE out."), position);
    }
    let create =
        CreateIndex { is_unique, if_not_exists, name, table, method, columns, unsupported };
    Ok(StatementKind::Ddl(DdlStatement::CreateIndex(create)))
}

/// `a [COLLATE c] [opclass] [ASC | DESC] [NULLS FIRST | LAST]`; `None`: an expression. Order and
/// operator class make no difference to an index that nothing reads.
fn column(part: &mut Cursor<'_>) -> Result<Option<Identifier>> {
    let is_call = part.peek_nth(1).is_some_and(|l| l.token.token == Token::LParen);
    if part.token() == Some(&Token::LParen) || is_call {
        part.parse_with(|p| p.parse_expr())?;
        let end = part.range().end;
        *part = part.over(end..end);
        return Ok(None);
    }
    let name = part.identifier()?;
    if part.eat("COLLATE") {
        part.name()?;
    }
    let is_order = ["ASC", "DESC", "NULLS"].iter().any(|word| part.is_word(word));
    if !part.at_end() && !is_order {
        part.name()?;
        if part.token() == Some(&Token::LParen) {
            part.parenthesized()?;
        }
    }
    let _ = part.eat("ASC") || part.eat("DESC");
    let _ = part.eat("NULLS FIRST") || part.eat("NULLS LAST");
    part.expect_end()?;
    Ok(Some(name))
}

pub(super) fn drop_index(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP INDEX")?;
    cursor.eat("CONCURRENTLY");
    let if_exists = cursor.eat("IF EXISTS");
    let indexes = cursor.names()?;
    let drop = DropIndex { if_exists, indexes, cascade: cascade(cursor) };
    Ok(StatementKind::Ddl(DdlStatement::DropIndex(drop)))
}
