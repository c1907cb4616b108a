//! What stands between the parentheses of CREATE TABLE.

use datafusion::sql::sqlparser::{ast, tokenizer::Token};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    create_table::CreateTable,
    cursor::Cursor,
    name::{Identifier, QualifiedName},
    sequence::{self, SequenceOptions},
    stored_expr,
};
use crate::catalog::Identity;

/// An element of CREATE TABLE's list. A column's own constraints follow it as elements.
#[derive(Clone, Debug, PartialEq)]
pub enum TableElement {
    /// A column
    Column(ColumnClause),
    /// PRIMARY KEY
    PrimaryKey(KeyClause),
    /// UNIQUE
    Unique(KeyClause),
    /// CHECK
    Check(CheckClause),
    /// FOREIGN KEY, REFERENCES
    ForeignKey(ForeignKeyClause),
    /// LIKE
    Like(LikeClause),
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnClause {
    /// Its name.
    pub name: Identifier,
    /// Its type, as it was written.
    pub data_type: ColumnType,
    /// Where the type stands.
    pub type_position: u32,
    /// `Some(false)`: NULL was said.
    pub not_null: Option<bool>,
    /// DEFAULT, as it was written.
    pub default: Option<String>,
    /// COLLATE
    pub collation: Option<QualifiedName>,
    /// GENERATED … AS IDENTITY
    pub identity: Option<IdentityClause>,
}

/// GENERATED … AS IDENTITY
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityClause {
    /// ALWAYS or BY DEFAULT
    pub identity: Identity,
    /// How its sequence counts.
    pub options: Box<SequenceOptions>,
    /// Where it stands.
    pub position: u32,
}

/// The type of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    /// smallserial, serial, bigserial
    Serial(SerialType),
    /// Any other
    Declared(ast::DataType),
}

/// The integer type of a column that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialType {
    /// smallserial
    Small,
    /// serial
    Integer,
    /// bigserial
    Big,
}

/// PRIMARY KEY or UNIQUE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyClause {
    /// CONSTRAINT
    pub name: Option<Identifier>,
    /// Its columns.
    pub columns: Vec<Identifier>,
    /// Where it stands.
    pub position: u32,
}

/// CHECK
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckClause {
    /// CONSTRAINT
    pub name: Option<Identifier>,
    /// The condition, as it was written.
    pub condition: String,
    /// The columns it names, each once.
    pub columns: Vec<Identifier>,
    /// Where it stands.
    pub position: u32,
}

/// FOREIGN KEY or REFERENCES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyClause {
    /// Its columns.
    pub columns: Vec<Identifier>,
    /// The table it refers to.
    pub table: QualifiedName,
    /// The columns it refers to; empty: that table's primary key.
    pub referenced: Vec<Identifier>,
}

/// LIKE
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikeClause {
    /// The table it copies.
    pub table: QualifiedName,
    /// INCLUDING DEFAULTS
    pub defaults: bool,
    /// INCLUDING INDEXES
    pub indexes: bool,
    /// INCLUDING CONSTRAINTS
    pub constraints: bool,
    /// INCLUDING IDENTITY
    pub identity: bool,
    /// INCLUDING STORAGE: clustering columns
    pub storage: bool,
}

/// Reads the list into the table.
pub(super) fn read(list: &Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    if list.at_end() {
        return Ok(());
    }
    for mut part in list.split_commas() {
        if part.is_word("LIKE") {
            table.elements.push(like(&mut part)?);
        } else {
            element(&mut part, table)?;
        }
        part.expect_end()?;
    }
    Ok(())
}

/// A column or a constraint.
pub(super) fn element(element: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    if begins_constraint(element) {
        table_constraint(element, table)
    } else {
        column(element, table)
    }
}

fn begins_constraint(element: &Cursor<'_>) -> bool {
    let is_exclude = element.are_words("EXCLUDE USING")
        || element.is_word("EXCLUDE")
            && element.peek_nth(1).is_some_and(|l| l.token.token == Token::LParen);
    is_exclude
        || ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]
            .iter()
            .any(|word| element.is_word(word))
}

