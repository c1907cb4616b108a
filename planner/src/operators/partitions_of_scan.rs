//! Which partitions a scan of a partitioned table reads.

use std::{collections::HashMap, sync::Arc};

use datafusion::{common::ScalarValue, physical_expr::PhysicalExpr};
use kestrel_proto::{DatanodeId, Result};

use super::ScanPartition;
use crate::{
    catalog::{PartitionBound, PartitionTree, TableDef},
    partition::pruned,
};

/// The partitions that conditions leave to a scan, of all levels those that have rows.
#[derive(Clone, Debug)]
pub struct PartitionsOfScan {
    tree: Arc<PartitionTree>,
    /// For each leaf whether it is read.
    are_read: Vec<bool>,
}

impl PartitionsOfScan {
    /// Those that can have rows which pass all conjuncts, over the columns of the tree's table.
    ///
    /// # Errors
    /// XX000: a bound of a partition is damaged.
    pub fn new(tree: &Arc<PartitionTree>, conjuncts: &[Arc<dyn PhysicalExpr>]) -> Result<Self> {
        Ok(Self { tree: Arc::clone(tree), are_read: pruned(tree, conjuncts)? })
    }

    /// The same under these conjuncts, those of before among them.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn narrowed(&self, conjuncts: &[Arc<dyn PhysicalExpr>]) -> Result<Self> {
        let mut narrowed = Self::new(&self.tree, conjuncts)?;
        for (now, before) in narrowed.are_read.iter_mut().zip(&self.are_read) {
            *now &= before;
        }
        Ok(narrowed)
    }

    /// The partitions that are read.
    pub fn read(&self) -> Vec<&Arc<TableDef>> {
        let leaves = self.tree.leaves().into_iter().zip(&self.are_read);
        leaves.filter(|(_, is_read)| **is_read).map(|(leaf, _)| leaf).collect()
    }

    /// How many are read, and of how many.
    pub fn counts(&self) -> (usize, usize) {
        (self.are_read.iter().filter(|is_read| **is_read).count(), self.are_read.len())
    }

    /// The partitioned table with the segments of the partitions that are read, as if they were its own.
    pub fn table(&self) -> TableDef {
        let segments = self.read().into_iter().flat_map(|leaf| &leaf.segments).cloned().collect();
        TableDef { segments, ..self.tree.table.as_ref().clone() }
    }

    /// Those of them that have segments on a datanode.
    pub fn on(&self, datanode: DatanodeId) -> Vec<ScanPartition> {
        let mut values = HashMap::new();
        self.list_values(&self.tree, &[], &mut values);
        let read = self.read().into_iter();
        let here = read.filter(|leaf| leaf.segments_on(datanode).next().is_some());
        let partition = |leaf: &Arc<TableDef>| ScanPartition {
            table_id: leaf.table_id(),
            values: values.remove(&leaf.id).unwrap_or_default(),
        };
        here.map(partition).collect()
    }

    /// Notes for each leaf what the lists of its bounds say, and of those above it.
    fn list_values(
        &self,
        tree: &PartitionTree,
        above: &[ListValues],
        of_leaves: &mut HashMap<u64, Vec<ListValues>>,
    ) {
        let Some(by) = &tree.table.partitioned_by else {
            of_leaves.insert(tree.table.id, above.to_vec());
            return;
        };
        let column = by.columns.first().and_then(|id| self.tree.table.column_index(*id));
        for below in &tree.partitions {
            let mut known = above.to_vec();
            known.extend(column.and_then(|column| Some((column, listed(&below.table)?))));
            self.list_values(below, &known, of_leaves);
        }
    }
}

/// A column and its values.
type ListValues = (usize, Vec<ScalarValue>);

/// The values of a partition of a list; `None`: it has another bound.
fn listed(partition: &TableDef) -> Option<Vec<ScalarValue>> {
    match &partition.partition_of.as_ref()?.bound {
        PartitionBound::List(values) => {
            let values = values.iter().flatten().map(|value| value.decoded().ok());
            values.collect()
        }
        PartitionBound::Range { .. } | PartitionBound::Hash { .. } | PartitionBound::Default => {
            None
        }
    }
}
