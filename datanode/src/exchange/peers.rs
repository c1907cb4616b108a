//! The other datanodes, as this one finds them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use kestrel_proto::{Datanode, DatanodeId, ErrorReport, Result, SqlState};
use parking_lot::RwLock;

/// Datanodes by id. Datanodes know each other, so each is added after it is made, and none is kept
/// alive by being known.
#[derive(Default)]
pub struct Peers {
    datanodes: RwLock<HashMap<DatanodeId, Weak<dyn Datanode>>>,
}

impl Peers {
    /// Adds a datanode, or puts a new one in its place.
    pub fn add(&self, datanode: &Arc<dyn Datanode>) {
        self.datanodes.write().insert(datanode.id(), Arc::downgrade(datanode));
    }

    /// The datanode of this id.
    ///
    /// # Errors
    /// 58K01 when it is not there, or no longer.
    pub fn get(&self, id: DatanodeId) -> Result<Arc<dyn Datanode>> {
        let found = self.datanodes.read().get(&id).and_then(Weak::upgrade);
        found.ok_or_else(|| {
            ErrorReport::new(SqlState::DATANODE_LOST, format!("datanode \"{id}\" is not there"))
                .on_datanode(id.name())
        })
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.datanodes.read().keys()).finish()
    }
}
