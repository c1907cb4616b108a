//! The statements that change the catalog and run no query. CREATE TABLE is in `create_table`.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::Result;

use super::{
    alter::{AlterIndex, AlterSchema, AlterTable},
    comment::Comment,
    create_table::CreateTable,
    cursor::Cursor,
    extended_statistics::{CreateStatistics, DropStatistics},
    index::{CreateIndex, DropIndex},
    name::{Identifier, QualifiedName},
    sequence::{AlterSequence, CreateSequence, DropSequence},
    statement::StatementKind,
    view::DropView,
};

/// A statement that changes the catalog and runs no query.
#[derive(Clone, Debug, PartialEq)]
pub enum DdlStatement {
    /// CREATE TABLE
    CreateTable(Box<CreateTable>),
    /// DROP TABLE
    DropTable(DropTable),
    /// TRUNCATE
    Truncate(Truncate),
    /// CREATE SCHEMA
    CreateSchema(CreateSchema),
    /// DROP SCHEMA
    DropSchema(DropSchema),
    /// ALTER SCHEMA
    AlterSchema(AlterSchema),
    /// ALTER TABLE, ALTER VIEW
    AlterTable(AlterTable),
    /// DROP VIEW
    DropView(DropView),
    /// CREATE INDEX
    CreateIndex(CreateIndex),
    /// DROP INDEX
    DropIndex(DropIndex),
    /// ALTER INDEX
    AlterIndex(AlterIndex),
    /// CREATE SEQUENCE
    CreateSequence(Box<CreateSequence>),
    /// ALTER SEQUENCE
    AlterSequence(AlterSequence),
    /// DROP SEQUENCE
    DropSequence(DropSequence),
    /// CREATE STATISTICS
    CreateStatistics(CreateStatistics),
    /// DROP STATISTICS
    DropStatistics(DropStatistics),
    /// COMMENT ON
    Comment(Comment),
}

/// DROP TABLE
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropTable {
    /// IF EXISTS
    pub if_exists: bool,
    /// The tables.
    pub tables: Vec<QualifiedName>,
    /// CASCADE
    pub cascade: bool,
}

/// TRUNCATE
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncate {
    /// The tables.
    pub tables: Vec<QualifiedName>,
    /// RESTART IDENTITY
    pub restart_identity: bool,
    /// CASCADE
    pub cascade: bool,
}

/// CREATE SCHEMA
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSchema {
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Its name; `None`: its owner's.
    pub name: Option<Identifier>,
    /// AUTHORIZATION
    pub owner: Option<Identifier>,
    /// Where tables to be created in it follow, which Kestrel does not do.
    pub elements: Option<u32>,
}

/// DROP SCHEMA
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSchema {
    /// IF EXISTS
    pub if_exists: bool,
    /// The schemas.
    pub names: Vec<Identifier>,
    /// CASCADE
    pub cascade: bool,
}

pub(super) fn drop_table(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP TABLE")?;
    let if_exists = cursor.eat("IF EXISTS");
    let tables = cursor.names()?;
    let drop = DropTable { if_exists, tables, cascade: cascade(cursor) };
    Ok(StatementKind::Ddl(DdlStatement::DropTable(drop)))
}

pub(super) fn truncate(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("TRUNCATE")?;
    cursor.eat("TABLE");
    let tables = tables(cursor)?;
    let restart_identity = cursor.eat("RESTART IDENTITY");
    if !restart_identity {
        cursor.eat("CONTINUE IDENTITY");
    }
    let truncate = Truncate { tables, restart_identity, cascade: cascade(cursor) };
    Ok(StatementKind::Ddl(DdlStatement::Truncate(truncate)))
}

/// `[ONLY] t [*], …`
pub(super) fn tables(cursor: &mut Cursor<'_>) -> Result<Vec<QualifiedName>> {
    let mut tables = Vec::new();
    loop {
        cursor.eat("ONLY");
        tables.push(cursor.name()?);
        cursor.eat_token(&Token::Mul);
        if !cursor.eat_token(&Token::Comma) {
            return Ok(tables);
        }
    }
}

/// `[CASCADE | RESTRICT]`
pub(super) fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.eat("CASCADE");
    if !cascade {
        cursor.eat("RESTRICT");
    }
    cascade
}

pub(super) fn create_schema(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE SCHEMA")?;
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = if cursor.is_word("AUTHORIZATION") { None } else { Some(cursor.identifier()?) };
    let owner = if cursor.eat("AUTHORIZATION") { Some(role(cursor)?) } else { None };
    let mut elements = None;
    if cursor.is_word("CREATE") || cursor.is_word("GRANT") {
        elements = Some(cursor.position());
        let end = cursor.range().end;
        *cursor = cursor.over(end..end);
    }
    let create = CreateSchema { if_not_exists, name, owner, elements };
    Ok(StatementKind::Ddl(DdlStatement::CreateSchema(create)))
}

/// A role's name, or one of the words for the session's own.
pub(super) fn role(cursor: &mut Cursor<'_>) -> Result<Identifier> {
    let position = cursor.position();
    for word in ["current_user", "current_role", "session_user"] {
        if cursor.eat(word) {
            return Ok(Identifier { name: word.into(), position });
        }
    }
    cursor.identifier()
}

pub(super) fn drop_schema(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP SCHEMA")?;
    let if_exists = cursor.eat("IF EXISTS");
    let mut names = vec![cursor.identifier()?];
    while cursor.eat_token(&Token::Comma) {
        names.push(cursor.identifier()?);
    }
    let drop = DropSchema { if_exists, names, cascade: cascade(cursor) };
    Ok(StatementKind::Ddl(DdlStatement::DropSchema(drop)))
}
