//! As whom a session acts: the role that logged in, SET SESSION AUTHORIZATION, SET ROLE.

use std::sync::Arc;

use kestrel_planner::{
    access::{Actor, check_schema, insufficient},
    catalog::{Catalog, PG_TEMP, is_system_schema, is_temporary_schema},
    ddl::Identity,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    ClientSession,
    settings::{Settings, check_rank},
};

/// A role that is not there (any more): it holds what everybody does.
const NOBODY: u64 = u64::MAX;

/// The role that logged in.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// Its name then.
    pub(super) name: String,
    /// Its OID.
    pub(super) id: u64,
}

impl Login {
    /// As whom a session with these settings acts. The names in them were checked when they were
    /// set; whose role is gone since is nobody.
    pub(super) fn identity(&self, settings: &Settings, catalog: &Catalog) -> Identity {
        let named = |name: &str| match name == self.name {
            true => self.id,
            false => catalog.roles.get(name).map_or(NOBODY, |role| role.id),
        };
        let session = match settings.get("session_authorization") {
            Some(name) if !name.is_empty() => named(&name),
            _ => self.id,
        };
        let current = match settings.get("role") {
            // A name may have come to mean another role.
            Some(name) if name != "none" => {
                let role = named(&name);
                let may = Actor::new(catalog, session).is_member_of(role);
                if may { role } else { NOBODY }
            }
            _ => session,
        };
        Identity { session, current }
    }

    /// Whether the session may set this setting so.
    ///
    /// # Errors
    /// 42501 for what is not the session's to set; 22023 for a role that is not there.
    pub(super) fn check_setting(
        &self,
        setting: (&str, &str),
        settings: &Settings,
        catalog: &Catalog,
    ) -> Result<()> {
        let role = self.identity(settings, catalog).current;
        check_rank(setting.0, setting.1, catalog.is_superuser(role))?;
        self.check_role(setting, settings, catalog)
    }

    /// Errors: if the setting is `role` or `session_authorization`, 22023 for a role that is not
    /// there, and 42501 for one that is not the session's to be.
    pub(super) fn check_role(
        &self,
        (name, value): (&str, &str),
        settings: &Settings,
        catalog: &Catalog,
    ) -> Result<()> {
        let is_role = name.eq_ignore_ascii_case("role");
        if !is_role && !name.eq_ignore_ascii_case("session_authorization") {
            return Ok(());
        }
        if is_role && value == "none" || value == self.name && !is_role {
            return Ok(());
        }
        let Some(role) = catalog.roles.get(value) else {
            let message = format!("role \"{value}\" does not exist");
            return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        if is_role {
            let session = self.identity(settings, catalog).session;
            return match Actor::new(catalog, session).is_member_of(role.id) {
                true => Ok(()),
                false => Err(insufficient(format!("permission denied to set role \"{value}\""))),
            };
        }
        match catalog.is_superuser(self.id) || role.id == self.id {
            true => Ok(()),
            false => Err(insufficient("permission denied to set session authorization".into())),
        }
    }
}

impl ClientSession {
    /// As whom the statement runs.
    pub(super) fn identity(&self, catalog: &Catalog) -> Identity {
        self.login.identity(&self.settings, catalog)
    }

    /// From now on what the transaction changes, the session's role of now changes.
    pub(super) fn take_role(&mut self) {
        let catalog = self.transaction.newest(&self.engine);
        let role = self.identity(&catalog).current;
        self.transaction.acts_as(role);
        let is_superuser = if catalog.is_superuser(role) { "on" } else { "off" };
        self.settings.fix("is_superuser", is_superuser.into());
    }

    /// What clients are told of the session's roles: the name of `session_user`, and whether
    /// `current_user` passes every check.
    pub(super) fn told_of_roles(&self) -> (String, bool) {
        let catalog = self.transaction.newest(&self.engine);
        let identity = self.identity(&catalog);
        let session_user = role_name(&catalog, identity.session, &self.login.name);
        (session_user, catalog.is_superuser(identity.current))
    }

