//! Arrays of one dimension: their texts and their functions.

mod text;

pub(crate) use text::{elements, put_element};
