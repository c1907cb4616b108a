//! SQL text to statements.
//!
//! 1. `lexer` cuts the text into tokens (sqlparser's tokenizer) and the tokens into statements.
//! 2. `statements` looks at the first words. Commands and DDL are read here, word by word through
//!    a `Cursor`, because their words are PostgreSQL's, Greenplum's and ours (`DISTRIBUTED BY`);
//!    queries, expressions and type names are read by sqlparser from the same tokens.
//! 3. Errors are PostgreSQL's: `syntax error at or near "foo"`, 42601, with a position in the
//!    whole text. As there, one wrong statement means that none of the text runs.

mod access;
mod alter;
mod backup;
mod between;
mod build;
mod comment;
mod copy;
mod copy_options;
mod copy_rejects;
mod create_table;
mod create_table_as;
mod cursor;
mod data_type;
mod ddl;
mod declare_cursor;
mod dialect;
mod encoding;
mod explain;
mod extended_statistics;
mod grant;
mod index;
mod lexer;
mod lock;
mod maintenance;
mod merge;
mod name;
mod nesting;
#[cfg(test)]
mod object_tests;
mod overriding;
mod partition;
mod partition_action;
mod prepare;
mod role;
mod role_settings;
mod sequence;
mod set;
mod set_distributed;
mod statement;
mod statements;
mod storage_parameter;
mod stored_expr;
mod table_element;
#[cfg(test)]
mod tests;
mod transaction;
mod view;
mod walk;

use std::borrow::Cow;

use cursor::Cursor;
use kestrel_proto::Result;

pub use access::AccessStatement;
pub use alter::{AlterAction, AlterIndex, AlterSchema, AlterTable};
pub use backup::BackupStatement;
pub(crate) use build::select_query;
pub use comment::{Comment, CommentTarget};
pub use copy::{CopyDirection, CopyFile, CopyStatement, CopyTarget};
pub use copy_options::{CopyFormat, CopyHeader, CopyOptions, ForceColumns};
pub use create_table::{CreateTable, DistributedBy, UnsupportedClause};
pub use create_table_as::{CreateTableAs, TableRows};
pub use data_type::sql_type;
pub use ddl::{CreateSchema, DdlStatement, DropSchema, DropTable, Truncate};
pub use declare_cursor::{DeclareCursor, FETCH_ALL, Fetch, FetchDirection};
pub use encoding::Encoding;
pub use explain::{Explain, ExplainFormat};
pub use extended_statistics::{CreateStatistics, DropStatistics};
pub use grant::{
    DefaultKind, DefaultPrivileges, Grant, GrantAction, GrantRole, GrantTarget, Grantee,
    NamedPrivilege,
};
pub use index::{CreateIndex, DropIndex};
pub(crate) use lexer::{MAX_IDENTIFIER_BYTES, clip};
pub use lock::LockStatement;
pub use maintenance::{ClusterCommand, Maintenance, MaintenanceTarget};
pub use merge::{Merge, MergeAction, MergeClause};
pub use name::{DATABASE, Identifier, QualifiedName, fold, fold_ident, quote};
pub use overriding::{Overriding, overriding};
pub use partition::{
    BoundClause, PartEdge, PartitionBy, PartitionOfClause, PartitionPart, WrittenBound, WrittenEnd,
};
pub use partition_action::{PartitionAction, WhichPartition};
pub use prepare::{DiscardTarget, Execute, Prepare};
pub use role::{Password, RoleName, RoleOptions, RoleStatement, Secret};
pub use role_settings::{RoleSetting, SettingChange};
pub use sequence::{AlterSequence, CreateSequence, DropSequence, SequenceAction, SequenceOptions};
pub use set::{SetValue, SetVariable, Variable};
pub use set_distributed::SetDistributed;
pub use statement::{Statement, StatementKind, WithQueries};
pub use storage_parameter::{CLUSTER_BY, StorageParameter};
pub use table_element::{
    CheckClause, ColumnClause, ColumnType, ForeignKeyClause, IdentityClause, KeyClause, LikeClause,
    SerialType, TableElement,
};
pub use transaction::{IsolationLevel, SavepointCommand, SetTransaction, TransactionModes};
pub use view::{CreateView, DropView};
pub use walk::Walk;

/// The statements of a text, in order; one [`StatementKind::Empty`] if there are none.
///
/// Errors: 42601 with the position where the text stops making sense; 54001 for nesting beyond
/// what can be planned; 0A000 and 22023 for what COPY's options cannot be.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    let lexed = lexer::lex(sql).map_err(|error| {
        // A string without an end may be a password.
        if mentions_password(sql) { role::hide(error) } else { error }
    })?;
    let mut parsed = Vec::new();
    for range in lexed.statements() {
        nesting::check(&lexed.lexemes[range.clone()])?;
        parsed.push(statements::statement(Cursor::new(&lexed, range.clone()))?);
        if let Some(statement) = parsed.last_mut() {
            statement.notices = lexed.notices(&range);
        }
    }
    if parsed.is_empty() {
        parsed.push(Statement {
            sql: String::new(),
            offset: 0,
            notices: Vec::new(),
            kind: StatementKind::Empty,
        });
    }
    Ok(parsed)
}

/// A text as others may see it: with stars for passwords.
pub fn without_passwords(sql: &str) -> Cow<'_, str> {
    if !mentions_password(sql) {
        return sql.into();
    }
    match parse(sql) {
        Ok(statements) => statements.into_iter().map(shown).collect::<Vec<_>>().join("; ").into(),
        Err(_) => NOT_SHOWN.into(),
    }
}

/// What others see of a text that may hold a password which nobody has found.
const NOT_SHOWN: &str = "(not shown: it may hold a password)";

fn shown(statement: Statement) -> String {
    match statement.kind {
        // It was not read to its end.
        StatementKind::Unsupported(_) if mentions_password(&statement.sql) => NOT_SHOWN.into(),
        _ => statement.sql,
    }
}

fn mentions_password(sql: &str) -> bool {
    sql.to_ascii_lowercase().contains("password")
}
