//! `enabled_roles`, `applicable_roles` and `administrable_role_authorizations`.

use super::super::{
    SystemViewContext,
    privileges::role_name,
    rows::{Rows, row},
};

/// The roles whose privileges the session has.
pub(in super::super) fn enabled_roles(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("role_name");
    let actor = context.actor();
    for role in context.catalog.roles.values().filter(|role| actor.acts_as(role.id)) {
        rows.push(row![&role.name]);
    }
    rows
}

/// The memberships of those roles.
pub(in super::super) fn applicable_roles(context: &SystemViewContext) -> Rows {
    memberships(context, |_| true)
}

/// Those that may be given to others.
pub(in super::super) fn administrable(context: &SystemViewContext) -> Rows {
    memberships(context, |is_admin| is_admin)
}

fn memberships(context: &SystemViewContext, is_shown: impl Fn(bool) -> bool) -> Rows {
    let mut rows = Rows::new("grantee, role_name, is_grantable");
    let (catalog, actor) = (&context.catalog, context.actor());
    for member in catalog.roles.values().filter(|role| actor.acts_as(role.id)) {
        for membership in member.member_of.iter().filter(|m| is_shown(m.admin)) {
            let is_grantable = if membership.admin { "YES" } else { "NO" };
            rows.push(row![&member.name, role_name(catalog, membership.role), is_grantable]);
        }
    }
    rows
}
