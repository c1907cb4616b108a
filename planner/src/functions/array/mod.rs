//! Arrays of one dimension: their texts and their functions.

mod functions;
mod text;
mod vector;

pub(crate) use functions::FUNCTIONS;
pub(crate) use text::{elements, put_element};
pub(crate) use vector::{OF_VECTORS, VECTOR_FUNCTIONS, VECTOR_TEXT};
