//! What a shard's database reports, and what happened to the connection, as a client will see it.

use std::io;

use fallible_iterator::FallibleIterator;
use kestrel_proto::{DatanodeId, ErrorObject, ErrorReport, Severity, SqlState};
use postgres_protocol::message::backend::ErrorFields;

/// Why a connection cannot be used any more.
#[derive(Debug)]
pub(super) enum Lost {
    /// The server has closed it.
    Closed,
    /// The network or the kernel says so.
    Io(io::Error),
    /// The server has sent what the protocol does not have, or more than is taken.
    Malformed(String),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Closed } else { Self::Io(error) }
    }
}

impl Lost {
    /// What makes no sense in a message.
    pub(super) fn malformed(error: impl std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }

    /// 58K01. A session was there.
    pub(super) fn report(&self, datanode: DatanodeId) -> ErrorReport {
        match self {
            Self::Closed => ended(datanode, "The server closed the connection."),
            Self::Io(error) => ended(datanode, format!("The connection is lost: {error}.")),
            Self::Malformed(what) => not_understood(datanode, what),
        }
    }
}

/// An ErrorResponse or a NoticeResponse.
#[derive(Debug)]
pub(super) struct Reported {
    /// What the client will see.
    pub(super) report: ErrorReport,
    /// The server has ended the session, too.
    pub(super) fatal: bool,
}

/// The fields of a message, as text (PostgreSQL's protocol, "Error and Notice Message Fields").
#[derive(Default)]
struct Fields {
    severity: String,
    sqlstate: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    object: ErrorObject,
}

impl Fields {
    /// Before the encoding is agreed on, the text may be in any: what is not UTF-8 is replaced.
    fn read(mut fields: ErrorFields<'_>) -> io::Result<Self> {
        let mut read = Self::default();
        let mut translated = None;
        while let Some(field) = fields.next()? {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'S' => translated = Some(text),
                b'V' => read.severity = text,
                b'C' => read.sqlstate = text,
                b'M' => read.message = text,
                b'D' => read.detail = Some(text),
                b'H' => read.hint = Some(text),
                b'W' => read.context = Some(text),
                b's' => read.object.schema = text,
                b't' => read.object.table = text,
                b'c' => read.object.column = text,
                b'n' => read.object.constraint = text,
                // The position is one in the shard's SQL, which the client has not written.
                _ => {}
            }
        }
        if read.severity.is_empty() {
            read.severity = translated.unwrap_or_default();
        }
        Ok(read)
    }
}

/// Reads an error.
///
/// What says that the database went away becomes 58K01; everything else keeps its SQLSTATE. It is
/// an ERROR even where the shard's session ends: the client's goes on.
pub(super) fn error(datanode: DatanodeId, fields: ErrorFields<'_>) -> Result<Reported, Lost> {
    let fields = Fields::read(fields).map_err(Lost::malformed)?;
    let fatal = matches!(fields.severity.as_str(), "FATAL" | "PANIC");
    let said =
        || format!("{}: {} (SQLSTATE {}).", fields.severity, fields.message, fields.sqlstate);
    let report = match fields.sqlstate.as_str() {
        "57P01" | "57P02" => ended(datanode, said()),
        "57P03" | "08006" => unreachable(datanode, said()),
        _ => general(Severity::Error, &fields).on_datanode(datanode.name()),
    };
    Ok(Reported { report, fatal })
}

/// Reads a notice or warning.
pub(super) fn notice(datanode: DatanodeId, fields: ErrorFields<'_>) -> Result<ErrorReport, Lost> {
    let fields = Fields::read(fields).map_err(Lost::malformed)?;
    let severity = match fields.severity.as_str() {
        "WARNING" => Severity::Warning,
        "INFO" => Severity::Info,
        _ => Severity::Notice,
    };
    Ok(general(severity, &fields).on_datanode(datanode.name()))
}

/// A server that is killed, or stopped at once, says so in a WARNING and is gone (`quickdie`,
/// postgres.c): the error of who then finds the connection closed.
pub(super) fn announced_end(datanode: DatanodeId, notice: &ErrorReport) -> Option<ErrorReport> {
    let is_end = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(&notice.sqlstate);
    let said = || {
        let (severity, sqlstate) = (notice.severity.as_str(), notice.sqlstate.as_str());
        format!("{severity}: {} (SQLSTATE {sqlstate}).", notice.message)
    };
    is_end.then(|| ended(datanode, said()))
}

fn general(severity: Severity, fields: &Fields) -> ErrorReport {
    let known = SqlState::parse(&fields.sqlstate);
    // A code that we do not have: its class's, and the code itself where people see it.
    let class = || {
        let class = fields.sqlstate.get(..2)?;
        SqlState::parse(&format!("{class}000"))
    };
    let sqlstate = known.or_else(class).unwrap_or(SqlState::SYSTEM_ERROR);
    let mut report = ErrorReport::new(sqlstate, fields.message.clone());
    report.severity = severity;
    report.detail = fields.detail.clone();
    if known.is_none() {
        let original = format!("The shard's database reports SQLSTATE {}.", fields.sqlstate);
        let detail = fields.detail.iter().cloned().chain([original]);
        report.detail = Some(detail.collect::<Vec<_>>().join(" "));
    }
    report.hint = fields.hint.clone();
    report.context = fields.context.clone();
    let object = &fields.object;
    report.object = (*object != ErrorObject::default()).then(|| Box::new(object.clone()));
    report
}

/// 58K01: no session could be opened, or a second connection.
pub(super) fn unreachable(datanode: DatanodeId, detail: impl Into<String>) -> ErrorReport {
    let message = format!("the shard database of {datanode} is not reachable");
    ErrorReport::datanode_lost(datanode, message).detail(detail)
}

/// 58K01: the database was there.
fn ended(datanode: DatanodeId, detail: impl Into<String>) -> ErrorReport {
    let message = format!("the shard database of {datanode} has been stopped or restarted");
    ErrorReport::datanode_lost(datanode, message).detail(detail)
}

/// 58K01: it does not speak the protocol.
pub(super) fn not_understood(datanode: DatanodeId, what: &str) -> ErrorReport {
    let message =
        format!("the shard database of {datanode} sent what PostgreSQL's protocol has not");
    ErrorReport::datanode_lost(datanode, message)
        .detail(format!("{what}."))
        .hint("See what listens at the address in the datanode's settings.")
}

/// F0000: it does not let the datanode in, and will not the next time.
pub(super) fn refused(datanode: DatanodeId, detail: impl Into<String>) -> ErrorReport {
    let message = format!("the shard database of {datanode} does not let the datanode in");
    ErrorReport::new(SqlState::CONFIG_FILE_ERROR, message)
        .detail(detail)
        .hint("See the datanode's settings, and the database's pg_hba.conf or sys_hba.conf.")
        .on_datanode(datanode.name())
}

/// An error while a session begins. Who asks Kestrel must not take the shard's 28P01 for his own.
pub(super) fn while_connecting(datanode: DatanodeId, report: ErrorReport) -> ErrorReport {
    let sqlstate = report.sqlstate;
    let is_passed_on = [SqlState::DATANODE_LOST, SqlState::CONFIG_FILE_ERROR].contains(&sqlstate)
        || sqlstate.as_str().starts_with("53");
    if is_passed_on {
        return report;
    }
    let refusal =
        refused(datanode, format!("{} (SQLSTATE {}).", report.message, sqlstate.as_str()));
    match report.hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}
