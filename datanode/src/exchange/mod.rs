//! The streams that carry motions between fragments, in one process: batches pass by queue, as
//! they are.
//!
//! ```text
//!   fragment of dn1 ── LocalExchange::send ──> ExchangeHub of dn1 (one queue per stream)
//!                                                   ▲
//!   fragment of dn2 ── LocalExchange::receive ── Datanode::open_exchange of dn1
//! ```
//!
//! Receivers pull; a sender waits while the queue of its receiver is full. Bounded queues alone
//! would deadlock, because a fragment need not read what is sent to it:
//!
//! ```text
//!   S1 ──> A (full)   S1 ──> B (empty)     A merges, and waits for a row of S2
//!   S2 ──> A (empty)  S2 ──> B (full)      B merges, and waits for a row of S1
//! ```
//!
//! So a sender waits only while **none of its receivers starves**: while all of them that have not
//! closed their streams have something queued. Then somebody can always go on. Suppose that nobody
//! could. A fragment that waits to receive from S has nothing queued from S; so S does not wait to
//! send, and has not finished; so S waits to receive itself, from a fragment of a slice below its
//! own. Slices are a tree, so this ends at a fragment that receives nothing: it does not wait.
//! (DataFusion's `distributor_channels` have the same gate, for one process.)
//!
//! What a sender must send to a full queue stays in memory while the budget of the query and the
//! memory of the process allow; the rest goes to a file of the stream, and comes back in order. So
//! memory is bounded, too: by [`ExchangeSettings::query_budget_bytes`] and one batch per stream.

mod counters;
mod hub;
mod local;
mod motion;
mod peers;
mod query;
mod receiver;
mod settings;
mod spill;
mod state;

pub use counters::ExchangeCounters;
pub use hub::{ExchangeHub, MotionSender};
pub use local::LocalExchange;
pub use peers::Peers;
pub use settings::ExchangeSettings;

#[cfg(test)]
mod tests;
