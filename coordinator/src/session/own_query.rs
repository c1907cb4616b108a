//! Queries of our own: about defaults, rules, rows.

use datafusion::sql::sqlparser::ast;
use kestrel_planner::parse::{StatementKind, parse};
use kestrel_proto::{ErrorReport, Result};

/// A query that is made as text.
///
/// # Errors
/// Those of what a user's expression in it means; XX000: it is no query.
pub(super) fn own_query(sql: &str) -> Result<ast::Query> {
    match parse(sql)?.into_iter().next().map(|statement| statement.kind) {
        Some(StatementKind::Query(query)) => Ok(*query),
        _ => Err(ErrorReport::internal("a query of our own is none")),
    }
}
