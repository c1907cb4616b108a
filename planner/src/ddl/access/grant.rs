//! GRANT and REVOKE on objects.

use std::collections::BTreeMap;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::DdlPlan,
    grantor::{Listed, Wish, check_granted_by},
    named::{Identity, find_role, grantees},
};
use crate::{
    access::{Actor, check_schema, insufficient},
    catalog::{
        AccessDef, COLUMN_PRIVILEGES, Catalog, CatalogChange, DATABASE_OID, Found, ObjectKind,
        PG_TEMP, Privilege, Privileges, find_relation, find_sequence, is_system_schema,
        is_temporary_schema,
    },
    parse::{DATABASE, Grant, GrantAction, GrantTarget, Identifier, NamedPrivilege, QualifiedName},
};

pub(super) fn grant(
    grant: &Grant,
    catalog: &Catalog,
    search_path: &[String],
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    let actor = Actor::new(catalog, identity.current);
    if let Some(grantor) = &grant.grantor {
        check_granted_by(find_role(grantor, catalog, identity)?, &actor)?;
    }
    let objects = objects(&grant.target, &actor, search_path)?;
    let grantees = grantees(&grant.grantees, catalog, identity)?;
    let word = match &grant.target {
        GrantTarget::Tables(_) | GrantTarget::AllTables(_) => "relation",
        GrantTarget::Sequences(_) | GrantTarget::AllSequences(_) => "sequence",
        GrantTarget::Schemas(_) => "schema",
        GrantTarget::Databases(_) => "database",
    };
    let is_table_word = word == "relation";
    let wanted = Wanted::of(&grant.privileges, word)?;
    let mut done: Vec<u64> = Vec::new();
    for (object, kind) in objects {
        if done.contains(&object) {
            continue;
        }
        done.push(object);
        let mut access = catalog.access_of(object);
        let before = access.clone();
        let work = Work { actor: &actor, object, kind, grant, grantees: &grantees };
        let privileges = wanted.for_kind(kind, &work.name(), is_table_word, &mut plan.notices)?;
        if let Some(privileges) = privileges {
            work.on_object(&mut access, privileges, wanted.is_all(), &mut plan.notices)?;
        }
        work.on_columns(&mut access, &wanted, &mut plan.notices)?;
        access.columns.retain(|_, acl| !acl.is_empty());
        if access != before {
            let (before, after) = (Box::new(before), Box::new(access));
            plan.changes.push(CatalogChange::SetAccess { before, after });
        }
    }
    Ok(())
}

/// What a statement wants: on whole objects, and on columns.
struct Wanted<'a> {
    /// `None`: ALL, unless there are only columns.
    whole: Option<Privileges>,
    columns: Vec<(&'a Identifier, Privileges)>,
}

impl<'a> Wanted<'a> {
    fn of(named: &'a [NamedPrivilege], word: &str) -> Result<Self> {
        if named.is_empty() {
            return Ok(Self { whole: None, columns: Vec::new() });
        }
        let (mut whole, mut columns) = (Privileges::NONE, Vec::new());
        for NamedPrivilege { name, columns: on } in named {
            if on.is_empty() {
                whole = whole.with(known(name, allowed(word), word)?.into());
                continue;
            }
            if word != "relation" {
                let message = "column privileges are only valid for relations";
                return Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message));
            }
            let privileges = match name.name.as_str() {
                "all" => COLUMN_PRIVILEGES,
                _ => known(name, COLUMN_PRIVILEGES, "column")?.into(),
            };
            columns.extend(on.iter().map(|column| (column, privileges)));
        }
        Ok(Self { whole: Some(whole), columns })
    }

    fn is_all(&self) -> bool {
        self.whole.is_none()
    }

    /// What is wanted of an object as a whole; `None`: nothing, but something of its columns.
    fn for_kind(
        &self,
        kind: ObjectKind,
        name: &str,
        is_table_word: bool,
        notices: &mut Vec<ErrorReport>,
    ) -> Result<Option<Privileges>> {
        let Some(whole) = self.whole else { return Ok(Some(kind.privileges())) };
        if whole.is_empty() {
            return Ok(None);
        }
        if is_table_word && kind == ObjectKind::Sequence && !kind.privileges().has_all(whole) {
            let message =
                format!("sequence {name} only supports USAGE, SELECT, and UPDATE privileges");
            notices.push(ErrorReport::warning(SqlState::INVALID_GRANT_OPERATION, message));
            return Ok(Some(whole.and(kind.privileges())));
        }
        if kind == ObjectKind::Table && !kind.privileges().has_all(whole) {
            return Err(invalid(Privilege::Usage, "table"));
        }
        Ok(Some(whole))
    }
}

