//! The coordinator: clients, catalog, dispatch, cluster.

pub mod session;
