//! The streams that carry motions between fragments, in one process: batches pass by queue, as
//! they are, under credits.
//!
//! ```text
//!   fragment of dn1 ── LocalExchange::send ──> ExchangeHub of dn1 (one queue per stream)
//!                                                   ▲
//!   fragment of dn2 ── LocalExchange::receive ── Datanode::open_exchange of dn1
//! ```
//!
//! Receivers pull; a queue holds [`ExchangeSettings::stream_credit_bytes`] or one batch, whichever
//! is more, and a sender waits for room. All queues of one query share a budget: when it is gone, a
//! stream may hold one batch only, so that a query never stops moving for want of credit.

mod hub;
mod local;
mod peers;
mod query;
mod receiver;
mod settings;
mod size;
mod state;

pub use hub::{ExchangeHub, MotionSender};
pub use local::LocalExchange;
pub use peers::Peers;
pub use settings::ExchangeSettings;
pub use size::batch_bytes;

#[cfg(test)]
mod tests;
