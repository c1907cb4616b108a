//! OWNER TO. Whether the role may do that is decided over the changes
//! ([`crate::access::check_changes`]).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::DdlPlan,
    named::{Identity, missing_role},
};
use crate::{
    access::{Actor, insufficient},
    catalog::{Catalog, CatalogChange, DATABASE_OID},
    parse::{AlterAction, AlterSequence, DATABASE, DdlStatement, Identifier, SequenceAction},
};

/// The statement with roles' names for CURRENT_USER and its like, where it names owners.
pub fn with_named_owners(
    statement: &DdlStatement,
    catalog: &Catalog,
    identity: Identity,
) -> DdlStatement {
    let named = |owner: &mut Identifier| {
        let id = match owner.name.as_str() {
            "current_user" | "current_role" => identity.current,
            "session_user" => identity.session,
            _ => return,
        };
        if let Some(role) = catalog.role_by_id(id) {
            owner.name.clone_from(&role.name);
        }
    };
    let mut statement = statement.clone();
    match &mut statement {
        DdlStatement::CreateSchema(create) => create.owner.iter_mut().for_each(named),
        DdlStatement::AlterSchema(alter) => alter.owner.iter_mut().for_each(named),
        DdlStatement::AlterSequence(AlterSequence {
            action: SequenceAction::Owner(owner), ..
        }) => named(owner),
        DdlStatement::AlterTable(alter) => {
            for action in &mut alter.actions {
                if let AlterAction::Owner(owner) = action {
                    named(owner);
                }
            }
        }
        _ => {}
    }
    statement
}

/// The role that OWNER TO names.
///
/// Errors: 42704.
pub(in super::super) fn owner_id(owner: &Identifier, catalog: &Catalog) -> Result<u64> {
    match catalog.roles.get(&owner.name) {
        Some(role) => Ok(role.id),
        None => Err(missing_role(&owner.name).position(owner.position)),
    }
}

pub(super) fn of_database(
    name: &Identifier,
    owner: u64,
    catalog: &Catalog,
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    if name.name != DATABASE {
        let message = format!("database \"{}\" does not exist", name.name);
        return Err(ErrorReport::new(SqlState::INVALID_CATALOG_NAME, message));
    }
    Actor::new(catalog, identity.current).must_own(DATABASE_OID)?;
    let may_create =
        catalog.role_by_id(identity.current).is_some_and(|role| role.superuser || role.create_db);
    if !may_create {
        return Err(insufficient("permission denied to change owner of database".into()));
    }
    plan.changes.push(CatalogChange::SetOwner { object: DATABASE_OID, owner });
    Ok(())
}
