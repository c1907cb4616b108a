//! The modes of locks, and which conflict (PostgreSQL's `LockConflicts`, lock.c).

/// From the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// ACCESS SHARE
    AccessShare,
    /// ROW SHARE
    RowShare,
    /// ROW EXCLUSIVE: writers.
    RowExclusive,
    /// SHARE UPDATE EXCLUSIVE
    ShareUpdateExclusive,
    /// SHARE; shared advisory locks.
    Share,
    /// SHARE ROW EXCLUSIVE
    ShareRowExclusive,
    /// EXCLUSIVE; advisory locks.
    Exclusive,
    /// ACCESS EXCLUSIVE
    AccessExclusive,
}

impl LockMode {
    /// The mode of these words: `ROW EXCLUSIVE`.
    pub fn of_words(words: &str) -> Option<Self> {
        Some(match words {
            "ACCESS SHARE" => Self::AccessShare,
            "ROW SHARE" => Self::RowShare,
            "ROW EXCLUSIVE" => Self::RowExclusive,
            "SHARE UPDATE EXCLUSIVE" => Self::ShareUpdateExclusive,
            "SHARE" => Self::Share,
            "SHARE ROW EXCLUSIVE" => Self::ShareRowExclusive,
            "EXCLUSIVE" => Self::Exclusive,
            "ACCESS EXCLUSIVE" => Self::AccessExclusive,
            _ => return None,
        })
    }

    /// PostgreSQL's name: `RowExclusiveLock`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// Whether two owners cannot hold a lock in these modes at once.
    pub fn conflicts(self, other: Self) -> bool {
        let (weak, strong) = (self.min(other), self.max(other));
        match weak {
            Self::AccessShare => strong == Self::AccessExclusive,
            Self::RowShare => strong >= Self::Exclusive,
            // SHARE is not among those that conflict with themselves; writers conflict with it.
            Self::RowExclusive => strong >= Self::Share,
            Self::Share => strong != Self::Share,
            Self::ShareUpdateExclusive
            | Self::ShareRowExclusive
            | Self::Exclusive
            | Self::AccessExclusive => true,
        }
    }
}
