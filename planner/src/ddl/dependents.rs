//! What depends on what is dropped: views, and what a schema holds (PostgreSQL's
//! `reportDependentObjects`, catalog/dependency.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::{Catalog, CatalogChange, find_relation, find_sequence},
    parse::{QualifiedName, quote},
};

/// Something that is dropped, or depends on what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// Its OID.
    pub(super) id: u64,
    /// `table t`, `view s.v`, `schema s`
    pub(super) description: String,
}

impl Object {
    /// The table, view or sequence of this id, under its shortest name.
    pub(super) fn relation(catalog: &Catalog, search_path: &[String], id: u64) -> Option<Self> {
        let table = catalog.table_by_id(id).map(|t| ("table", &t.schema_name, &t.name));
        let view = || catalog.view_by_id(id).map(|v| ("view", &v.schema_name, &v.name));
        let sequence = || catalog.sequence_by_id(id).map(|s| ("sequence", &s.schema_name, &s.name));
        let (kind, schema, name) = table.or_else(view).or_else(sequence)?;
        let bare = QualifiedName { schema: None, name: name.clone(), position: None };
        let found = find_relation(catalog, search_path, &bare).map(|found| found.id());
        let found = found.or_else(|| find_sequence(catalog, search_path, &bare).map(|s| s.id));
        let description = match found == Some(id) {
            true => format!("{kind} {}", quote(name)),
            false => format!("{kind} {}.{}", quote(schema), quote(name)),
        };
        Some(Self { id, description })
    }

    /// The change that drops the table, view or sequence.
    pub(super) fn drop(&self, catalog: &Catalog) -> CatalogChange {
        if catalog.view_by_id(self.id).is_some() {
            CatalogChange::DropView(self.id)
        } else if catalog.sequence_by_id(self.id).is_some() {
            CatalogChange::DropSequence(self.id)
        } else {
            CatalogChange::DropTable(self.id)
        }
    }
}

/// An object, and one that it needs.
pub(super) struct Dependent {
    pub(super) object: Object,
    pub(super) on: Object,
}

/// The views that read the `dropped` relations, and those that read these, in PostgreSQL's order
/// (`findDependentObjects`): each before what reads it, older ones first.
pub(super) fn views(
    dropped: &[Object],
    catalog: &Catalog,
    search_path: &[String],
) -> Vec<Dependent> {
    let mut search = Search { dropped, catalog, search_path, found: Vec::new() };
    for object in dropped {
        search.readers_of(object);
    }
    search.found.reverse();
    search.found
}

struct Search<'a> {
    dropped: &'a [Object],
    catalog: &'a Catalog,
    search_path: &'a [String],
    /// Every view after those that read it.
    found: Vec<Dependent>,
}

impl Search<'_> {
    /// A view reads only what was there before it or replaced it without reading it: this ends.
    fn readers_of(&mut self, on: &Object) {
        let views = self.catalog.views.values();
        let mut readers: Vec<u64> = views.filter(|v| v.uses(on.id)).map(|v| v.id).collect();
        readers.sort_unstable();
        readers.reverse();
        for id in readers {
            if self.is_known(id) {
                continue;
            }
            let Some(object) = Object::relation(self.catalog, self.search_path, id) else {
                continue;
            };
            self.readers_of(&object);
            if !self.is_known(id) {
                self.found.push(Dependent { object, on: on.clone() });
            }
        }
    }

    fn is_known(&self, id: u64) -> bool {
        self.dropped.iter().any(|object| object.id == id)
            || self.found.iter().any(|dependent| dependent.object.id == id)
    }
}

/// Refuses to drop what others need (2BP01), or tells with a NOTICE that these go, too.
pub(super) fn settle(
    dropped: &[Object],
    dependents: &[Dependent],
    cascade: bool,
    notices: &mut Vec<ErrorReport>,
) -> Result<()> {
    if dependents.is_empty() {
        return Ok(());
    }
    if !cascade {
        let message = match dropped {
            [object] => {
                format!("cannot drop {} because other objects depend on it", object.description)
            }
            _ => "cannot drop desired object(s) because other objects depend on them".into(),
        };
        return Err(still_needed(message, dependents));
    }
    let message = match dependents {
        [one] => format!("drop cascades to {}", one.object.description),
        several => format!("drop cascades to {} other objects", several.len()),
    };
    let notice = ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message);
    notices.push(match dependents {
        [_] => notice,
        several => {
            let lines =
                several.iter().map(|d| format!("drop cascades to {}", d.object.description));
            notice.detail(lines.collect::<Vec<_>>().join("\n"))
        }
    });
    Ok(())
}

/// 2BP01 with a line for each dependent.
pub(super) fn still_needed(message: String, dependents: &[Dependent]) -> ErrorReport {
    let lines = dependents
        .iter()
        .map(|d| format!("{} depends on {}", d.object.description, d.on.description));
    ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(lines.collect::<Vec<_>>().join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
