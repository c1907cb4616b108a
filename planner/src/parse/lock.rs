//! LOCK TABLE

use kestrel_proto::Result;

use super::{cursor::Cursor, ddl::tables, name::QualifiedName, statement::StatementKind};

/// LOCK TABLE
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockStatement {
    /// At least one.
    pub tables: Vec<QualifiedName>,
    /// Its words: `ROW EXCLUSIVE`.
    pub mode: &'static str,
    /// NOWAIT: an error instead of a wait.
    pub no_wait: bool,
}

/// All modes; those that begin with another's words come first.
const MODES: &[&str] = &[
    "ACCESS SHARE",
    "ACCESS EXCLUSIVE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE ROW EXCLUSIVE",
    "SHARE",
    "EXCLUSIVE",
];
const STRONGEST: &str = "ACCESS EXCLUSIVE";

pub(super) fn lock(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("LOCK")?;
    cursor.eat("TABLE");
    let tables = tables(cursor)?;
    let mode = match cursor.eat("IN") {
        false => STRONGEST,
        true => match MODES.iter().find(|mode| cursor.eat(mode)) {
            Some(mode) => {
                cursor.expect("MODE")?;
                mode
            }
            None => {
                // What is wrong is what follows the words that a mode can begin with.
                let _ = cursor.eat("ACCESS") || cursor.eat("ROW");
                return cursor.fail();
            }
        },
    };
    let no_wait = cursor.eat("NOWAIT");
    Ok(StatementKind::Lock(LockStatement { tables, mode, no_wait }))
}
