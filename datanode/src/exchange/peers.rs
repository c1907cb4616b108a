//! The other datanodes, as this one finds them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use kestrel_proto::{
    Datanode, DatanodeId, ErrorReport, Result,
    message::Peer,
    rpc::{Caller, RemoteDatanode},
};
use parking_lot::RwLock;

/// Datanodes by id: in this process, or at the addresses that fragments bring.
#[derive(Default)]
pub struct Peers {
    /// Datanodes of one process know each other, so each is added after it is made, and none is
    /// kept alive by being known.
    here: RwLock<HashMap<DatanodeId, Weak<dyn Datanode>>>,
    elsewhere: RwLock<HashMap<DatanodeId, Arc<RemoteDatanode>>>,
    /// How to call those elsewhere; `None`: all are here.
    caller: Option<Caller>,
}

impl Peers {
    /// Datanodes of which others are in other processes.
    pub fn across_processes(caller: Caller) -> Self {
        Self { caller: Some(caller), ..Self::default() }
    }

    /// Adds a datanode of this process, or puts a new one in its place.
    pub fn add(&self, datanode: &Arc<dyn Datanode>) {
        self.here.write().insert(datanode.id(), Arc::downgrade(datanode));
    }

    /// Takes note of where others are.
    ///
    /// # Errors
    /// 22023 for what is no address.
    pub fn learn(&self, peers: &[Peer]) -> Result<()> {
        let Some(caller) = &self.caller else { return Ok(()) };
        for peer in peers {
            let id = DatanodeId(peer.datanode);
            let known = self.elsewhere.read().get(&id).map(Arc::clone);
            let known = known.unwrap_or_else(|| {
                // On a datanode no coordinator speaks: its epoch is none.
                let fresh = || Arc::new(RemoteDatanode::new(id, caller.clone(), 0));
                Arc::clone(self.elsewhere.write().entry(id).or_insert_with(fresh))
            });
            known.set_address(&peer.address)?;
        }
        Ok(())
    }

    /// Whether the datanode is in this process.
    pub fn is_here(&self, id: DatanodeId) -> bool {
        self.here.read().contains_key(&id)
    }

    /// The datanode of this id.
    ///
    /// # Errors
    /// 58K01 when it is not there, or no longer.
    pub fn get(&self, id: DatanodeId) -> Result<Arc<dyn Datanode>> {
        if let Some(here) = self.here.read().get(&id).and_then(Weak::upgrade) {
            return Ok(here);
        }
        let elsewhere = self.elsewhere.read().get(&id).map(|peer| Arc::clone(peer) as _);
        elsewhere.ok_or_else(|| {
            ErrorReport::datanode_lost(id, format!("datanode \"{id}\" is not there"))
        })
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_set();
        all.entries(self.here.read().keys()).entries(self.elsewhere.read().values()).finish()
    }
}
