//! Shards in databases: the local servers of `kestrel up`, one kind in a cluster, and the servers
//! and disguises that other tests stand on.

mod disguise;
mod kinds;
mod local_servers;
mod rows;
