//! Rows and partitions: which partition takes a row, and which ones a scan's filters leave.

mod constraint;
mod level;
mod prune;
mod router;
mod value;

pub use constraint::constraint_text;
pub(crate) use level::LevelRouter;
pub(crate) use prune::pruned;
pub use router::PartitionRouter;
pub(crate) use value::{is_key_type, literal, neighbour, plain_value, value_text};
