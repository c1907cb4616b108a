//! What an UPDATE or a DELETE says, and the queries that it is: of the rows, and of what takes their
//! place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, VisitorMut};
use kestrel_planner::{
    bind::CHANGED_TABLE,
    catalog::{Privilege, TableDef},
    operators::{Address, RowChangeKind},
    parse::{QualifiedName, Walk, WithQueries, fold_ident},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::super::{
    insert::default_expr, own_query::own_query, returning::Clause, serial::is_default,
};

/// A statement that changes rows.
pub(in super::super) struct Change<'a> {
    pub(in super::super) kind: RowChangeKind,
    with: Option<&'a ast::With>,
    pub(super) target: &'a ast::TableWithJoins,
    /// Column and value; none for DELETE.
    pub(super) assignments: Vec<(String, ast::Expr)>,
    /// FROM of UPDATE, USING of DELETE.
    pub(super) others: &'a [ast::TableWithJoins],
    pub(super) condition: Option<&'a ast::Expr>,
    returning: Option<&'a [ast::SelectItem]>,
}

impl<'a> Change<'a> {
    pub(in super::super) fn of_update(update: &'a WithQueries<ast::Update>) -> Result<Self> {
        let WithQueries { with, statement: update } = update;
        let refused = [
            (update.limit.is_some() || !update.order_by.is_empty(), "UPDATE … LIMIT"),
            (update.or.is_some() || update.output.is_some(), "UPDATE OR"),
        ];
        refuse(&refused)?;
        let others = match &update.from {
            Some(ast::UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(not_supported("UPDATE FROM before SET"));
            }
            None => &[],
        };
        let mut assignments = Vec::new();
        for assignment in &update.assignments {
            assign(assignment, &mut assignments)?;
        }
        Ok(Self {
            kind: RowChangeKind::Update,
            with: with.as_ref(),
            target: &update.table,
            assignments,
            others,
            condition: update.selection.as_ref(),
            returning: update.returning.as_deref(),
        })
    }

