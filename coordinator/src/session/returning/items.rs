//! What stands behind RETURNING: what may, what `*` means, and which columns it needs.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use arrow::datatypes::FieldRef;
use datafusion::{
    common::DFSchema,
    sql::sqlparser::{
        ast::{self, Spanned, Visitor},
        tokenizer::Location,
    },
};
use kestrel_planner::{
    bind::gives_rows,
    catalog::TableDef,
    functions::FunctionRegistry,
    parse::{Statement, Walk, fold_ident},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

/// A relation of FROM or USING.
#[derive(Clone, Debug)]
pub(in super::super) struct OtherRelation {
    /// Its name.
    pub(in super::super) alias: String,
    /// Its columns; those that are needed, when that is known.
    pub(super) fields: Vec<FieldRef>,
}

impl OtherRelation {
    /// Those that a query over them has in its outputs, in their order.
    pub(in super::super) fn all(schema: &DFSchema) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (qualifier, field) in schema.iter() {
            let Some(alias) = qualifier.map(|qualifier| qualifier.table().to_string()) else {
                continue;
            };
            match all.iter_mut().find(|known| known.alias == alias) {
                Some(known) => known.fields.push(Arc::clone(field)),
                None => all.push(Self { alias, fields: vec![Arc::clone(field)] }),
            }
        }
        all
    }

    /// Has it a column of this name?
    pub(in super::super) fn has(&self, column: &str) -> bool {
        self.fields.iter().any(|field| field.name() == column)
    }

    /// Its columns, as a query names them.
    pub(super) fn columns(&self) -> impl Iterator<Item = ast::Expr> {
        self.fields.iter().map(|field| column_of(&self.alias, field.name()))
    }
}

fn column_of(relation: &str, column: &str) -> ast::Expr {
    let part = |name: &str| ast::Ident::with_quote('"', name);
    ast::Expr::CompoundIdentifier(vec![part(relation), part(column)])
}

/// Errors: 42803 for an aggregate, 42P20 for a window function, 0A000 for a function that gives rows.
pub(super) fn check_items(
    items: &[ast::SelectItem],
    functions: &FunctionRegistry,
    statement: &Statement,
) -> Result<()> {
    let mut search = Search { functions, depth: 0, found: None };
    for item in items {
        if item.walk(&mut search).is_break() {
            break;
        }
    }
    let Some((state, what, place)) = search.found else { return Ok(()) };
    let error = ErrorReport::new(state, format!("{what} are not allowed in RETURNING"));
    Err(ErrorReport { position: statement.position(place), ..error })
}

/// Looks for functions that must not be there; what subqueries call is their own affair.
struct Search<'a> {
    functions: &'a FunctionRegistry,
    depth: usize,
    found: Option<(SqlState, &'static str, Location)>,
}

impl Visitor for Search<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        let ast::Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let last = function.name.0.last().and_then(|part| part.as_ident());
        let Some(name) = last.map(fold_ident).filter(|_| self.depth == 0) else {
            return ControlFlow::Continue(());
        };
        let (state, what) = if function.over.is_some() {
            (SqlState::WINDOWING_ERROR, "window functions")
        } else if self.functions.aggregate(&name).is_some() {
            (SqlState::GROUPING_ERROR, "aggregate functions")
        } else if gives_rows(&name) {
            (SqlState::FEATURE_NOT_SUPPORTED, "set-returning functions")
        } else {
            return ControlFlow::Continue(());
        };
        self.found = Some((state, what, function.name.span().start));
        ControlFlow::Break(())
    }
}

/// The items with columns in the place of `*`, where there are other relations: their rows have a
/// column more than they show.
pub(super) fn written_out(
    items: &[ast::SelectItem],
    table: &TableDef,
    alias: &str,
    others: &[OtherRelation],
) -> Vec<ast::SelectItem> {
    if others.is_empty() {
        return items.to_vec();
    }
    let of_target = || table.columns.iter().map(|column| column_of(alias, &column.name));
    let expand = |item: &ast::SelectItem| -> Vec<ast::SelectItem> {
        let columns: Vec<_> = match item {
            ast::SelectItem::Wildcard(_) => {
                of_target().chain(others.iter().flat_map(OtherRelation::columns)).collect()
            }
            ast::SelectItem::QualifiedWildcard(kind, _) => match relation_of(kind) {
                Some(name) if name == alias => of_target().collect(),
                Some(name) => match others.iter().find(|other| other.alias == name) {
                    Some(other) => other.columns().collect(),
                    None => return vec![item.clone()],
                },
                None => return vec![item.clone()],
            },
            _ => return vec![item.clone()],
        };
        columns.into_iter().map(ast::SelectItem::UnnamedExpr).collect()
    };
    items.iter().flat_map(expand).collect()
}

fn relation_of(kind: &ast::SelectItemQualifiedWildcardKind) -> Option<String> {
    match kind {
        ast::SelectItemQualifiedWildcardKind::ObjectName(name) => {
            name.0.last().and_then(|part| part.as_ident()).map(fold_ident)
        }
        ast::SelectItemQualifiedWildcardKind::Expr(_) => None,
    }
}

/// Leaves the others the columns whose names occur, and those that have some.
///
/// Errors: 0A000 for a whole row as a value.
pub(super) fn mentioned(
    items: &[ast::SelectItem],
    (table, alias): (&TableDef, &str),
    others: &mut Vec<OtherRelation>,
) -> Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    let mut names = Names::default();
    for item in items {
        // It does not break off.
        let _ = item.walk(&mut names);
    }
    check_no_rows(&names, (table, alias), others)?;
    for other in others.iter_mut() {
        other.fields.retain(|field| names.columns.contains(field.name()));
    }
    others.retain(|other| !other.fields.is_empty());
    Ok(())
}

/// Errors: 0A000 for a name of a relation where a column's could be.
fn check_no_rows(
    names: &Names,
    (table, alias): (&TableDef, &str),
    others: &[OtherRelation],
) -> Result<()> {
    let is_column = |name: &str| {
        let mut fields = others.iter().flat_map(|other| &other.fields);
        table.column(name).is_some() || fields.any(|field| field.name() == name)
    };
    let mut relations = others.iter().map(|other| other.alias.as_str()).chain([alias]);
    match relations.find(|name| names.alone.contains(*name) && !is_column(name)) {
        Some(row) => {
            let message = format!("RETURNING with the whole row of \"{row}\" is not supported");
            Err(ErrorReport::unsupported(message).hint("Name its columns."))
        }
        None => Ok(()),
    }
}

/// Names that occur.
#[derive(Default)]
struct Names {
    /// Without a relation's.
    alone: BTreeSet<String>,
    /// With one or without.
    columns: BTreeSet<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Identifier(name) => {
                self.alone.insert(fold_ident(name));
                self.columns.insert(fold_ident(name));
            }
            ast::Expr::CompoundIdentifier(parts) => {
                self.columns.extend(parts.last().map(fold_ident));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
