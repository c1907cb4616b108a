//! What is known of tables, as long as their catalog version is the newest.

use std::{collections::HashMap, sync::Arc};

use kestrel_planner::{
    advice::TableState,
    catalog::{Catalog, TableDef},
};
use parking_lot::Mutex;

/// Tables of which it is kept.
const KEPT: usize = 1000;

/// By table.
#[derive(Debug, Default)]
pub(super) struct TableStates {
    kept: Mutex<HashMap<u64, (u64, Arc<TableState>)>>,
}

impl TableStates {
    /// What a snapshot tells of a table.
    pub(super) fn of(&self, catalog: &Catalog, table: &Arc<TableDef>) -> Arc<TableState> {
        let mut kept = self.kept.lock();
        if let Some((version, state)) = kept.get_mut(&table.id) {
            // A transaction may have changed the table in a version of its own.
            if *version == catalog.version && Arc::ptr_eq(&state.table, table) {
                return Arc::clone(state);
            }
            // Where its rows would be by other keys is much to compute.
            if table.partitioned_by.is_none() && is_as(state, catalog, table) {
                *version = catalog.version;
                return Arc::clone(state);
            }
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let state = TableState::of(catalog, table);
        let state = Arc::new(match kept.get(&table.id) {
            Some((_, before)) => state.knowing(before),
            None => state,
        });
        kept.insert(table.id, (catalog.version, Arc::clone(&state)));
        state
    }
}

/// Others have changed since, and not this table.
fn is_as(state: &TableState, catalog: &Catalog, table: &Arc<TableDef>) -> bool {
    let statistics = catalog.statistics_of(table.id);
    let is_known = match (&state.statistics, statistics) {
        (Some(then), Some(now)) => Arc::ptr_eq(then, now),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    is_known
        && Arc::ptr_eq(&state.table, table)
        && Arc::ptr_eq(&state.bucket_map, &catalog.bucket_map)
}
