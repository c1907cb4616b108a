//! Integration tests of the whole: one test binary.

mod tidy;
