//! ALTER TABLE and ALTER VIEW: what is altered, and the actions that are not about columns.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, RowCheck,
    access::owner_id,
    alter_column, check,
    columns::Context,
    create_table::check_clauses,
    foreign_key, index, keys,
    missing::not_a_user_table,
    names::RelationNames,
    partition::{self, BoundValues},
    set_distributed,
};
use crate::{
    catalog::{
        Catalog, CatalogChange, Found, PG_TEMP, RelationKind, SequenceDef, TableDef, ViewDef,
        find_relation, is_system_schema, is_temporary_schema, relation_kind, rename_sequence,
        schemas_of,
    },
    parse::{AlterAction, AlterTable, CreateTable, Identifier, QualifiedName, TableElement},
};

/// The change that makes `before` to `after`.
pub(super) fn change(before: &TableDef, after: TableDef) -> CatalogChange {
    CatalogChange::AlterTable {
        before: Box::new(before.without_segments()),
        after: Box::new(after),
    }
}

pub(super) fn alter(
    alter: &AlterTable,
    catalog: &Catalog,
    search_path: &[String],
    values: BoundValues<'_>,
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new(if alter.is_view { "ALTER VIEW" } else { "ALTER TABLE" });
    let name = &alter.name;
    match find_relation(catalog, search_path, name) {
        Some(Found::Table(_)) if alter.is_view => {
            let message = format!("\"{}\" is not a view", name.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Some(Found::Table(table)) => {
            if let [AlterAction::Partition(action)] = alter.actions.as_slice() {
                partition::alter(&mut plan, action, table, (catalog, search_path), values)?;
                return Ok(plan);
            }
            if let [AlterAction::SetDistributed(set)] = alter.actions.as_slice() {
                set_distributed::alter(&mut plan, set, table)?;
                return Ok(plan);
            }
            let mut altered = Altered::new(table, catalog, search_path);
            for action in &alter.actions {
                altered.act(action)?;
            }
            altered.finish(&mut plan);
            set_owner(table.id, &alter.actions, catalog, &mut plan)?;
        }
        Some(Found::View(view)) => {
            let mut after = view.as_ref().clone();
            for action in &alter.actions {
                alter_view(&mut after, action, catalog)?;
            }
            if after != **view {
                plan.changes.push(CatalogChange::CreateView(after));
            }
            set_owner(view.id, &alter.actions, catalog, &mut plan)?;
        }
        None => {
            if let Some(error) = not_a_user_table(name, catalog, search_path)
                && error.sqlstate != SqlState::INVALID_SCHEMA_NAME
            {
                return Err(error);
            }
            let message = format!("relation \"{name}\" does not exist");
            if !alter.if_exists {
                return Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, message));
            }
            let message = format!("relation \"{}\" does not exist, skipping", name.name);
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
        }
    }
    Ok(plan)
}

fn set_owner(
    object: u64,
    actions: &[AlterAction],
    catalog: &Catalog,
    plan: &mut DdlPlan,
) -> Result<()> {
    for action in actions {
        if let AlterAction::Owner(owner) = action {
            let owner = owner_id(owner, catalog)?;
            plan.changes.push(CatalogChange::SetOwner { object, owner });
        }
    }
    Ok(())
}

fn alter_view(view: &mut ViewDef, action: &AlterAction, catalog: &Catalog) -> Result<()> {
    match action {
        AlterAction::Rename(name) => {
            view.name = free_name(catalog, &view.schema_name, &view.name, name)?;
        }
        AlterAction::SetSchema(schema) => {
            view.schema_name = new_schema(catalog, &view.schema_name, &view.name, schema)?;
        }
        // A change of its own.
        AlterAction::Owner(_) => {}
        AlterAction::RenameColumn { from, to } => {
            alter_column::rename(&mut view.columns, &view.name, from, to)?;
        }
        other => {
            let message = format!(
                "ALTER action {} cannot be performed on relation \"{}\"",
                action_name(other),
                view.name
            );
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
                .detail("This operation is not supported for views."));
        }
    }
    Ok(())
}

