//! Malformed input, a lot of it: whatever a client or a rule file says, nothing panics, hangs,
//! answers XX000 or takes more memory than it may.
//!
//! Every input is made of a number, its seed: a valid one of `corpus` or of the target, changed by
//! `mutations`. `driver` runs a target on many of them and tells the seed of one that fails.
//! CONTRIBUTING.md ("Malformed input") says how to run more, or one again.
//!
//! | target | what is read |
//! |---|---|
//! | [`messages`] | the client's bytes as messages |
//! | [`values`] | Bind's values, of each type in each format |
//! | [`copy_data`] | COPY's text, csv and binary data |
//! | [`logins`] | SCRAM messages |
//! | [`rules`] | the rule file |
//! | [`statements`] | SQL, up to its syntax tree |
//! | [`conversations`] | all that a client sends, by a whole server |

mod answers;
mod conversations;
mod copy_data;
mod corpus;
mod driver;
mod logins;
mod messages;
mod mutations;
mod rules;
mod session;
mod statements;
mod values;

use kestrel_proto::{ErrorReport, SqlState};

/// An error is an answer, unless it says that there is a bug.
fn expect_no_bug(error: &ErrorReport) {
    assert_ne!(error.sqlstate, SqlState::INTERNAL_ERROR, "{error}");
}
