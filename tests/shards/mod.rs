//! Shards in databases: the local servers of `kestrel up`, one kind in a cluster, crashes of all that
//! takes part in a commit, transfers under many eyes, EXPLAIN, ANALYZE, databases that stop or are full, and
//! the servers and disguises that other tests stand on.

mod bank;
mod crash;
mod disguise;
mod explain;
mod full_disk;
mod kinds;
mod local_servers;
mod outage;
mod rows;
mod statistics;
