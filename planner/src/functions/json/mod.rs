//! JSON: the values of types json and jsonb, and their functions.
//!
//! Both types are held as texts, jsonb as PostgreSQL prints it; only a field's metadata says that
//! they are JSON. So what a function does with JSON must be clear from its name.

mod build;
mod change;
mod functions;
mod read;
mod record;
mod value;

pub(crate) use functions::FUNCTIONS;
pub(crate) use record::RECORD_FUNCTIONS;
pub(crate) use value::Json;
