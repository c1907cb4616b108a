//! The order of joins.
//!
//! The search has no knowledge of plans: a [`JoinTree`] becomes a [`Hypergraph`], which says what may
//! be joined when; [`search`] tries all orders, within [`SearchLimits`], and asks a [`JoinSpace`] for
//! plans and their costs. `region` makes the tree of a plan's joins, and the plan of what is found.

mod conflict;
mod dphyp;
mod greedy;
mod hypergraph;
pub(crate) mod region;
mod relation_set;
mod search;
mod settings;
#[cfg(test)]
mod tests;

pub use hypergraph::{Hypergraph, JoinNode, JoinTree, Operator, Predicates, Step};
pub use relation_set::RelationSet;
pub use search::{JoinSpace, SearchLimits, search};
pub use settings::{BUDGET, JoinOrderSettings};
