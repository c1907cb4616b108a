//! GRANT and REVOKE of roles: who is a member of whom (`AddRoleMems` and `DelRoleMems`,
//! commands/user.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::DdlPlan,
    grantor::name_of,
    named::{Identity, find_role, missing_role, role_id},
};
use crate::{
    access::insufficient,
    catalog::{Catalog, CatalogChange, DATABASE_OWNER_ID, Membership, RoleDef},
    parse::{GrantAction, GrantRole, RoleName},
};

pub(super) fn grant_role(
    grant: &GrantRole,
    catalog: &Catalog,
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    let grantor = match &grant.grantor {
        Some(grantor) => role_id(grantor, catalog, identity)?,
        None => identity.current,
    };
    if grantor != identity.current && !catalog.is_superuser(identity.current) {
        return Err(insufficient("must be superuser to set grantor".into()));
    }
    let mut catalog = catalog.clone();
    for name in &grant.roles {
        let role = catalog.roles.get(&name.name).ok_or_else(|| missing_role(&name.name))?.id;
        match grant.action {
            GrantAction::Grant { with_option } => {
                let membership = Membership { role, grantor, admin: with_option };
                add_members(&mut catalog, &membership, &grant.members, identity, plan)?;
            }
            GrantAction::Revoke { only_option, .. } => {
                let only_option = only_option.then_some(OnlyOption);
                drop_members(&mut catalog, role, &grant.members, only_option, identity, plan)?;
            }
        }
    }
    Ok(())
}

/// ADMIN OPTION FOR: who is a member stays one.
#[derive(Clone, Copy)]
pub(in super::super) struct OnlyOption;

/// Makes roles members of one; `catalog` becomes what it is then.
///
/// Errors: 42501 for who may not; 0LP01 for circles.
pub(in super::super) fn add_members(
    catalog: &mut Catalog,
    membership: &Membership,
    members: &[RoleName],
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    let of = membership.role;
    check_admin(catalog, of, identity)?;
    let of_name = name_of(catalog, of);
    let error = |message| Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message));
    if of == DATABASE_OWNER_ID {
        return error(format!("role \"{of_name}\" cannot have explicit members"));
    }
    for member in members {
        let mut member = find_role(member, catalog, identity)?.clone();
        let name = member.name.clone();
        if member.id == DATABASE_OWNER_ID {
            return error(format!("role \"{name}\" cannot be a member of any role"));
        }
        if catalog.memberships(of).contains(&member.id) {
            return error(format!("role \"{of_name}\" is a member of role \"{name}\""));
        }
        match member.member_of.iter_mut().find(|known| known.role == of) {
            Some(known) if known.admin || !membership.admin => {
                let message = format!("role \"{name}\" is already a member of role \"{of_name}\"");
                plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
                continue;
            }
            Some(known) => *known = membership.clone(),
            None => member.member_of.push(membership.clone()),
        }
        alter(catalog, member, plan)?;
    }
    Ok(())
}

/// Ends memberships, or the right to give them to others.
///
/// Errors: 42501.
pub(in super::super) fn drop_members(
    catalog: &mut Catalog,
    of: u64,
    members: &[RoleName],
    only_option: Option<OnlyOption>,
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    check_admin(catalog, of, identity)?;
    for member in members {
        let mut member = find_role(member, catalog, identity)?.clone();
        let Some(at) = member.member_of.iter().position(|known| known.role == of) else {
            let of = name_of(catalog, of);
            let message = format!("role \"{}\" is not a member of role \"{of}\"", member.name);
            plan.notices.push(ErrorReport::warning(SqlState::WARNING, message));
            continue;
        };
        match only_option {
            Some(OnlyOption) => {
                member.member_of.iter_mut().filter(|m| m.role == of).for_each(|m| m.admin = false);
            }
            None => {
                member.member_of.remove(at);
            }
        }
        alter(catalog, member, plan)?;
    }
    Ok(())
}

fn alter(catalog: &mut Catalog, member: RoleDef, plan: &mut DdlPlan) -> Result<()> {
    let change = CatalogChange::AlterRole(member);
    *catalog = catalog.apply(std::slice::from_ref(&change))?;
    plan.changes.push(change);
    Ok(())
}

fn check_admin(catalog: &Catalog, of: u64, identity: Identity) -> Result<()> {
    let current = identity.current;
    if catalog.is_superuser(current) {
        return Ok(());
    }
    if catalog.is_superuser(of) {
        return Err(insufficient("must be superuser to alter superusers".into()));
    }
    let may_create = catalog.role_by_id(current).is_some_and(|role| role.create_role);
    if may_create || catalog.is_admin(current, of) {
        return Ok(());
    }
    Err(insufficient(format!("must have admin option on role \"{}\"", name_of(catalog, of))))
}
