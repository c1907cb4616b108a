//! What is above and below a table among partitions, of all levels.

use std::{collections::HashMap, sync::Arc};

use super::{Catalog, TableDef};

/// A table with its partitions, and those of these: what has rows stands at the ends.
#[derive(Clone, Debug)]
pub struct PartitionTree {
    /// The table.
    pub table: Arc<TableDef>,
    /// Of a partitioned table, older ones first.
    pub partitions: Vec<Self>,
}

impl PartitionTree {
    /// All that is below a table.
    pub fn of(table: &Arc<TableDef>, catalog: &Catalog) -> Self {
        if table.partitioned_by.is_none() {
            return Self { table: Arc::clone(table), partitions: Vec::new() };
        }
        let mut of_parent: HashMap<u64, Vec<&Arc<TableDef>>> = HashMap::new();
        for partition in catalog.tables.values() {
            if let Some(parent) = partition.parent_id() {
                of_parent.entry(parent).or_default().push(partition);
            }
        }
        Self::grown(table, &of_parent)
    }

    fn grown(table: &Arc<TableDef>, of_parent: &HashMap<u64, Vec<&Arc<TableDef>>>) -> Self {
        let mut partitions = of_parent.get(&table.id).cloned().unwrap_or_default();
        partitions.sort_unstable_by_key(|partition| partition.id);
        let grown = |partition: &&Arc<TableDef>| Self::grown(partition, of_parent);
        Self { table: Arc::clone(table), partitions: partitions.iter().map(grown).collect() }
    }

    /// The partitions one level below.
    pub fn next_level(&self) -> Vec<Arc<TableDef>> {
        self.partitions.iter().map(|below| Arc::clone(&below.table)).collect()
    }

    /// What has the rows: the table itself, if it is not partitioned; else the *leaves*, each level in
    /// its order.
    pub fn leaves(&self) -> Vec<&Arc<TableDef>> {
        let mut leaves = Vec::new();
        self.visit(&mut |table| {
            if table.partitioned_by.is_none() {
                leaves.push(table);
            }
        });
        leaves
    }

    /// The table and all that is below it; each before what is below it.
    pub fn tables(&self) -> Vec<&Arc<TableDef>> {
        let mut tables = Vec::new();
        self.visit(&mut |table| tables.push(table));
        tables
    }

    fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Arc<TableDef>)) {
        f(&self.table);
        for below in &self.partitions {
            below.visit(f);
        }
    }
}

impl Catalog {
    /// The partitions of a table, older ones first: one level.
    pub fn partitions_of(&self, parent: u64) -> Vec<&Arc<TableDef>> {
        let is_of = |table: &&Arc<TableDef>| table.parent_id() == Some(parent);
        let mut partitions: Vec<_> = self.tables.values().filter(is_of).collect();
        partitions.sort_unstable_by_key(|table| table.id);
        partitions
    }

    /// The tables that have a partitioned table's rows.
    pub fn leaves_of(&self, table: &Arc<TableDef>) -> Vec<Arc<TableDef>> {
        PartitionTree::of(table, self).leaves().into_iter().cloned().collect()
    }

    /// All partitions of a table, and of these: each before what is below it. None of a table that is
    /// not partitioned, or not there.
    pub fn partitions_below(&self, id: u64) -> Vec<Arc<TableDef>> {
        let Some(table) = self.table_by_id(id) else { return Vec::new() };
        PartitionTree::of(table, self).tables().into_iter().skip(1).cloned().collect()
    }

    /// A table's partition for the rows that no other takes.
    pub fn default_partition(&self, parent: u64) -> Option<&Arc<TableDef>> {
        let is_it = |table: &&Arc<TableDef>| {
            table.parent_id() == Some(parent) && table.is_default_partition()
        };
        self.tables.values().find(is_it)
    }

    /// A table, that which it is a partition of, and so on up to the one that is no partition.
    pub fn partition_ancestors(&self, id: u64) -> Vec<&Arc<TableDef>> {
        let parent = |table: &&Arc<TableDef>| self.table_by_id(table.parent_id()?);
        std::iter::successors(self.table_by_id(id), parent).collect()
    }

    /// The table of which it has rows at last: itself, if it is no partition.
    pub fn partition_root(&self, id: u64) -> Option<&Arc<TableDef>> {
        self.partition_ancestors(id).last().copied()
    }
}
