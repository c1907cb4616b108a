//! Whether a role may change the catalog so, and who owns what is new.

use std::collections::BTreeSet;

use kestrel_proto::Result;

use super::{
    Actor,
    denied::{denied, insufficient, must_be_member, must_be_owner},
};
use crate::{
    catalog::{
        Catalog, CatalogChange, DATABASE_OID, KeyDef, ObjectKind, Privilege, SequenceDef, TableDef,
        ViewDef, is_temporary_schema,
    },
    parse::DATABASE,
};

/// Checks the changes that a statement makes as this role. Those of roles and privileges are
/// checked where they are planned; rows that are added, by [`super::check_table`].
///
/// Errors: 42501.
pub fn check_changes(changes: &[CatalogChange], catalog: &Catalog, role: u64) -> Result<()> {
    let actor = Actor::new(catalog, role);
    if actor.is_superuser() {
        return Ok(());
    }
    let mut check = Check { actor, changes, created: BTreeSet::new() };
    changes.iter().try_for_each(|change| check.change(change))
}

struct Check<'a> {
    actor: Actor<'a>,
    changes: &'a [CatalogChange],
    /// Objects that these changes make: the role's own.
    created: BTreeSet<u64>,
}

impl Check<'_> {
    fn change(&mut self, change: &CatalogChange) -> Result<()> {
        let catalog = self.actor.catalog;
        match change {
            CatalogChange::CreateSchema(schema) if is_temporary_schema(&schema.name) => {
                self.created.insert(schema.id);
                must_have_temporary(&self.actor)
            }
            CatalogChange::CreateSchema(schema) => {
                self.created.insert(schema.id);
                self.actor.must_have(DATABASE_OID, ObjectKind::Database, Privilege::Create)
            }
            CatalogChange::DropSchema(name) => {
                let schema = catalog.schemas.get(name);
                schema.map_or(Ok(()), |schema| self.actor.must_own(schema.id))
            }
            CatalogChange::RenameSchema { from, .. } => {
                let schema = catalog.schemas.get(from);
                schema.map_or(Ok(()), |schema| self.actor.must_own(schema.id))?;
                self.actor.must_have(DATABASE_OID, ObjectKind::Database, Privilege::Create)
            }
            CatalogChange::CreateTable(table) => {
                self.created.insert(table.id);
                table.parent_id().map_or(Ok(()), |parent| self.must_own(parent))?;
                self.create_in(&table.schema_name)
            }
            CatalogChange::CreateSequence(sequence) => {
                self.created.insert(sequence.id);
                self.create_in(&sequence.schema_name)
            }
            CatalogChange::AlterSequence { before, after } => self.alter_sequence(before, after),
            CatalogChange::DropSequence(id) => self.drop_sequence(*id),
            CatalogChange::SetSequence { id, .. } => self.must_own(*id),
            CatalogChange::AlterTable { before, after } => self.alter_table(before, after),
            CatalogChange::CreateView(view) => self.create_view(view),
            CatalogChange::DropTable(id) | CatalogChange::DropView(id) => self.drop_relation(*id),
            CatalogChange::SetComment { object, .. } => self.comment(*object),
            CatalogChange::RemoveAllSegments { table } => {
                match self.created.contains(table) || self.is_emptied_with_its_table(*table) {
                    true => Ok(()),
                    false => self.actor.must_have(*table, ObjectKind::Table, Privilege::Truncate),
                }
            }
            CatalogChange::SetOwner { object, owner } => self.set_owner(*object, *owner),
            CatalogChange::AddSegments { .. }
            | CatalogChange::ReplaceVectors { .. }
            | CatalogChange::CountShardRows { .. }
            | CatalogChange::SetAccess { .. }
            | CatalogChange::SetDefaultAcl(_)
            | CatalogChange::DropDefaultAcl(_)
            | CatalogChange::SetRoleSettings(_)
            | CatalogChange::CreateRole(_)
            | CatalogChange::AlterRole(_)
            | CatalogChange::DropRole(_) => Ok(()),
            // The cluster's own: no statement makes them.
            CatalogChange::SetDatanodes { .. }
            | CatalogChange::ReplaceSegments { .. }
            | CatalogChange::RegisterDatanode { .. }
            | CatalogChange::SetShardRows { .. }
            | CatalogChange::SetStatistics(_)
            | CatalogChange::Decide(_)
            | CatalogChange::Forget(_) => Ok(()),
        }
    }

    /// Who may empty a table may empty its partitions along with it.
    fn is_emptied_with_its_table(&self, partition: u64) -> bool {
        let parent = self.actor.catalog.table_by_id(partition).and_then(|table| table.parent_id());
        let empties = |parent: u64| CatalogChange::RemoveAllSegments { table: parent };
        parent.is_some_and(|parent| self.changes.contains(&empties(parent)))
    }

    fn must_own(&self, object: u64) -> Result<()> {
        if self.created.contains(&object) { Ok(()) } else { self.actor.must_own(object) }
    }

    fn create_in(&self, schema: &str) -> Result<()> {
        self.may_create_in(&self.actor, schema)
    }

    fn may_create_in(&self, actor: &Actor<'_>, schema: &str) -> Result<()> {
        match actor.catalog.schemas.get(schema) {
            // Its own session's, whoever had it made: nobody else gets at it (`pg_namespace_aclmask`).
            Some(found) if is_temporary_schema(schema) => match may_have_temporary(actor) {
                true => Ok(()),
                false => Err(denied(actor.catalog, found.id)),
            },
            Some(schema) if !self.created.contains(&schema.id) => {
                actor.must_have(schema.id, ObjectKind::Schema, Privilege::Create)
            }
            _ => Ok(()),
        }
    }

    fn alter_table(&self, before: &TableDef, after: &TableDef) -> Result<()> {
        if self.only_loses_defaults(before, after) {
            return Ok(());
        }
        self.must_own(before.id)?;
        if before.partition_of != after.partition_of {
            let mut parents = [before, after].into_iter().filter_map(|table| table.parent_id());
            parents.try_for_each(|parent| self.must_own(parent))?;
        }
        let is_moved = before.schema_name != after.schema_name;
        // A new index needs a place, too, also that of a key, and so does a new name.
        let is_new = |key: &KeyDef| before.index_keys().all(|old| old.id != key.id);
        let needs_place = is_moved || before.name != after.name || after.index_keys().any(is_new);
        if needs_place { self.create_in(&after.schema_name) } else { Ok(()) }
    }

    /// Defaults go along with the sequences that they count with, and these with their tables and
    /// columns (CASCADE).
    fn only_loses_defaults(&self, before: &TableDef, after: &TableDef) -> bool {
        let goes = |change: &CatalogChange| match change {
            CatalogChange::DropSequence(_) | CatalogChange::DropTable(_) => true,
            CatalogChange::AlterTable { before, after } => {
                after.columns.len() < before.columns.len()
            }
            _ => false,
        };
        if !self.changes.iter().any(goes) {
            return false;
        }
        let mut whole = after.clone();
        for (column, old) in whole.columns.iter_mut().zip(&before.columns) {
            if column.default.is_none() {
                column.default.clone_from(&old.default);
            }
        }
        whole == *before
    }

    fn alter_sequence(&self, before: &SequenceDef, after: &SequenceDef) -> Result<()> {
        self.must_own(before.id)?;
        let needs_place = (&before.schema_name, &before.name) != (&after.schema_name, &after.name);
        if needs_place { self.create_in(&after.schema_name) } else { Ok(()) }
    }

    fn drop_sequence(&self, id: u64) -> Result<()> {
        let found = self.actor.catalog.sequence_by_id(id);
        match found.is_some_and(|sequence| self.owns_schema(&sequence.schema_name)) {
            true => Ok(()),
            false => self.must_own(id),
        }
    }

    fn owns_schema(&self, name: &str) -> bool {
        let schema = self.actor.catalog.schemas.get(name);
        schema.is_some_and(|schema| self.actor.owns(schema.id))
    }

    fn create_view(&mut self, view: &ViewDef) -> Result<()> {
        let Some(old) = self.actor.catalog.view_by_id(view.id) else {
            self.created.insert(view.id);
            return self.create_in(&view.schema_name);
        };
        self.must_own(view.id)?;
        // New names for columns need no place.
        let stays = (&old.schema_name, &old.name, &old.query)
            == (&view.schema_name, &view.name, &view.query);
        if stays { Ok(()) } else { self.create_in(&view.schema_name) }
    }

    /// A relation goes with its schema, or when a role says so that owns one of the two; or with
    /// what it reads (CASCADE).
    fn drop_relation(&self, id: u64) -> Result<()> {
        let catalog = self.actor.catalog;
        let view = catalog.view_by_id(id);
        let schema = match (catalog.table_by_id(id), view) {
            (Some(table), _) => &table.schema_name,
            (None, Some(view)) => &view.schema_name,
            (None, None) => return Ok(()),
        };
        let parent = catalog.table_by_id(id).and_then(|table| table.parent_id());
        let goes_along = self.changes.iter().any(|change| match change {
            CatalogChange::DropTable(other) if parent == Some(*other) => true,
            CatalogChange::DropTable(other) | CatalogChange::DropView(other) => {
                view.is_some_and(|view| view.uses(*other))
            }
            CatalogChange::AlterTable { before, .. } => {
                view.is_some_and(|view| view.uses(before.id))
            }
            _ => false,
        });
        if self.owns_schema(schema) || goes_along { Ok(()) } else { self.must_own(id) }
    }

    /// Of an index, its table's owner.
    fn comment(&self, object: u64) -> Result<()> {
        let catalog = self.actor.catalog;
        let mut tables = catalog.tables.values();
        let of_index = tables.find(|table| table.index_keys().any(|key| key.id == object));
        match of_index {
            Some(table) if self.actor.owns(table.id) => Ok(()),
            Some(table) => Err(must_be_owner(catalog, table.id)),
            None => self.must_own(object),
        }
    }

    /// The new owner must be one that the role could be, and could have made the object.
    fn set_owner(&self, object: u64, owner: u64) -> Result<()> {
        let catalog = self.actor.catalog;
        if self.created.contains(&object) {
            return match self.actor.is_member_of(owner) {
                true => Ok(()),
                false => Err(must_be_member(catalog, owner)),
            };
        }
        self.actor.must_own(object)?;
        if catalog.owner(object) == owner {
            return Ok(());
        }
        if !self.actor.is_member_of(owner) {
            return Err(must_be_member(catalog, owner));
        }
        let new = Actor::new(catalog, owner);
        match schema_of(catalog, object) {
            Some(schema) => self.may_create_in(&new, schema),
            // As in PostgreSQL: who gives a schema away must be able to make one.
            None => match self
                .actor
                .privileges(DATABASE_OID, ObjectKind::Database)
                .has(Privilege::Create)
            {
                true => Ok(()),
                false => Err(denied(catalog, DATABASE_OID)),
            },
        }
    }
}

