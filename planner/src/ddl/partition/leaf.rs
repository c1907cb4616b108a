//! A new partition: its table's columns, constraints, keys and distribution under a name of its own.

use kestrel_proto::Result;

use super::super::names::RelationNames;
use crate::catalog::{
    CheckDef, ColumnDef, IndexDef, KeyDef, PartitionBound, PartitionOf, TableDef,
};

/// What new partitions are made with.
pub(super) struct Maker<'a, 'b> {
    pub(super) parent: &'b TableDef,
    /// The partitions' schema.
    pub(super) schema: &'b str,
    pub(super) names: &'b mut RelationNames<'a>,
    pub(super) next_oid: &'b mut dyn FnMut() -> u64,
}

impl Maker<'_, '_> {
    /// A partition; 42P07 if its name is taken.
    pub(super) fn partition(&mut self, name: &str, bound: PartitionBound) -> Result<TableDef> {
        self.names.take(name)?;
        let parent = self.parent;
        let id = (self.next_oid)();
        let primary_key = parent.primary_key.as_ref().map(|key| self.key(name, key, "", "pkey"));
        let unique_keys = parent.unique_keys.iter();
        let unique_keys =
            unique_keys.map(|key| self.key(name, key, &column_names(parent, key), "key")).collect();
        let indexes = parent.indexes.iter().map(|index| IndexDef {
            key: self.key(name, &index.key, &column_names(parent, &index.key), "idx"),
            is_unique: index.is_unique,
        });
        let indexes = indexes.collect();
        let checks =
            parent.checks.iter().map(|check| CheckDef { id: (self.next_oid)(), ..check.clone() });
        let checks = checks.collect();
        Ok(TableDef {
            id,
            schema_name: self.schema.into(),
            name: name.into(),
            columns: parent.columns.iter().map(own_column).collect(),
            primary_key,
            unique_keys,
            indexes,
            checks,
            partitioned_by: None,
            partition_of: Some(PartitionOf { parent: parent.id, bound }),
            extended_statistics: Vec::new(),
            ..parent.without_segments()
        })
    }

    fn key(&mut self, table: &str, key: &KeyDef, columns: &str, label: &str) -> KeyDef {
        let name = self.names.choose(table, columns, label);
        KeyDef { name, id: (self.next_oid)(), columns: key.columns.clone() }
    }
}

/// A partition's column. As in PostgreSQL 15, rows that are written into a partition itself get no
/// value of an identity column.
pub(super) fn own_column(column: &ColumnDef) -> ColumnDef {
    let default = column.default.clone().filter(|_| column.identity.is_none());
    ColumnDef { default, identity: None, ..column.clone() }
}

/// The names of a key's columns, as names of indexes have them.
pub(super) fn column_names(table: &TableDef, key: &KeyDef) -> String {
    let columns = key.columns.iter().filter_map(|id| table.column_by_id(*id));
    columns.map(|column| column.name.as_str()).collect::<Vec<_>>().join("_")
}
