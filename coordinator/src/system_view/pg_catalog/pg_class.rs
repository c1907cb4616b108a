//! `pg_class`: tables, views, indexes, sequences and system relations.

use kestrel_planner::{
    catalog::{Catalog, TableDef, is_temporary_schema},
    parse::CLUSTER_BY,
};

use super::{
    super::{
        SystemViewContext,
        privileges::{acl_text, owner},
        relation::{Relation, RelationKind, indexes, row_count, schema_oid},
        rows::{Rows, row},
    },
    fixed::{BTREE_OID, COLUMNAR_OID},
};

/// PostgreSQL's page: `relpages` counts such.
const PAGE_BYTES: u64 = 8192;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, relname, relnamespace, relowner, relam, relfilenode, relpages, reltuples, \
         relhasindex, relpersistence, relkind, relnatts, relchecks, relhasrules, \
         relhassubclass, relispopulated, relreplident, relispartition, relacl, reloptions, \
         relpartbound",
    );
    for relation in context.relations().iter() {
        let shape = Shape::of(&context.catalog, relation);
        rows.push(row![
            relation.oid,
            &relation.name,
            schema_oid(&context.catalog, &relation.schema).unwrap_or(0),
            owner(&context.catalog, relation),
            shape.access_method,
            if shape.is_stored { relation.oid } else { 0 },
            i32::try_from(relation.bytes().div_ceil(PAGE_BYTES)).unwrap_or(i32::MAX),
            shape.rows,
            shape.has_index,
            if is_temporary_schema(&relation.schema) { "t" } else { "p" },
            shape.kind,
            shape.columns,
            shape.checks,
            // A view is a rule that says what to select.
            matches!(relation.kind, RelationKind::View(_)),
            shape.kind == "p",
            true,
            shape.replica_identity,
            shape.bound.is_some(),
            acl(context, relation),
            options(relation),
            shape.bound,
        ]);
    }
    rows
}

/// NULL as long as nothing was granted.
fn acl(context: &SystemViewContext, relation: &Relation) -> Option<Vec<String>> {
    let access = context.catalog.access.get(&relation.oid.cast_unsigned())?;
    Some(acl_text(&context.catalog, access.acl.as_ref()?))
}

/// The storage parameters that say something here.
fn options(relation: &Relation) -> Option<Vec<String>> {
    let RelationKind::Table(table) = &relation.kind else { return None };
    table.cluster_by_list().map(|columns| vec![format!("{CLUSTER_BY}={columns}")])
}

/// What differs between kinds.
struct Shape {
    kind: &'static str,
    columns: usize,
    checks: usize,
    access_method: i64,
    is_stored: bool,
    has_index: bool,
    rows: f64,
    replica_identity: &'static str,
    /// Of a partition.
    bound: Option<String>,
}

impl Shape {
    fn of(catalog: &Catalog, relation: &Relation) -> Self {
        let rows = |table: &TableDef| row_count(catalog, table) as f64;
        let nothing = Self {
            kind: "",
            columns: 0,
            checks: 0,
            access_method: 0,
            is_stored: true,
            has_index: false,
            // Never counted.
            rows: -1.0,
            replica_identity: "n",
            bound: None,
        };
        match &relation.kind {
            RelationKind::Table(table) if table.partitioned_by.is_some() => Self {
                kind: "p",
                columns: table.columns.len(),
                checks: table.checks.len(),
                is_stored: false,
                has_index: indexes(table).next().is_some(),
                rows: match catalog.statistics_of(table.id) {
                    Some(_) => catalog.live_rows(table) as f64,
                    None => -1.0,
                },
                replica_identity: "d",
                bound: table.partition_of.as_ref().map(|of| of.bound.text()),
                ..nothing
            },
            RelationKind::Table(table) => Self {
                kind: "r",
                columns: table.columns.len(),
                checks: table.checks.len(),
                access_method: COLUMNAR_OID,
                has_index: indexes(table).next().is_some(),
                rows: rows(table),
                replica_identity: "d",
                bound: table.partition_of.as_ref().map(|of| of.bound.text()),
                ..nothing
            },
            RelationKind::View(view) => {
                Self { kind: "v", columns: view.columns.len(), is_stored: false, ..nothing }
            }
            RelationKind::Index(table, key) => Self {
                kind: if table.partitioned_by.is_some() { "I" } else { "i" },
                columns: key.columns.len(),
                access_method: BTREE_OID,
                rows: rows(table),
                ..nothing
            },
            RelationKind::Sequence => Self { kind: "S", columns: 3, rows: 1.0, ..nothing },
            RelationKind::System(definition) => Self {
                kind: definition.kind,
                columns: definition.columns.len(),
                is_stored: false,
                ..nothing
            },
        }
    }
}
