//! COMMENT ON

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    ddl::DdlStatement,
    name::{Identifier, QualifiedName},
    statement::StatementKind,
};

/// COMMENT ON
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// On what.
    pub target: CommentTarget,
    /// `None`: NULL.
    pub text: Option<String>,
}

/// What is commented on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentTarget {
    /// TABLE
    Table(QualifiedName),
    /// VIEW
    View(QualifiedName),
    /// INDEX
    Index(QualifiedName),
    /// SEQUENCE
    Sequence(QualifiedName),
    /// COLUMN
    Column(QualifiedName, Identifier),
    /// SCHEMA
    Schema(Identifier),
    /// DATABASE
    Database(Identifier),
}

pub(super) fn comment(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("COMMENT ON")?;
    let target = if cursor.eat("TABLE") {
        CommentTarget::Table(cursor.name()?)
    } else if cursor.eat("VIEW") {
        CommentTarget::View(cursor.name()?)
    } else if cursor.eat("INDEX") {
        CommentTarget::Index(cursor.name()?)
    } else if cursor.eat("SEQUENCE") {
        CommentTarget::Sequence(cursor.name()?)
    } else if cursor.eat("COLUMN") {
        column(cursor)?
    } else if cursor.eat("SCHEMA") {
        CommentTarget::Schema(cursor.identifier()?)
    } else if cursor.eat("DATABASE") {
        CommentTarget::Database(cursor.identifier()?)
    } else {
        let end = cursor.range().end;
        *cursor = cursor.over(end..end);
        return Ok(StatementKind::Unsupported("COMMENT ON this kind of object"));
    };
    cursor.expect("IS")?;
    let text = if cursor.eat("NULL") { None } else { Some(cursor.string()?) };
    // An empty comment is none.
    let text = text.filter(|text| !text.is_empty());
    Ok(StatementKind::Ddl(DdlStatement::Comment(Comment { target, text })))
}

/// `t.c`, `s.t.c`
fn column(cursor: &mut Cursor<'_>) -> Result<CommentTarget> {
    let position = cursor.position();
    let mut parts = vec![cursor.identifier()?];
    while cursor.eat_token(&Token::Period) {
        let position = cursor.position();
        parts.push(Identifier { name: cursor.word()?, position });
    }
    let column = parts.pop().filter(|_| !parts.is_empty()).ok_or_else(|| {
        ErrorReport::new(SqlState::SYNTAX_ERROR, "column name must be qualified").position(position)
    })?;
    Ok(CommentTarget::Column(QualifiedName::of_parts(parts)?, column))
}