/// What has the name, for hints: `table`, `view`, `index`.
pub(super) fn kind_of(
    name: &QualifiedName,
    catalog: &Catalog,
    search_path: &[String],
) -> Option<&'static str> {
    let mut schemas = schemas_of(search_path, name.schema.as_ref()).iter();
    schemas.find_map(|s| relation_kind(catalog, s, &name.name)).map(|kind| match kind {
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::Index => "index",
        RelationKind::Sequence => "sequence",
    })
}

fn action_name(action: &AlterAction) -> &'static str {
    match action {
        AlterAction::Rename(_) => "RENAME",
        AlterAction::RenameColumn { .. } => "RENAME COLUMN",
        AlterAction::RenameConstraint { .. } => "RENAME CONSTRAINT",
        AlterAction::SetSchema(_) => "SET SCHEMA",
        AlterAction::Owner(_) => "OWNER TO",
        AlterAction::Add { elements, .. } => {
            let is_column = |element: &TableElement| matches!(element, TableElement::Column(_));
            if elements.elements.iter().any(is_column) { "ADD COLUMN" } else { "ADD CONSTRAINT" }
        }
        AlterAction::DropColumn { .. } => "DROP COLUMN",
        AlterAction::DropConstraint { .. } => "DROP CONSTRAINT",
        AlterAction::SetDefault { .. } => "ALTER COLUMN ... SET DEFAULT",
        AlterAction::SetNotNull { not_null: true, .. } => "ALTER COLUMN ... SET NOT NULL",
        AlterAction::SetNotNull { not_null: false, .. } => "ALTER COLUMN ... DROP NOT NULL",
        AlterAction::AddIdentity { .. } => "ALTER COLUMN ... ADD IDENTITY",
        AlterAction::AlterIdentity { .. } => "ALTER COLUMN ... SET",
        AlterAction::DropIdentity { .. } => "ALTER COLUMN ... DROP IDENTITY",
        AlterAction::SetType { .. } => "ALTER COLUMN ... SET DATA TYPE",
        AlterAction::SetStorage(_) => "SET",
        AlterAction::ResetStorage(_) => "RESET",
        AlterAction::ClusterOn(_) => "CLUSTER ON",
        AlterAction::Partition(_) => "PARTITION",
        AlterAction::SetDistributed(_) => "SET DISTRIBUTED BY",
    }
}

/// A new name in the same schema; 42P07 if it is taken.
pub(super) fn free_name(
    catalog: &Catalog,
    schema: &str,
    old: &str,
    new: &Identifier,
) -> Result<String> {
    if new.name != old {
        RelationNames::new(catalog, schema).take(&new.name)?;
        return Ok(new.name.clone());
    }
    Err(super::names::already_exists(&new.name))
}

/// The schema to move a relation to.
pub(super) fn new_schema(
    catalog: &Catalog,
    old: &str,
    name: &str,
    new: &Identifier,
) -> Result<String> {
    let schema = new.name.as_str();
    if schema == PG_TEMP || is_temporary_schema(schema) || is_temporary_schema(old) {
        let message = "cannot move objects into or out of temporary schemas";
        return Err(ErrorReport::unsupported(message));
    }
    if schema == old {
        return Ok(schema.into());
    }
    if !is_system_schema(schema) && !catalog.schemas.contains_key(schema) {
        let message = format!("schema \"{schema}\" does not exist");
        return Err(ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message));
    }
    if is_system_schema(schema) {
        let message = format!("permission denied for schema {schema}");
        return Err(ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    if relation_kind(catalog, schema, name).is_some() {
        let message = format!("relation \"{name}\" already exists in schema \"{schema}\"");
        return Err(ErrorReport::new(SqlState::DUPLICATE_TABLE, message));
    }
    Ok(schema.into())
}

/// A table on its way from one definition to the next.
pub(super) struct Altered<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) search_path: &'a [String],
    pub(super) before: &'a TableDef,
    /// What it becomes, without segments.
    pub(super) table: TableDef,
    pub(super) notices: Vec<ErrorReport>,
    pub(super) row_checks: Vec<RowCheck>,
    /// Views that go, and defaults of other tables, before the table changes.
    pub(super) dropped: Vec<CatalogChange>,
    /// New ones.
    pub(super) sequences: Vec<SequenceDef>,
    /// Of those that are there; after the table's.
    pub(super) of_sequences: Vec<CatalogChange>,
    next_oid: u64,
}

