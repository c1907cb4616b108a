//! What the system views and functions know: one catalog version, one session, one moment.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use chrono::{DateTime, Utc};
use kestrel_planner::catalog::{Catalog, ColumnDef, SequenceDef, SqlType, is_temporary_schema};
use kestrel_proto::Result;

use super::relation::{RelationKind, Relations};
use crate::{
    advice::Remembered,
    auto_analyze::AutoAnalysis,
    catalog::SequenceStanding,
    engine::{CopyError, LoadFacts, LockFacts, LockMode, LockScope, LockTag, RedistributionFacts},
    query::QueryRecord,
    server::Activity,
    shards::InDoubt,
};

/// What is looked up when a view or function first asks for it: most statements ask for none of it.
pub type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send>>;

/// What this looks up, later.
pub fn lazy<T>(look_up: impl FnOnce() -> T + Send + 'static) -> Lazy<T> {
    LazyLock::new(Box::new(look_up))
}

/// What a statement's system views and functions are computed from.
#[derive(Debug)]
pub struct SystemViewContext {
    /// The version the statement reads.
    pub catalog: Arc<Catalog>,
    /// The session that asks.
    pub session: SessionFacts,
    /// The statement's time.
    pub now: DateTime<Utc>,
    /// All settings as they were before the statement, in the order of `SHOW ALL`.
    pub settings: Lazy<Vec<SettingFacts>>,
    /// The queries that run, and the last ones that ran.
    pub queries: Lazy<Vec<QueryRecord>>,
    /// What sessions have locked, and wait for.
    pub locks: Lazy<Vec<LockFacts>>,
    /// The rows that COPY has left out and kept.
    pub copy_errors: Lazy<Vec<CopyError>>,
    /// What COPY is loading.
    pub loads: Lazy<Vec<LoadFacts>>,
    /// Which tables' rows go to another distribution.
    pub redistributions: Lazy<Vec<RedistributionFacts>>,
    /// `down`, … by datanode id; who is not in it is `up`.
    pub datanode_states: Lazy<BTreeMap<u32, &'static str>>,
    /// What is prepared in the databases of datanodes.
    pub in_doubt: Lazy<Vec<InDoubt>>,
    /// What was analyzed automatically.
    pub auto_analyses: Lazy<Vec<AutoAnalysis>>,
    /// What could be better.
    pub advice: Lazy<Vec<Remembered>>,
    /// What all clients are doing.
    pub activities: Lazy<Vec<Activity>>,
    /// The session's cursors.
    pub cursors: Vec<CursorFacts>,
    /// The session's prepared statements, as they were before the statement.
    pub prepared_statements: Lazy<Vec<PreparedFacts>>,
    /// What functions do; `None`: nothing.
    pub control: Option<Arc<dyn SessionControl>>,
    relations: OnceLock<Relations>,
}

/// What functions may do to this session and to others.
pub trait SessionControl: fmt::Debug + Send + Sync {
    /// Sets a setting; its value then, as SHOW shows it.
    fn set(&self, name: &str, value: &str) -> Result<String>;
    /// Sets a setting until the transaction ends; its value then.
    fn set_local(&self, name: &str, value: &str) -> Result<String>;
    /// Gives a setting its default; its value then.
    fn reset(&self, name: &str) -> Result<String>;
    /// Cancels what a client runs; whether there is such a client. Whoever asks for one that is
    /// not there is warned.
    fn cancel(&self, process_id: i32) -> bool;
    /// Ends a client's connection; the same.
    fn terminate(&self, process_id: i32) -> bool;
    /// Forgets the rows that COPY has left out of a table and kept.
    fn forget_copy_errors(&self, table_id: u64);
    /// Waits for an advisory lock. It keeps the thread meanwhile.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01: the wait has ended without it.
    fn lock(&self, lock: AdvisoryLock) -> Result<()>;
    /// Takes an advisory lock if it is free; whether it was.
    fn try_lock(&self, lock: AdvisoryLock) -> bool;
    /// Gives an advisory lock of the session back. Whoever has no such lock is warned.
    fn unlock(&self, lock: AdvisoryLock) -> bool;
    /// Gives all advisory locks of the session back.
    fn unlock_all(&self);
    /// `nextval`
    fn next_value(&self, sequence: &SequenceDef) -> Result<i64>;
    /// `currval`
    fn current_value(&self, sequence: &SequenceDef) -> Result<i64>;
    /// `lastval`
    fn last_value(&self, catalog: &Catalog) -> Result<i64>;
    /// `setval`
    fn set_value(&self, sequence: &SequenceDef, value: i64, is_called: bool) -> Result<()>;
    /// Where a sequence stands.
    fn standing(&self, sequence: &SequenceDef) -> Result<SequenceStanding>;
}

/// An advisory lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisoryLock {
    /// Its key.
    pub tag: LockTag,
    /// Exclusive or shared.
    pub mode: LockMode,
    /// Until when it is held.
    pub scope: LockScope,
}

