//! Which keys an ON CONFLICT is about (PostgreSQL's `infer_arbiter_indexes`,
//! optimizer/util/plancat.c).

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    catalog::{KeyDef, TableDef},
    parse::{QualifiedName, fold_ident},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

/// The keys; of DO UPDATE one. Keys over the same columns are the same.
///
/// # Errors
/// 42601: DO UPDATE without a key. 42703, 42704: no such column or constraint. 42P10: no key has these
/// columns.
pub(super) fn arbiters(on: &ast::OnConflict, table: &TableDef) -> Result<Vec<KeyDef>> {
    match &on.conflict_target {
        None if matches!(on.action, ast::OnConflictAction::DoUpdate(_)) => {
            let message =
                "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message)
                .hint("For example, ON CONFLICT (column_name)."))
        }
        None => Ok(table.unique_sets().cloned().collect()),
        Some(ast::ConflictTarget::OnConstraint(name)) => {
            let name = QualifiedName::of_ast(name)?.name;
            let mut constraints = table.primary_key.iter().chain(&table.unique_keys);
            let found = constraints.find(|key| key.name == name).cloned();
            let found = found.ok_or_else(|| {
                let table = &table.name;
                let message = format!("constraint \"{name}\" for table \"{table}\" does not exist");
                ErrorReport::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            Ok(vec![found])
        }
        Some(ast::ConflictTarget::Columns(names)) => {
            let column = |name: &ast::Ident| {
                let name = fold_ident(name);
                table.column(&name).map(|column| column.id).ok_or_else(|| {
                    let message = format!("column \"{name}\" does not exist");
                    ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
                })
            };
            let columns = names.iter().map(column).collect::<Result<BTreeSet<_>>>()?;
            let is_meant =
                |key: &&KeyDef| key.columns.iter().copied().collect::<BTreeSet<_>>() == columns;
            let found = table.unique_sets().find(is_meant).cloned();
            let found = found.ok_or_else(|| {
                let message = "there is no unique or exclusion constraint matching the ON CONFLICT \
                               specification";
                ErrorReport::new(SqlState::INVALID_COLUMN_REFERENCE, message)
            })?;
            Ok(vec![found])
        }
    }
}