    /// Where unqualified names are looked up: the schemas of `search_path` that the role may look
    /// into, `$user` being that of its name. The session's temporary schema, which needs no
    /// privilege, comes first, or behind `pg_temp` if the setting names that; those of other
    /// sessions are none of its own.
    pub(super) fn search_path(&self, catalog: &Catalog) -> Vec<String> {
        let identity = self.identity(catalog);
        let own = catalog.role_by_id(identity.current).map(|role| role.name.as_str());
        let own = own.filter(|name| !is_system_schema(name) && catalog.schemas.contains_key(*name));
        let named = self.settings.search_path_with(own);
        let may_use = |schema: &String| check_schema(schema, catalog, identity.current).is_ok();
        let mut path: Vec<String> = named.into_iter().filter(may_use).collect();
        path.retain(|schema| !is_temporary_schema(schema));
        let at = path.iter().position(|schema| schema == PG_TEMP).map_or(0, |at| at + 1);
        path.insert(at, self.temporary_schema());
        path
    }

    /// The same path for all sessions that look things up in the same schemas: one's temporary schema
    /// that is not there is called `pg_temp`.
    pub(super) fn shared_search_path(&self, catalog: &Catalog) -> Vec<String> {
        let own = self.temporary_schema();
        let mut path = self.search_path(catalog);
        if !catalog.schemas.contains_key(&own) {
            let own = path.iter_mut().filter(|schema| **schema == own);
            own.for_each(|schema| *schema = PG_TEMP.to_string());
        }
        path
    }

    /// Errors: 42501 if the role may not look into a schema that was named.
    pub(super) fn check_schema(&self, schema: Option<&String>, catalog: &Catalog) -> Result<()> {
        let role = self.identity(catalog).current;
        schema.map_or(Ok(()), |schema| check_schema(schema, catalog, role))
    }
}

/// The name of a role; `otherwise` if it is gone.
pub(super) fn role_name(catalog: &Arc<Catalog>, id: u64, otherwise: &str) -> String {
    catalog.role_by_id(id).map_or_else(|| otherwise.to_string(), |role| role.name.clone())
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::{CatalogChange, INITIAL_ROLE_ID, Membership, RoleDef};

    use super::*;

    fn catalog() -> Catalog {
        let staff = RoleDef::new(2, "staff");
        let membership = Membership { role: 2, grantor: INITIAL_ROLE_ID, admin: false };
        let ann = RoleDef { member_of: vec![membership], ..RoleDef::new(1, "ann") };
        let roles = [staff, ann, RoleDef::new(3, "eve")].map(CatalogChange::CreateRole);
        Catalog::empty().apply(&roles).unwrap()
    }

    #[test]
    fn roles_are_set_by_members_and_sessions_by_superusers() {
        let catalog = catalog();
        let settings = Settings::default();
        for (login, name, value, expected) in [
            ("ann", "role", "staff", ""),
            ("ann", "role", "none", ""),
            ("ann", "role", "eve", "42501: permission denied to set role \"eve\""),
            ("ann", "ROLE", "nobody", "22023: role \"nobody\" does not exist"),
            ("ann", "session_authorization", "ann", ""),
            (
                "ann",
                "session_authorization",
                "staff",
                "42501: permission denied to set session authorization",
            ),
            ("kestrel", "session_authorization", "eve", ""),
            ("kestrel", "role", "eve", ""),
            ("eve", "work_mem", "nobody", ""),
        ] {
            let login = Login { name: login.into(), id: catalog.roles[login].id };
            let checked = login.check_setting((name, value), &settings, &catalog);
            let told = checked.err().map(|e| format!("{}: {}", e.sqlstate.as_str(), e.message));
            assert_eq!(told.unwrap_or_default(), expected, "{login:?} {name} {value}");
        }
    }

    #[test]
    fn a_session_is_whom_it_was_set_to() {
        let catalog = catalog();
        let login = Login { name: "kestrel".into(), id: INITIAL_ROLE_ID };
        let settings = Settings::default();
        let identity = || login.identity(&settings, &catalog);
        assert_eq!(identity(), Identity { session: INITIAL_ROLE_ID, current: INITIAL_ROLE_ID });
        settings.set("session_authorization", &["ann".into()]).unwrap();
        settings.set("role", &["staff".into()]).unwrap();
        assert_eq!(identity(), Identity { session: 1, current: 2 });
        settings.set("role", &["gone".into()]).unwrap();
        assert_eq!(identity().current, NOBODY);
    }
}
