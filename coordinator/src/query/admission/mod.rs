//! How many queries run at the same time, and who is next.
//!
//! A query that runs on datanodes takes a [`Place`] before it begins; without one it waits. What only
//! slice 0 computes (catalogs, SET, SHOW, VALUES) takes none: an operator must always be able to look,
//! and to cancel. `queue` decides, without clock or tasks; `gate` waits.
//!
//! A place is held until the query has ended, but counts only while the query works: when its client
//! has not asked for rows for a moment (an open cursor, a reader that is slow), another may begin. A
//! session with several open cursors so never waits for itself. A query that was at rest goes on at
//! once, even if as many as may are running; then no other begins until one of them ends or rests.
//!
//! A place is taken after all locks of the statement, and nothing waits for a lock while it works: so
//! waiting for a place and waiting for a lock cannot be a circle.

mod gate;
mod queue;
#[cfg(test)]
mod tests;

pub use gate::{Admission, Place, Wait};
pub use queue::{Priority, QueryLimits, Request};
