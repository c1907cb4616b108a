//! What coordinators and datanodes show over [`http`](crate::http).

mod coordinator;
mod datanode;
#[cfg(test)]
mod tests;

pub use coordinator::CoordinatorPage;
pub use datanode::DatanodePage;
