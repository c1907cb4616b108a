//! `pg_auth_members`, `pg_default_acl`, `pg_db_role_setting` and `pg_group`: what is kept about
//! roles besides themselves.

use std::collections::BTreeMap;

use super::super::{
    DATABASE_OID, SystemViewContext,
    privileges::acl_text,
    rows::{Rows, Value, row},
};

pub(in super::super) fn pg_auth_members(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("roleid, member, grantor, admin_option");
    for member in context.catalog.roles.values() {
        for membership in &member.member_of {
            rows.push(row![membership.role, member.id, membership.grantor, membership.admin]);
        }
    }
    rows
}

pub(in super::super) fn pg_group(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("groname, grosysid, grolist");
    let roles = || context.catalog.roles.values();
    for group in roles().filter(|role| !role.login) {
        let is_member =
            |membership: &kestrel_planner::catalog::Membership| membership.role == group.id;
        let members = roles().filter(|role| role.member_of.iter().any(is_member));
        let members = Value::Ints(members.map(|role| role.id.cast_signed()).collect());
        rows.push(row![&group.name, group.id, members]);
    }
    rows
}

pub(in super::super) fn pg_default_acl(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, defaclrole, defaclnamespace, defaclobjtype, defaclacl");
    for default in context.catalog.default_acls.values() {
        rows.push(row![
            default.id,
            default.role,
            default.schema.unwrap_or(0),
            default.kind.letter(),
            Value::Texts(acl_text(&context.catalog, &default.acl)),
        ]);
    }
    rows
}

pub(in super::super) fn pg_db_role_setting(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("setdatabase, setrole, setconfig");
    for settings in context.catalog.role_settings.values() {
        let lists = [(0, &settings.everywhere), (DATABASE_OID, &settings.in_database)];
        for (database, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            rows.push(row![database, settings.id, configuration(list)]);
        }
    }
    rows
}

/// `name=value` for each setting.
pub(super) fn configuration(settings: &BTreeMap<String, String>) -> Value {
    Value::Texts(settings.iter().map(|(name, value)| format!("{name}={value}")).collect())
}
