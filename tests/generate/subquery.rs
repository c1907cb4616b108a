//! Subqueries inside expressions: EXISTS, IN and scalar ones, each uncorrelated or correlated.

use super::{
    Generator,
    schema::Table,
    types::{Expr, Scope, Type},
};

impl Generator<'_> {
    /// EXISTS or IN, negated or not.
    pub(crate) fn subquery_predicate(&mut self, scope: &Scope) -> String {
        self.subqueries = self.subqueries.saturating_sub(1);
        match self.rng.below(10) {
            0..3 => self.exists(scope, false),
            3..5 => self.exists(scope, true),
            5..7 => self.in_subquery(scope, false),
            _ => self.in_subquery(scope, true),
        }
    }

    /// A scalar subquery of this type, of at most one row.
    pub(crate) fn scalar_subquery(&mut self, scope: &Scope, ty: Type) -> String {
        self.subqueries = self.subqueries.saturating_sub(1);
        let (table, alias) = self.any_table();
        let inner = inner_scope(&table, &alias);
        let mut filter = self.inner_filter(&inner);
        let item = match self.aggregate_of(&inner, ty) {
            Some(aggregate) => {
                let correlation = match self.rng.chance(60) {
                    true => self.correlation(scope, &inner),
                    false => Vec::new(),
                };
                self.features.note(match correlation.is_empty() {
                    false => "scalar subquery, correlated",
                    true => "scalar subquery",
                });
                filter.extend(correlation);
                aggregate
            }
            None => {
                self.features.note("scalar subquery");
                filter.push(format!("{alias}.id = {}", self.rng.between(1, 20)));
                let subqueries = std::mem::take(&mut self.subqueries);
                let item = self.value(&inner, ty, 1).sql;
                self.subqueries = subqueries;
                item
            }
        };
        format!("(SELECT {item} FROM {} {alias}{})", table.name, where_clause(&filter))
    }

    fn exists(&mut self, scope: &Scope, not: bool) -> String {
        let (table, alias) = self.any_table();
        let inner = inner_scope(&table, &alias);
        let mut filter = self.inner_filter(&inner);
        if self.rng.chance(85) {
            let correlation = self.correlation(scope, &inner);
            if !correlation.is_empty() {
                self.features.note("exists, correlated");
            }
            filter.extend(correlation);
        }
        self.features.note(if not { "not exists" } else { "exists" });
        let item = *self.rng.pick(&["1", "*", "NULL"]);
        let not = if not { "NOT " } else { "" };
        format!(
            "({not}EXISTS (SELECT {item} FROM {} {alias}{}))",
            table.name,
            where_clause(&filter)
        )
    }

    fn in_subquery(&mut self, scope: &Scope, not: bool) -> String {
        let (mut table, mut alias) = self.any_table();
        // Mostly a column whose only NULL sits on one datanode: every other datanode must know.
        if not && self.rng.chance(60) {
            for _ in 0..8 {
                if table.columns.iter().any(|c| table.has_single_null(c)) {
                    break;
                }
                (table, alias) = self.any_table();
            }
        }
        let inner = inner_scope(&table, &alias);
        let pairs: Vec<(Type, Expr, bool)> = table
            .columns
            .iter()
            .zip(&inner.columns)
            .filter(|(_, e)| scope.columns.iter().any(|o| o.ty == e.ty && !o.inexact))
            .map(|(c, e)| (e.ty, e.clone(), table.has_single_null(c)))
            .collect();
        if pairs.is_empty() {
            return self.exists(scope, not);
        }
        let single: Vec<_> = pairs.iter().filter(|p| p.2).cloned().collect();
        let choice = match not && !single.is_empty() && self.rng.chance(70) {
            true => self.rng.pick(&single).clone(),
            false => self.rng.pick(&pairs).clone(),
        };
        let x = self.value(scope, choice.0, 0).sql;
        let mut filter = if choice.2 { Vec::new() } else { self.inner_filter(&inner) };
        if not {
            self.features.note("not in subquery");
            if choice.2 {
                self.features.note("not in with a single null");
            }
        } else {
            self.features.note("in subquery");
        }
        if self.rng.chance(15) {
            let correlation = self.correlation(scope, &inner);
            if !correlation.is_empty() {
                self.features.note("in subquery, correlated");
            }
            filter.extend(correlation);
        }
        let (not, item) = (if not { " NOT" } else { "" }, choice.1.sql);
        format!(
            "({x}{not} IN (SELECT {item} FROM {} {alias}{}))",
            table.name,
            where_clause(&filter)
        )
    }

    /// What ties a subquery to its outer query: mostly an equality, also with or only an inequality.
    fn correlation(&mut self, scope: &Scope, inner: &Scope) -> Vec<String> {
        let (equality, inequality) = match self.rng.below(10) {
            0..6 => (true, false),
            6..8 => (true, true),
            _ => (false, true),
        };
        let mut conditions = Vec::new();
        if equality {
            conditions.extend(self.equality(scope, inner));
        }
        if inequality && let Some(condition) = self.inequality(scope, inner) {
            self.features.note("correlated by an inequality");
            conditions.push(condition);
        }
        conditions
    }

    /// An aggregate of this type over the whole scope, if there is one.
    fn aggregate_of(&mut self, inner: &Scope, ty: Type) -> Option<String> {
        if ty == Type::BigInt && self.rng.chance(60) {
            return Some("count(*)".into());
        }
        if ty == Type::Bool || self.rng.chance(15) {
            return None;
        }
        let column = self.column(inner, |c| c.ty == ty && !c.inexact)?;
        Some(format!("{}({})", self.rng.pick(&["min", "max"]), column.sql))
    }

    fn inner_filter(&mut self, inner: &Scope) -> Vec<String> {
        let subqueries = std::mem::take(&mut self.subqueries);
        let filter = match self.rng.chance(40) {
            true => vec![self.predicate(inner, 1)],
            false => Vec::new(),
        };
        self.subqueries = subqueries;
        filter
    }

    /// A random table and a new alias for it.
    pub(crate) fn any_table(&mut self) -> (Table, String) {
        let table = self.rng.pick(&self.schema.tables).clone();
        (table, self.alias())
    }
}

fn inner_scope(table: &Table, alias: &str) -> Scope {
    Scope { columns: table.expressions(alias), ..Scope::default() }
}

fn where_clause(filter: &[String]) -> String {
    if filter.is_empty() { String::new() } else { format!(" WHERE {}", filter.join(" AND ")) }
}
