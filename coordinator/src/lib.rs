//! The coordinator: clients, catalog, dispatch, cluster.
//!
//! The life of a statement, here: [`server`] takes it from the client's bytes to a [`session`],
//! which binds and plans it over its transaction's [`catalog`] snapshot (system relations come from
//! [`system_view`]); [`query`] runs the plan; the rows go back the way the text came.
//! [`shards`] commits what is in databases beside the datanodes. [`access`] says who may connect;
//! [`engine`] is what all sessions share, [`copy`] says how COPY writes rows, [`cluster`] watches the
//! datanodes of other processes, [`compaction`] writes segments anew, [`auto_analyze`] says which
//! table is analyzed next, [`advice`] what could be better, [`metrics`] are what all that comes to.

pub mod access;
pub mod advice;
pub mod auto_analyze;
pub mod catalog;
pub mod cluster;
pub mod compaction;
pub mod copy;
pub mod engine;
pub mod metrics;
pub mod query;
pub mod server;
pub mod session;
pub mod shards;
pub mod system_view;