/// What can be said of these objects. A sequence may be called a table.
fn allowed(word: &str) -> Privileges {
    match word {
        "relation" => ObjectKind::Table.privileges().with(ObjectKind::Sequence.privileges()),
        "sequence" => ObjectKind::Sequence.privileges(),
        "schema" => ObjectKind::Schema.privileges(),
        _ => ObjectKind::Database.privileges(),
    }
}

/// The privilege of this name, if the objects have it.
///
/// Errors: 42601, 0LP01.
pub(super) fn known(name: &Identifier, allowed: Privileges, word: &str) -> Result<Privilege> {
    // PostgreSQL has these for objects that Kestrel does not have.
    const OTHERS: [&str; 3] = ["execute", "set", "alter system"];
    let Some(privilege) = Privilege::parse(&name.name) else {
        if OTHERS.contains(&name.name.as_str()) {
            let upper = name.name.to_ascii_uppercase();
            let message = format!("invalid privilege type {upper} for {word}");
            return Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message));
        }
        let message = format!("unrecognized privilege type \"{}\"", name.name);
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
    };
    if allowed.has(privilege) { Ok(privilege) } else { Err(invalid(privilege, word)) }
}

fn invalid(privilege: Privilege, word: &str) -> ErrorReport {
    let message = format!("invalid privilege type {} for {word}", privilege.name());
    ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message)
}

/// One object of a statement.
struct Work<'a> {
    actor: &'a Actor<'a>,
    object: u64,
    kind: ObjectKind,
    grant: &'a Grant,
    grantees: &'a [u64],
}

impl Work<'_> {
    fn name(&self) -> String {
        let catalog = self.actor.catalog;
        let relation = || {
            let table = catalog.table_by_id(self.object).map(|table| &table.name);
            let view = catalog.view_by_id(self.object).map(|view| &view.name);
            let sequence = || catalog.sequence_by_id(self.object).map(|sequence| &sequence.name);
            table.or(view).or_else(sequence)
        };
        let schema = || catalog.schemas.values().find(|s| s.id == self.object).map(|s| &s.name);
        let name = relation().or_else(schema).map_or(DATABASE, String::as_str);
        format!("\"{name}\"")
    }

    fn wish(&self, privileges: Privileges, is_all: bool) -> Wish<'_> {
        Wish { action: self.grant.action, privileges, is_all, grantees: self.grantees }
    }

    fn on_object(
        &self,
        access: &mut AccessDef,
        privileges: Privileges,
        is_all: bool,
        notices: &mut Vec<ErrorReport>,
    ) -> Result<()> {
        let listed =
            Listed { object: self.object, name: self.name(), owner: access.owner, other: &[] };
        let mut acl = access.acl(self.kind);
        self.wish(privileges, is_all).fulfil(&mut acl, &listed, self.actor, notices)?;
        access.acl = Some(acl);
        // What is revoked of a table is revoked of its columns, too.
        let of_columns = privileges.and(COLUMN_PRIVILEGES);
        let is_revoke = matches!(self.grant.action, GrantAction::Revoke { .. });
        if is_revoke && self.kind == ObjectKind::Table && !of_columns.is_empty() {
            let columns: Vec<u32> = access.columns.keys().copied().collect();
            for column in columns {
                let mut silent = Vec::new();
                self.on_column(access, column, of_columns, true, &mut silent)?;
            }
        }
        Ok(())
    }

    fn on_columns(
        &self,
        access: &mut AccessDef,
        wanted: &Wanted<'_>,
        notices: &mut Vec<ErrorReport>,
    ) -> Result<()> {
        let columns = self.actor.catalog.columns_by_id(self.object).unwrap_or_default();
        let mut by_column: BTreeMap<u32, Privileges> = BTreeMap::new();
        for (name, privileges) in &wanted.columns {
            let Some(column) = columns.iter().find(|column| column.name == name.name) else {
                let (relation, name) = (self.name(), &name.name);
                let message = format!("column \"{name}\" of relation {relation} does not exist");
                return Err(ErrorReport::new(SqlState::UNDEFINED_COLUMN, message));
            };
            let all = by_column.entry(column.id).or_default();
            *all = all.with(*privileges);
        }
        for (column, privileges) in by_column {
            self.on_column(access, column, privileges, false, notices)?;
        }
        Ok(())
    }

    fn on_column(
        &self,
        access: &mut AccessDef,
        column: u32,
        privileges: Privileges,
        is_all: bool,
        notices: &mut Vec<ErrorReport>,
    ) -> Result<()> {
        let columns = self.actor.catalog.columns_by_id(self.object).unwrap_or_default();
        let name = columns.iter().find(|c| c.id == column).map_or("", |c| c.name.as_str());
        let of_table = access.acl(self.kind);
        let listed = Listed {
            object: self.object,
            name: format!("column \"{name}\" of relation {}", self.name()),
            owner: access.owner,
            other: &of_table,
        };
        let mut acl = access.columns.remove(&column).unwrap_or_default();
        self.wish(privileges, is_all).fulfil(&mut acl, &listed, self.actor, notices)?;
        access.columns.insert(column, acl);
        Ok(())
    }
}