/// `LIKE t [INCLUDING | EXCLUDING what]…`
fn like(element: &mut Cursor<'_>) -> Result<TableElement> {
    element.expect("LIKE")?;
    let mut like = LikeClause {
        table: element.name()?,
        defaults: false,
        indexes: false,
        constraints: false,
        identity: false,
        storage: false,
    };
    while let Some(on) = element.eat_one_of(&[("INCLUDING", true), ("EXCLUDING", false)]) {
        match element.word()?.as_str() {
            "all" => {
                (like.defaults, like.indexes, like.constraints) = (on, on, on);
                (like.identity, like.storage) = (on, on);
            }
            "constraints" => like.constraints = on,
            "defaults" => like.defaults = on,
            "indexes" => like.indexes = on,
            "identity" => like.identity = on,
            "storage" | "reloptions" => like.storage = on,
            // Kestrel's tables have none of them.
            "comments" | "compression" | "generated" | "statistics" | "encoding" => {}
            _ => return element.fail(),
        }
    }
    Ok(TableElement::Like(like))
}

fn table_constraint(element: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    let name = constraint_name(element)?;
    let position = element.position();
    if element.eat("PRIMARY KEY") {
        let columns = key_columns(element, table)?;
        table.elements.push(TableElement::PrimaryKey(KeyClause { name, columns, position }));
    } else if element.eat("UNIQUE") {
        unique_nulls(element, table, position);
        let columns = key_columns(element, table)?;
        table.elements.push(TableElement::Unique(KeyClause { name, columns, position }));
    } else if element.eat("FOREIGN KEY") {
        let columns = element.identifiers()?;
        let foreign_key = references(element, columns)?;
        table.elements.push(TableElement::ForeignKey(foreign_key));
    } else if element.eat("CHECK") {
        check(element, table, name, position)?;
    } else if element.eat("EXCLUDE") {
        table.refuse("EXCLUDE constraints", None, position);
        while !element.at_end() {
            element.skip_group();
        }
    } else {
        return element.fail();
    }
    attributes(element, table)
}

fn constraint_name(element: &mut Cursor<'_>) -> Result<Option<Identifier>> {
    if element.eat("CONSTRAINT") { element.identifier().map(Some) } else { Ok(None) }
}

/// `(a, b) [INCLUDE (…)] [WITH (…)] [USING INDEX TABLESPACE t]`
fn key_columns(element: &mut Cursor<'_>, table: &mut CreateTable) -> Result<Vec<Identifier>> {
    if element.are_words("USING INDEX") {
        table.refuse("constraints USING INDEX", None, element.position());
        element.eat("USING INDEX");
        return element.identifier().map(|name| vec![name]);
    }
    let columns = element.identifiers()?;
    key_parameters(element, table)?;
    Ok(columns)
}

fn key_parameters(element: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    if element.is_word("INCLUDE") {
        table.refuse("INCLUDE columns", None, element.position());
        element.advance();
        element.identifiers()?;
    }
    if element.eat("WITH") {
        element.parenthesized()?;
    }
    if element.eat("USING INDEX TABLESPACE") {
        element.identifier()?;
    }
    Ok(())
}

fn unique_nulls(element: &mut Cursor<'_>, table: &mut CreateTable, position: u32) {
    if element.eat("NULLS NOT DISTINCT") {
        table.refuse("UNIQUE NULLS NOT DISTINCT", None, position);
    } else {
        element.eat("NULLS DISTINCT");
    }
}

fn check(
    element: &mut Cursor<'_>,
    table: &mut CreateTable,
    name: Option<Identifier>,
    position: u32,
) -> Result<()> {
    let mut inside = element.parenthesized()?;
    let condition = inside.text(inside.range()).to_string();
    let expression = inside.parse_with(|p| p.parse_expr())?;
    inside.expect_end()?;
    element.eat("NO INHERIT");
    stored_expr::refuse_subquery(&expression, "check constraint", position)?;
    let columns = stored_expr::named_columns(&expression, position);
    table.elements.push(TableElement::Check(CheckClause { name, condition, columns, position }));
    Ok(())
}

