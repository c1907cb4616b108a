//! Functions of texts. Positions and lengths are in characters, from 1.

mod arguments;
mod bytes;
mod chr;
mod concat;
mod format;
mod like_escape;
mod parse_ident;
mod position;
mod rows;
mod substring;

pub(crate) use bytes::BYTEA_FUNCTIONS;
pub(crate) use like_escape::{LikeEscape, escaped_by_backslash};
pub(crate) use parse_ident::IDENTIFIER_FUNCTIONS;
pub(crate) use position::Position;
pub(crate) use rows::{ROW_FUNCTIONS, like};
pub(crate) use substring::Substring;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        function(Substring::new()),
        function(Position::new()),
        function(chr::Chr::new()),
        function(LikeEscape::new()),
        function(concat::Concat::new(false)),
        function(concat::Concat::new(true)),
    ]
}
