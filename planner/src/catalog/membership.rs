//! Roles as members of others (PostgreSQL's `roles_is_member_of`, utils/adt/acl.c), and the roles
//! that every cluster has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Catalog, DATABASE_OID, INITIAL_ROLE_ID, RoleDef};

/// The role whose one member is the database's owner.
pub const DATABASE_OWNER_ID: u64 = 6171;
/// Its members read all tables.
pub const READ_ALL_DATA_ID: u64 = 6181;
/// Its members write all tables.
pub const WRITE_ALL_DATA_ID: u64 = 6182;
/// Its members see what others run.
pub const READ_ALL_STATS_ID: u64 = 3375;
/// Its members see all settings.
pub const READ_ALL_SETTINGS_ID: u64 = 3374;
/// Its members may cancel what others run.
pub const SIGNAL_BACKEND_ID: u64 = 4200;

const MONITOR_ID: u64 = 3373;
const STAT_SCAN_TABLES_ID: u64 = 3377;

/// PostgreSQL's predefined roles (`pg_authid.dat`): OIDs and names.
const PREDEFINED: [(u64, &str); 12] = [
    (MONITOR_ID, "pg_monitor"),
    (READ_ALL_SETTINGS_ID, "pg_read_all_settings"),
    (READ_ALL_STATS_ID, "pg_read_all_stats"),
    (STAT_SCAN_TABLES_ID, "pg_stat_scan_tables"),
    (SIGNAL_BACKEND_ID, "pg_signal_backend"),
    (4544, "pg_checkpoint"),
    (4569, "pg_read_server_files"),
    (4570, "pg_write_server_files"),
    (4571, "pg_execute_server_program"),
    (DATABASE_OWNER_ID, "pg_database_owner"),
    (READ_ALL_DATA_ID, "pg_read_all_data"),
    (WRITE_ALL_DATA_ID, "pg_write_all_data"),
];

/// That a role is a member of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The OID of what it is a member of.
    pub role: u64,
    /// Who has granted that.
    pub grantor: u64,
    /// WITH ADMIN OPTION
    pub admin: bool,
}

impl RoleDef {
    /// The roles that every cluster has besides the first one.
    pub fn predefined() -> Vec<Self> {
        let membership = |role| Membership { role, grantor: INITIAL_ROLE_ID, admin: false };
        let monitors = [READ_ALL_SETTINGS_ID, READ_ALL_STATS_ID, STAT_SCAN_TABLES_ID];
        let role = |(id, name): (u64, &str)| {
            let member_of = match id {
                MONITOR_ID => monitors.map(membership).to_vec(),
                _ => Vec::new(),
            };
            Self { member_of, ..Self::new(id, name) }
        };
        PREDEFINED.into_iter().map(role).collect()
    }

    /// Is it one of PostgreSQL's own?
    pub fn is_predefined(&self) -> bool {
        PREDEFINED.iter().any(|(id, _)| *id == self.id)
    }
}

/// Settings that a role, or everybody, begins a session with (ALTER ROLE … SET).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSettings {
    /// The role's OID; 0: everybody.
    pub id: u64,
    /// In every database: names and values, as SET would have them.
    pub everywhere: BTreeMap<String, String>,
    /// IN DATABASE
    pub in_database: BTreeMap<String, String>,
}

impl Catalog {
    /// The role of this OID.
    pub fn role_by_id(&self, id: u64) -> Option<&RoleDef> {
        self.roles.values().find(|role| role.id == id)
    }

    /// Does the role pass every check?
    pub fn is_superuser(&self, role: u64) -> bool {
        self.role_by_id(role).is_some_and(|role| role.superuser)
    }

    /// The roles that a role is a member of, through others, too; it itself is one of them.
    pub fn memberships(&self, role: u64) -> BTreeSet<u64> {
        self.reachable(role, |_| true)
    }

    /// The roles whose privileges a role has: those that it is a member of, as far as INHERIT
    /// leads.
    pub fn inherited(&self, role: u64) -> BTreeSet<u64> {
        self.reachable(role, |role| role.inherit)
    }

    fn reachable(&self, role: u64, may_go_on: impl Fn(&RoleDef) -> bool) -> BTreeSet<u64> {
        let database_owner = self.owner(DATABASE_OID);
        let (mut found, mut waiting) = (BTreeSet::new(), vec![role]);
        while let Some(id) = waiting.pop() {
            if !found.insert(id) {
                continue;
            }
            let Some(role) = self.role_by_id(id).filter(|role| may_go_on(role)) else { continue };
            waiting.extend(role.member_of.iter().map(|membership| membership.role));
            if id == database_owner {
                waiting.push(DATABASE_OWNER_ID);
            }
        }
        found
    }

    /// May a role make others members of `of`? A role may do so for itself only as the session's
    /// own (`is_admin_of_role`).
    pub fn is_admin(&self, role: u64, of: u64) -> bool {
        if self.is_superuser(role) {
            return true;
        }
        let through = self.memberships(role);
        let roles = through.iter().filter_map(|id| self.role_by_id(*id));
        roles.flat_map(|r| &r.member_of).any(|m| m.role == of && m.admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogChange;

    #[test]
    fn memberships_lead_on_and_inheritance_may_end() {
        let member = |role, admin| Membership { role, grantor: INITIAL_ROLE_ID, admin };
        let role = |id: u64, inherit, member_of: &[Membership]| {
            CatalogChange::CreateRole(RoleDef {
                inherit,
                member_of: member_of.to_vec(),
                ..RoleDef::new(id, &format!("r{id}"))
            })
        };
        let catalog = Catalog::empty()
            .apply(&[
                role(1, true, &[]),
                role(2, false, &[member(1, true)]),
                role(3, true, &[member(2, false)]),
            ])
            .unwrap();
        assert_eq!(catalog.memberships(3), [1, 2, 3].into());
        assert_eq!(catalog.inherited(3), [2, 3].into());
        assert!(catalog.is_admin(3, 1) && !catalog.is_admin(3, 2) && catalog.is_admin(10, 2));
        assert_eq!(catalog.inherited(INITIAL_ROLE_ID), [INITIAL_ROLE_ID, DATABASE_OWNER_ID].into());
        let monitor = catalog.inherited(MONITOR_ID);
        assert!(monitor.contains(&READ_ALL_STATS_ID) && monitor.contains(&READ_ALL_SETTINGS_ID));
    }
}