/// The objects that a statement names.
fn objects(
    target: &GrantTarget,
    actor: &Actor<'_>,
    search_path: &[String],
) -> Result<Vec<(u64, ObjectKind)>> {
    let catalog = actor.catalog;
    match target {
        GrantTarget::Tables(names) => {
            names.iter().map(|name| relation(name, actor, search_path)).collect()
        }
        GrantTarget::Sequences(names) => {
            let found = names.iter().map(|name| match relation(name, actor, search_path)? {
                (id, ObjectKind::Sequence) => Ok((id, ObjectKind::Sequence)),
                _ => {
                    let message = format!("\"{}\" is not a sequence", name.name);
                    Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message))
                }
            });
            found.collect()
        }
        GrantTarget::Schemas(names) => {
            let found = names.iter().map(|name| Ok((schema(name, actor)?, ObjectKind::Schema)));
            found.collect()
        }
        GrantTarget::Databases(names) => {
            let found = names.iter().map(|name| match name.name == DATABASE {
                true => Ok((DATABASE_OID, ObjectKind::Database)),
                false => {
                    let message = format!("database \"{}\" does not exist", name.name);
                    Err(ErrorReport::new(SqlState::INVALID_CATALOG_NAME, message))
                }
            });
            found.collect()
        }
        GrantTarget::AllTables(schemas) => {
            check_all(schemas, actor)?;
            let is_in = |name: &str| schemas.iter().any(|schema| schema.name == name);
            let tables = catalog.tables.values().filter(|t| is_in(&t.schema_name)).map(|t| t.id);
            let views = catalog.views.values().filter(|v| is_in(&v.schema_name)).map(|v| v.id);
            Ok(tables.chain(views).map(|id| (id, ObjectKind::Table)).collect())
        }
        GrantTarget::AllSequences(schemas) => {
            check_all(schemas, actor)?;
            let is_in = |name: &str| schemas.iter().any(|schema| schema.name == name);
            let found = catalog.sequences.values().filter(|s| is_in(&s.schema_name));
            Ok(found.map(|s| (s.id, ObjectKind::Sequence)).collect())
        }
    }
}

fn check_all(schemas: &[Identifier], actor: &Actor<'_>) -> Result<()> {
    for name in schemas {
        schema(name, actor)?;
        check_schema(&name.name, actor.catalog, actor.role)?;
    }
    Ok(())
}

pub(super) fn schema(name: &Identifier, actor: &Actor<'_>) -> Result<u64> {
    if let Some(schema) = actor.catalog.schemas.get(&name.name) {
        return Ok(schema.id);
    }
    if is_system_schema(&name.name) {
        return Err(insufficient(format!("permission denied for schema {}", name.name)));
    }
    let message = format!("schema \"{}\" does not exist", name.name);
    Err(ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message))
}

fn relation(
    name: &QualifiedName,
    actor: &Actor<'_>,
    search_path: &[String],
) -> Result<(u64, ObjectKind)> {
    let catalog = actor.catalog;
    if let Some(schema) = &name.schema {
        check_schema(schema, catalog, actor.role)?;
        let is_temporary = is_temporary_schema(schema) || schema == PG_TEMP;
        if is_system_schema(schema) && !is_temporary {
            let message = format!("permission denied: \"{}\" is a system catalog", name.name);
            return Err(insufficient(message));
        }
    }
    match find_relation(catalog, search_path, name) {
        Some(Found::Table(table)) => return Ok((table.id, ObjectKind::Table)),
        Some(Found::View(view)) => return Ok((view.id, ObjectKind::Table)),
        None => {}
    }
    let sequence = find_sequence(catalog, search_path, name);
    let missing = || {
        let message = format!("relation \"{name}\" does not exist");
        ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
    };
    sequence.map(|sequence| (sequence.id, ObjectKind::Sequence)).ok_or_else(missing)
}
