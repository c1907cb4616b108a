//! Which partition takes a row, through all levels: level by level, all rows of a batch at once.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, NullArray, RecordBatch, UInt32Array},
    compute::take,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::level::{LevelRouter, malformed, shown};
use crate::{
    catalog::{Catalog, PartitionTree, TableDef},
    error::report,
};

/// Finds the leaves of rows that are written into a table: the partitioned one, or a partition.
#[derive(Debug)]
pub struct PartitionRouter {
    /// The table at the top of all first; each before what is below it.
    levels: Vec<Level>,
    /// The tables that have rows, all below the top.
    leaves: Vec<Arc<TableDef>>,
    /// The table that the rows are for.
    target: Arc<TableDef>,
    /// Of each leaf, whether it is below the target, or is it.
    are_targets: Vec<bool>,
}

/// One partitioned table of the tree.
#[derive(Debug)]
struct Level {
    router: LevelRouter,
    /// By the position of the partition.
    partitions: Vec<Below>,
    /// The target, or below it.
    is_target: bool,
}

#[derive(Clone, Copy, Debug)]
enum Below {
    Leaf(usize),
    Level(usize),
}

/// Where a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Leaf(usize),
    /// No partition of this level takes it.
    Lost(usize),
}

impl PartitionRouter {
    /// For rows that are written into `table`; `None`: it is not partitioned, and no partition.
    ///
    /// # Errors
    /// XX000: a bound is none of its table.
    pub fn of(table: &Arc<TableDef>, catalog: &Catalog) -> Result<Option<Self>> {
        if table.partitioned_by.is_none() && table.partition_of.is_none() {
            return Ok(None);
        }
        let root = catalog.partition_root(table.id).ok_or_else(malformed)?;
        let mut router = Self {
            levels: Vec::new(),
            leaves: Vec::new(),
            target: Arc::clone(table),
            are_targets: Vec::new(),
        };
        router.add(&PartitionTree::of(root, catalog), root.id == table.id)?;
        Ok(Some(router))
    }

    fn add(&mut self, tree: &PartitionTree, is_target: bool) -> Result<Below> {
        if tree.table.partitioned_by.is_none() {
            self.leaves.push(Arc::clone(&tree.table));
            self.are_targets.push(is_target);
            return Ok(Below::Leaf(self.leaves.len() - 1));
        }
        let router = LevelRouter::new(&tree.table, &tree.next_level())?;
        let at = self.levels.len();
        self.levels.push(Level { router, partitions: Vec::new(), is_target });
        for below in &tree.partitions {
            let is_target = is_target || below.table.id == self.target.id;
            let below = self.add(below, is_target)?;
            self.levels[at].partitions.push(below);
        }
        Ok(Below::Level(at))
    }

    /// The tables that have rows, in the order of their positions.
    pub fn leaves(&self) -> &[Arc<TableDef>] {
        &self.leaves
    }

    /// If the rows are for a table that has them itself: its position among the leaves.
    pub fn only(&self) -> Option<usize> {
        self.leaves.iter().position(|leaf| leaf.id == self.target.id)
    }

    /// The leaves of all rows of a batch of all the table's columns; or the first row that the table does
    /// not take, and what is wrong with it (23514).
    ///
    /// # Errors
    /// XX000 for columns of other types.
    pub fn route(
        &self,
        batch: &RecordBatch,
    ) -> Result<std::result::Result<Vec<usize>, (usize, ErrorReport)>> {
        let mut leaves = Vec::with_capacity(batch.num_rows());
        for (row, route) in self.routes(batch.columns())?.into_iter().enumerate() {
            match route {
                Route::Leaf(leaf) if self.are_targets[leaf] => leaves.push(leaf),
                Route::Lost(level) if self.levels[level].is_target => {
                    let error = self.levels[level].router.not_found(batch, row);
                    return Ok(Err((row, error.in_schema(&self.target.schema_name))));
                }
                Route::Leaf(_) | Route::Lost(_) => {
                    return Ok(Err((row, self.not_of_target(batch, row))));
                }
            }
        }
        Ok(Ok(leaves))
    }

    /// The positions of the columns of all levels' partition keys, each once, in ascending order.
    pub fn key_columns(&self) -> Vec<usize> {
        let positions = self.levels.iter().flat_map(|level| level.router.key_positions());
        positions.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether the table takes all rows; see [`Self::takes`].
    ///
    /// # Errors
    /// XX000 for columns of other types.
    pub fn takes_all(&self, key: &[ArrayRef]) -> Result<bool> {
        Ok(self.takes(key)?.into_iter().all(|is_taken| is_taken))
    }

    /// Of each row, whether the table takes it. `key`: the columns that [`Self::key_columns`] names.
    ///
    /// # Errors
    /// XX000 for columns of other types.
    pub fn takes(&self, key: &[ArrayRef]) -> Result<Vec<bool>> {
        let positions = self.key_columns();
        let rows = key.first().map_or(0, |column| column.len());
        let width = positions.last().map_or(0, |last| last + 1);
        let no_key: ArrayRef = Arc::new(NullArray::new(rows));
        let mut columns: Vec<_> = std::iter::repeat_n(no_key, width).collect();
        for (position, column) in positions.into_iter().zip(key) {
            columns[position] = Arc::clone(column);
        }
        let takes = |route: Route| match route {
            Route::Leaf(leaf) => self.are_targets[leaf],
            Route::Lost(level) => self.levels[level].is_target,
        };
        Ok(self.routes(&columns)?.into_iter().map(takes).collect())
    }

    fn routes(&self, columns: &[ArrayRef]) -> Result<Vec<Route>> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut routes = vec![Route::Lost(0); rows];
        // What each level has to tell apart: those above it have said before it is its turn.
        let mut waiting: Vec<Vec<u32>> = vec![Vec::new(); self.levels.len()];
        if let Some(top) = waiting.first_mut() {
            *top = (0..rows as u32).collect();
        }
        for (at, level) in self.levels.iter().enumerate() {
            let mine = std::mem::take(&mut waiting[at]);
            if mine.is_empty() {
                continue;
            }
            let key = level.router.key_of(columns)?;
            let key = if mine.len() == rows { key } else { taken(&key, &mine)? };
            for (row, partition) in mine.into_iter().zip(level.router.route_key(&key)?) {
                match partition.and_then(|partition| level.partitions.get(partition)) {
                    Some(Below::Leaf(leaf)) => routes[row as usize] = Route::Leaf(*leaf),
                    Some(Below::Level(below)) => waiting[*below].push(row),
                    None => routes[row as usize] = Route::Lost(at),
                }
            }
        }
        Ok(routes)
    }

    fn not_of_target(&self, batch: &RecordBatch, row: usize) -> ErrorReport {
        let name = &self.target.name;
        let message = format!("new row for relation \"{name}\" violates partition constraint");
        let values: Vec<_> = batch.columns().iter().map(|column| shown(column, row)).collect();
        ErrorReport::new(SqlState::CHECK_VIOLATION, message)
            .detail(format!("Failing row contains ({}).", values.join(", ")))
            .in_schema(&self.target.schema_name)
    }
}

fn taken(columns: &[ArrayRef], rows: &[u32]) -> Result<Vec<ArrayRef>> {
    let rows = UInt32Array::from(rows.to_vec());
    let column = |column: &ArrayRef| take(column, &rows, None).map_err(|e| report(e.into()));
    columns.iter().map(column).collect()
}
