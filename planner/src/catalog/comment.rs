//! What COMMENT said about an object and its columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Catalog;

/// The OID of the one database.
pub const DATABASE_OID: u64 = 5;

/// The comments on one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentDef {
    /// The object's OID.
    pub id: u64,
    /// By column id; 0: on the object itself.
    pub texts: BTreeMap<u32, String>,
}

impl Catalog {
    /// The comment on an object, or on one of its columns.
    pub fn comment(&self, object: u64, column: u32) -> Option<&str> {
        self.comments.get(&object)?.texts.get(&column).map(String::as_str)
    }

    pub(super) fn set_comment(&mut self, object: u64, column: u32, text: Option<String>) {
        let comments = self.comments.entry(object).or_default();
        comments.id = object;
        match text {
            Some(text) => comments.texts.insert(column, text),
            None => comments.texts.remove(&column),
        };
        if comments.texts.is_empty() {
            self.comments.remove(&object);
        }
    }
}
