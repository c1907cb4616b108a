//! Changes of single objects in a snapshot.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kestrel_proto::ErrorReport;

use super::{
    Catalog, DefaultAclDef, ReplacedVector, RewrittenSegment, RoleDef, RoleSettings, SchemaDef,
    Segment, TableDef, ViewDef,
    sequence_default::{counts_in, move_sequences},
    snapshot::{conflict, gone},
};

impl Catalog {
    /// The key of a new table, view or sequence; 40001 if the name was taken meanwhile.
    pub(super) fn free_name(
        &self,
        schema: &str,
        name: &str,
    ) -> Result<(String, String), ErrorReport> {
        let key = (schema.to_string(), name.to_string());
        let is_taken = self.tables.contains_key(&key)
            || self.views.contains_key(&key)
            || self.sequences.contains_key(&key);
        if is_taken {
            return Err(conflict(format!("relation \"{name}\" already exists")));
        }
        Ok(key)
    }

    pub(super) fn create_table(&mut self, table: &TableDef) -> Result<(), ErrorReport> {
        let key = self.free_name(&table.schema_name, &table.name)?;
        if self.table_by_id(table.id).is_some() || self.view_by_id(table.id).is_some() {
            return Err(conflict(format!("the OID {} was taken meanwhile", table.id)));
        }
        let checks = table.checks.iter().map(|check| check.id);
        let indexes = table.index_keys().map(|key| key.id);
        let statistics = table.extended_statistics.iter().map(|statistics| statistics.id);
        let own = checks.chain(indexes).chain(statistics);
        own.chain([table.id]).for_each(|id| self.take_oid(id));
        self.tables.insert(key, Arc::new(table.clone()));
        Ok(())
    }

    pub(super) fn drop_table(&mut self, id: u64) -> Result<(), ErrorReport> {
        let key = self.table_key(id)?;
        let Some(table) = self.tables.remove(&key) else { return Ok(()) };
        self.count_gone(&table);
        let of_table = |table: &u64| *table == id;
        let owned = |s: &super::SequenceDef| s.owned_by.is_some_and(|(table, _)| of_table(&table));
        let sequences: Vec<_> =
            self.sequences.values().filter(|s| owned(s)).map(|s| s.id).collect();
        self.sequences.retain(|_, s| !owned(s));
        for object in table.index_keys().map(|key| key.id).chain(sequences).chain([id]) {
            self.forget(object);
        }
        Ok(())
    }

    pub(super) fn alter_table(
        &mut self,
        before: &TableDef,
        after: &TableDef,
    ) -> Result<(), ErrorReport> {
        let key = self.table_key(after.id)?;
        let found = self.tables.get(&key).map(|table| table.without_segments());
        if found.as_ref() != Some(before) {
            return Err(conflict(format!("table \"{}\" was changed meanwhile", before.name)));
        }
        let Some(old) = self.tables.remove(&key) else { return Ok(()) };
        let new_key = self.free_name(&after.schema_name, &after.name)?;
        let (segments, shard_rows) = (old.segments.clone(), old.shard_rows.clone());
        let changed_rows = old.changed_rows;
        let table = TableDef { segments, shard_rows, changed_rows, ..after.clone() };
        self.keep_statistics(&old, &table);
        if table.parent_id().is_none() {
            self.count_gone(&old);
        }
        let checks = table.checks.iter().map(|check| check.id);
        let indexes = table.index_keys().map(|key| key.id);
        let statistics = table.extended_statistics.iter().map(|statistics| statistics.id);
        checks.chain(indexes).chain(statistics).for_each(|id| self.take_oid(id));
        let gone = old.index_keys().filter(|old| table.index_keys().all(|key| key.id != old.id));
        gone.for_each(|index| self.forget(index.id));
        self.follow(&table);
        self.tables.insert(new_key, Arc::new(table));
        Ok(())
    }