/// A prepared statement, as `pg_prepared_statements` shows it.
#[derive(Clone, Debug)]
pub struct PreparedFacts {
    /// Its name.
    pub name: String,
    /// The text that prepared it.
    pub statement: String,
    /// When that was.
    pub prepared_at: DateTime<Utc>,
    /// The types of its parameters.
    pub parameter_types: Vec<SqlType>,
    /// By PREPARE, not by the protocol.
    pub from_sql: bool,
}

/// A cursor, as `pg_cursors` shows it.
#[derive(Clone, Debug)]
pub struct CursorFacts {
    /// Its name.
    pub name: String,
    /// The text that declared it.
    pub statement: String,
    /// WITH HOLD
    pub is_holdable: bool,
    /// BINARY
    pub is_binary: bool,
    /// SCROLL
    pub is_scrollable: bool,
    /// When it was declared.
    pub created_at: DateTime<Utc>,
}

/// A session, as it shows in `pg_stat_activity` and the session functions.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// The number its client cancels it by.
    pub backend_pid: i32,
    /// The role it runs as: `current_user`.
    pub user: String,
    /// The role that it is: `session_user`.
    pub session_user: String,
    /// The database it is connected to.
    pub database: String,
    /// `application_name`
    pub application_name: String,
    /// The client's IP address; `None`: not by TCP.
    pub client_address: Option<String>,
    /// The client's port.
    pub client_port: Option<i32>,
    /// When it began.
    pub session_start: DateTime<Utc>,
    /// When its transaction began; the statement's start outside of a block.
    pub transaction_start: DateTime<Utc>,
    /// The schemas that unqualified names are looked up in, in order, `pg_catalog` left out unless
    /// named: `"$user"` resolved or dropped.
    pub search_path: Vec<String>,
    /// `server_version`: `15.0 (Kestrel 0.1.0)`
    pub server_version: String,
    /// The number of the session's transaction, if it has one.
    pub transaction_id: Option<u64>,
    /// The statement's text.
    pub query: String,
    /// When this process started.
    pub server_start: DateTime<Utc>,
}

/// A setting, as `pg_settings` shows it.
#[derive(Clone, Debug, Default)]
pub struct SettingFacts {
    /// Its name, as SHOW ALL writes it.
    pub name: String,
    /// Its value in this session, with unit if SHOW prints one.
    pub value: String,
    /// The same as a number of `unit`s, if it has one.
    pub setting: String,
    /// `ms`
    pub unit: Option<&'static str>,
    /// The value RESET gives.
    pub reset_value: String,
    /// The built-in value.
    pub boot_value: String,
    /// One sentence.
    pub description: String,
    /// PostgreSQL's group of settings.
    pub category: &'static str,
    /// Who may set it, and when: `user`, `internal`, …
    pub context: &'static str,
    /// `bool`, `integer`, `real`, `string`, `enum`
    pub type_name: &'static str,
    /// Where the value is from: `default`, `session`, …
    pub source: &'static str,
    /// The least value of a number.
    pub min: Option<String>,
    /// The greatest value of a number.
    pub max: Option<String>,
    /// The words that it may be.
    pub words: Option<Vec<String>>,
    /// `current_setting` shows it; `pg_settings` and SHOW ALL do not.
    pub is_hidden: bool,
}

impl SystemViewContext {
    /// With no query and all datanodes up.
    pub fn new(catalog: Arc<Catalog>, session: SessionFacts, now: DateTime<Utc>) -> Self {
        Self {
            catalog,
            session,
            now,
            settings: lazy(Vec::new),
            queries: lazy(Vec::new),
            locks: lazy(Vec::new),
            copy_errors: lazy(Vec::new),
            loads: lazy(Vec::new),
            redistributions: lazy(Vec::new),
            datanode_states: lazy(BTreeMap::new),
            in_doubt: lazy(Vec::new),
            auto_analyses: lazy(Vec::new),
            advice: lazy(Vec::new),
            activities: lazy(Vec::new),
            cursors: Vec::new(),
            prepared_statements: lazy(Vec::new),
            control: None,
            relations: OnceLock::new(),
        }
    }

    /// Is it another session's temporary schema?
    pub(super) fn is_of_other_session(&self, schema: &str) -> bool {
        is_temporary_schema(schema) && !self.session.search_path.iter().any(|own| own == schema)
    }

    /// The sequence that a column owns: found at once, where the catalog would look through all.
    pub(super) fn owned_sequence(&self, table: u64, column: u32) -> Option<&SequenceDef> {
        self.catalog.sequences.get(self.relations().owned(table, column)?)
    }

    /// The identity column that a sequence is of.
    pub(super) fn identity_column(&self, sequence: &SequenceDef) -> Option<&ColumnDef> {
        let (table, column) = sequence.owned_by?;
        let RelationKind::Table(table) = &self.relations().get(table.cast_signed())?.kind else {
            return None;
        };
        table.column_by_id(column).filter(|column| column.identity.is_some())
    }

    /// All relations, system relations too; built when first asked for.
    pub(super) fn relations(&self) -> &Relations {
        self.relations.get_or_init(|| Relations::of(&self.catalog))
    }
}
