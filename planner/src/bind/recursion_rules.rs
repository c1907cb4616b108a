//! What a recursive query of WITH may look like (`checkWellFormedRecursion` in PostgreSQL's
//! `src/backend/parser/parse_cte.c`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Cte, Expr, JoinConstraint, JoinOperator, LimitClause, ObjectName, Query, Select, SetExpr,
        SetOperator, SetQuantifier, Spanned, TableFactor, TableWithJoins, Visitor,
    },
    tokenizer::Location,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::provider::Names;
use crate::parse::{Walk, fold_ident, select_query};

/// A query without the parentheses around it.
pub(super) fn unwrapped(query: &mut Query) {
    while let SetExpr::Query(inner) = query.body.as_mut() {
        if query.with.is_some()
            || query.order_by.is_some()
            || query.limit_clause.is_some()
            || query.fetch.is_some()
            || !query.locks.is_empty()
        {
            return;
        }
        let inner = inner.as_ref().clone();
        *query = inner;
    }
}

/// Where a query first names a relation so; not where a WITH query of its own is meant.
pub(super) fn refers(query: &Query, name: &str) -> Option<Location> {
    let mut search = Search { name, hidden: 0, found: None };
    let _ = query.walk(&mut search);
    search.found
}

struct Search<'a> {
    name: &'a str,
    /// Queries around here that define the name anew.
    hidden: usize,
    found: Option<Location>,
}

impl Visitor for Search<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.hidden += usize::from(defines(query, self.name));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.hidden -= usize::from(defines(query, self.name));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        match place_of(relation, self.name) {
            Some(place) if self.hidden == 0 => {
                self.found = Some(place);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn defines(query: &Query, name: &str) -> bool {
    let mut ctes = query.with.iter().flat_map(|with| &with.cte_tables);
    ctes.any(|cte| fold_ident(&cte.alias.name) == name)
}

/// The place of a relation, if it has this name and no schema.
fn place_of(relation: &ObjectName, name: &str) -> Option<Location> {
    let [part] = relation.0.as_slice() else { return None };
    let ident = part.as_ident()?;
    (fold_ident(ident) == name).then_some(ident.span.start)
}

/// Checks an item of WITH RECURSIVE that refers to itself.
///
/// Errors: 42P19, 0A000.
pub(super) fn check_rules(cte: &Cte, names: Names<'_>) -> Result<()> {
    let name = fold_ident(&cte.alias.name);
    let query = cte.query.as_ref();
    let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = query.body.as_ref()
    else {
        let message = format!(
            "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] \
             recursive-term"
        );
        let error = ErrorReport::new(SqlState::INVALID_RECURSION, message);
        return Err(names.at(error, Some(cte.alias.name.span.start)));
    };
    let mut rules = Rules { name: &name, names, context: Context::StaticTerm, references: 0 };
    let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
    rules.body(left)?;
    rules.context = Context::Allowed;
    for inner in ctes {
        rules.query(&inner.query)?;
    }
    rules.body(right)?;
    nothing_around(query, names)
}

/// What PostgreSQL calls not implemented.
fn nothing_around(query: &Query, names: Names<'_>) -> Result<()> {
    let (limit, offset) = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, .. }) => {
            (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit), Some(offset)),
        None => (None, None),
    };
    let place = |expr: &Expr| Some(expr.span().start);
    let found = [
        ("ORDER BY", query.order_by.as_ref().map(|order| Some(order.span().start))),
        ("OFFSET", offset.map(place)),
        ("LIMIT", limit.map(place).or(query.fetch.as_ref().map(|_| None))),
        ("FOR UPDATE/SHARE", query.locks.first().map(|_| None)),
    ];
    for (word, place) in found {
        if let Some(place) = place {
            let message = format!("{word} in a recursive query is not implemented");
            return Err(names.at(ErrorReport::unsupported(message), place));
        }
    }
    Ok(())
}

/// What is around a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// Nothing that forbids it.
    Allowed,
    StaticTerm,
    Subquery,
    OuterJoin,
    Intersect,
    Except,
}

impl Context {
    fn describe(self) -> Option<&'static str> {
        match self {
            Self::Allowed => None,
            Self::StaticTerm => Some("its non-recursive term"),
            Self::Subquery => Some("a subquery"),
            Self::OuterJoin => Some("an outer join"),
            Self::Intersect => Some("INTERSECT"),
            Self::Except => Some("EXCEPT"),
        }
    }
}

struct Rules<'a> {
    name: &'a str,
    names: Names<'a>,
    context: Context,
    references: usize,
}

