//! Every relation by OID and by name: tables, their indexes, views, sequences, and the system
//! relations.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, KeyDef, TableDef, ViewDef};

use super::definition::{DEFINITIONS, Definition};

/// Schemas that are in no catalog, with their OIDs: PostgreSQL's own, and ours.
pub(super) const SYSTEM_SCHEMAS: &[(i64, &str)] =
    &[(11, "pg_catalog"), (13207, "information_schema"), (15000, "kestrel"), (15020, "gp_toolkit")];

/// What a relation is.
#[derive(Clone, Debug)]
pub(super) enum RelationKind {
    Table(Arc<TableDef>),
    View(Arc<ViewDef>),
    /// An index of the table, also one that a PRIMARY KEY or UNIQUE constraint shows as.
    Index(Arc<TableDef>, KeyDef),
    Sequence,
    System(&'static Definition),
}

/// Something with a row in `pg_class`.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) oid: i64,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: RelationKind,
}

/// All relations of one catalog version.
#[derive(Debug)]
pub(super) struct Relations {
    by_oid: BTreeMap<i64, Relation>,
    by_name: HashMap<(String, String), i64>,
    /// The sequences that columns own, by table and column.
    owned: HashMap<(u64, u32), (String, String)>,
}

impl Relations {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let system = DEFINITIONS
            .iter()
            .map(|d| Relation::new(d.oid, d.schema, d.name, RelationKind::System(d)));
        let tables = catalog.tables.values().flat_map(|table| {
            let oid = table.id.cast_signed();
            let kind = RelationKind::Table(Arc::clone(table));
            let itself = Relation::new(oid, &table.schema_name, &table.name, kind);
            let indexes = indexes(table).map(|Index { key, .. }| {
                let kind = RelationKind::Index(Arc::clone(table), key.clone());
                Relation::new(key.id.cast_signed(), &table.schema_name, &key.name, kind)
            });
            std::iter::once(itself).chain(indexes)
        });
        let sequences = catalog.sequences.values().map(|s| {
            Relation::new(s.id.cast_signed(), &s.schema_name, &s.name, RelationKind::Sequence)
        });
        let views = catalog.views.values().map(|v| {
            let kind = RelationKind::View(Arc::clone(v));
            Relation::new(v.id.cast_signed(), &v.schema_name, &v.name, kind)
        });
        let by_oid: BTreeMap<_, _> =
            system.chain(tables).chain(views).chain(sequences).map(|r| (r.oid, r)).collect();
        let by_name =
            by_oid.values().map(|r| ((r.schema.clone(), r.name.clone()), r.oid)).collect();
        let owned = catalog.sequences.values().filter_map(|sequence| {
            let name = (sequence.schema_name.clone(), sequence.name.clone());
            Some((sequence.owned_by?, name))
        });
        Self { by_oid, by_name, owned: owned.collect() }
    }

    /// In the order of their OIDs.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Relation> {
        self.by_oid.values()
    }

    pub(super) fn get(&self, oid: i64) -> Option<&Relation> {
        self.by_oid.get(&oid)
    }

    pub(super) fn named(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.get(*self.by_name.get(&(schema.to_string(), name.to_string()))?)
    }

    /// Schema and name of the sequence that a column owns.
    pub(super) fn owned(&self, table: u64, column: u32) -> Option<&(String, String)> {
        self.owned.get(&(table, column))
    }

    /// What an unqualified name means: `pg_catalog` comes first unless the path names it.
    pub(super) fn find(&self, search_path: &[String], name: &str) -> Option<&Relation> {
        let implicit = (!search_path.iter().any(|s| s == "pg_catalog")).then_some("pg_catalog");
        let path = implicit.into_iter().chain(search_path.iter().map(String::as_str));
        path.filter_map(|schema| self.named(schema, name)).next()
    }

    /// Whether the relation's unqualified name means it.
    pub(super) fn is_visible(&self, search_path: &[String], relation: &Relation) -> bool {
        self.find(search_path, &relation.name).is_some_and(|r| r.oid == relation.oid)
    }
}

impl Relation {
    fn new(oid: i64, schema: &str, name: &str, kind: RelationKind) -> Self {
        Self { oid, schema: schema.into(), name: name.into(), kind }
    }

    /// Bytes on disk, on all datanodes.
    pub(super) fn bytes(&self) -> u64 {
        match &self.kind {
            RelationKind::Table(table) => table.stored_bytes(),
            _ => 0,
        }
    }
}

/// The keys of a table, the primary one first, and whether it is that.
pub(super) fn keys(table: &TableDef) -> impl Iterator<Item = (&KeyDef, bool)> {
    let primary = table.primary_key.iter().map(|k| (k, true));
    primary.chain(table.unique_keys.iter().map(|k| (k, false)))
}

/// An index of a table.
pub(super) struct Index<'a> {
    pub(super) key: &'a KeyDef,
    pub(super) is_primary: bool,
    pub(super) is_unique: bool,
}

/// The indexes of a table: those of its keys, and those of CREATE INDEX.
pub(super) fn indexes(table: &TableDef) -> impl Iterator<Item = Index<'_>> {
    let of_keys = keys(table).map(|(key, is_primary)| Index { key, is_primary, is_unique: true });
    let others = table.indexes.iter().map(|index| Index {
        key: &index.key,
        is_primary: false,
        is_unique: index.is_unique,
    });
    of_keys.chain(others)
}

/// All schemas: OID and name.
pub(super) fn schemas(catalog: &Catalog) -> impl Iterator<Item = (i64, &str)> {
    let own = catalog.schemas.values().map(|s| (s.id.cast_signed(), s.name.as_str()));
    SYSTEM_SCHEMAS.iter().copied().chain(own)
}

/// The OID of a schema.
pub(super) fn schema_oid(catalog: &Catalog, name: &str) -> Option<i64> {
    let system = SYSTEM_SCHEMAS.iter().find(|(_, n)| *n == name).map(|(oid, _)| *oid);
    system.or_else(|| catalog.schemas.get(name).map(|schema| schema.id.cast_signed()))
}

/// Rows of a table as users count them: those of a replicated table once.
pub(super) fn row_count(catalog: &Catalog, table: &TableDef) -> u64 {
    use kestrel_planner::catalog::Distribution;
    let on_each = catalog.datanode_ids().into_iter().map(|d| table.size_on(d).0);
    match table.distribution {
        Distribution::Replicated => on_each.max().unwrap_or(0),
        Distribution::Hash(_) | Distribution::Random => on_each.sum(),
    }
}
