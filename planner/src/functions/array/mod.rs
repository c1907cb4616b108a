//! Arrays of one dimension: their texts and their functions.

mod functions;
mod text;

pub(crate) use functions::FUNCTIONS;
pub(crate) use text::{elements, put_element};