/// `REFERENCES t [(a, b)] [MATCH …] [ON DELETE …] [ON UPDATE …]`
fn references(element: &mut Cursor<'_>, columns: Vec<Identifier>) -> Result<ForeignKeyClause> {
    element.expect("REFERENCES")?;
    let table = element.name()?;
    let has_list = element.token() == Some(&Token::LParen);
    let referenced = if has_list { element.identifiers()? } else { Vec::new() };
    if element.eat("MATCH") {
        let _ = element.eat("FULL") || element.eat("PARTIAL") || {
            element.expect("SIMPLE")?;
            true
        };
    }
    while element.eat("ON") {
        if !element.eat("DELETE") {
            element.expect("UPDATE")?;
        }
        let actions = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"];
        if !actions.iter().any(|action| element.eat(action)) {
            return element.fail();
        }
        if element.token() == Some(&Token::LParen) {
            element.identifiers()?;
        }
    }
    Ok(ForeignKeyClause { columns, table, referenced })
}

/// `[NOT] DEFERRABLE`, `INITIALLY …`, `NOT VALID`
fn attributes(element: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    loop {
        let position = element.position();
        if element.eat("DEFERRABLE") || element.eat("INITIALLY DEFERRED") {
            table.refuse("deferrable constraints", None, position);
        } else if !element.eat("NOT DEFERRABLE")
            && !element.eat("INITIALLY IMMEDIATE")
            && !element.eat("NOT VALID")
        {
            return Ok(());
        }
    }
}

pub(super) fn column(element: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    let name = element.identifier()?;
    let type_position = element.position();
    let data_type = column_type(element)?;
    let mut column = ColumnClause {
        name,
        data_type,
        type_position,
        not_null: None,
        default: None,
        collation: None,
        identity: None,
    };
    // The column comes before its constraints.
    let index = table.elements.len();
    while !element.at_end() {
        column_constraint(element, &mut column, table)?;
    }
    table.elements.insert(index, TableElement::Column(column));
    Ok(())
}

fn column_type(element: &mut Cursor<'_>) -> Result<ColumnType> {
    let serial_types = [
        ("SMALLSERIAL", SerialType::Small),
        ("SERIAL2", SerialType::Small),
        ("SERIAL", SerialType::Integer),
        ("SERIAL4", SerialType::Integer),
        ("BIGSERIAL", SerialType::Big),
        ("SERIAL8", SerialType::Big),
    ];
    if element.at_end() {
        return element.fail();
    }
    // PostgreSQL's keywords for integers take no modifier, not even a wrong one.
    if ["INT", "INTEGER", "SMALLINT", "BIGINT"].iter().any(|word| element.is_word(word))
        && element.peek_nth(1).is_some_and(|l| l.token.token == Token::LParen)
    {
        element.advance();
        return element.fail();
    }
    match element.eat_one_of(&serial_types) {
        Some(serial) => Ok(ColumnType::Serial(serial)),
        None => element.parse_with(|p| p.parse_data_type()).map(ColumnType::Declared),
    }
}

fn column_constraint(
    element: &mut Cursor<'_>,
    column: &mut ColumnClause,
    table: &mut CreateTable,
) -> Result<()> {
    let constraint = constraint_name(element)?;
    let position = element.position();
    let key = || KeyClause {
        name: constraint.clone(),
        columns: vec![Identifier { position, ..column.name.clone() }],
        position,
    };
    if element.eat("NOT NULL") {
        nullability(column, true, table, position)
    } else if element.eat("NULL") {
        nullability(column, false, table, position)
    } else if element.eat("DEFAULT") {
        default(element, column, table, position)
    } else if element.eat("PRIMARY KEY") {
        table.elements.push(TableElement::PrimaryKey(key()));
        key_parameters(element, table)?;
        attributes(element, table)
    } else if element.eat("UNIQUE") {
        table.elements.push(TableElement::Unique(key()));
        unique_nulls(element, table, position);
        key_parameters(element, table)?;
        attributes(element, table)
    } else if element.eat("CHECK") {
        check(element, table, constraint, position)
    } else if element.is_word("REFERENCES") {
        let foreign_key = references(element, key().columns)?;
        table.elements.push(TableElement::ForeignKey(foreign_key));
        attributes(element, table)
    } else if element.eat("COLLATE") {
        column.collation = Some(QualifiedName { position: Some(position), ..element.name()? });
        Ok(())
    } else if element.eat("GENERATED") {
        generated(element, column, table, position)
    } else if ["COMPRESSION", "STORAGE"].iter().any(|word| element.eat(word)) {
        element.word().map(|_| ())
    } else if element.eat("ENCODING") {
        element.parenthesized().map(|_| ())
    } else {
        element.fail()
    }
}