    /// What belongs to a table goes where the table goes: its sequences, and the comments on what
    /// it still has.
    fn follow(&mut self, table: &TableDef) {
        let sequences = std::mem::take(&mut self.sequences);
        let (mut moved, mut gone) = (Vec::new(), Vec::new());
        for (_, mut sequence) in sequences {
            match sequence.owned_by.filter(|(owner, _)| *owner == table.id) {
                Some((_, column)) if table.column_by_id(column).is_none() => {
                    gone.push(sequence.id);
                    continue;
                }
                Some(_) if sequence.schema_name != table.schema_name => {
                    let before = sequence.clone();
                    sequence.schema_name.clone_from(&table.schema_name);
                    moved.push((before, sequence.clone()));
                }
                Some(_) | None => {}
            }
            let key = (sequence.schema_name.clone(), sequence.name.clone());
            self.sequences.insert(key, sequence);
        }
        gone.into_iter().for_each(|id| self.forget(id));
        moved.iter().for_each(|(before, after)| self.rename_in_defaults(before, after));
        if let Some(comments) = self.comments.get_mut(&table.id) {
            comments.texts.retain(|id, _| *id == 0 || table.column_by_id(*id).is_some());
            if comments.texts.is_empty() {
                self.comments.remove(&table.id);
            }
        }
        if let Some(access) = self.access.get_mut(&table.id) {
            access.columns.retain(|id, _| table.column_by_id(*id).is_some());
        }
    }

    /// A segment without rows goes. 40001 if one is gone, or has another delete vector than the one
    /// that was grown.
    pub(super) fn replace_vectors(
        &mut self,
        id: u64,
        vectors: &[ReplacedVector],
    ) -> Result<(), ErrorReport> {
        let key = self.table_key(id)?;
        let Some(table) = self.tables.get_mut(&key) else { return Ok(()) };
        let table = Arc::make_mut(table);
        table.count_deleted(vectors);
        let mut new: HashMap<_, _> = vectors.iter().map(|v| ((v.datanode, v.segment), v)).collect();
        for segment in &mut table.segments {
            let Some(vector) = new.remove(&(segment.datanode, segment.id)) else { continue };
            if segment.vector_id() != vector.before {
                let message = format!("rows of table \"{}\" were changed meanwhile", table.name);
                return Err(conflict(message));
            }
            Arc::make_mut(segment).deletes = Some(vector.after.clone());
        }
        table.segments.retain(|segment| segment.live_rows() > 0);
        match new.is_empty() {
            true => Ok(()),
            false => {
                Err(conflict(format!("rows of table \"{}\" were removed meanwhile", table.name)))
            }
        }
    }

    /// The new segments stand where the first ones of the old stood: what is behind these keeps its
    /// place, so that the durable catalog has few rows to write. 40001 if one of the old is gone, or
    /// has other rows.
    pub(super) fn replace_segments(
        &mut self,
        id: u64,
        rewritten: &[RewrittenSegment],
        segments: &[Segment],
    ) -> Result<(), ErrorReport> {
        let key = self.table_key(id)?;
        let Some(table) = self.tables.get_mut(&key) else { return Ok(()) };
        let table = Arc::make_mut(table);
        let mut old: HashMap<_, _> =
            rewritten.iter().map(|r| ((r.datanode, r.segment), r.vector)).collect();
        let mut new = segments.iter().cloned().map(Arc::new);
        let mut left = Vec::with_capacity(table.segments.len());
        for segment in table.segments.drain(..) {
            match old.remove(&(segment.datanode, segment.id)) {
                None => left.push(segment),
                Some(vector) if vector == segment.vector_id() => left.extend(new.next()),
                Some(_) => {
                    let message =
                        format!("rows of table \"{}\" were changed meanwhile", table.name);
                    return Err(conflict(message));
                }
            }
        }
        left.extend(new);
        table.segments = left;
        match old.is_empty() {
            true => Ok(()),
            false => {
                Err(conflict(format!("rows of table \"{}\" were removed meanwhile", table.name)))
            }
        }
    }

    pub(super) fn create_schema(&mut self, schema: &SchemaDef) -> Result<(), ErrorReport> {
        if self.schemas.contains_key(&schema.name) {
            return Err(conflict(format!("schema \"{}\" already exists", schema.name)));
        }
        self.take_oid(schema.id);
        self.schemas.insert(schema.name.clone(), schema.clone());
        Ok(())
    }

    pub(super) fn drop_schema(&mut self, name: &str) -> Result<(), ErrorReport> {
        let schema = self.schemas.remove(name).ok_or_else(|| gone("schema", name))?;
        self.forget(schema.id);
        Ok(())
    }