    pub(in super::super) fn of_delete(delete: &'a WithQueries<ast::Delete>) -> Result<Self> {
        let WithQueries { with, statement: delete } = delete;
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) =
            &delete.from;
        let refused = [
            (!delete.tables.is_empty(), "DELETE of several tables"),
            (delete.output.is_some(), "DELETE … OUTPUT"),
            (delete.limit.is_some() || !delete.order_by.is_empty(), "DELETE … LIMIT"),
            (from.len() != 1, "DELETE from several tables"),
        ];
        refuse(&refused)?;
        let target = from.first();
        Ok(Self {
            kind: RowChangeKind::Delete,
            with: with.as_ref(),
            target: target.ok_or_else(|| ErrorReport::internal("DELETE without a table"))?,
            assignments: Vec::new(),
            others: delete.using.as_deref().unwrap_or_default(),
            condition: delete.selection.as_ref(),
            returning: delete.returning.as_deref(),
        })
    }

    /// DO UPDATE of an INSERT, for the rows of its table that meet the proposed ones.
    pub(in super::super) fn of_conflict(
        target: &'a ast::TableWithJoins,
        assignments: &[ast::Assignment],
        (proposed, condition): (&'a [ast::TableWithJoins], Option<&'a ast::Expr>),
    ) -> Result<Self> {
        let mut assigned = Vec::new();
        for assignment in assignments {
            assign(assignment, &mut assigned)?;
        }
        Ok(Self {
            kind: RowChangeKind::Update,
            with: None,
            target,
            assignments: assigned,
            others: proposed,
            condition,
            returning: None,
        })
    }

    /// `UPDATE` or `DELETE`
    pub(in super::super) fn word(&self) -> &'static str {
        match self.kind {
            RowChangeKind::Update => "UPDATE",
            RowChangeKind::Delete => "DELETE",
        }
    }

    pub(super) fn privilege(&self) -> Privilege {
        match self.kind {
            RowChangeKind::Update => Privilege::Update,
            RowChangeKind::Delete => Privilege::Delete,
        }
    }

    pub(in super::super) fn table_name(&self) -> Result<QualifiedName> {
        match &self.target.relation {
            ast::TableFactor::Table { name, .. } if self.target.joins.is_empty() => {
                QualifiedName::of_ast(name)
            }
            _ => Err(not_supported(&format!("{} of a join", self.word()))),
        }
    }

    /// What stands behind RETURNING.
    pub(in super::super) fn returning(&self) -> Option<Clause<'a>> {
        let (with, others) = (self.with, self.others);
        self.returning.map(|items| Clause { items, with, target: self.target.clone(), others })
    }

    /// Whoever deletes all rows, or gives all of them constants, need not be allowed to read one.
    pub(super) fn reads_columns(&self) -> bool {
        let mut values = self.assignments.iter().map(|(_, value)| value);
        self.condition.is_some()
            || !self.others.is_empty()
            || values.any(|value| !matches!(value, ast::Expr::Value(_)))
    }

    /// The new values.
    pub(in super::super) fn values(&self) -> impl Iterator<Item = &ast::Expr> {
        self.assignments.iter().map(|(_, value)| value)
    }

    /// The positions of the columns that get new values.
    pub(in super::super) fn targets(&self, table: &TableDef) -> Result<Vec<usize>> {
        let mut targets = Vec::new();
        for (name, _) in &self.assignments {
            let found = table.columns.iter().position(|column| column.name == *name);
            let at = found.ok_or_else(|| {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
            })?;
            if targets.contains(&at) {
                let message = format!("multiple assignments to same column \"{name}\"");
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
            }
            targets.push(at);
        }
        Ok(targets)
    }

    /// Whether the column gets its default.
    pub(super) fn is_default(&self, column: &str) -> bool {
        self.assignments.iter().any(|(name, value)| name == column && is_default(value))
    }

    /// Puts the columns' defaults in the place of DEFAULT.
    pub(in super::super) fn fill_defaults(&mut self, table: &TableDef) -> Result<()> {
        for (name, value) in self.assignments.iter_mut().filter(|(_, value)| is_default(value)) {
            let default = table.column(name).and_then(|column| column.default.as_deref());
            *value = default_expr(default.unwrap_or("NULL"))?;
        }
        Ok(())
    }

    /// `SELECT value, … FROM table, others WHERE condition`
    pub(super) fn query(&self) -> Result<ast::Query> {
        self.query_with(None)
    }

    /// The same with another output.
    pub(in super::super) fn query_with(&self, also: Option<&ast::Expr>) -> Result<ast::Query> {
        let values = self.assignments.iter().map(|(_, value)| value).chain(also);
        let values = values.enumerate();
        let values = values.map(|(at, value)| output(value.clone(), format!("value{at}")));
        self.select(self.target.clone(), values.collect())
    }

    /// The same with the rows' addresses and, for UPDATE, all columns of the rows that take their
    /// place; with RETURNING, for DELETE those of the rows that go, and behind them what else it
    /// names: `others`.
    pub(in super::super) fn addressed_query(
        &self,
        table: &TableDef,
        targets: &[usize],
        others: Vec<ast::SelectItem>,
    ) -> Result<ast::Query> {
        let mut target = self.target.clone();
        let ast::TableFactor::Table { name, alias, .. } = &mut target.relation else {
            return Err(not_supported(&format!("{} of a join", self.word())));
        };
        let last = name.0.last().and_then(|part| part.as_ident()).cloned();
        let named = last.ok_or_else(|| ErrorReport::internal("a table without a name"))?;
        let is_aliased = alias.is_some();
        *name = ast::ObjectName::from(vec![quoted(CHANGED_TABLE)]);
        let alias = alias.get_or_insert_with(|| ast::TableAlias {
            explicit: true,
            name: named,
            columns: Vec::new(),
            at: None,
        });
        let own = alias.name.clone();
        let of_target = |name: &str| ast::Expr::CompoundIdentifier(vec![own.clone(), quoted(name)]);
        let address = Address::ALL.into_iter().map(Address::name);
        let mut outputs: Vec<_> =
            address.map(|name| output(of_target(name), name.to_string())).collect();
        if self.kind == RowChangeKind::Update || self.returning.is_some() {
            outputs.extend(table.columns.iter().enumerate().map(|(at, column)| {
                let assigned = targets.iter().position(|target| *target == at);
                let value = assigned.and_then(|position| self.assignments.get(position));
                let value =
                    value.map_or_else(|| of_target(&column.name), |(_, value)| value.clone());
                output(value, column.name.clone())
            }));
        }
        outputs.extend(others);
        let mut query = self.select(target, outputs)?;
        if !is_aliased {
            // It does not break off.
            let _ = query.walk_mut(&mut WithoutSchema(table));
        }
        Ok(query)
    }

    /// Of no output: `SELECT 1`.
    pub(in super::super) fn select(
        &self,
        target: ast::TableWithJoins,
        outputs: Vec<ast::SelectItem>,
    ) -> Result<ast::Query> {
        let mut query = own_query("SELECT 1")?;
        query.with = self.with.cloned();
        let ast::SetExpr::Select(select) = query.body.as_mut() else {
            return Err(ErrorReport::internal("a query of our own is none"));
        };
        select.from = std::iter::once(target).chain(self.others.iter().cloned()).collect();
        select.selection = self.condition.cloned();
        if !outputs.is_empty() {
            select.projection = outputs;
        }
        Ok(query)
    }
}

