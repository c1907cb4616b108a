//! CHECK constraints of CREATE TABLE and ALTER TABLE. Their conditions are read here; what their
//! names and types mean, binding tells.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, SelectItem, SetExpr, VisitorMut};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::{Catalog, CheckDef, TableDef, resolve_table},
    parse::{
        CheckClause, CreateTable, Identifier, StatementKind, TableElement, Walk, fold_ident, parse,
        quote,
    },
};

/// Adds the constraints of the clauses, then the copied ones, to the table. `next_oid` is called
/// once per constraint.
pub(super) fn add(
    clauses: &CreateTable,
    copied: &[CheckClause],
    table: &mut TableDef,
    mut next_oid: impl FnMut() -> u64,
) -> Result<()> {
    fn of_element(element: &TableElement) -> Option<&CheckClause> {
        if let TableElement::Check(clause) = element { Some(clause) } else { None }
    }
    for clause in clauses.elements.iter().filter_map(of_element).chain(copied) {
        let columns = column_ids(clause, table)?;
        let name = match &clause.name {
            Some(name) if is_taken(table, &name.name) => return Err(taken(table, name)),
            Some(name) => name.name.clone(),
            None => choose(clause, table),
        };
        let condition = clause.condition.clone();
        table.checks.push(CheckDef { name, id: next_oid(), condition, columns });
    }
    // PostgreSQL evaluates them in the order of their names.
    table.checks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// The constraints that LIKE … INCLUDING CONSTRAINTS copies.
pub(super) fn copied(
    clauses: &CreateTable,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<Vec<CheckClause>> {
    let mut copied = Vec::new();
    for element in &clauses.elements {
        let TableElement::Like(like) = element else { continue };
        if !like.constraints {
            continue;
        }
        let source = resolve_table(catalog, search_path, &like.table)?;
        let position = like.table.position.unwrap_or(1);
        let name = |name: &str| Identifier { name: name.into(), position };
        copied.extend(source.checks.iter().map(|check| {
            CheckClause {
                name: Some(name(&check.name)),
                condition: check.condition.clone(),
                columns: check
                    .columns
                    .iter()
                    .filter_map(|id| source.column_by_id(*id))
                    .map(|column| name(&column.name))
                    .collect(),
                position,
            }
        }));
    }
    Ok(copied)
}

fn column_ids(clause: &CheckClause, table: &TableDef) -> Result<Vec<u32>> {
    let id = |name: &Identifier| {
        table.column(&name.name).map(|column| column.id).ok_or_else(|| {
            let message = format!("column \"{}\" does not exist", name.name);
            ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
        })
    };
    clause.columns.iter().map(id).collect()
}

/// The names of a table's constraints.
pub(super) fn is_taken(table: &TableDef, name: &str) -> bool {
    let keys = table.primary_key.iter().chain(&table.unique_keys).map(|key| &key.name);
    keys.chain(table.checks.iter().map(|check| &check.name)).any(|taken| taken == name)
}

fn taken(table: &TableDef, name: &Identifier) -> ErrorReport {
    let message =
        format!("constraint \"{}\" for relation \"{}\" already exists", name.name, table.name);
    ErrorReport::new(SqlState::DUPLICATE_OBJECT, message)
}

/// `t_a_check` for a condition on one column, else `t_check`; with a number if that is taken.
fn choose(clause: &CheckClause, table: &TableDef) -> String {
    let column = match clause.columns.as_slice() {
        [one] => format!("_{}", one.name),
        _ => String::new(),
    };
    let base = format!("{}{column}_check", table.name);
    let numbered = (1..).map(|n: u32| format!("{base}{n}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names.find(|name| !is_taken(table, name)).unwrap_or(base)
}

/// The condition after a column was renamed.
pub(super) fn renamed(condition: &str, from: &str, to: &str) -> Result<String> {
    let mut expr = expression(condition)?;
    let _ = expr.walk_mut(&mut Renamer { from, to });
    Ok(expr.to_string())
}

fn expression(text: &str) -> Result<Expr> {
    let parsed = parse(&format!("SELECT {text}"))?.into_iter().next();
    if let Some(StatementKind::Query(query)) = parsed.map(|statement| statement.kind)
        && let SetExpr::Select(select) = *query.body
        && let Some(SelectItem::UnnamedExpr(expr)) = select.projection.into_iter().next()
    {
        return Ok(expr);
    }
    Err(ErrorReport::internal(format!("a condition is not an expression: {text}")))
}

struct Renamer<'a> {
    from: &'a str,
    to: &'a str,
}

impl Renamer<'_> {
    fn rename(&self, ident: &mut ast::Ident) {
        if fold_ident(ident) == self.from {
            let is_plain = quote(self.to) == self.to;
            let quote_style = if is_plain { None } else { Some('"') };
            *ident = ast::Ident { value: self.to.into(), quote_style, span: ident.span };
        }
    }
}

impl VisitorMut for Renamer<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.rename(ident),
            Expr::CompoundIdentifier(parts) => {
                if let Some(ident) = parts.last_mut() {
                    self.rename(ident);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
