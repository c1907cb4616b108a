//! Roles: who may connect, and what they may do to the cluster as a whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Membership;

/// The superuser of a new cluster; it owns everything.
pub const INITIAL_ROLE: &str = "kestrel";
/// Its OID: PostgreSQL's of the bootstrap superuser.
pub const INITIAL_ROLE_ID: u64 = 10;

/// A role. A user is a role that may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDef {
    /// OID.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// SUPERUSER
    pub superuser: bool,
    /// INHERIT
    pub inherit: bool,
    /// CREATEROLE
    pub create_role: bool,
    /// CREATEDB
    pub create_db: bool,
    /// LOGIN
    pub login: bool,
    /// REPLICATION
    pub replication: bool,
    /// BYPASSRLS
    pub bypass_rls: bool,
    /// CONNECTION LIMIT; -1: none.
    pub connection_limit: i32,
    /// What its password is checked against; `None`: no password fits.
    pub verifier: Option<Verifier>,
    /// VALID UNTIL, for its password: microseconds since 1970-01-01 UTC; `None`: for ever.
    pub valid_until_us: Option<i64>,
    /// The roles that it is a member of, in the order in which they were granted.
    #[serde(default)]
    pub member_of: Vec<Membership>,
}

impl RoleDef {
    /// A role of these names without any right.
    pub fn new(id: u64, name: &str) -> Self {
        Self {
            id,
            name: name.into(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_db: false,
            login: false,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            verifier: None,
            valid_until_us: None,
            member_of: Vec::new(),
        }
    }

    /// The role that every new cluster has. It has no password.
    pub fn initial() -> Self {
        Self {
            superuser: true,
            create_role: true,
            create_db: true,
            login: true,
            replication: true,
            bypass_rls: true,
            ..Self::new(INITIAL_ROLE_ID, INITIAL_ROLE)
        }
    }
}

/// What a password is checked against, in PostgreSQL's form
/// (`SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`): the password itself is nowhere. Who has it can
/// try passwords for as long as they like, so it is not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verifier(String);

impl Verifier {
    /// Of a text that was made or checked to be one.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}
