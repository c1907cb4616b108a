//! Which tables are to be analyzed without being asked, and what became of that. What analyzes them
//! is `session::analyze_automatically`.

mod decider;
mod history;

pub use decider::{Candidate, Decider, candidates};
pub use history::{AutoAnalyses, AutoAnalysis};
