//! CREATE, ALTER and DROP SEQUENCE, and the options of identity columns.

use datafusion::sql::sqlparser::{ast, tokenizer::Token};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    ddl::{DdlStatement, cascade, role},
    name::{Identifier, QualifiedName},
    statement::StatementKind,
};

/// CREATE SEQUENCE
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSequence {
    /// TEMPORARY
    pub temporary: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Its name.
    pub name: QualifiedName,
    /// How it counts.
    pub options: SequenceOptions,
}

/// ALTER SEQUENCE
#[derive(Clone, Debug, PartialEq)]
pub struct AlterSequence {
    /// IF EXISTS
    pub if_exists: bool,
    /// The sequence.
    pub name: QualifiedName,
    /// What changes.
    pub action: SequenceAction,
}

/// What ALTER SEQUENCE changes.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceAction {
    /// How it counts.
    Options(Box<SequenceOptions>),
    /// RENAME TO
    Rename(Identifier),
    /// SET SCHEMA
    SetSchema(Identifier),
    /// OWNER TO
    Owner(Identifier),
}

/// DROP SEQUENCE
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSequence {
    /// IF EXISTS
    pub if_exists: bool,
    /// The sequences.
    pub sequences: Vec<QualifiedName>,
    /// CASCADE
    pub cascade: bool,
}

/// How a sequence counts; `None`: nothing was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SequenceOptions {
    /// AS, and where the type stands
    pub data_type: Option<(ast::DataType, u32)>,
    /// INCREMENT BY
    pub increment: Option<i64>,
    /// MINVALUE; `Some(None)`: NO MINVALUE
    pub min_value: Option<Option<i64>>,
    /// MAXVALUE; `Some(None)`: NO MAXVALUE
    pub max_value: Option<Option<i64>>,
    /// START WITH
    pub start: Option<i64>,
    /// RESTART; `Some(None)`: at the start
    pub restart: Option<Option<i64>>,
    /// CACHE
    pub cache: Option<i64>,
    /// CYCLE, NO CYCLE
    pub cycle: Option<bool>,
    /// OWNED BY: the table and column; `Some(None)`: NONE
    pub owned_by: Option<Option<(QualifiedName, Identifier)>>,
}

pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE")?;
    let temporary = cursor.eat("TEMPORARY") || cursor.eat("TEMP");
    cursor.expect("SEQUENCE")?;
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = cursor.name()?;
    let options = options(cursor)?;
    let create = CreateSequence { temporary, if_not_exists, name, options };
    Ok(StatementKind::Ddl(DdlStatement::CreateSequence(Box::new(create))))
}

pub(super) fn alter(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER SEQUENCE")?;
    let if_exists = cursor.eat("IF EXISTS");
    let name = cursor.name()?;
    let action = if cursor.eat("RENAME TO") {
        SequenceAction::Rename(cursor.identifier()?)
    } else if cursor.eat("SET SCHEMA") {
        SequenceAction::SetSchema(cursor.identifier()?)
    } else if cursor.eat("OWNER TO") {
        SequenceAction::Owner(role(cursor)?)
    } else if cursor.at_end() {
        return cursor.fail();
    } else {
        SequenceAction::Options(Box::new(options(cursor)?))
    };
    let alter = AlterSequence { if_exists, name, action };
    Ok(StatementKind::Ddl(DdlStatement::AlterSequence(alter)))
}

pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP SEQUENCE")?;
    let if_exists = cursor.eat("IF EXISTS");
    let sequences = cursor.names()?;
    let drop = DropSequence { if_exists, sequences, cascade: cascade(cursor) };
    Ok(StatementKind::Ddl(DdlStatement::DropSequence(drop)))
}

/// Reads options as long as there are some.
pub(super) fn options(cursor: &mut Cursor<'_>) -> Result<SequenceOptions> {
    let mut options = SequenceOptions::default();
    while !cursor.at_end() {
        option(cursor, &mut options)?;
    }
    Ok(options)
}

/// One option.
pub(super) fn option(cursor: &mut Cursor<'_>, options: &mut SequenceOptions) -> Result<()> {
    let position = cursor.position();
    if cursor.eat("AS") {
        let type_position = cursor.position();
        let data_type = cursor.parse_with(|p| p.parse_data_type())?;
        return set(&mut options.data_type, (data_type, type_position), position);
    }
    if cursor.eat("INCREMENT") {
        cursor.eat("BY");
        return set(&mut options.increment, number(cursor)?, position);
    }
    if cursor.eat("NO MINVALUE") {
        return set(&mut options.min_value, None, position);
    }
    if cursor.eat("NO MAXVALUE") {
        return set(&mut options.max_value, None, position);
    }
    if cursor.eat("NO CYCLE") {
        return set(&mut options.cycle, false, position);
    }
    if cursor.eat("MINVALUE") {
        return set(&mut options.min_value, Some(number(cursor)?), position);
    }
    if cursor.eat("MAXVALUE") {
        return set(&mut options.max_value, Some(number(cursor)?), position);
    }
    if cursor.eat("START") {
        cursor.eat("WITH");
        return set(&mut options.start, number(cursor)?, position);
    }
    if cursor.eat("RESTART") {
        let says_where = cursor.eat("WITH") || begins_number(cursor);
        let value = if says_where { Some(number(cursor)?) } else { None };
        return set(&mut options.restart, value, position);
    }
    if cursor.eat("CACHE") {
        return set(&mut options.cache, number(cursor)?, position);
    }
    if cursor.eat("CYCLE") {
        return set(&mut options.cycle, true, position);
    }
    if cursor.eat("OWNED BY") {
        return set(&mut options.owned_by, owner(cursor)?, position);
    }
    cursor.fail()
}

fn set<T>(option: &mut Option<T>, value: T, position: u32) -> Result<()> {
    if option.is_some() {
        let message = "conflicting or redundant options";
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
    }
    *option = Some(value);
    Ok(())
}

/// `NONE`, `table.column`, `schema.table.column`
fn owner(cursor: &mut Cursor<'_>) -> Result<Option<(QualifiedName, Identifier)>> {
    if cursor.eat("NONE") {
        return Ok(None);
    }
    let mut parts = vec![cursor.identifier()?];
    while cursor.eat_token(&Token::Period) {
        let position = cursor.position();
        parts.push(Identifier { name: cursor.word()?, position });
    }
    let column = parts.pop().filter(|_| !parts.is_empty());
    let Some(column) = column else {
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
            .hint("Specify OWNED BY table.column or OWNED BY NONE."));
    };
    Ok(Some((QualifiedName::of_parts(parts)?, column)))
}

fn begins_number(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.token(), Some(Token::Number(..) | Token::Minus | Token::Plus))
}

/// An integer with or without a sign.
fn number(cursor: &mut Cursor<'_>) -> Result<i64> {
    let start = cursor.clone();
    let minus = cursor.eat_token(&Token::Minus);
    if !minus {
        cursor.eat_token(&Token::Plus);
    }
    let Some(Token::Number(digits, _)) = cursor.token() else { return cursor.fail() };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return start.fail();
    }
    let text = if minus { format!("-{digits}") } else { digits.clone() };
    cursor.advance();
    text.parse().map_err(|_| {
        let message = format!("value \"{text}\" is out of range for type bigint");
        ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}
