//! TPC-H: tables, data, queries and right answers, for `kestrel demo`, `kestrel tpch`, tests and
//! benches.

mod answer;
mod command;
mod load;
mod make_answers;
mod oracle;
mod query;
pub mod report;
mod run;
mod schema;
mod table;

pub use answer::stored_answer;
pub(crate) use command::{TpchCommand, parse_scale, run_command};
pub use load::{LoadSummary, is_loaded, load};
pub use query::{QUERIES, Query};
pub use run::{Expected, QueryReport, RunReport, Verdict, run};
pub use schema::{Layout, create_statements};
pub use table::{Chunk, Emit, RowCount, TABLES, Table};

/// The scale of the answers in `bench-data/`.
pub const STORED_SCALE: f64 = 0.01;
