//! CREATE TABLE, and the words between its columns and an AS.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result};

use super::{
    create_table_as,
    cursor::Cursor,
    ddl::DdlStatement,
    name::{Identifier, QualifiedName},
    partition::{self, PartitionBy, PartitionClause, PartitionOfClause},
    statement::StatementKind,
    storage_parameter::{self, StorageParameter},
    table_element::{self, TableElement},
};
use crate::catalog::OnCommit;

/// CREATE TABLE
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// Its name.
    pub name: QualifiedName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// TEMPORARY
    pub temporary: bool,
    /// Where GLOBAL stands, which says nothing any more.
    pub global: Option<u32>,
    /// ON COMMIT
    pub on_commit: Option<OnCommit>,
    /// Columns, constraints and LIKE clauses, in order.
    pub elements: Vec<TableElement>,
    /// DISTRIBUTED …
    pub distributed: Option<DistributedBy>,
    /// PARTITION BY
    pub partition_by: Option<Box<PartitionBy>>,
    /// PARTITION OF
    pub partition_of: Option<Box<PartitionOfClause>>,
    /// WITH (…)
    pub storage_parameters: Vec<StorageParameter>,
    /// TABLESPACE
    pub tablespace: Option<Identifier>,
    /// USING
    pub access_method: Option<Identifier>,
    /// Clauses that Kestrel reads over, in order.
    pub unsupported: Vec<UnsupportedClause>,
}

/// A clause that PostgreSQL or Greenplum has and Kestrel does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedClause {
    /// `CHECK constraints`: what is not supported.
    pub what: &'static str,
    /// What to do instead.
    pub hint: Option<&'static str>,
    /// 1-based position.
    pub position: u32,
}

impl UnsupportedClause {
    /// 0A000: `INHERITS is not supported`, `partial indexes are not supported`.
    pub fn error(&self) -> ErrorReport {
        let verb = if self.what.ends_with('s') { "are" } else { "is" };
        let error = ErrorReport::unsupported(format!("{} {verb} not supported", self.what));
        ErrorReport { hint: self.hint.map(String::from), ..error.position(self.position) }
    }
}

/// `DISTRIBUTED …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributedBy {
    /// BY (…)
    Columns(Vec<Identifier>),
    /// REPLICATED
    Replicated,
    /// RANDOMLY
    Randomly,
}