impl<'a> Altered<'a> {
    fn new(before: &'a TableDef, catalog: &'a Catalog, search_path: &'a [String]) -> Self {
        Self {
            catalog,
            search_path,
            before,
            table: before.without_segments(),
            notices: Vec::new(),
            row_checks: Vec::new(),
            dropped: Vec::new(),
            sequences: Vec::new(),
            of_sequences: Vec::new(),
            next_oid: catalog.next_oid,
        }
    }

    fn finish(self, plan: &mut DdlPlan) {
        plan.notices.extend(self.notices);
        plan.row_checks.extend(self.row_checks);
        plan.changes.extend(self.dropped);
        if self.table != self.before.without_segments() {
            plan.changes.push(change(self.before, self.table));
        }
        plan.changes.extend(self.sequences.into_iter().map(CatalogChange::CreateSequence));
        plan.changes.extend(self.of_sequences);
    }

    fn act(&mut self, action: &AlterAction) -> Result<()> {
        let schema = self.table.schema_name.clone();
        match action {
            AlterAction::Rename(name) => {
                self.table.name = free_name(self.catalog, &schema, &self.table.name, name)?;
                Ok(())
            }
            AlterAction::SetSchema(new) => self.set_schema(&schema, new),
            // A change of its own.
            AlterAction::Owner(_) => Ok(()),
            AlterAction::Partition(_) | AlterAction::SetDistributed(_) => {
                Err(ErrorReport::internal("an action that stands alone has others beside it"))
            }
            AlterAction::RenameColumn { from, to } => self.rename_column(from, to),
            AlterAction::RenameConstraint { from, to } => self.rename_constraint(from, to),
            AlterAction::Add { if_not_exists, elements } => self.add(elements, *if_not_exists),
            AlterAction::DropColumn { column, if_exists, cascade } => {
                self.drop_column(column, *if_exists, *cascade)
            }
            AlterAction::DropConstraint { name, if_exists } => {
                self.drop_constraint(name, *if_exists)
            }
            AlterAction::SetDefault { column, default } => {
                self.set_default(column, default.as_deref())
            }
            AlterAction::SetNotNull { column, not_null } => self.set_not_null(column, *not_null),
            AlterAction::AddIdentity { column, clause } => self.add_identity(column, clause),
            AlterAction::AlterIdentity { column, identity, options } => {
                self.alter_identity(column, *identity, options)
            }
            AlterAction::DropIdentity { column, if_exists } => {
                self.drop_identity(column, *if_exists)
            }
            AlterAction::SetStorage(parameters) => self.set_storage(parameters),
            AlterAction::ResetStorage(parameters) => self.reset_storage(parameters),
            AlterAction::ClusterOn(index) => self.cluster_on(index),
            AlterAction::SetType { column, data_type, position, has_using } => {
                self.set_type(column, data_type, *position, *has_using)
            }
        }
    }

    fn set_schema(&mut self, old: &str, new: &Identifier) -> Result<()> {
        let schema = new_schema(self.catalog, old, &self.table.name, new)?;
        if schema == old {
            return Ok(());
        }
        let keys = self.table.index_keys();
        let sequences = self.catalog.sequences.values();
        let owned = sequences
            .filter(|s| s.owned_by.is_some_and(|(owner, _)| owner == self.table.id))
            .map(|s| &s.name);
        let owned: Vec<_> = owned.collect();
        for name in keys.map(|key| &key.name).chain(owned.iter().copied()) {
            new_schema(self.catalog, old, name, new)?;
        }
        for name in owned {
            rename_sequence(&mut self.table.columns, (old, name), (&schema, name));
        }
        self.table.schema_name = schema;
        Ok(())
    }

