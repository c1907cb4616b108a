//! The coordinator: clients, catalog, dispatch, cluster.

pub mod catalog;
pub mod server;
pub mod session;
pub mod system_view;
