//! A role, and what it holds on objects.

use std::collections::BTreeSet;

use kestrel_proto::Result;

use super::denied::{denied, must_be_owner};
use crate::catalog::{
    AclItem, COLUMN_PRIVILEGES, Catalog, DATABASE_OID, ObjectKind, PUBLIC, Privilege, Privileges,
    READ_ALL_DATA_ID, WRITE_ALL_DATA_ID,
};

/// A role that wants something.
pub struct Actor<'a> {
    /// The snapshot.
    pub catalog: &'a Catalog,
    /// Its OID.
    pub role: u64,
    is_superuser: bool,
    /// The roles whose privileges it has.
    acts_as: BTreeSet<u64>,
}

impl<'a> Actor<'a> {
    /// This role. One that is not there holds what everybody does.
    pub fn new(catalog: &'a Catalog, role: u64) -> Self {
        let is_superuser = catalog.is_superuser(role);
        Self { catalog, role, is_superuser, acts_as: catalog.inherited(role) }
    }

    /// Does it pass every check?
    pub fn is_superuser(&self) -> bool {
        self.is_superuser
    }

    /// Has it the privileges of another role (`has_privs_of_role`)?
    pub fn acts_as(&self, role: u64) -> bool {
        self.is_superuser || self.acts_as.contains(&role)
    }

    /// Is it a member of another role (`is_member_of_role`)?
    pub fn is_member_of(&self, role: u64) -> bool {
        self.is_superuser || self.catalog.memberships(self.role).contains(&role)
    }

    /// Does it own an object?
    pub fn owns(&self, object: u64) -> bool {
        self.acts_as(self.catalog.owner(object))
    }

    /// May it have a relation analyzed and vacuumed? Its owner and the database's may.
    pub fn maintains(&self, relation: u64) -> bool {
        self.is_superuser || self.owns(relation) || self.owns(DATABASE_OID)
    }

    /// What it may do with an object as a whole.
    pub fn privileges(&self, object: u64, kind: ObjectKind) -> Privileges {
        if self.is_superuser {
            return kind.privileges();
        }
        let access = self.catalog.access_of(object);
        self.granted(&access.acl(kind)).with(self.of_predefined_roles(kind)).and(kind.privileges())
    }

    /// What it may let others do with an object as a whole.
    pub fn grantable(&self, object: u64, kind: ObjectKind) -> Privileges {
        let access = self.catalog.access_of(object);
        if self.acts_as(access.owner) {
            return kind.privileges();
        }
        self.grant_options(&access.acl(kind))
    }

    /// What it may do with a column besides what it may do with the table.
    pub fn column_privileges(&self, object: u64, column: u32) -> Privileges {
        if self.is_superuser {
            return COLUMN_PRIVILEGES;
        }
        match self.catalog.access.get(&object).and_then(|access| access.columns.get(&column)) {
            Some(acl) => self.granted(acl),
            None => Privileges::NONE,
        }
    }

    /// What of a column it may let others do, besides what of the table.
    pub fn column_grantable(&self, object: u64, column: u32) -> Privileges {
        match self.catalog.access.get(&object) {
            Some(access) if self.acts_as(access.owner) => COLUMN_PRIVILEGES,
            None if self.owns(object) => COLUMN_PRIVILEGES,
            Some(access) => {
                access.columns.get(&column).map_or(Privileges::NONE, |acl| self.grant_options(acl))
            }
            None => Privileges::NONE,
        }
    }

    /// Errors: 42501 `permission denied for …` without the privilege.
    pub fn must_have(&self, object: u64, kind: ObjectKind, privilege: Privilege) -> Result<()> {
        match self.privileges(object, kind).has(privilege) {
            true => Ok(()),
            false => Err(denied(self.catalog, object)),
        }
    }

    /// Errors: 42501 `must be owner of …`.
    pub fn must_own(&self, object: u64) -> Result<()> {
        if self.owns(object) { Ok(()) } else { Err(must_be_owner(self.catalog, object)) }
    }

    /// Of table privileges that were granted, those that count for this role.
    fn granted(&self, acl: &[AclItem]) -> Privileges {
        let mine = acl.iter().filter(|item| item.grantee == PUBLIC || self.acts_as(item.grantee));
        mine.fold(Privileges::NONE, |all, item| all.with(item.privileges))
    }

    fn grant_options(&self, acl: &[AclItem]) -> Privileges {
        let mine = acl.iter().filter(|item| item.grantee != PUBLIC && self.acts_as(item.grantee));
        mine.fold(Privileges::NONE, |all, item| all.with(item.grantable))
    }

    /// What members of `pg_read_all_data` and `pg_write_all_data` may do wherever.
    fn of_predefined_roles(&self, kind: ObjectKind) -> Privileges {
        use Privilege::{Delete, Insert, Select, Update, Usage};
        let of = |role: u64, privileges: &[Privilege]| match self.acts_as.contains(&role) {
            true => Privileges::of(privileges),
            false => Privileges::NONE,
        };
        match kind {
            ObjectKind::Table | ObjectKind::Sequence => of(READ_ALL_DATA_ID, &[Select])
                .with(of(WRITE_ALL_DATA_ID, &[Insert, Update, Delete])),
            ObjectKind::Schema => {
                of(READ_ALL_DATA_ID, &[Usage]).with(of(WRITE_ALL_DATA_ID, &[Usage]))
            }
            ObjectKind::Database => Privileges::NONE,
        }
    }
}
