//! The order of joins.
//!
//! Pure and without knowledge of plans: a [`JoinTree`] becomes a [`Hypergraph`], which says what may
//! be joined when; [`search`] tries all orders, within [`SearchLimits`], and asks a [`JoinSpace`] for
//! plans and their costs.

mod conflict;
mod dphyp;
mod greedy;
mod hypergraph;
mod relation_set;
mod search;
#[cfg(test)]
mod tests;

pub use hypergraph::{Hypergraph, JoinNode, JoinTree, Operator, Predicates, Step};
pub use relation_set::RelationSet;
pub use search::{JoinSpace, SearchLimits, search};
