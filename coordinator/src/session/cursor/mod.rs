//! Cursors: DECLARE, FETCH, MOVE, CLOSE, and what every portal's rows are read through.
//!
//! 1. `declare` plans the query and keeps a portal of it; the query begins when its first row is
//!    asked for.
//! 2. `fetch` lets `steps`, a pure function, say where the cursor has to go, and goes there.
//! 3. `rows` is the cursor itself. One that only goes forward keeps nothing; with SCROLL, and WITH
//!    HOLD when its transaction commits, rows are `kept`: in memory, and what is too much for that in
//!    a file (`spill`).
//! 4. `ends` is what the end of a transaction does to cursors.

mod declare;
mod ends;
mod fetch;
mod kept;
mod rows;
mod spill;
mod steps;

pub use rows::RowCursor;