fn nullability(
    column: &mut ColumnClause,
    not_null: bool,
    table: &CreateTable,
    position: u32,
) -> Result<()> {
    if column.not_null == Some(!not_null) {
        let message = format!(
            "conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{}\"",
            column.name.name, table.name.name
        );
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
    }
    column.not_null = Some(not_null);
    Ok(())
}

/// What messages call it.
pub(super) const DEFAULT_EXPRESSION: &str = "DEFAULT expression";

/// Reads the expression behind DEFAULT. It ends before the next constraint's first word.
fn default(
    element: &mut Cursor<'_>,
    column: &mut ColumnClause,
    table: &CreateTable,
    position: u32,
) -> Result<()> {
    if column.default.is_some() {
        let message = format!(
            "multiple default values specified for column \"{}\" of table \"{}\"",
            column.name.name, table.name.name
        );
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
    }
    let start = element.range().start;
    // The first token is the expression's whatever it is: DEFAULT NULL NOT NULL.
    element.skip_group();
    while !element.at_end() && !ends_default(element) {
        element.skip_group();
    }
    let range = start..element.range().start;
    let mut expression = element.over(range.clone());
    if expression.at_end() {
        return element.fail();
    }
    let at = expression.position();
    let parsed = expression.parse_with(|p| p.parse_expr())?;
    expression.expect_end()?;
    stored_expr::refuse_subquery(&parsed, DEFAULT_EXPRESSION, at)?;
    column.default = Some(element.text(range).to_string());
    Ok(())
}

fn ends_default(element: &Cursor<'_>) -> bool {
    const FIRST_WORDS: &[&str] = &[
        "NOT NULL",
        "NULL",
        "CONSTRAINT",
        "PRIMARY KEY",
        "UNIQUE",
        "CHECK",
        "REFERENCES",
        "DEFAULT",
        "COLLATE",
        "GENERATED",
        "COMPRESSION",
        "STORAGE",
        "ENCODING",
    ];
    FIRST_WORDS.iter().any(|words| element.are_words(words))
}

/// `{ALWAYS | BY DEFAULT} AS {IDENTITY [(…)] | (expression) STORED}`
fn generated(
    element: &mut Cursor<'_>,
    column: &mut ColumnClause,
    table: &mut CreateTable,
    position: u32,
) -> Result<()> {
    let identity = generated_by(element)?;
    element.expect("AS")?;
    if !element.eat("IDENTITY") {
        element.parenthesized()?;
        element.expect("STORED")?;
        table.refuse("generated columns", None, position);
        return Ok(());
    }
    let options = identity_options(element)?;
    if column.identity.is_some() {
        let message = format!(
            "multiple identity specifications for column \"{}\" of table \"{}\"",
            column.name.name, table.name.name
        );
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
    }
    column.identity = Some(IdentityClause { identity, options, position });
    Ok(())
}

/// `ALWAYS | BY DEFAULT`
pub(super) fn generated_by(element: &mut Cursor<'_>) -> Result<Identity> {
    if element.eat("ALWAYS") {
        return Ok(Identity::Always);
    }
    element.expect("BY DEFAULT").map(|()| Identity::ByDefault)
}

/// `[(option …)]`
pub(super) fn identity_options(element: &mut Cursor<'_>) -> Result<Box<SequenceOptions>> {
    match element.token() {
        Some(Token::LParen) => sequence::options(&mut element.parenthesized()?).map(Box::new),
        _ => Ok(Box::default()),
    }
}
