//! Privileges, sets of them, and which kinds of objects have which (PostgreSQL's
//! `src/include/utils/acl.h`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one may be allowed to do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// INSERT
    Insert,
    /// SELECT
    Select,
    /// UPDATE
    Update,
    /// DELETE
    Delete,
    /// TRUNCATE
    Truncate,
    /// REFERENCES
    References,
    /// TRIGGER
    Trigger,
    /// USAGE
    Usage,
    /// CREATE
    Create,
    /// TEMPORARY
    Temporary,
    /// CONNECT
    Connect,
}

/// Every privilege, its letter and its name, in the order in which PostgreSQL prints them.
const PRIVILEGES: [(Privilege, char, &str); 11] = [
    (Privilege::Insert, 'a', "INSERT"),
    (Privilege::Select, 'r', "SELECT"),
    (Privilege::Update, 'w', "UPDATE"),
    (Privilege::Delete, 'd', "DELETE"),
    (Privilege::Truncate, 'D', "TRUNCATE"),
    (Privilege::References, 'x', "REFERENCES"),
    (Privilege::Trigger, 't', "TRIGGER"),
    (Privilege::Usage, 'U', "USAGE"),
    (Privilege::Create, 'C', "CREATE"),
    (Privilege::Temporary, 'T', "TEMPORARY"),
    (Privilege::Connect, 'c', "CONNECT"),
];

impl Privilege {
    /// As SQL names it.
    pub fn name(self) -> &'static str {
        PRIVILEGES.iter().find(|(p, ..)| *p == self).map_or("", |(_, _, name)| name)
    }

    /// As an aclitem shows it.
    pub fn letter(self) -> char {
        PRIVILEGES.iter().find(|(p, ..)| *p == self).map_or(' ', |(_, letter, _)| *letter)
    }

    /// The privilege of this name, in any case; TEMP is TEMPORARY.
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("temp") { "temporary" } else { name };
        let found = PRIVILEGES.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(name));
        found.map(|(privilege, ..)| *privilege)
    }
}

/// A set of privileges.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Privileges(u16);

impl Privileges {
    /// Of none.
    pub const NONE: Self = Self(0);

    /// Of these.
    pub const fn of(privileges: &[Privilege]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < privileges.len() {
            bits |= 1 << privileges[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// Of all there are.
    pub fn of_everything() -> Self {
        Self(u16::MAX)
    }

    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Is this one among them?
    pub fn has(self, privilege: Privilege) -> bool {
        self.0 & (1 << privilege as u16) != 0
    }

    /// Are all of the others among them?
    pub fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those of both, and those of either.
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are in both.
    pub fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those that are not in the other.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// How many.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// In the order in which PostgreSQL prints them.
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        PRIVILEGES.into_iter().map(|(privilege, ..)| privilege).filter(move |p| self.has(*p))
    }
}

impl From<Privilege> for Privileges {
    fn from(privilege: Privilege) -> Self {
        Self::of(&[privilege])
    }
}

impl fmt::Debug for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Privilege::letter).collect::<String>())
    }
}

/// What privileges can be granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A table or view.
    Table,
    /// A sequence.
    Sequence,
    /// A schema.
    Schema,
    /// The database.
    Database,
}

impl ObjectKind {
    /// What ALL PRIVILEGES are.
    pub fn privileges(self) -> Privileges {
        use Privilege::{
            Connect, Create, Delete, Insert, References, Select, Temporary, Trigger, Truncate,
            Update, Usage,
        };
        Privileges::of(match self {
            Self::Table => &[Insert, Select, Update, Delete, Truncate, References, Trigger],
            Self::Sequence => &[Select, Update, Usage],
            Self::Schema => &[Usage, Create],
            Self::Database => &[Create, Temporary, Connect],
        })
    }

    /// What everybody may do unless somebody has said otherwise.
    pub fn of_public(self) -> Privileges {
        match self {
            Self::Table | Self::Sequence | Self::Schema => Privileges::NONE,
            Self::Database => Privileges::of(&[Privilege::Temporary, Privilege::Connect]),
        }
    }

    /// `pg_default_acl.defaclobjtype`
    pub fn letter(self) -> &'static str {
        match self {
            Self::Table => "r",
            Self::Sequence => "S",
            Self::Schema => "n",
            Self::Database => "d",
        }
    }
}

/// What ALL PRIVILEGES of a column are.
pub const COLUMN_PRIVILEGES: Privileges = Privileges::of(&[
    Privilege::Insert,
    Privilege::Select,
    Privilege::Update,
    Privilege::References,
]);
