//! Integration tests of the whole: one test binary.

mod command;
mod tidy;