/// Takes the schema out of references to the columns of a table, which has a name without one here.
pub(in super::super) struct WithoutSchema<'a>(pub(in super::super) &'a TableDef);

impl VisitorMut for WithoutSchema<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::CompoundIdentifier(parts) = expr
            && let [schema, table, _] = parts.as_slice()
            && fold_ident(schema) == self.0.schema_name
            && fold_ident(table) == self.0.name
        {
            parts.remove(0);
        }
        ControlFlow::Continue(())
    }
}

/// `a = 1`, or `(a, b) = (1, 2)`
fn assign(assignment: &ast::Assignment, into: &mut Vec<(String, ast::Expr)>) -> Result<()> {
    match &assignment.target {
        ast::AssignmentTarget::ColumnName(name) => {
            into.push((QualifiedName::of_ast(name)?.name, assignment.value.clone()));
        }
        ast::AssignmentTarget::Tuple(names) => {
            let values = values_of(&assignment.value)?;
            if values.len() != names.len() {
                let message = "number of columns does not match number of values";
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
            }
            for (name, value) in names.iter().zip(values) {
                into.push((QualifiedName::of_ast(name)?.name, value));
            }
        }
    }
    Ok(())
}

/// Of `(1, 2)`; of `(1)`, which is no list; of a query, which is one for each of its columns then.
fn values_of(expr: &ast::Expr) -> Result<Vec<ast::Expr>> {
    match expr {
        ast::Expr::Tuple(values) => Ok(values.clone()),
        ast::Expr::Nested(value) => Ok(vec![value.as_ref().clone()]),
        ast::Expr::Subquery(query) => columns_of(query),
        _ => Err(not_supported("UPDATE … SET (…) = an expression of this kind")),
    }
}

/// Each column of a query's row. As they are computed one by one, the row must be the same each time.
fn columns_of(query: &ast::Query) -> Result<Vec<ast::Expr>> {
    let refused = || not_supported("UPDATE … SET (…) = a query of this kind");
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return Err(refused()) };
    let is_limited = query.limit_clause.is_some() || query.fetch.is_some();
    if is_limited || select.distinct.is_some() {
        return Err(refused());
    }
    let column = |item: &ast::SelectItem| match item {
        ast::SelectItem::UnnamedExpr(_) | ast::SelectItem::ExprWithAlias { .. } => {
            let mut select = select.clone();
            select.projection = vec![item.clone()];
            let body = Box::new(ast::SetExpr::Select(select));
            Ok(ast::Expr::Subquery(Box::new(ast::Query { body, ..query.clone() })))
        }
        _ => Err(refused()),
    };
    select.projection.iter().map(column).collect()
}

fn output(expr: ast::Expr, name: String) -> ast::SelectItem {
    ast::SelectItem::ExprWithAlias { expr, alias: quoted(&name) }
}

fn quoted(name: &str) -> ast::Ident {
    ast::Ident::with_quote('"', name)
}

pub(super) fn refuse(clauses: &[(bool, &str)]) -> Result<()> {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(not_supported(what)),
        None => Ok(()),
    }
}

pub(super) fn not_supported(what: &str) -> ErrorReport {
    ErrorReport::unsupported(format!("{what} is not supported"))
}
