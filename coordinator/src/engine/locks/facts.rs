//! Locks as `pg_locks` shows them (PostgreSQL's `pg_lock_status`, lockfuncs.c).

use chrono::{DateTime, Utc};
use kestrel_planner::catalog::DATABASE_OID;

use super::{LockMode, LockTag};

/// `pg_class`, the catalog of tables.
const TABLES: i64 = 1259;
/// `pg_database`, the catalog of databases.
const DATABASES: i64 = 1262;

/// A lock that a session holds or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockFacts {
    /// What is locked.
    pub tag: LockTag,
    /// The session's number.
    pub process_id: i32,
    /// How.
    pub mode: LockMode,
    /// `None`: it has the lock.
    pub waiting_since: Option<DateTime<Utc>>,
}

/// What is locked, in the columns of `pg_locks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockIdentity {
    /// `locktype`, which is also the wait event of who waits.
    pub kind: &'static str,
    /// `relation`: a table's OID.
    pub relation: Option<i64>,
    /// `classid`: the catalog of an object, or the first half of a key.
    pub class: Option<i64>,
    /// `objid`: an object's OID, or the second half of a key.
    pub object: Option<i64>,
    /// `objsubid`: 1 for a key of one number, 2 for one of two.
    pub part: Option<i64>,
}

impl LockTag {
    /// How `pg_locks` names it. What PostgreSQL has no lock of is an object: DDL is the database,
    /// the unique keys of a table and the rows that are changed are the table. A single key is a tuple.
    pub fn identity(self) -> LockIdentity {
        let object = |kind, class, object, part| LockIdentity {
            kind,
            relation: None,
            class: Some(class),
            object: Some(object),
            part: Some(part),
        };
        // The halves of a key are shown as OIDs, which have no sign.
        let half = |half: i32| i64::from(half.cast_unsigned());
        let of_table = |kind, id: u64| LockIdentity {
            kind,
            relation: Some(id.cast_signed()),
            class: None,
            object: None,
            part: None,
        };
        match self {
            Self::Table(id) => of_table("relation", id),
            Self::Key(id, _) => of_table("tuple", id),
            Self::RowChanges(id) | Self::Keys(id) => object("object", TABLES, id.cast_signed(), 0),
            Self::Ddl => object("object", DATABASES, DATABASE_OID.cast_signed(), 0),
            Self::Advisory(key) => {
                let low = key.cast_unsigned() & u64::from(u32::MAX);
                let high = key.cast_unsigned() >> 32;
                object("advisory", high.cast_signed(), low.cast_signed(), 1)
            }
            Self::AdvisoryPair(a, b) => object("advisory", half(a), half(b), 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_as_postgresql_shows_them() {
        // SELECT classid, objid, objsubid FROM pg_locks WHERE locktype = 'advisory'
        for (tag, expected) in [
            (LockTag::Advisory(1), (0, 1, 1)),
            (LockTag::Advisory(-1), (4294967295, 4294967295, 1)),
            (LockTag::Advisory(1 << 32 | 7), (1, 7, 1)),
            (LockTag::AdvisoryPair(1, -2), (1, 4294967294, 2)),
        ] {
            let LockIdentity { class, object, part, .. } = tag.identity();
            let (a, b, c) = expected;
            assert_eq!((class, object, part), (Some(a), Some(b), Some(c)), "{tag:?}");
        }
    }
}
