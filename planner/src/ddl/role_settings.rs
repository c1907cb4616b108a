//! ALTER ROLE … SET and ALTER DATABASE … SET: what sessions begin with.

use std::collections::BTreeMap;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan,
    access::find_role,
    role::{RoleContext, denied, is_superuser, may_create_roles},
};
use crate::{
    access::Actor,
    catalog::{Catalog, CatalogChange, DATABASE_OID, RoleSettings},
    parse::{DATABASE, RoleSetting, SettingChange},
};

/// The role 0 is everybody.
const EVERYBODY: u64 = 0;

pub(super) fn alter(
    setting: &RoleSetting,
    catalog: &Catalog,
    context: &RoleContext<'_>,
    plan: &mut DdlPlan,
) -> Result<()> {
    let id = match &setting.role {
        Some(name) => find_role(name, catalog, context.identity)?.id,
        None => EVERYBODY,
    };
    if let Some(database) = setting.database.as_ref().filter(|name| name.name != DATABASE) {
        let message = format!("database \"{}\" does not exist", database.name);
        return Err(ErrorReport::new(SqlState::INVALID_CATALOG_NAME, message));
    }
    check(id, setting, catalog, context)?;
    let new = || RoleSettings { id, ..RoleSettings::default() };
    let mut settings = catalog.role_settings.get(&id).cloned().unwrap_or_else(new);
    let values = match setting.database {
        Some(_) => &mut settings.in_database,
        None => &mut settings.everywhere,
    };
    change(values, &setting.change, context)?;
    plan.changes.push(CatalogChange::SetRoleSettings(settings));
    Ok(())
}

fn check(
    id: u64,
    setting: &RoleSetting,
    catalog: &Catalog,
    context: &RoleContext<'_>,
) -> Result<()> {
    if is_superuser(catalog, context) {
        return Ok(());
    }
    if id != EVERYBODY {
        if catalog.is_superuser(id) {
            return Err(denied("must be superuser to alter superusers"));
        }
        let may = may_create_roles(catalog, context) || id == context.identity.current;
        return if may { Ok(()) } else { Err(denied("permission denied")) };
    }
    if setting.is_of_database || setting.database.is_some() {
        return Actor::new(catalog, context.identity.current).must_own(DATABASE_OID);
    }
    Err(denied("must be superuser to alter settings globally"))
}

fn change(
    values: &mut BTreeMap<String, String>,
    change: &SettingChange,
    context: &RoleContext<'_>,
) -> Result<()> {
    match change {
        SettingChange::Set(name, new) => {
            let (name, value) = (context.checked_setting)(name, new)?;
            values.insert(name, value);
        }
        SettingChange::FromCurrent(name) => {
            let value = (context.current_setting)(name)?;
            let (name, value) = (context.checked_setting)(name, &[value])?;
            values.insert(name, value);
        }
        SettingChange::Reset(name) => {
            (context.may_reset)(name)?;
            let known = values.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned();
            known.map(|known| values.remove(&known));
        }
        // What only superusers may reset stays, as in PostgreSQL (`GUCArrayReset`).
        SettingChange::ResetAll => values.retain(|name, _| (context.may_reset)(name).is_err()),
    }
    Ok(())
}
