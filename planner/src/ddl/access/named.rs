//! Who a statement names: roles, CURRENT_USER, PUBLIC.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::{Catalog, PUBLIC, RoleDef},
    parse::{Grantee, RoleName},
};

/// As whom a session runs a statement: OIDs of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `session_user`
    pub session: u64,
    /// `current_user`
    pub current: u64,
}

/// The role that a statement names.
///
/// Errors: 42704.
pub(in super::super) fn find_role<'a>(
    name: &RoleName,
    catalog: &'a Catalog,
    identity: Identity,
) -> Result<&'a RoleDef> {
    let of_session = |id| {
        let role = catalog.role_by_id(id);
        role.ok_or_else(|| missing_role(&id.to_string()))
    };
    match name {
        RoleName::Named(name) => {
            catalog.roles.get(&name.name).ok_or_else(|| missing_role(&name.name))
        }
        RoleName::Own(word, _) if word.eq_ignore_ascii_case("session_user") => {
            of_session(identity.session)
        }
        RoleName::Own(..) => of_session(identity.current),
    }
}

/// Its OID.
pub(in super::super) fn role_id(
    name: &RoleName,
    catalog: &Catalog,
    identity: Identity,
) -> Result<u64> {
    find_role(name, catalog, identity).map(|role| role.id)
}

pub(in super::super) fn missing_role(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

/// The OIDs of grantees, each once.
pub(super) fn grantees(
    named: &[Grantee],
    catalog: &Catalog,
    identity: Identity,
) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    for grantee in named {
        let id = match grantee {
            Grantee::Public => PUBLIC,
            Grantee::Role(name) => role_id(name, catalog, identity)?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