fn schema_of(catalog: &Catalog, object: u64) -> Option<&str> {
    let table = catalog.table_by_id(object).map(|table| &table.schema_name);
    let view = || catalog.view_by_id(object).map(|view| &view.schema_name);
    let sequence = || catalog.sequence_by_id(object).map(|sequence| &sequence.schema_name);
    table.or_else(view).or_else(sequence).map(String::as_str)
}

/// The same changes, and for each new object who owns it: this role, with the privileges that it
/// has asked for by default.
pub fn with_owners(
    changes: Vec<CatalogChange>,
    catalog: &Catalog,
    role: u64,
) -> Vec<CatalogChange> {
    let mut all = Vec::with_capacity(changes.len());
    for change in changes {
        let schema = |name: &str| catalog.schemas.get(name).map(|schema| schema.id);
        let new = match &change {
            // The system's, whichever role of the session was the first to need it.
            CatalogChange::CreateSchema(schema) if is_temporary_schema(&schema.name) => None,
            CatalogChange::CreateSchema(schema) => Some((schema.id, ObjectKind::Schema, None)),
            CatalogChange::CreateTable(table) => {
                Some((table.id, ObjectKind::Table, schema(&table.schema_name)))
            }
            CatalogChange::CreateView(view) if catalog.view_by_id(view.id).is_none() => {
                Some((view.id, ObjectKind::Table, schema(&view.schema_name)))
            }
            CatalogChange::CreateSequence(sequence) => {
                Some((sequence.id, ObjectKind::Sequence, schema(&sequence.schema_name)))
            }
            _ => None,
        };
        let owner = match &change {
            CatalogChange::CreateSequence(sequence) => owner_of_sequence(sequence, catalog, role),
            _ => role,
        };
        all.push(change);
        let Some((id, kind, schema)) = new else { continue };
        let before = catalog.access_of(id);
        let after = catalog.access_of_new(id, owner, kind, schema);
        if before != after {
            let (before, after) = (Box::new(before), Box::new(after));
            all.push(CatalogChange::SetAccess { before, after });
        }
    }
    all
}

/// That of a column belongs to whom the table does.
fn owner_of_sequence(sequence: &SequenceDef, catalog: &Catalog, role: u64) -> u64 {
    let table = sequence.owned_by.map(|(table, _)| table);
    let table = table.filter(|table| catalog.table_by_id(*table).is_some());
    table.map_or(role, |table| catalog.owner(table))
}

fn may_have_temporary(actor: &Actor<'_>) -> bool {
    actor.privileges(DATABASE_OID, ObjectKind::Database).has(Privilege::Temporary)
}

fn must_have_temporary(actor: &Actor<'_>) -> Result<()> {
    if may_have_temporary(actor) {
        return Ok(());
    }
    let message =
        format!("permission denied to create temporary tables in database \"{DATABASE}\"");
    Err(insufficient(message))
}
