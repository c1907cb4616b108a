//! ALTER DEFAULT PRIVILEGES (`SetDefaultACL`, catalog/aclchk.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::DdlPlan,
    grant::{known, schema},
    named::{Identity, grantees, role_id},
};
use crate::{
    access::{Actor, must_be_member},
    catalog::{
        AclChange, AclItem, Catalog, CatalogChange, DefaultAclDef, ObjectKind, PUBLIC, Privileges,
        default_acl, grant, revoke,
    },
    parse::{DefaultKind, DefaultPrivileges, GrantAction, NamedPrivilege},
};

pub(super) fn alter(
    defaults: &DefaultPrivileges,
    catalog: &Catalog,
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    let (kind, word) = match defaults.kind {
        DefaultKind::Tables => (ObjectKind::Table, "relation"),
        DefaultKind::Sequences => (ObjectKind::Sequence, "sequence"),
        DefaultKind::Schemas => (ObjectKind::Schema, "schema"),
    };
    let error = |message| Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message));
    if kind == ObjectKind::Schema && !defaults.schemas.is_empty() {
        return error("cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS");
    }
    if defaults.privileges.iter().any(|privilege| !privilege.columns.is_empty()) {
        return error("default privileges cannot be set for columns");
    }
    let privileges = wanted(&defaults.privileges, kind, word)?;
    let grantees = grantees(&defaults.grantees, catalog, identity)?;
    let actor = Actor::new(catalog, identity.current);
    let mut roles = Vec::new();
    for name in &defaults.roles {
        let role = role_id(name, catalog, identity)?;
        if !actor.is_member_of(role) {
            return Err(must_be_member(catalog, role));
        }
        roles.push(role);
    }
    if roles.is_empty() {
        roles.push(identity.current);
    }
    let mut schemas = Vec::new();
    for name in &defaults.schemas {
        schemas.push(Some(schema(name, &actor)?));
    }
    if schemas.is_empty() {
        schemas.push(None);
    }
    let mut next_oid = catalog.next_oid;
    for role in roles {
        for schema in &schemas {
            let place = Place { role, schema: *schema, kind };
            let change = place.change(defaults.action, privileges, &grantees, catalog, next_oid)?;
            if let Some(CatalogChange::SetDefaultAcl(default)) = &change {
                next_oid = next_oid.max(default.id + 1);
            }
            plan.changes.extend(change);
        }
    }
    Ok(())
}

fn wanted(named: &[NamedPrivilege], kind: ObjectKind, word: &str) -> Result<Privileges> {
    if named.is_empty() {
        return Ok(kind.privileges());
    }
    named.iter().try_fold(Privileges::NONE, |all, privilege| {
        Ok(all.with(known(&privilege.name, kind.privileges(), word)?.into()))
    })
}

/// What an entry is about.
struct Place {
    role: u64,
    schema: Option<u64>,
    kind: ObjectKind,
}

impl Place {
    /// Without an entry: what the kind begins with, or nothing to add in a schema.
    fn nothing_said(&self) -> Vec<AclItem> {
        match self.schema {
            None => default_acl(self.kind, self.role),
            Some(_) => Vec::new(),
        }
    }

    fn change(
        &self,
        action: GrantAction,
        privileges: Privileges,
        grantees: &[u64],
        catalog: &Catalog,
        next_oid: u64,
    ) -> Result<Option<CatalogChange>> {
        let mut all = catalog.default_acls.values();
        let is_it =
            |d: &&DefaultAclDef| (d.role, d.schema, d.kind) == (self.role, self.schema, self.kind);
        let old = all.find(is_it);
        let mut acl = old.map_or_else(|| self.nothing_said(), |default| default.acl.clone());
        for grantee in grantees {
            let change = |of_option| AclChange {
                grantee: *grantee,
                grantor: self.role,
                privileges,
                of_option,
            };
            match action {
                GrantAction::Grant { with_option: true } if *grantee == PUBLIC => {
                    let message = "grant options can only be granted to roles";
                    return Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message));
                }
                GrantAction::Grant { with_option } => {
                    grant(&mut acl, &change(with_option), self.role)?;
                }
                GrantAction::Revoke { only_option, cascade } => {
                    revoke(&mut acl, &change(only_option), self.role, cascade)?;
                }
            }
        }
        if same(&acl, &self.nothing_said()) {
            return Ok(old.map(|old| CatalogChange::DropDefaultAcl(old.id)));
        }
        let id = old.map_or(next_oid, |old| old.id);
        let &Self { role, schema, kind } = self;
        Ok(Some(CatalogChange::SetDefaultAcl(DefaultAclDef { id, role, schema, kind, acl })))
    }
}

/// The same grants in any order.
fn same(one: &[AclItem], other: &[AclItem]) -> bool {
    one.len() == other.len() && one.iter().all(|item| other.contains(item))
}
