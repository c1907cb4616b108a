//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET TRANSACTION.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::Result;

use super::{cursor::Cursor, statement::StatementKind};

/// What a transaction was asked to be; `None`: as the session's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY, or READ WRITE
    pub read_only: Option<bool>,
    /// DEFERRABLE, or NOT DEFERRABLE
    pub deferrable: Option<bool>,
}

/// ISOLATION LEVEL
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// READ UNCOMMITTED
    ReadUncommitted,
    /// READ COMMITTED
    ReadCommitted,
    /// REPEATABLE READ
    RepeatableRead,
    /// SERIALIZABLE
    Serializable,
}

/// SET TRANSACTION
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetTransaction {
    /// SET SESSION CHARACTERISTICS: for every transaction from the next one on.
    pub session: bool,
    /// The modes.
    pub modes: TransactionModes,
}

/// What to do with a savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavepointCommand {
    /// SAVEPOINT
    Define(String),
    /// RELEASE
    Release(String),
    /// ROLLBACK TO
    RollbackTo(String),
}

pub(super) fn begin(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    if cursor.eat("BEGIN") {
        let _ = cursor.eat("WORK") || cursor.eat("TRANSACTION");
    } else {
        cursor.expect("START TRANSACTION")?;
    }
    let modes = if cursor.at_end() { TransactionModes::default() } else { modes(cursor)? };
    Ok(StatementKind::Begin(modes))
}

pub(super) fn set_transaction(cursor: &mut Cursor<'_>, session: bool) -> Result<StatementKind> {
    if cursor.eat("SNAPSHOT") {
        cursor.string()?;
        return Ok(StatementKind::Unsupported("SET TRANSACTION SNAPSHOT"));
    }
    Ok(StatementKind::SetTransaction(SetTransaction { session, modes: modes(cursor)? }))
}

/// At least one mode; commas between them may be left out.
fn modes(cursor: &mut Cursor<'_>) -> Result<TransactionModes> {
    let isolation_levels = [
        ("ISOLATION LEVEL READ UNCOMMITTED", IsolationLevel::ReadUncommitted),
        ("ISOLATION LEVEL READ COMMITTED", IsolationLevel::ReadCommitted),
        ("ISOLATION LEVEL REPEATABLE READ", IsolationLevel::RepeatableRead),
        ("ISOLATION LEVEL SERIALIZABLE", IsolationLevel::Serializable),
    ];
    let mut modes = TransactionModes::default();
    loop {
        if let Some(isolation) = cursor.eat_one_of(&isolation_levels) {
            modes.isolation = Some(isolation);
        } else if let Some(read_only) =
            cursor.eat_one_of(&[("READ ONLY", true), ("READ WRITE", false)])
        {
            modes.read_only = Some(read_only);
        } else if let Some(deferrable) =
            cursor.eat_one_of(&[("DEFERRABLE", true), ("NOT DEFERRABLE", false)])
        {
            modes.deferrable = Some(deferrable);
        } else {
            return wrong_mode(cursor);
        }
        if !cursor.eat_token(&Token::Comma) && cursor.at_end() {
            return Ok(modes);
        }
    }
}

/// Which of a mode's words is wrong?
fn wrong_mode<T>(cursor: &mut Cursor<'_>) -> Result<T> {
    if cursor.eat("ISOLATION") {
        cursor.expect("LEVEL")?;
        let _ = cursor.eat("READ") || cursor.eat("REPEATABLE");
    } else {
        let _ = cursor.eat("READ") || cursor.eat("NOT");
    }
    cursor.fail()
}

pub(super) fn commit(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.advance();
    if cursor.eat("PREPARED") {
        cursor.string()?;
        return Ok(StatementKind::Unsupported("COMMIT PREPARED"));
    }
    Ok(StatementKind::Commit { chain: chain(cursor)? })
}

pub(super) fn rollback(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.advance();
    if cursor.eat("PREPARED") {
        cursor.string()?;
        return Ok(StatementKind::Unsupported("ROLLBACK PREPARED"));
    }
    let chain = chain(cursor)?;
    if !chain && cursor.eat("TO") {
        cursor.eat("SAVEPOINT");
        let name = cursor.identifier()?.name;
        return Ok(StatementKind::Savepoint(SavepointCommand::RollbackTo(name)));
    }
    Ok(StatementKind::Rollback { chain })
}

/// `[WORK | TRANSACTION] [AND [NO] CHAIN]`
fn chain(cursor: &mut Cursor<'_>) -> Result<bool> {
    let _ = cursor.eat("WORK") || cursor.eat("TRANSACTION");
    if !cursor.eat("AND") {
        return Ok(false);
    }
    let chain = !cursor.eat("NO");
    cursor.expect("CHAIN")?;
    Ok(chain)
}

pub(super) fn savepoint(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("SAVEPOINT")?;
    let name = cursor.identifier()?.name;
    Ok(StatementKind::Savepoint(SavepointCommand::Define(name)))
}

pub(super) fn release(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("RELEASE")?;
    cursor.eat("SAVEPOINT");
    let name = cursor.identifier()?.name;
    Ok(StatementKind::Savepoint(SavepointCommand::Release(name)))
}
