//! A parsed statement: its text, its place, and what it is.

use datafusion::sql::sqlparser::{ast, tokenizer::Location};
use kestrel_proto::ErrorReport;

use super::{
    access::AccessStatement,
    backup::BackupStatement,
    copy::CopyStatement,
    create_table_as::CreateTableAs,
    ddl::DdlStatement,
    declare_cursor::{DeclareCursor, Fetch},
    explain::Explain,
    lexer::to_position,
    lock::LockStatement,
    maintenance::{ClusterCommand, Maintenance},
    merge::Merge,
    prepare::{DiscardTarget, Execute, Prepare},
    role::RoleStatement,
    set::{SetVariable, Variable},
    transaction::{SavepointCommand, SetTransaction, TransactionModes},
    view::CreateView,
};

/// One statement of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its own text, without the `;`, and with stars for a password.
    pub sql: String,
    /// Characters before it in the whole text. Spans in the syntax tree count from the statement's
    /// own beginning; error positions count from the text's: [`Statement::position`].
    pub offset: usize,
    /// NOTICEs of parsing (identifiers that were cut).
    pub notices: Vec<ErrorReport>,
    /// What it is.
    pub kind: StatementKind,
}

/// A statement that changes rows, and the queries that WITH names before it.
#[derive(Clone, Debug, PartialEq)]
pub struct WithQueries<T> {
    /// WITH
    pub with: Option<ast::With>,
    /// The rest.
    pub statement: T,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// The whole text has no statement.
    Empty,
    /// SELECT, VALUES, TABLE, WITH …
    Query(Box<ast::Query>),
    /// INSERT
    Insert(Box<ast::Insert>),
    /// UPDATE
    Update(Box<WithQueries<ast::Update>>),
    /// DELETE
    Delete(Box<WithQueries<ast::Delete>>),
    /// MERGE
    Merge(Box<Merge>),
    /// CREATE TABLE, DROP TABLE, …: what changes the catalog and runs no query.
    Ddl(DdlStatement),
    /// CREATE ROLE, ALTER ROLE, DROP ROLE
    Role(Box<RoleStatement>),
    /// GRANT, REVOKE, …: who owns what and may do what with it
    Access(Box<AccessStatement>),
    /// CREATE TABLE … AS, SELECT … INTO
    CreateTableAs(Box<CreateTableAs>),
    /// CREATE VIEW
    CreateView(Box<CreateView>),
    /// COPY
    Copy(Box<CopyStatement>),
    /// EXPLAIN
    Explain(Box<Explain>),
    /// SET, but for SET TRANSACTION
    Set(SetVariable),
    /// SET TRANSACTION, SET SESSION CHARACTERISTICS
    SetTransaction(SetTransaction),
    /// SHOW
    Show(Variable),
    /// RESET
    Reset(Variable),
    /// BEGIN, START TRANSACTION
    Begin(TransactionModes),
    /// COMMIT, END
    Commit {
        /// AND CHAIN
        chain: bool,
    },
    /// ROLLBACK, ABORT
    Rollback {
        /// AND CHAIN
        chain: bool,
    },
    /// SAVEPOINT, RELEASE, ROLLBACK TO
    Savepoint(SavepointCommand),
    /// PREPARE
    Prepare(Box<Prepare>),
    /// EXECUTE
    Execute(Execute),
    /// DEALLOCATE; `None`: all
    Deallocate(Option<String>),
    /// DISCARD
    Discard(DiscardTarget),
    /// DECLARE … CURSOR
    DeclareCursor(Box<DeclareCursor>),
    /// FETCH, MOVE
    Fetch(Fetch),
    /// CLOSE; `None`: all
    Close(Option<String>),
    /// LOCK TABLE
    Lock(LockStatement),
    /// ANALYZE
    Analyze(Maintenance),
    /// VACUUM
    Vacuum(Maintenance),
    /// CLUSTER
    Cluster(ClusterCommand),
    /// BACKUP
    Backup(BackupStatement),
    /// There is nothing to do: the command tag to answer with (`UNLISTEN`).
    Nothing(&'static str),
    /// PostgreSQL has it, Kestrel does not: what to name in the 0A000 (`CREATE TRIGGER`).
    Unsupported(&'static str),
}

impl Statement {
    /// The 1-based character position in the whole text of a place in this statement's syntax
    /// tree. `None` for the empty location, which the tree has where a place is unknown.
    pub fn position(&self, location: Location) -> Option<u32> {
        let line = usize::try_from(location.line.checked_sub(1)?).ok()?;
        let column = usize::try_from(location.column.checked_sub(1)?).ok()?;
        let before: usize =
            self.sql.split_inclusive('\n').take(line).map(|l| l.chars().count()).sum();
        Some(to_position(self.offset + before + column))
    }
}
