//! Who may connect, and how they prove who they are.
//!
//! Nothing here knows sockets: `server` asks the [`Gate`] what a client has to do, and lets a
//! [`ScramExchange`] judge what it sends.

mod gate;
mod hba;
mod hba_file;
mod scram;
mod tls;
mod verifier;

pub use gate::{Gate, RULE_FILE, RuleSource};
pub use hba::{Address, HbaRule, HbaRules, LoginAttempt, Method, Name, Names, Transport};
pub use scram::{ChannelBinding, MockNonce, ScramExchange, mechanisms};
pub use tls::{ClientTls, ClientTlsFiles};
pub use verifier::{ScramKeys, make_verifier};
