//! JSON: the values of types json and jsonb, and their functions.

mod value;

pub(crate) use value::Json;