impl CreateTable {
    /// A table of this name, with nothing said about it.
    pub(super) fn new(name: QualifiedName) -> Self {
        Self {
            name,
            if_not_exists: false,
            temporary: false,
            global: None,
            on_commit: None,
            elements: Vec::new(),
            distributed: None,
            partition_by: None,
            partition_of: None,
            storage_parameters: Vec::new(),
            tablespace: None,
            access_method: None,
            unsupported: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, what: &'static str, hint: Option<&'static str>, position: u32) {
        self.unsupported.push(UnsupportedClause { what, hint, position });
    }
}

pub(super) fn create_table(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE")?;
    let persistence = cursor.position();
    let global = cursor.eat("GLOBAL").then_some(persistence);
    let says_where = global.is_some() || cursor.eat("LOCAL");
    let temporary = cursor.eat("TEMPORARY") || cursor.eat("TEMP");
    if says_where && !temporary {
        return cursor.fail();
    }
    let unlogged = !temporary && cursor.eat("UNLOGGED");
    cursor.expect("TABLE")?;
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let mut table = CreateTable::new(cursor.name()?);
    (table.if_not_exists, table.temporary, table.global) = (if_not_exists, temporary, global);
    if unlogged {
        table.refuse("CREATE UNLOGGED TABLE", Some("Leave UNLOGGED out."), persistence);
    }
    if cursor.is_word("OF") {
        table.refuse("CREATE TABLE OF", None, cursor.position());
        skip_rest(cursor);
        return Ok(StatementKind::Ddl(DdlStatement::CreateTable(Box::new(table))));
    }
    if cursor.eat("PARTITION OF") {
        partition_of(cursor, &mut table)?;
        return Ok(StatementKind::Ddl(DdlStatement::CreateTable(Box::new(table))));
    }
    let has_list = cursor.token() == Some(&Token::LParen);
    let list = if has_list { Some(cursor.parenthesized()?) } else { None };
    clauses(cursor, &mut table)?;
    if cursor.eat("AS") {
        return create_table_as::create_table_as(cursor, table, list);
    }
    let Some(list) = list else { return cursor.fail() };
    table_element::read(&list, &mut table)?;
    Ok(StatementKind::Ddl(DdlStatement::CreateTable(Box::new(table))))
}

/// Everything behind the column list. PostgreSQL wants an order; here any will do, as long as no
/// clause stands twice.
fn clauses(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    let mut seen = Vec::new();
    loop {
        let (position, start) = (cursor.position(), cursor.clone());
        let clause = if cursor.are_words("ON COMMIT") { "ON" } else { cursor.here() };
        let clause = clause.to_ascii_uppercase();
        match clause.as_str() {
            "DISTRIBUTED" => table.distributed = Some(distributed_by(cursor)?),
            "WITH" => {
                cursor.advance();
                table.storage_parameters = storage_parameter::read(cursor)?;
            }
            "WITHOUT" => cursor.expect("WITHOUT OIDS")?,
            "TABLESPACE" => {
                cursor.advance();
                table.tablespace = Some(cursor.identifier()?);
            }
            "USING" => {
                cursor.advance();
                table.access_method = Some(cursor.identifier()?);
            }
            "INHERITS" => {
                cursor.advance();
                cursor.parenthesized()?;
                table.refuse("INHERITS", None, position);
            }
            "PARTITION" => match partition::partition_by(cursor)? {
                PartitionClause::By(by) => table.partition_by = Some(Box::new(by)),
                PartitionClause::Unsupported(what, hint) => {
                    table.refuse(what, Some(hint), position);
                    skip_partition_by(cursor);
                }
            },
            "ON" => {
                cursor.expect("ON COMMIT")?;
                let actions = [
                    ("PRESERVE ROWS", OnCommit::PreserveRows),
                    ("DELETE ROWS", OnCommit::DeleteRows),
                    ("DROP", OnCommit::Drop),
                ];
                match cursor.eat_one_of(&actions) {
                    Some(action) => table.on_commit = Some(action),
                    None => return cursor.fail(),
                }
            }
            _ => return Ok(()),
        }
        if seen.contains(&clause) {
            return start.fail();
        }
        seen.push(clause);
    }
}

/// What follows PARTITION OF.
fn partition_of(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    let parent = cursor.name()?;
    let position = cursor.position();
    if cursor.token() == Some(&Token::LParen) {
        cursor.parenthesized()?;
        let hint = "A partition has its table's columns and constraints. Alter it afterwards.";
        table.refuse("column options of a partition", Some(hint), position);
    }
    let bound = partition::bound(cursor)?;
    table.partition_of = Some(Box::new(PartitionOfClause { parent, bound }));
    clauses(cursor, table)
}

/// Reads over what is left of forms of PARTITION BY that Kestrel does not have.
fn skip_partition_by(cursor: &mut Cursor<'_>) {
    while !cursor.at_end() && !cursor.is_word("DISTRIBUTED") && !cursor.is_word("AS") {
        // A column list may be followed by storage clauses of the partitioned table.
        if ["WITH", "TABLESPACE", "USING", "ON"].iter().any(|word| cursor.is_word(word)) {
            return;
        }
        cursor.skip_group();
    }
}

fn skip_rest(cursor: &mut Cursor<'_>) {
    let end = cursor.range().end;
    *cursor = cursor.over(end..end);
}

/// `DISTRIBUTED BY (a, b) | REPLICATED | RANDOMLY`
pub(super) fn distributed_by(cursor: &mut Cursor<'_>) -> Result<DistributedBy> {
    cursor.expect("DISTRIBUTED")?;
    if cursor.eat("REPLICATED") {
        return Ok(DistributedBy::Replicated);
    }
    if cursor.eat("RANDOMLY") {
        return Ok(DistributedBy::Randomly);
    }
    cursor.expect("BY")?;
    cursor.identifiers().map(DistributedBy::Columns)
}
