//! Who owns an object, and what is granted on it.
//!
//! Only what differs from the beginning is kept: an object without an entry belongs to the first
//! role, and nothing was granted on it.

use std::collections::BTreeMap;

use kestrel_proto::ErrorReport;
use serde::{Deserialize, Serialize};

use super::{
    AclItem, Catalog, DATABASE_OID, DATABASE_OWNER_ID, INITIAL_ROLE_ID, ObjectKind, PUBLIC,
    Privilege, Privileges,
    acl::{default_acl, with_owner},
    snapshot::{conflict, gone},
};

/// The OID of schema `public`: PostgreSQL's.
pub const PUBLIC_SCHEMA_ID: u64 = 2200;

/// An object's owner and grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDef {
    /// The object's OID.
    pub id: u64,
    /// The owner's OID.
    pub owner: u64,
    /// What is granted on the object; `None`: what its kind begins with.
    pub acl: Option<Vec<AclItem>>,
    /// By column id, what is granted on single columns.
    pub columns: BTreeMap<u32, Vec<AclItem>>,
}

impl AccessDef {
    /// Of an object that nobody has granted anything on.
    pub fn owned_by(id: u64, owner: u64) -> Self {
        Self { id, owner, acl: None, columns: BTreeMap::new() }
    }

    /// Of an object without an entry.
    pub fn initial(id: u64) -> Self {
        if id != PUBLIC_SCHEMA_ID {
            return Self::owned_by(id, INITIAL_ROLE_ID);
        }
        let item = |grantee, privileges: &[Privilege]| AclItem {
            grantee,
            grantor: DATABASE_OWNER_ID,
            privileges: Privileges::of(privileges),
            grantable: Privileges::NONE,
        };
        let owner = item(DATABASE_OWNER_ID, &[Privilege::Usage, Privilege::Create]);
        let acl = vec![owner, item(PUBLIC, &[Privilege::Usage])];
        Self { acl: Some(acl), ..Self::owned_by(id, DATABASE_OWNER_ID) }
    }

    /// What is granted on the object.
    pub fn acl(&self, kind: ObjectKind) -> Vec<AclItem> {
        self.acl.clone().unwrap_or_else(|| default_acl(kind, self.owner))
    }

    /// All lists of grants: the object's own, and those of its columns.
    pub fn lists_mut(&mut self) -> impl Iterator<Item = &mut Vec<AclItem>> {
        self.acl.iter_mut().chain(self.columns.values_mut())
    }

    /// All grants: their column (0: the object itself) and the grant.
    pub fn items(&self) -> impl Iterator<Item = (u32, &AclItem)> {
        let own = self.acl.iter().flatten().map(|item| (0, item));
        let of_columns = self.columns.iter().flat_map(|(id, acl)| acl.iter().map(|i| (*id, i)));
        own.chain(of_columns)
    }
}

/// What is granted on every new object of a kind that a role makes (ALTER DEFAULT PRIVILEGES).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultAclDef {
    /// OID.
    pub id: u64,
    /// Who makes the objects.
    pub role: u64,
    /// In which schema; `None`: wherever.
    pub schema: Option<u64>,
    /// Their kind.
    pub kind: ObjectKind,
    /// Without a schema: all that is granted. With one: what is added.
    pub acl: Vec<AclItem>,
}

impl Catalog {
    /// Who owns an object and what is granted on it.
    pub fn access_of(&self, object: u64) -> AccessDef {
        self.access.get(&object).cloned().unwrap_or_else(|| AccessDef::initial(object))
    }

    /// The OID of an object's owner.
    pub fn owner(&self, object: u64) -> u64 {
        self.access.get(&object).map_or_else(|| AccessDef::initial(object).owner, |a| a.owner)
    }

    /// What kind of object has this OID; `None`: none that can have an owner.
    pub fn object_kind(&self, id: u64) -> Option<ObjectKind> {
        if id == DATABASE_OID {
            return Some(ObjectKind::Database);
        }
        if self.schemas.values().any(|schema| schema.id == id) {
            return Some(ObjectKind::Schema);
        }
        if self.sequences.values().any(|sequence| sequence.id == id) {
            return Some(ObjectKind::Sequence);
        }
        (self.table_by_id(id).is_some() || self.view_by_id(id).is_some())
            .then_some(ObjectKind::Table)
    }

    /// What a new object of `owner` begins with.
    pub fn access_of_new(
        &self,
        id: u64,
        owner: u64,
        kind: ObjectKind,
        schema: Option<u64>,
    ) -> AccessDef {
        let mut access = AccessDef::owned_by(id, owner);
        let of = |schema: Option<u64>| {
            let mut all = self.default_acls.values();
            all.find(|d| (d.role, d.kind, d.schema) == (owner, kind, schema))
        };
        let wherever = of(None);
        let here = schema.and_then(|schema| of(Some(schema)));
        if wherever.is_none() && here.is_none() {
            return access;
        }
        let mut acl =
            wherever.map_or_else(|| default_acl(kind, owner), |default| default.acl.clone());
        for item in here.iter().flat_map(|default| &default.acl) {
            let same = |i: &&mut AclItem| (i.grantee, i.grantor) == (item.grantee, item.grantor);
            match acl.iter_mut().find(same) {
                Some(known) => {
                    known.privileges = known.privileges.with(item.privileges);
                    known.grantable = known.grantable.with(item.grantable);
                }
                None => acl.push(item.clone()),
            }
        }
        if acl != default_acl(kind, owner) {
            access.acl = Some(acl);
        }
        access
    }

    pub(super) fn set_access(
        &mut self,
        before: &AccessDef,
        after: &AccessDef,
    ) -> Result<(), ErrorReport> {
        self.must_be_there(after.id)?;
        if self.access_of(after.id) != *before {
            return Err(conflict("privileges were changed meanwhile".into()));
        }
        self.put_access(after.clone());
        Ok(())
    }

    /// The sequences of a table go with it.
    pub(super) fn set_owner(&mut self, object: u64, owner: u64) -> Result<(), ErrorReport> {
        self.must_be_there(object)?;
        let of_table =
            |s: &&super::SequenceDef| s.owned_by.is_some_and(|(table, _)| table == object);
        let sequences: Vec<u64> = self.sequences.values().filter(of_table).map(|s| s.id).collect();
        for id in sequences.into_iter().chain([object]) {
            let mut access = self.access_of(id);
            let old = std::mem::replace(&mut access.owner, owner);
            for acl in access.lists_mut() {
                *acl = with_owner(acl, old, owner);
            }
            self.put_access(access);
        }
        Ok(())
    }

    fn must_be_there(&self, object: u64) -> Result<(), ErrorReport> {
        match self.object_kind(object) {
            Some(_) => Ok(()),
            None => Err(gone("object", &object.to_string())),
        }
    }

    fn put_access(&mut self, mut access: AccessDef) {
        access.columns.retain(|_, acl| !acl.is_empty());
        if access == AccessDef::initial(access.id) {
            self.access.remove(&access.id);
        } else {
            self.access.insert(access.id, access);
        }
    }

    /// An object is gone, and what was said about it.
    pub(super) fn forget(&mut self, object: u64) {
        self.comments.remove(&object);
        self.access.remove(&object);
        self.statistics.remove(&object);
        self.default_acls.retain(|_, default| default.schema != Some(object));
    }
}