    pub(super) fn drop_view(&mut self, id: u64) -> Result<(), ErrorReport> {
        let view = self.view_by_id(id).ok_or_else(|| gone("view", &id.to_string()))?;
        let key = (view.schema_name.clone(), view.name.clone());
        self.views.remove(&key);
        self.forget(id);
        Ok(())
    }

    pub(super) fn create_view(&mut self, view: &ViewDef) -> Result<(), ErrorReport> {
        if let Some(old) = self.view_by_id(view.id) {
            let key = (old.schema_name.clone(), old.name.clone());
            self.views.remove(&key);
        }
        let missing = view.relations.iter().find(|r| self.columns_by_id(r.named.id).is_none());
        if let Some(relation) = missing {
            return Err(gone("relation", &relation.named.name));
        }
        let key = self.free_name(&view.schema_name, &view.name)?;
        self.take_oid(view.id);
        self.views.insert(key, Arc::new(view.clone()));
        Ok(())
    }

    pub(super) fn create_role(&mut self, role: &RoleDef) -> Result<(), ErrorReport> {
        if self.roles.contains_key(&role.name) {
            return Err(conflict(format!("role \"{}\" already exists", role.name)));
        }
        self.take_oid(role.id);
        self.roles.insert(role.name.clone(), role.clone());
        Ok(())
    }

    pub(super) fn alter_role(&mut self, role: &RoleDef) -> Result<(), ErrorReport> {
        let name = self.role_name(role.id)?;
        self.roles.remove(&name);
        self.roles.insert(role.name.clone(), role.clone());
        Ok(())
    }

    /// Its memberships and settings go with it.
    pub(super) fn drop_role(&mut self, id: u64) -> Result<(), ErrorReport> {
        let name = self.role_name(id)?;
        self.roles.remove(&name);
        for role in self.roles.values_mut() {
            role.member_of.retain(|membership| membership.role != id);
        }
        self.role_settings.remove(&id);
        Ok(())
    }

    fn role_name(&self, id: u64) -> Result<String, ErrorReport> {
        let role = self.role_by_id(id);
        role.map(|role| role.name.clone()).ok_or_else(|| gone("role", &id.to_string()))
    }

    pub(super) fn set_role_settings(&mut self, settings: &RoleSettings) {
        if settings.everywhere.is_empty() && settings.in_database.is_empty() {
            self.role_settings.remove(&settings.id);
        } else {
            self.role_settings.insert(settings.id, settings.clone());
        }
    }

    pub(super) fn set_default_acl(&mut self, default: &DefaultAclDef) {
        self.take_oid(default.id);
        self.default_acls.insert(default.id, default.clone());
    }

    pub(super) fn rename_schema(&mut self, from: &str, to: &str) -> Result<(), ErrorReport> {
        if self.schemas.contains_key(to) {
            return Err(conflict(format!("schema \"{to}\" already exists")));
        }
        let mut schema = self.schemas.remove(from).ok_or_else(|| gone("schema", from))?;
        schema.name = to.into();
        self.schemas.insert(to.into(), schema);
        self.tables = renamed(std::mem::take(&mut self.tables), from, to, |table| {
            Arc::make_mut(table).schema_name = to.into();
        });
        // A table made LIKE one of these may count with its sequence.
        for table in self.tables.values_mut() {
            if table.columns.iter().any(|column| counts_in(column, from)) {
                move_sequences(Arc::make_mut(table), from, to);
            }
        }
        self.views = renamed(std::mem::take(&mut self.views), from, to, |view| {
            Arc::make_mut(view).schema_name = to.into();
        });
        self.sequences = renamed(std::mem::take(&mut self.sequences), from, to, |sequence| {
            sequence.schema_name = to.into();
        });
        Ok(())
    }
}

/// The objects by their new names.
fn renamed<T>(
    objects: BTreeMap<(String, String), T>,
    from: &str,
    to: &str,
    mut rename: impl FnMut(&mut T),
) -> BTreeMap<(String, String), T> {
    let moved = objects.into_iter().map(|((schema, name), mut object)| {
        if schema != from {
            return ((schema, name), object);
        }
        rename(&mut object);
        ((to.to_string(), name), object)
    });
    moved.collect()
}
