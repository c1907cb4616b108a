//! The one form of an error that leaves a process: what the client will see.

use std::fmt;

use crate::{DatanodeId, SqlState, message};

/// What to do about a lost datanode.
pub(crate) const LOST_HINT: &str =
    "See the state of the datanode in kestrel.datanodes, and run the statement again.";

/// How bad it is, in PostgreSQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The session ends.
    Fatal,
    /// The statement fails.
    Error,
    /// The statement goes on; something is probably wrong.
    Warning,
    /// The statement goes on; something is worth knowing.
    Notice,
    /// Asked for by the user.
    Info,
}

impl Severity {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Info => "INFO",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "FATAL" => Self::Fatal,
            "WARNING" => Self::Warning,
            "NOTICE" => Self::Notice,
            "INFO" => Self::Info,
            _ => Self::Error,
        }
    }
}

/// What an error is about, by name, for programs. Empty: not known, or nothing of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorObject {
    /// The schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// Its constraint.
    pub constraint: String,
}

/// An error, warning or notice for the client.
///
/// `message`: lower case, no period. `detail`: full sentences. `hint`: what to do, for advice
/// only the statement to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Error, warning, …
    pub severity: Severity,
    /// The five characters programs look at.
    pub sqlstate: SqlState,
    /// The primary message.
    pub message: String,
    /// More about what happened.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// 1-based character position in the statement.
    pub position: Option<u32>,
    /// The datanode it happened on; `None`: the coordinator.
    pub datanode: Option<String>,
    /// What was being worked on, line by line: `COPY t, line 3`.
    pub context: Option<String>,
    /// What it is about (PostgreSQL's `errtable`, `errtablecol`, `errtableconstraint`, relcache.c).
    pub object: Option<Box<ErrorObject>>,
    /// The function in PostgreSQL's source that reports it, where drivers look at that. Only the
    /// coordinator says so.
    pub routine: Option<&'static str>,
}

/// The `Result` of everything that can fail in a client's sight.
pub type Result<T, E = ErrorReport> = std::result::Result<T, E>;

impl ErrorReport {
    /// An error.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Error, sqlstate, message)
    }

    /// A NOTICE.
    pub fn notice(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Notice, sqlstate, message)
    }

    /// A WARNING.
    pub fn warning(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Warning, sqlstate, message)
    }

    /// A bug in Kestrel (XX000).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, message)
    }

    /// A datanode does not answer, or not as it should (58K01).
    pub fn datanode_lost(datanode: DatanodeId, message: impl Into<String>) -> Self {
        Self::new(SqlState::DATANODE_LOST, message).hint(LOST_HINT).on_datanode(datanode.name())
    }

    /// Something Kestrel cannot do (0A000).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    fn with_severity(severity: Severity, sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self {
            severity,
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            datanode: None,
            context: None,
            object: None,
            routine: None,
        }
    }

    /// Adds the detail.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the 1-based character position in the statement.
    pub fn position(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }

    /// Adds what was being worked on, unless that is known already.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.context.get_or_insert_with(|| context.into());
        self
    }

    /// Says which column of which table it is about.
    pub fn about_column(mut self, table: &str, column: &str) -> Self {
        let object = self.object.get_or_insert_default();
        (object.table, object.column) = (table.to_string(), column.to_string());
        self
    }

    /// Says which constraint of which table it is about.
    pub fn about_constraint(mut self, table: &str, constraint: &str) -> Self {
        let object = self.object.get_or_insert_default();
        (object.table, object.constraint) = (table.to_string(), constraint.to_string());
        self
    }

    /// Says which schema the table is in that it is about, if it is about one.
    pub fn in_schema(mut self, schema: &str) -> Self {
        if let Some(object) = &mut self.object {
            object.schema = schema.to_string();
        }
        self
    }

    /// Names the function in PostgreSQL's source that reports it.
    pub fn routine(mut self, routine: &'static str) -> Self {
        self.routine = Some(routine);
        self
    }

    /// Names the datanode, unless one is named already.
    pub fn on_datanode(mut self, datanode: impl Into<String>) -> Self {
        self.datanode.get_or_insert_with(|| datanode.into());
        self
    }

    /// The wire form.
    pub fn to_message(&self) -> message::ErrorReport {
        let object = self.object.as_deref().cloned().unwrap_or_default();
        message::ErrorReport {
            severity: self.severity.as_str().into(),
            sqlstate: self.sqlstate.as_str().into(),
            message: self.message.clone(),
            detail: self.detail.clone().unwrap_or_default(),
            hint: self.hint.clone().unwrap_or_default(),
            position: self.position.unwrap_or_default(),
            datanode: self.datanode.clone().unwrap_or_default(),
            schema_name: object.schema,
            table_name: object.table,
            column_name: object.column,
            constraint_name: object.constraint,
            context: self.context.clone().unwrap_or_default(),
        }
    }

    /// From the wire form. An SQLSTATE this build does not know becomes XX000.
    pub fn from_message(message: message::ErrorReport) -> Self {
        let text = |s: String| (!s.is_empty()).then_some(s);
        let object = ErrorObject {
            schema: message.schema_name,
            table: message.table_name,
            column: message.column_name,
            constraint: message.constraint_name,
        };
        Self {
            severity: Severity::parse(&message.severity),
            sqlstate: SqlState::parse(&message.sqlstate).unwrap_or(SqlState::INTERNAL_ERROR),
            message: message.message,
            detail: text(message.detail),
            hint: text(message.hint),
            position: (message.position != 0).then_some(message.position),
            datanode: text(message.datanode),
            context: text(message.context),
            object: (object != ErrorObject::default()).then(|| Box::new(object)),
            routine: None,
        }
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate.as_str(), self.message)?;
        if let Some(datanode) = &self.datanode {
            write!(f, " ({datanode})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ErrorReport {}
