//! COPY

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{self, Visitor},
    tokenizer::Token,
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    copy_options::{self, CopyFormat, CopyOptions},
    copy_rejects,
    cursor::Cursor,
    name::{Identifier, QualifiedName},
    statement::StatementKind,
    walk::Walk,
};
use crate::copy::RejectLimit;

/// COPY
#[derive(Clone, Debug, PartialEq)]
pub struct CopyStatement {
    /// What is copied.
    pub target: CopyTarget,
    /// Which way.
    pub direction: CopyDirection,
    /// The server's files that the rows come from; `None`: the client sends or gets them.
    pub file: Option<CopyFile>,
    /// How the rows are written.
    pub options: CopyOptions,
    /// How many bad rows may be left out; FROM only
    pub rejects: Option<RejectLimit>,
    /// WHERE, as it was written; FROM only
    pub filter: Option<String>,
}

/// What is copied.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyTarget {
    /// A table
    Table {
        /// Its name.
        name: QualifiedName,
        /// In the order of the data; empty: all of the table's.
        columns: Vec<Identifier>,
    },
    /// A query's rows, to the client only
    Query(Box<ast::Query>),
}

/// A file of the server, a directory of them, or a pattern of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFile {
    /// As it was written.
    pub path: String,
}

/// Which way the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// FROM STDIN: the client sends them; or FROM files of the server.
    FromClient,
    /// TO STDOUT: the client gets them.
    ToClient,
}

pub(super) fn copy(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("COPY")?;
    // `COPY BINARY t` is older than the options.
    let binary =
        !cursor.is_word_at(1, "FROM") && !cursor.is_word_at(1, "TO") && cursor.eat("BINARY");
    let target = target(cursor)?;
    let is_query = matches!(target, CopyTarget::Query(_));
    let direction = if !is_query && cursor.eat("FROM") {
        CopyDirection::FromClient
    } else {
        cursor.expect("TO")?;
        CopyDirection::ToClient
    };
    let file = endpoint(cursor, direction)?;
    let options = copy_options::read(cursor, direction, binary)?;
    check_format(&options, file.is_some())?;
    let rejects = copy_rejects::read(cursor, direction, &options)?;
    let mut filter = None;
    if cursor.is_word("WHERE") {
        if direction == CopyDirection::ToClient {
            return cursor.fail();
        }
        cursor.advance();
        filter = Some(cursor.text(cursor.range()).to_string());
        let condition = cursor.parse_with(|p| p.parse_expr())?;
        refuse_subqueries(&condition)?;
    }
    Ok(StatementKind::Copy(Box::new(CopyStatement {
        target,
        direction,
        file,
        options,
        rejects,
        filter,
    })))
}

fn refuse_subqueries(condition: &ast::Expr) -> Result<()> {
    struct Search;
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    match condition.walk(&mut Search) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(ErrorReport::unsupported("cannot use subquery in COPY FROM WHERE condition"))
        }
    }
}

fn target(cursor: &mut Cursor<'_>) -> Result<CopyTarget> {
    if cursor.token() == Some(&Token::LParen) {
        let mut inside = cursor.parenthesized()?;
        let query = inside.parse_with(|p| p.parse_query())?;
        inside.expect_end()?;
        return Ok(CopyTarget::Query(query));
    }
    let name = cursor.name()?;
    let has_columns = cursor.token() == Some(&Token::LParen);
    let columns = if has_columns { cursor.identifiers()? } else { Vec::new() };
    Ok(CopyTarget::Table { name, columns })
}

/// Which formats clients have, and which ones files.
fn check_format(options: &CopyOptions, is_file: bool) -> Result<()> {
    match (options.format, is_file) {
        (CopyFormat::Parquet, false) => {
            Err(ErrorReport::unsupported("COPY format \"parquet\" is not supported for clients")
                .hint("Use COPY FROM with a file on the server."))
        }
        (CopyFormat::Binary, true) => {
            Err(ErrorReport::unsupported("COPY FROM a file in binary format is not supported")
                .hint("Use COPY FROM STDIN, or psql's \\copy."))
        }
        (CopyFormat::Text | CopyFormat::Csv | CopyFormat::Binary, false)
        | (CopyFormat::Text | CopyFormat::Csv | CopyFormat::Parquet, true) => Ok(()),
    }
}

/// Files are read only; programs would be the server's, of which a cluster has many.
fn endpoint(cursor: &mut Cursor<'_>, direction: CopyDirection) -> Result<Option<CopyFile>> {
    let position = cursor.position();
    let (word, hint) = match direction {
        CopyDirection::FromClient => ("STDIN", "Use COPY FROM STDIN, or psql's \\copy."),
        CopyDirection::ToClient => ("STDOUT", "Use COPY TO STDOUT, or psql's \\copy."),
    };
    // PostgreSQL takes either word either way.
    if cursor.eat("STDIN") || cursor.eat("STDOUT") {
        return Ok(None);
    }
    let is_program = cursor.eat("PROGRAM");
    if !is_program && !matches!(cursor.token(), Some(Token::SingleQuotedString(_))) {
        return cursor.fail();
    }
    let path = cursor.string()?;
    if !is_program && direction == CopyDirection::FromClient {
        return Ok(Some(CopyFile { path }));
    }
    let what = if is_program { "a program" } else { "a file" };
    let verb = if word == "STDIN" { "FROM" } else { "TO" };
    Err(ErrorReport::unsupported(format!("COPY {verb} {what} is not supported"))
        .hint(hint)
        .position(position))
}
