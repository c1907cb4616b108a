//! The memory of a process: its pool, each query's part of it, and caches that give way to queries.
//!
//! ```text
//!   pool of the process           first come, first served, up to its limit
//!     part of query a             at most its quota; its operators that can spill share, fairly,
//!       sort, hash table, …       what all such queries have each: (limit - what cannot spill) / queries
//!     part of query b
//!     caches                      what queries leave; given back when a query asks for it
//! ```
//!
//! A hash join takes what there is, but for a quarter, and cannot give it back; its build side goes to
//! disk when that is not enough. Tables of groups have two fifths of their share: they double.
//!
//! An operator that is refused memory goes to disk when it can; when it cannot, the query fails
//! (53200). DataFusion's `FairSpillPool` shares in the same way, but among the operators of all
//! queries at once: there a query with many sorts leaves little to one that has a single one.

mod giving;
mod peak;
mod query;

pub use giving::Giver;
pub use peak::PeakPool;
pub(crate) use query::is_of_quota;
pub use query::{QueryMemory, QueryPool};
