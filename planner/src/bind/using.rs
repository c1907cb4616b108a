//! Columns that a join merges by USING or NATURAL.
//!
//! DataFusion takes the left side's column for the merged one, which is NULL in the rows that only
//! the right side has, and inside of an expression calls its name ambiguous. So the name becomes
//! what SQL says it is: the right side's column after RIGHT JOIN, `COALESCE(left, right)` after FULL
//! JOIN, else the left side's. A join that merges a name again becomes one with ON.

use std::{collections::BTreeMap, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, OrderByKind,
    Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, VisitorMut,
};
use kestrel_proto::{ErrorReport, Result};

use super::provider::{Names as Meanings, Relation};
use crate::{
    functions::sql_call,
    parse::{Walk, fold_ident, quote},
};

/// Rewrites the names in every SELECT of `query` that has such a join, and in its ORDER BY.
///
/// Errors: 0A000 where `*` stands for columns that only binding could list.
pub(super) fn merged_columns(query: &mut Query, context: Meanings<'_>) -> Result<()> {
    let mut selects = Selects { context, result: Ok(()) };
    // It breaks off at an error.
    let _ = query.walk_mut(&mut selects);
    selects.result
}

struct Selects<'a> {
    context: Meanings<'a>,
    result: Result<()>,
}

impl VisitorMut for Selects<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let (SetExpr::Select(select), Some(order)) = (query.body.as_mut(), &mut query.order_by) {
            let scope = self.scope(&mut select.clone());
            let mut names = Names::new(&scope);
            // Names of outputs come first.
            select.projection.iter().filter_map(output_name).for_each(|output| {
                names.merged.remove(output.as_str());
            });
            if let OrderByKind::Expressions(keys) = &mut order.kind
                && !names.merged.is_empty()
            {
                keys.iter_mut().for_each(|key| {
                    let _ = key.expr.walk_mut(&mut names);
                });
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let scope = self.scope(select);
        if scope.merged.is_empty() {
            return ControlFlow::Continue(());
        }
        self.result = rewrite(select, &scope);
        match self.result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Selects<'_> {
    fn scope(&self, select: &mut Select) -> Scope {
        let mut scope = Scope::default();
        select.from.iter_mut().for_each(|from| scope.add(from, self.context));
        scope
    }
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(fold_ident(ident)),
        SelectItem::ExprWithAlias { alias, .. } => Some(fold_ident(alias)),
        _ => None,
    }
}

/// One relation of FROM.
struct Source {
    qualifier: Ident,
    /// `None`: a subquery or a function; its columns are not known here.
    columns: Option<Vec<String>>,
}

/// What FROM has so far.
#[derive(Default)]
struct Scope {
    sources: Vec<Source>,
    /// What each merged name stands for, in the order of merging.
    merged: Vec<(String, Expr)>,
    /// Is `*` not what DataFusion takes it for?
    differs: bool,
}

impl Scope {
    fn add(&mut self, from: &mut TableWithJoins, context: Meanings<'_>) {
        let first = self.sources.len();
        self.add_factor(&mut from.relation, context);
        for join in &mut from.joins {
            let right = self.sources.len();
            self.add_factor(&mut join.relation, context);
            self.join(join, first, right);
        }
    }

