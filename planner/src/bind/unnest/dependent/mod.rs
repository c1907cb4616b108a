//! A subquery for all values of its domain at once.
//!
//! What is a dependent join of the domain and the subquery is pushed down through the subquery's
//! operators, until what is below reads the outer query no more: there it is a cross join. Above,
//! every row has the values that it is for in columns of its own, the keys.
//!
//! ```text
//!   Aggregate: max(u.b)                 Aggregate: d.a, max(u.b) group by d.a
//!     Filter: u.a < outer(t.a)     =>     Filter: u.a < d.a
//!       u                                   Cross join: u, d
//! ```
//!
//! Source: Th. Neumann and A. Kemper, "Unnesting Arbitrary Queries", BTW 2015, section 3.

mod grouped;
mod join;
mod rows;

pub(super) use grouped::or_of_no_rows;

use std::sync::Arc;

use datafusion::{
    common::{Column, Result},
    error::DataFusionError,
    logical_expr::{
        Aggregate, Distinct, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, Sort,
        SortExpr, SubqueryAlias, expr_rewriter::NamePreserver,
    },
};
use kestrel_proto::ErrorReport;

use super::{Names, domain::Domain};
use crate::error::to_datafusion;

/// A plan for all values of a domain.
pub(super) struct Pushed {
    /// Its columns are the plan's, and the keys.
    pub(super) plan: LogicalPlan,
    /// Where the domain's columns are.
    pub(super) keys: Vec<Column>,
}

/// The plan for all values of the domain.
///
/// Errors: 0A000 for operators through which nothing can be pushed.
pub(super) fn pushed(plan: &Arc<LogicalPlan>, domain: &Domain, names: &Names) -> Result<Pushed> {
    if domain.is_empty() {
        return Ok(Pushed { plan: plan.as_ref().clone(), keys: Vec::new() });
    }
    Push { domain, names }.node(plan)
}

/// The groups that an aggregate without GROUP BY has for the values of the domain; none for those
/// without rows.
pub(super) fn pushed_groups(
    aggregate: &Aggregate,
    domain: &Domain,
    names: &Names,
) -> Result<Pushed> {
    Push { domain, names }.groups(aggregate)
}

struct Push<'a> {
    domain: &'a Domain,
    names: &'a Names,
}

impl Push<'_> {
    fn node(&mut self, plan: &Arc<LogicalPlan>) -> Result<Pushed> {
        if !self.domain.is_read_by(plan)? {
            return self.beside(plan);
        }
        match plan.as_ref() {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Subquery(subquery) => self.node(&subquery.subquery),
            LogicalPlan::SubqueryAlias(alias) => self.alias(alias),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Pushed { plan, keys } = self.node(input)?;
                Ok(Pushed { plan: LogicalPlan::Distinct(Distinct::All(Arc::new(plan))), keys })
            }
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.distinct_on(distinct),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::RecursiveQuery(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => Err(unsupported()),
        }
    }

    /// A plan that does not read the domain is the same for all its values.
    fn beside(&mut self, plan: &Arc<LogicalPlan>) -> Result<Pushed> {
        let (values, keys) = self.domain.values(self.names)?;
        let plan = match plan.as_ref() {
            LogicalPlan::EmptyRelation(empty)
                if empty.produce_one_row && empty.schema.fields().is_empty() =>
            {
                values
            }
            _ => LogicalPlanBuilder::new_from_arc(Arc::clone(plan)).cross_join(values)?.build()?,
        };
        Ok(Pushed { plan, keys })
    }

    fn projection(&mut self, projection: &Projection) -> Result<Pushed> {
        let Pushed { plan, keys } = self.node(&projection.input)?;
        let mut exprs = self.named(&projection.expr, &keys)?;
        exprs.extend(columns(&keys));
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        Ok(Pushed { plan, keys })
    }

    fn filter(&mut self, filter: &Filter) -> Result<Pushed> {
        let Pushed { plan, keys } = self.node(&filter.input)?;
        let predicate = self.domain.bound(filter.predicate.clone(), &keys)?;
        let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        Ok(Pushed { plan, keys })
    }

    fn alias(&mut self, aliased: &SubqueryAlias) -> Result<Pushed> {
        let Pushed { plan, keys } = self.node(&aliased.input)?;
        let alias = aliased.alias.clone();
        let keys = keys.into_iter().map(|key| Column::new(Some(alias.clone()), key.name));
        let keys = keys.collect();
        let plan = SubqueryAlias::try_new(Arc::new(plan), alias)?;
        Ok(Pushed { plan: LogicalPlan::SubqueryAlias(plan), keys })
    }

    fn sort(&mut self, sort: &Sort) -> Result<Pushed> {
        if sort.fetch.is_some() {
            return Err(unsupported());
        }
        let Pushed { plan, keys } = self.node(&sort.input)?;
        let expr = self.sort_exprs(&sort.expr, &keys)?;
        let plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch: None });
        Ok(Pushed { plan, keys })
    }

    fn sort_exprs(&self, exprs: &[SortExpr], keys: &[Column]) -> Result<Vec<SortExpr>> {
        let bound = |sort: &SortExpr| {
            let expr = self.domain.bound(sort.expr.clone(), keys)?;
            Ok(SortExpr { expr, ..sort.clone() })
        };
        exprs.iter().map(bound).collect()
    }

    /// The expressions over the pushed input, under the names that they have.
    fn named(&self, exprs: &[Expr], keys: &[Column]) -> Result<Vec<Expr>> {
        let preserver = NamePreserver::new_for_projection();
        let named = |expr: &Expr| {
            let name = preserver.save(expr);
            Ok(name.restore(self.domain.bound(expr.clone(), keys)?))
        };
        exprs.iter().map(named).collect()
    }
}

fn columns(keys: &[Column]) -> impl Iterator<Item = Expr> {
    keys.iter().cloned().map(Expr::Column)
}

fn unsupported() -> DataFusionError {
    refused("this form of correlated subquery is not supported")
}

fn refused(message: &str) -> DataFusionError {
    to_datafusion(ErrorReport::unsupported(message))
}
