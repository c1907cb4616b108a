//! What the session's role may see of objects, and how their privileges are shown.

use std::collections::BTreeMap;

use kestrel_planner::{
    access::Actor,
    catalog::{AclItem, COLUMN_PRIVILEGES, Catalog, ObjectKind, PUBLIC, Privilege, Privileges},
};

use super::{
    OWNER_OID, SystemViewContext,
    relation::{Relation, RelationKind},
};

/// System relations that only superusers read: they show what passwords are checked against.
pub(super) const ONLY_FOR_SUPERUSERS: [&str; 2] = ["pg_authid", "pg_shadow"];

/// An OID that no role has.
const NOBODY: u64 = u64::MAX;

impl SystemViewContext {
    /// The role that the statement runs as.
    pub(super) fn actor(&self) -> Actor<'_> {
        let role = self.catalog.roles.get(&self.session.user);
        Actor::new(&self.catalog, role.map_or(NOBODY, |role| role.id))
    }

    /// The name of an object's owner.
    pub(super) fn owner_name(&self, object: u64) -> String {
        role_name(&self.catalog, self.catalog.owner(object))
    }
}

/// The name of a role, or its OID if it is gone.
pub(super) fn role_name(catalog: &Catalog, role: u64) -> String {
    catalog.role_by_id(role).map_or_else(|| role.to_string(), |role| role.name.clone())
}

/// The kind of a relation's privileges; `None`: it has none of its own.
pub(super) fn kind(relation: &Relation) -> Option<ObjectKind> {
    match relation.kind {
        RelationKind::Table(_) | RelationKind::View(_) => Some(ObjectKind::Table),
        RelationKind::Sequence => Some(ObjectKind::Sequence),
        RelationKind::Index(..) | RelationKind::System(_) => None,
    }
}

/// The OID of a relation's owner.
pub(super) fn owner(catalog: &Catalog, relation: &Relation) -> i64 {
    let object = match &relation.kind {
        RelationKind::Index(table, _) => table.id,
        RelationKind::System(_) => return OWNER_OID,
        RelationKind::Table(_) | RelationKind::View(_) | RelationKind::Sequence => {
            relation.oid.cast_unsigned()
        }
    };
    catalog.owner(object).cast_signed()
}

/// What a role may do with a relation as a whole, and what of that it may grant.
pub(super) fn held(actor: &Actor<'_>, relation: &Relation) -> (Privileges, Privileges) {
    let object = relation.oid.cast_unsigned();
    if let Some(kind) = kind(relation) {
        return (actor.privileges(object, kind), actor.grantable(object, kind));
    }
    let all = ObjectKind::Table.privileges();
    match &relation.kind {
        RelationKind::System(definition) if !actor.is_superuser() => {
            let is_hidden = ONLY_FOR_SUPERUSERS.contains(&definition.name);
            let read = if is_hidden { Privileges::NONE } else { Privilege::Select.into() };
            (read, Privileges::NONE)
        }
        RelationKind::Index(table, _) if !actor.owns(table.id) => {
            (Privileges::NONE, Privileges::NONE)
        }
        _ => (all, all),
    }
}

/// Does the role own the relation, or may it do something with it or one of its columns? That is
/// what information_schema shows.
pub(super) fn shows(actor: &Actor<'_>, relation: &Relation) -> bool {
    let (held, _) = held(actor, relation);
    owns(actor, relation) || !held.is_empty() || holds_any_column(actor, relation)
}

pub(super) fn owns(actor: &Actor<'_>, relation: &Relation) -> bool {
    actor.acts_as(owner(actor.catalog, relation).cast_unsigned())
}

fn holds_any_column(actor: &Actor<'_>, relation: &Relation) -> bool {
    let object = relation.oid.cast_unsigned();
    let columns = actor.catalog.access.get(&object).map(|access| access.columns.keys());
    let mut columns = columns.into_iter().flatten();
    columns.any(|column| !actor.column_privileges(object, *column).is_empty())
}

/// Does information_schema show a column of a relation that it shows?
pub(super) fn shows_column(actor: &Actor<'_>, relation: &Relation, column: i64) -> bool {
    let (held, _) = held(actor, relation);
    let of_column = || {
        let column = u32::try_from(column).unwrap_or(0);
        !actor.column_privileges(relation.oid.cast_unsigned(), column).is_empty()
    };
    owns(actor, relation) || !held.and(COLUMN_PRIVILEGES).is_empty() || of_column()
}

/// A list of grants as PostgreSQL prints aclitems: `ann=r*w/bob`.
pub(super) fn acl_text(catalog: &Catalog, acl: &[AclItem]) -> Vec<String> {
    acl.iter().map(|item| item_text(catalog, item)).collect()
}

pub(super) fn item_text(catalog: &Catalog, item: &AclItem) -> String {
    let grantee = match item.grantee {
        PUBLIC => String::new(),
        role => quoted(&role_name(catalog, role)),
    };
    let letters = item.privileges.iter().map(|privilege| {
        let star = if item.grantable.has(privilege) { "*" } else { "" };
        format!("{}{star}", privilege.letter())
    });
    let grantor = quoted(&role_name(catalog, item.grantor));
    format!("{grantee}={}/{grantor}", letters.collect::<String>())
}

/// PostgreSQL's `putid` (utils/adt/acl.c).
fn quoted(name: &str) -> String {
    match name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => name.into(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// One privilege that one role has granted to another, or to everybody.
pub(super) struct Granted {
    pub(super) grantor: u64,
    pub(super) grantee: u64,
    pub(super) privilege: Privilege,
    pub(super) is_grantable: bool,
}

/// Every single privilege of a list. The owner may grant all; so may who has its privileges.
pub(super) fn single(catalog: &Catalog, acl: &[AclItem], owner: u64) -> Vec<Granted> {
    let mut found: BTreeMap<(u64, u64, Privilege), bool> = BTreeMap::new();
    for item in acl {
        let is_owner = item.grantee != PUBLIC && catalog.inherited(item.grantee).contains(&owner);
        let is_owner = is_owner || catalog.is_superuser(item.grantee);
        for privilege in item.privileges.iter() {
            let is_grantable = is_owner || item.grantable.has(privilege);
            *found.entry((item.grantor, item.grantee, privilege)).or_default() |= is_grantable;
        }
    }
    let granted = |((grantor, grantee, privilege), is_grantable)| Granted {
        grantor,
        grantee,
        privilege,
        is_grantable,
    };
    found.into_iter().map(granted).collect()
}

/// As information_schema names a grantee.
pub(super) fn grantee_name(catalog: &Catalog, grantee: u64) -> String {
    if grantee == PUBLIC { "PUBLIC".into() } else { role_name(catalog, grantee) }
}
