//! The datanode over gRPC: what coordinator and other datanodes may ask of it.
//!
//! [`serve`] answers on the runtime it is called on; rows are encoded where fragments run. A
//! caller that goes away takes what it has asked for with it.

mod calls;
mod exchange;
mod membership;

pub use calls::{ServiceOptions, serve};
pub use membership::{Membership, join, stay};