impl Rules<'_> {
    /// Goes on in another context, where the present one allows references.
    fn within(
        &mut self,
        context: Context,
        go_on: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let before = self.context;
        if before == Context::Allowed {
            self.context = context;
        }
        let result = go_on(self);
        self.context = before;
        result
    }

    fn query(&mut self, query: &Query) -> Result<()> {
        if defines(query, self.name) {
            return Ok(());
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.query(&cte.query)?;
        }
        self.body(&query.body)
    }

    fn body(&mut self, body: &SetExpr) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let is_all = matches!(set_quantifier, SetQuantifier::All);
                let (of_left, of_right) = match op {
                    SetOperator::Union => (Context::Allowed, Context::Allowed),
                    SetOperator::Intersect if is_all => (Context::Intersect, Context::Intersect),
                    SetOperator::Intersect => (Context::Allowed, Context::Allowed),
                    SetOperator::Except | SetOperator::Minus if is_all => {
                        (Context::Except, Context::Except)
                    }
                    SetOperator::Except | SetOperator::Minus => (Context::Allowed, Context::Except),
                };
                self.within(of_left, |rules| rules.body(left))?;
                self.within(of_right, |rules| rules.body(right))
            }
            // VALUES: only its subqueries could.
            other => self.subqueries(other.clone()),
        }
    }

    fn select(&mut self, select: &Select) -> Result<()> {
        let mut is_direct = false;
        for from in &select.from {
            is_direct |= self.from(from)?;
        }
        let mut rest = select.clone();
        rest.from.clear();
        if is_direct {
            self.no_aggregates(&rest)?;
        }
        self.subqueries(SetExpr::Select(Box::new(rest)))
    }

    /// No expression may have a subquery that refers to the query.
    fn subqueries(&self, body: SetExpr) -> Result<()> {
        let query = Query { body: Box::new(body), ..select_query(vec![], vec![]) };
        match refers(&query, self.name) {
            Some(place) => self.forbidden(Context::Subquery, place),
            None => Ok(()),
        }
    }

    /// Whether the query itself is among the relations, and not in a subquery of them.
    fn from(&mut self, from: &TableWithJoins) -> Result<bool> {
        let outer = |join: &JoinOperator| match join {
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => (false, true),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
            JoinOperator::FullOuter(_) => (true, true),
            _ => (false, false),
        };
        let mut is_direct = false;
        for at in 0..=from.joins.len() {
            let (earlier, later) = from.joins.split_at(at);
            let own = earlier.last();
            let factor = own.map_or(&from.relation, |join| &join.relation);
            let is_outer = own.is_some_and(|join| outer(&join.join_operator).1)
                || later.iter().any(|join| outer(&join.join_operator).0);
            let context = if is_outer { Context::OuterJoin } else { Context::Allowed };
            self.within(context, |rules| {
                is_direct |= rules.factor(factor)?;
                Ok(())
            })?;
            if let Some(condition) = own.and_then(|join| condition(&join.join_operator)) {
                let mut search = Search { name: self.name, hidden: 0, found: None };
                let _ = condition.walk(&mut search);
                if let Some(place) = search.found {
                    self.forbidden(Context::Subquery, place)?;
                }
            }
        }
        Ok(is_direct)
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<bool> {
        match factor {
            TableFactor::Table { name, args: None, .. } => match place_of(name, self.name) {
                Some(place) => self.reference(place).map(|()| true),
                None => Ok(false),
            },
            TableFactor::Derived { subquery, .. } => self.query(subquery).map(|()| false),
            TableFactor::NestedJoin { table_with_joins, .. } => self.from(table_with_joins),
            _ => Ok(false),
        }
    }

    fn reference(&mut self, place: Location) -> Result<()> {
        self.forbidden(self.context, place)?;
        self.references += 1;
        if self.references > 1 {
            let message = format!(
                "recursive reference to query \"{}\" must not appear more than once",
                self.name
            );
            let error = ErrorReport::new(SqlState::INVALID_RECURSION, message);
            return Err(self.names.at(error, Some(place)));
        }
        Ok(())
    }

    fn forbidden(&self, context: Context, place: Location) -> Result<()> {
        // What is forbidden already is forbidden for the reason that is further out.
        let context = match (self.context, context) {
            (Context::Allowed, context) | (_, context @ Context::Subquery) => context,
            (outer, _) => outer,
        };
        let Some(what) = context.describe() else { return Ok(()) };
        let message =
            format!("recursive reference to query \"{}\" must not appear within {what}", self.name);
        let error = ErrorReport::new(SqlState::INVALID_RECURSION, message);
        Err(self.names.at(error, Some(place)))
    }

    /// `parseCheckAggregates` in parse_agg.c.
    fn no_aggregates(&self, select: &Select) -> Result<()> {
        let body = Box::new(SetExpr::Select(Box::new(select.clone())));
        let query = Query { body, ..select_query(vec![], vec![]) };
        let mut search = Aggregates { names: self.names, depth: 0, found: None };
        let _ = query.walk(&mut search);
        let Some(place) = search.found else { return Ok(()) };
        let message = "aggregate functions are not allowed in a recursive query's recursive term";
        let error = ErrorReport::new(SqlState::INVALID_RECURSION, message);
        Err(self.names.at(error, Some(place)))
    }
}

fn condition(join: &JoinOperator) -> Option<&Expr> {
    match join {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => match constraint {
            JoinConstraint::On(condition) => Some(condition),
            _ => None,
        },
        _ => None,
    }
}

/// Looks for an aggregate function of the query itself.
struct Aggregates<'a> {
    names: Names<'a>,
    depth: usize,
    found: Option<Location>,
}

impl Visitor for Aggregates<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold_ident);
        let functions = &self.names.context.functions;
        let is_aggregate = name.is_some_and(|name| functions.aggregate(&name).is_some());
        if is_aggregate && function.over.is_none() && self.depth == 1 {
            self.found = Some(function.span().start);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