    fn add_factor(&mut self, factor: &mut TableFactor, context: Meanings<'_>) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.add(table_with_joins, context);
            }
            TableFactor::Table { name, alias, args: None, .. } => {
                let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
                let Some(last) = parts.last() else { return };
                let schema = parts.len().checked_sub(2).map(|at| fold_ident(parts[at]));
                let qualifier = alias.as_ref().map_or((*last).clone(), |alias| alias.name.clone());
                let renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let relation = context.relation(schema.as_deref(), &fold_ident(last)).ok();
                let columns = relation.filter(|_| !renamed).map(|relation| match relation {
                    Relation::Table(table) => {
                        table.columns.iter().map(|column| column.name.clone()).collect()
                    }
                    Relation::View(view) => {
                        view.columns.iter().map(|column| column.name.clone()).collect()
                    }
                    Relation::System(rows) => {
                        rows.schema().fields().iter().map(|f| f.name().clone()).collect()
                    }
                });
                self.sources.push(Source { qualifier, columns });
            }
            TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Table { alias: Some(alias), .. } => {
                self.sources.push(Source { qualifier: alias.name.clone(), columns: None });
            }
            _ => {}
        }
    }

    /// Merges the columns of a join whose left side begins at `first` and whose right side begins
    /// at `right`.
    fn join(&mut self, join: &mut Join, first: usize, right: usize) {
        let (constraint, kind) = match &mut join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
                (constraint, Kind::Left)
            }
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (constraint, Kind::Left)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (constraint, Kind::Right)
            }
            JoinOperator::FullOuter(constraint) => (constraint, Kind::Full),
            _ => return,
        };
        let names: Vec<String> = match constraint {
            JoinConstraint::Using(names) => {
                let last = |name: &datafusion::sql::sqlparser::ast::ObjectName| {
                    name.0.last().and_then(|part| part.as_ident()).map(fold_ident)
                };
                names.iter().filter_map(last).collect()
            }
            JoinConstraint::Natural => self.common_names(first, right),
            JoinConstraint::On(_) | JoinConstraint::None => Vec::new(),
        };
        let mut equalities = Vec::new();
        for name in names {
            let known = self.merged.iter().position(|(merged, _)| *merged == name);
            let left = match known {
                Some(at) => self.merged[at].1.clone(),
                None => self.column(&name, first..right),
            };
            let right = self.column(&name, right..self.sources.len());
            equalities.push((known.is_some(), equality(left.clone(), right.clone())));
            let value = match kind {
                Kind::Left => left,
                Kind::Right => right,
                Kind::Full => sql_call("coalesce", vec![left, right]),
            };
            self.differs |= kind != Kind::Left;
            match known {
                Some(at) => self.merged[at].1 = value,
                None => self.merged.push((name, value)),
            }
        }
        if equalities.iter().any(|(is_again, _)| *is_again) {
            let and = |left, right| binary(left, BinaryOperator::And, right);
            let condition = equalities.into_iter().map(|(_, equality)| equality).reduce(and);
            *constraint = condition.map_or(JoinConstraint::None, JoinConstraint::On);
            self.differs = true;
        }
    }

    fn common_names(&self, first: usize, right: usize) -> Vec<String> {
        let has = |sources: &[Source], name: &String| {
            sources.iter().any(|s| s.columns.as_ref().is_some_and(|c| c.contains(name)))
        };
        let left = self.sources[first..right].iter().filter_map(|s| s.columns.as_ref()).flatten();
        let mut names = Vec::new();
        for name in left {
            if has(&self.sources[right..], name) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The column of the relation that has it; where that is not known, of the first that may.
    fn column(&self, name: &str, sources: std::ops::Range<usize>) -> Expr {
        let sources = &self.sources[sources];
        let has = |s: &&Source| s.columns.as_ref().is_some_and(|c| c.iter().any(|c| c == name));
        let may = |s: &&Source| s.columns.is_none();
        let source = sources.iter().find(has).or_else(|| sources.iter().find(may));
        let qualifier = source.or(sources.first()).map(|source| source.qualifier.clone());
        let column = ident(name);
        Expr::CompoundIdentifier(qualifier.into_iter().chain([column]).collect())
    }

    /// What `*` stands for: the merged columns, then the others.
    fn all_columns(&self) -> Option<Vec<SelectItem>> {
        let mut items: Vec<_> =
            self.merged.iter().map(|(name, value)| named(name, value)).collect();
        for source in &self.sources {
            for column in source.columns.as_ref()? {
                if !self.merged.iter().any(|(name, _)| name == column) {
                    let path = vec![source.qualifier.clone(), ident(column)];
                    items.push(SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)));
                }
            }
        }
        Some(items)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The left side's column is never NULL where the merged one is not.
    Left,
    Right,
    Full,
}

fn equality(left: Expr, right: Expr) -> Expr {
    binary(left, BinaryOperator::Eq, right)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn ident(name: &str) -> Ident {
    if quote(name) == name { Ident::new(name) } else { Ident::with_quote('"', name) }
}

fn named(name: &str, value: &Expr) -> SelectItem {
    SelectItem::ExprWithAlias { expr: value.clone(), alias: ident(name) }
}

fn rewrite(select: &mut Select, scope: &Scope) -> Result<()> {
    let mut names = Names::new(scope);
    let mut items = Vec::with_capacity(select.projection.len());
    for mut item in std::mem::take(&mut select.projection) {
        match &mut item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                let name = fold_ident(ident);
                item = names.merged.get(name.as_str()).map_or(item, |value| named(&name, value));
            }
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                let _ = expr.walk_mut(&mut names);
            }
            SelectItem::Wildcard(_) if scope.differs => {
                let all = scope.all_columns().ok_or_else(|| {
                    ErrorReport::unsupported("* over RIGHT or FULL JOIN … USING of a subquery")
                        .hint("Name the columns.")
                })?;
                items.extend(all);
                continue;
            }
            _ => {}
        }
        items.push(item);
    }
    select.projection = items;
    let keys = match &mut select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_mut_slice(),
        GroupByExpr::All(_) => &mut [],
    };
    let conditions = select.selection.iter_mut().chain(select.having.iter_mut());
    for expr in keys.iter_mut().chain(conditions) {
        let _ = expr.walk_mut(&mut names);
    }
    Ok(())
}

/// Puts the merged columns' values in the place of their names; subqueries have names of their
/// own.
struct Names<'a> {
    merged: BTreeMap<&'a str, &'a Expr>,
    depth: usize,
}

impl<'a> Names<'a> {
    fn new(scope: &'a Scope) -> Self {
        let merged = scope.merged.iter().map(|(name, value)| (name.as_str(), value));
        Self { merged: merged.collect(), depth: 0 }
    }
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && self.depth == 0
            && let Some(value) = self.merged.get(fold_ident(ident).as_str())
        {
            *expr = (*value).clone();
        }
        ControlFlow::Continue(())
    }
}
