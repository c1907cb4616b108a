//! Which statement it is, by its first words.

use datafusion::sql::sqlparser::{
    ast::{self, SetExpr},
    tokenizer::Token,
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    access, alter, backup, comment, copy,
    create_table::{self, CreateTable},
    create_table_as::{CreateTableAs, TableRows},
    cursor::Cursor,
    ddl, declare_cursor, explain, extended_statistics, grant, index, lock, maintenance, merge,
    name::QualifiedName,
    overriding, prepare, role, role_settings, sequence, set,
    statement::{Statement, StatementKind, WithQueries},
    transaction, view,
};

type Read = fn(&mut Cursor<'_>) -> Result<StatementKind>;

/// The statements Kestrel reads, by their first words.
const STATEMENTS: &[(&str, Read)] = &[
    ("SELECT", query),
    ("WITH", query),
    ("VALUES", query),
    ("TABLE", query),
    ("INSERT", modify),
    ("UPDATE", modify),
    ("DELETE", modify),
    ("MERGE", merge::merge),
    ("CREATE SCHEMA", ddl::create_schema),
    ("CREATE VIEW", view::create_view),
    ("CREATE OR REPLACE VIEW", view::create_view),
    ("CREATE RECURSIVE VIEW", view::create_view),
    ("CREATE OR REPLACE RECURSIVE VIEW", view::create_view),
    ("CREATE TEMP VIEW", view::create_view),
    ("CREATE TEMPORARY VIEW", view::create_view),
    ("CREATE TEMP RECURSIVE", view::create_view),
    ("CREATE TEMPORARY RECURSIVE", view::create_view),
    ("CREATE OR REPLACE TEMP", view::create_view),
    ("CREATE OR REPLACE TEMPORARY", view::create_view),
    ("CREATE UNIQUE INDEX", index::create_index),
    ("CREATE INDEX", index::create_index),
    ("CREATE STATISTICS", extended_statistics::create),
    ("CREATE TABLE", create_table::create_table),
    ("CREATE TEMP SEQUENCE", sequence::create),
    ("CREATE TEMPORARY SEQUENCE", sequence::create),
    ("CREATE TEMP", create_table::create_table),
    ("CREATE TEMPORARY", create_table::create_table),
    ("CREATE LOCAL", create_table::create_table),
    ("CREATE GLOBAL", create_table::create_table),
    ("CREATE UNLOGGED", create_table::create_table),
    ("CREATE SEQUENCE", sequence::create),
    ("DROP TABLE", ddl::drop_table),
    ("DROP SCHEMA", ddl::drop_schema),
    ("DROP VIEW", view::drop_view),
    ("DROP INDEX", index::drop_index),
    ("DROP SEQUENCE", sequence::drop),
    ("DROP STATISTICS", extended_statistics::drop),
    ("ALTER TABLE", alter::alter_table),
    ("ALTER VIEW", alter::alter_view),
    ("ALTER INDEX", alter::alter_index),
    ("ALTER SCHEMA", alter::alter_schema),
    ("ALTER SEQUENCE", sequence::alter),
    ("COMMENT ON", comment::comment),
    ("TRUNCATE", ddl::truncate),
    ("CREATE ROLE", role::create),
    ("CREATE USER", role::create),
    ("CREATE GROUP", role::create),
    ("ALTER ROLE", role::alter),
    ("ALTER USER", role::alter),
    ("ALTER GROUP", role::alter_group),
    ("ALTER DATABASE", role_settings::alter_database),
    ("ALTER DEFAULT PRIVILEGES", grant::default_privileges),
    ("GRANT", grant::grant),
    ("REVOKE", grant::revoke),
    ("REASSIGN OWNED", access::reassign_owned),
    ("DROP OWNED", access::drop_owned),
    ("DROP ROLE", role::drop),
    ("DROP USER", role::drop),
    ("DROP GROUP", role::drop),
    ("COPY", copy::copy),
    ("EXPLAIN", explain::explain),
    ("SET", set::set),
    ("SHOW", set::show),
    ("RESET", set::reset),
    ("BEGIN", transaction::begin),
    ("START TRANSACTION", transaction::begin),
    ("COMMIT", transaction::commit),
    ("END", transaction::commit),
    ("ROLLBACK", transaction::rollback),
    ("ABORT", transaction::rollback),
    ("SAVEPOINT", transaction::savepoint),
    ("RELEASE", transaction::release),
    ("PREPARE", prepare::prepare),
    ("EXECUTE", prepare::execute),
    ("DEALLOCATE", prepare::deallocate),
    ("DISCARD", prepare::discard),
    ("DECLARE", declare_cursor::declare),
    ("FETCH", declare_cursor::fetch),
    ("MOVE", declare_cursor::r#move),
    ("CLOSE", declare_cursor::close),
    ("LOCK", lock::lock),
    ("ANALYZE", maintenance::analyze),
    ("ANALYSE", maintenance::analyze),
    ("VACUUM", maintenance::vacuum),
    ("CLUSTER", maintenance::cluster),
    ("BACKUP", backup::backup),
];

/// Statements with nothing to do, and their command tags: Kestrel sends no notification and has no
/// checkpoint to wait for.
const NOTHING: &[(&str, &str)] = &[("UNLISTEN", "UNLISTEN"), ("CHECKPOINT", "CHECKPOINT")];

/// PostgreSQL's and Greenplum's other statements, longer phrases first.
#[rustfmt::skip]
const UNSUPPORTED: &[&str] = &[
    "ALTER SYSTEM", "ALTER",
    "CREATE MATERIALIZED VIEW", "CREATE FUNCTION",
    "CREATE OR REPLACE FUNCTION", "CREATE PROCEDURE", "CREATE OR REPLACE PROCEDURE",
    "CREATE OR REPLACE", "CREATE TRIGGER", "CREATE TYPE", "CREATE DOMAIN", "CREATE EXTENSION",
    "CREATE DATABASE", "CREATE TABLESPACE",
    "CREATE FOREIGN TABLE", "CREATE EXTERNAL TABLE", "CREATE READABLE", "CREATE WRITABLE",
    "CREATE EXTERNAL", "CREATE RESOURCE", "CREATE FOREIGN", "CREATE SERVER", "CREATE AGGREGATE",
    "CREATE CAST", "CREATE COLLATION", "CREATE CONVERSION", "CREATE EVENT TRIGGER",
    "CREATE LANGUAGE", "CREATE OPERATOR", "CREATE POLICY", "CREATE PUBLICATION", "CREATE RULE",
    "CREATE SUBSCRIPTION", "CREATE TEXT SEARCH", "CREATE TRANSFORM",
    "CREATE ACCESS METHOD",
    "DROP MATERIALIZED VIEW", "DROP FUNCTION", "DROP PROCEDURE", "DROP TRIGGER",
    "DROP TYPE", "DROP DOMAIN", "DROP EXTENSION", "DROP DATABASE", "DROP TABLESPACE",
    "DROP FOREIGN TABLE",
    "DROP EXTERNAL TABLE", "DROP SERVER", "DROP RULE",
    "DROP POLICY", "DROP AGGREGATE", "DROP CAST", "DROP COLLATION", "DROP OPERATOR",
    "REFRESH MATERIALIZED VIEW", "LISTEN", "NOTIFY",
    "SECURITY LABEL",
    "REINDEX", "LOAD", "DO", "CALL", "IMPORT FOREIGN SCHEMA",
];

/// Reads one statement to its end.
pub(super) fn statement(mut cursor: Cursor<'_>) -> Result<Statement> {
    let mut sql = cursor.text(cursor.range()).to_string();
    let offset = cursor.character();
    let kind = kind(&mut cursor)?;
    cursor.expect_end()?;
    if let StatementKind::Role(role) = &kind {
        sql = role.redact(&sql);
    }
    Ok(Statement { sql, offset, notices: Vec::new(), kind })
}

fn kind(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    if cursor.token() == Some(&Token::LParen) {
        return query(cursor);
    }
    if let Some((_, read)) = STATEMENTS.iter().find(|(words, _)| cursor.are_words(words)) {
        return read(cursor);
    }
    let rest =
        |cursor: &mut Cursor<'_>| *cursor = cursor.over(cursor.range().end..cursor.range().end);
    if let Some((_, tag)) = NOTHING.iter().find(|(words, _)| cursor.are_words(words)) {
        rest(cursor);
        return Ok(StatementKind::Nothing(tag));
    }
    if let Some(words) = UNSUPPORTED.iter().find(|words| cursor.are_words(words)) {
        rest(cursor);
        return Ok(StatementKind::Unsupported(words));
    }
    // Which of the words is wrong? `CREATE FOO`: the second.
    if ["CREATE", "DROP", "START", "REFRESH", "COMMENT"].iter().any(|word| cursor.eat(word)) {
        return cursor.fail();
    }
    cursor.fail()
}

/// A query, and what is written like one: `SELECT … INTO t`, `WITH … INSERT`.
fn query(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let query = cursor.parse_with(|p| p.parse_query())?;
    classify(query)
}

fn classify(mut query: Box<ast::Query>) -> Result<StatementKind> {
    if let Some(into) = take_into(&mut query.body) {
        return select_into(query, &into);
    }
    match query.body.as_ref() {
        SetExpr::Insert(_) => insert_with(*query),
        SetExpr::Update(_) | SetExpr::Delete(_) => change_with(*query),
        SetExpr::Merge(_) => Ok(StatementKind::Unsupported("MERGE with WITH")),
        SetExpr::Select(_)
        | SetExpr::Query(_)
        | SetExpr::SetOperation { .. }
        | SetExpr::Values(_)
        | SetExpr::Table(_) => Ok(StatementKind::Query(query)),
    }
}

/// The INTO of a query: it stands in the first SELECT.
fn take_into(body: &mut SetExpr) -> Option<ast::SelectInto> {
    match body {
        SetExpr::Select(select) => select.into.take(),
        SetExpr::SetOperation { left, .. } => take_into(left),
        _ => None,
    }
}

/// `SELECT … INTO t` is `CREATE TABLE t AS SELECT …`.
fn select_into(query: Box<ast::Query>, into: &ast::SelectInto) -> Result<StatementKind> {
    let mut table = CreateTable::new(QualifiedName::of_ast(&into.name)?);
    table.temporary = into.temporary;
    if into.unlogged {
        table.refuse("CREATE UNLOGGED TABLE", Some("Leave UNLOGGED out."), 1);
    }
    Ok(StatementKind::CreateTableAs(Box::new(CreateTableAs {
        table,
        column_names: Vec::new(),
        rows: TableRows::Query(query),
        with_data: true,
    })))
}

/// `WITH x AS (…) INSERT INTO t SELECT …`: the WITH belongs to the inserted query.
fn insert_with(query: ast::Query) -> Result<StatementKind> {
    let ast::Query { with, body, .. } = query;
    let SetExpr::Insert(ast::Statement::Insert(mut insert)) = *body else {
        return Err(ErrorReport::internal("an INSERT that is none"));
    };
    match &mut insert.source {
        Some(source) if source.with.is_none() => source.with = with,
        _ if with.is_some() => return Ok(StatementKind::Unsupported("INSERT with two WITHs")),
        _ => {}
    }
    Ok(StatementKind::Insert(Box::new(insert)))
}

/// `WITH x AS (…) UPDATE …`, `WITH x AS (…) DELETE …`
fn change_with(query: ast::Query) -> Result<StatementKind> {
    let ast::Query { with, body, .. } = query;
    match *body {
        SetExpr::Update(ast::Statement::Update(statement)) => {
            Ok(StatementKind::Update(Box::new(WithQueries { with, statement })))
        }
        SetExpr::Delete(ast::Statement::Delete(statement)) => {
            Ok(StatementKind::Delete(Box::new(WithQueries { with, statement })))
        }
        _ => Err(ErrorReport::internal("an UPDATE or a DELETE that is none")),
    }
}

/// INSERT, UPDATE, DELETE
fn modify(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let hidden = overriding::find(cursor).map_or(0..0, |(_, words)| words);
    Ok(match cursor.parse_without(hidden, |p| p.parse_statement())? {
        ast::Statement::Insert(insert) => StatementKind::Insert(Box::new(insert)),
        ast::Statement::Update(statement) => {
            StatementKind::Update(Box::new(WithQueries { with: None, statement }))
        }
        ast::Statement::Delete(statement) => {
            StatementKind::Delete(Box::new(WithQueries { with: None, statement }))
        }
        // Other dialects' statements that begin with the same words.
        _ => return Err(ErrorReport::unsupported("this form of the statement is not supported")),
    })
}
