//! The statements about privileges and ownership.

use kestrel_proto::Result;

use super::{
    cursor::Cursor,
    ddl::cascade,
    grant::{DefaultPrivileges, Grant, GrantAction, GrantRole},
    name::Identifier,
    role::{RoleName, role_name, role_names},
    statement::StatementKind,
};

/// A statement about privileges and ownership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessStatement {
    /// GRANT and REVOKE on objects
    Grant(Grant),
    /// GRANT and REVOKE of roles
    GrantRole(GrantRole),
    /// ALTER DEFAULT PRIVILEGES
    DefaultPrivileges(DefaultPrivileges),
    /// ALTER DATABASE … OWNER TO
    DatabaseOwner {
        /// The database.
        name: Identifier,
        /// Its new owner.
        owner: RoleName,
    },
    /// REASSIGN OWNED
    Reassign {
        /// Whose objects.
        from: Vec<RoleName>,
        /// The new owner.
        to: RoleName,
    },
    /// DROP OWNED
    DropOwned {
        /// Whose objects and privileges.
        roles: Vec<RoleName>,
        /// CASCADE
        cascade: bool,
    },
}

impl AccessStatement {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        let grants = |action: &GrantAction| matches!(action, GrantAction::Grant { .. });
        match self {
            Self::Grant(Grant { action, .. }) if grants(action) => "GRANT",
            Self::Grant(_) => "REVOKE",
            Self::GrantRole(GrantRole { action, .. }) if grants(action) => "GRANT ROLE",
            Self::GrantRole(_) => "REVOKE ROLE",
            Self::DefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
            Self::DatabaseOwner { .. } => "ALTER DATABASE",
            Self::Reassign { .. } => "REASSIGN OWNED",
            Self::DropOwned { .. } => "DROP OWNED",
        }
    }
}

impl From<AccessStatement> for StatementKind {
    fn from(statement: AccessStatement) -> Self {
        Self::Access(Box::new(statement))
    }
}

pub(super) fn reassign_owned(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("REASSIGN OWNED BY")?;
    let from = role_names(cursor)?;
    cursor.expect("TO")?;
    Ok(AccessStatement::Reassign { from, to: role_name(cursor)? }.into())
}

pub(super) fn drop_owned(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP OWNED BY")?;
    let roles = role_names(cursor)?;
    Ok(AccessStatement::DropOwned { roles, cascade: cascade(cursor) }.into())
}

/// ALTER DATABASE … OWNER TO, behind the name.
pub(super) fn database_owner(cursor: &mut Cursor<'_>, name: Identifier) -> Result<StatementKind> {
    cursor.expect("OWNER TO")?;
    Ok(AccessStatement::DatabaseOwner { name, owner: role_name(cursor)? }.into())
}