    fn add(&mut self, clauses: &CreateTable, if_not_exists: bool) -> Result<()> {
        check_clauses(clauses, &mut self.notices)?;
        let catalog = self.catalog;
        let schema = self.before.schema_name.as_str();
        let name = self.table.name.clone();
        let mut names = RelationNames::new(catalog, schema);
        for element in &clauses.elements {
            let TableElement::Column(clause) = element else { continue };
            let mut context = Context {
                catalog,
                search_path: self.search_path,
                schema,
                table: &name,
                names: &mut names,
                notices: &mut self.notices,
            };
            let added = alter_column::added(clause, &self.table, if_not_exists, &mut context)?;
            let Some((column, sequences)) = added else { return Ok(()) };
            self.take_column(column);
            for sequence in sequences {
                let owned_by = self.table.columns.last().map(|c| (self.table.id, c.id));
                let id = self.take_oid();
                self.sequences.push(SequenceDef { id, owned_by, ..sequence });
            }
        }
        self.add_keys(clauses, &mut names)?;
        let first = self.next_oid;
        let mut next_oid = first;
        check::add(clauses, &[], &mut self.table, || {
            next_oid += 1;
            next_oid - 1
        })?;
        self.next_oid = next_oid;
        let table = self.table.id;
        let new = (first..next_oid).map(|check| RowCheck::Check { table, check });
        self.row_checks.extend(new);
        foreign_key::check(clauses, &self.table, catalog, self.search_path, &mut self.notices)
    }

    pub(super) fn take_oid(&mut self) -> u64 {
        self.next_oid += 1;
        self.next_oid - 1
    }

    fn add_keys(&mut self, clauses: &CreateTable, names: &mut RelationNames<'_>) -> Result<()> {
        let requests = keys::requests(clauses, &self.table.columns, Vec::new())?;
        for request in &requests {
            if request.is_primary && self.table.primary_key.is_some() {
                let message = format!(
                    "multiple primary keys for table \"{}\" are not allowed",
                    self.table.name
                );
                return Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            if let Some(name) = request.name.as_ref().filter(|n| check::is_taken(&self.table, n)) {
                return Err(super::names::already_exists(name));
            }
        }
        let table = self.table.id;
        let mut next_oid = self.next_oid;
        let (primary_key, unique_keys) =
            keys::make(requests, &self.table.name, &mut self.table.columns, names, || {
                next_oid += 1;
                next_oid - 1
            })?;
        self.next_oid = next_oid;
        for key in primary_key.iter().chain(&unique_keys) {
            index::check_distribution(key, &self.table)?;
            self.row_checks.push(RowCheck::Unique { table, key: key.id });
        }
        if let Some(key) = primary_key {
            let columns =
                key.columns.iter().map(|column| RowCheck::NotNull { table, column: *column });
            self.row_checks.splice(0..0, columns);
            self.table.primary_key = Some(key);
        }
        self.table.unique_keys.extend(unique_keys);
        Ok(())
    }

    fn drop_constraint(&mut self, name: &Identifier, if_exists: bool) -> Result<()> {
        let name = name.name.as_str();
        let table = &mut self.table;
        let count = |table: &TableDef| table.unique_keys.len() + table.checks.len();
        let had = count(table);
        table.unique_keys.retain(|key| key.name != name);
        table.checks.retain(|check| check.name != name);
        if table.primary_key.as_ref().is_some_and(|key| key.name == name) {
            table.primary_key = None;
            return Ok(());
        }
        if count(table) < had {
            return Ok(());
        }
        let message =
            format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name);
        if !if_exists {
            return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message));
        }
        let message = format!("{message}, skipping");
        self.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
        Ok(())
    }
}
