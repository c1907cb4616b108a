//! Statements about privileges and ownership, with PostgreSQL 15's rules and words
//! (catalog/aclchk.c, commands/user.c).

mod default_privileges;
mod grant;
mod grantor;
mod members;
mod named;
mod owned;
mod owner;
#[cfg(test)]
mod tests;

use kestrel_proto::Result;

pub(super) use members::{add_members, drop_members};
pub use named::Identity;
pub(super) use named::{find_role, missing_role, role_id};
pub(super) use owned::dependents_of_role;
pub(super) use owner::owner_id;
pub use owner::with_named_owners;

use super::DdlPlan;
use crate::{catalog::Catalog, parse::AccessStatement};

/// Plans a statement about privileges or ownership against one snapshot. Names without a schema
/// are looked up along `search_path`.
///
/// Errors: 42501 for what the role may not do; 42P01, 3F000, 3D000, 42703 and 42704 for what is not
/// there; 0LP01 for grants that make no sense; 2BP01 for privileges and objects that others need.
pub fn plan_access(
    statement: &AccessStatement,
    catalog: &Catalog,
    search_path: &[String],
    identity: Identity,
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new(statement.tag());
    match statement {
        AccessStatement::Grant(grant) => {
            grant::grant(grant, catalog, search_path, identity, &mut plan)?;
        }
        AccessStatement::GrantRole(grant) => {
            members::grant_role(grant, catalog, identity, &mut plan)?;
        }
        AccessStatement::DefaultPrivileges(defaults) => {
            default_privileges::alter(defaults, catalog, identity, &mut plan)?;
        }
        AccessStatement::DatabaseOwner { name, owner } => {
            let owner = role_id(owner, catalog, identity)?;
            owner::of_database(name, owner, catalog, identity, &mut plan)?;
        }
        AccessStatement::Reassign { from, to } => {
            owned::reassign(from, to, catalog, identity, &mut plan)?;
        }
        AccessStatement::DropOwned { roles, cascade } => {
            owned::drop(roles, *cascade, (catalog, search_path), identity, &mut plan)?;
            // Partitions of others go with their table.
            super::partition::spread(&mut plan, catalog)?;
        }
    }
    Ok(plan)
}
