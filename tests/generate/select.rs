//! SELECT in its forms: plain, DISTINCT, grouped, aggregated, with windows.

use super::{
    Generator,
    from::From,
    query::Select,
    types::{Expr, Scope, Type},
};

/// What a SELECT must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The types of its columns; `None`: any.
    pub(crate) types: Option<&'a [Type]>,
    /// Its columns must be exact: they will be compared.
    pub(crate) exact: bool,
    /// How many levels of subqueries there may still be in FROM.
    pub(crate) nested: usize,
}

impl Generator<'_> {
    /// A SELECT, and the positions of columns that are different in every row, if known.
    pub(crate) fn select(&mut self, wanted: Wanted<'_>) -> (Select, Vec<usize>) {
        self.tables_used.clear();
        let from = self.from(wanted.nested);
        match self.rng.weighted(&[42, 30, 12, 16]) {
            1 => self.grouped(from, wanted),
            2 => (self.aggregated(from, wanted), Vec::new()),
            3 if !from.scope.unique.is_empty() && wanted.types.is_none() => {
                (self.windowed(from), Vec::new())
            }
            _ => (self.plain(from, wanted), Vec::new()),
        }
    }

    fn plain(&mut self, from: From, wanted: Wanted<'_>) -> Select {
        let distinct = self.rng.chance(16);
        let types = self.item_types(&from.scope, wanted);
        let mut items = Vec::new();
        for ty in types {
            items.push(match wanted.exact || distinct {
                true => self.value(&from.scope, ty, 2),
                false => self.output(&from.scope, ty, 2),
            });
        }
        if distinct {
            self.features.note("distinct");
        }
        let mut select = Select { distinct, items, ..Select::default() };
        self.fill(&mut select, from);
        select
    }

    /// FROM and WHERE.
    fn fill(&mut self, select: &mut Select, from: From) {
        select.filter = from.filter;
        select.filter.extend(self.conjuncts(&from.scope));
        select.from = from.pieces;
    }

    fn item_types(&mut self, scope: &Scope, wanted: Wanted<'_>) -> Vec<Type> {
        if let Some(types) = wanted.types {
            return types.to_vec();
        }
        (0..self.rng.between(1, 4)).map(|_| self.any_type(scope)).collect()
    }

    fn grouped(&mut self, from: From, wanted: Wanted<'_>) -> (Select, Vec<usize>) {
        self.features.note("group by");
        let subqueries = std::mem::take(&mut self.subqueries);
        let keys: Vec<Expr> = (0..1 + self.rng.weighted(&[50, 38, 12]))
            .map(|_| self.group_key(&from.scope))
            .collect();
        let mut grouped = Scope { columns: keys.clone(), ..Scope::default() };
        for _ in 0..self.rng.between(1, 3) {
            let aggregate = self.aggregate(&from.scope);
            grouped.columns.push(aggregate);
        }
        grouped.unique = keys.iter().map(|k| k.sql.clone()).collect();
        let distinct = self.rng.chance(12);
        let exact = wanted.exact || distinct;
        let (items, unique) = match wanted.types {
            Some(types) => {
                let items = types.iter().map(|ty| self.value(&grouped, *ty, 1)).collect();
                (items, Vec::new())
            }
            None => self.grouped_items(&grouped, keys.len(), exact),
        };
        let mut select = Select { distinct, items, ..Select::default() };
        if distinct {
            self.features.note("distinct over group by");
        }
        if self.rng.chance(30) {
            self.features.note("having");
            select.having.push(self.predicate(&grouped, 1));
        }
        select.group_by = grouped.unique.clone();
        select.group_by.dedup();
        self.subqueries = subqueries;
        self.fill(&mut select, from);
        (select, unique)
    }

    /// The keys, mostly, then aggregates and expressions over both.
    fn grouped_items(
        &mut self,
        grouped: &Scope,
        keys: usize,
        exact: bool,
    ) -> (Vec<Expr>, Vec<usize>) {
        let with_keys = self.rng.chance(75);
        let mut items: Vec<Expr> = grouped.columns[if with_keys { 0 } else { keys }..]
            .iter()
            .filter(|c| !(exact && c.inexact))
            .cloned()
            .collect();
        if items.is_empty() || self.rng.chance(35) {
            let ty = self.any_type(grouped);
            items.push(self.value(grouped, ty, 2));
        }
        if !exact && self.rng.chance(18) {
            self.features.note("window over group by");
            items.push(self.window(grouped));
        }
        (items, if with_keys { (0..keys).collect() } else { Vec::new() })
    }

    /// A key of GROUP BY; it has at least one column, since a constant would mean a position.
    fn group_key(&mut self, scope: &Scope) -> Expr {
        let ty = self.any_type(scope);
        if self.rng.chance(30) {
            let expr = self.expr(scope, ty, 2);
            if expr.sql.contains(['(', ' '])
                && scope.columns.iter().any(|c| expr.sql.contains(&c.sql))
            {
                self.features.note("group by expression");
                return expr;
            }
        }
        let column = self.column(scope, |c| c.ty == ty && !c.inexact);
        column.or_else(|| self.column(scope, |c| !c.inexact)).unwrap_or_else(|| {
            // Every column is inexact: any expression over one of them will do.
            Expr::new(Type::Bool, format!("({} IS NULL)", scope.columns[0].sql))
        })
    }

    fn aggregated(&mut self, from: From, wanted: Wanted<'_>) -> Select {
        self.features.note("aggregate without group by");
        let subqueries = std::mem::take(&mut self.subqueries);
        let count = self.rng.between(1, 4);
        let columns: Vec<Expr> = (0..count).map(|_| self.aggregate(&from.scope)).collect();
        let scope = Scope { columns, ..Scope::default() };
        let items = match wanted.types {
            Some(types) => {
                let mut items: Vec<Expr> =
                    types.iter().map(|ty| self.value(&scope, *ty, 1)).collect();
                // At least one aggregate, or it were a plain SELECT.
                if !items.iter().any(|i| scope.columns.iter().any(|c| i.sql.contains(&c.sql))) {
                    items[0].sql = format!("CASE WHEN count(*) >= 0 THEN {} END", items[0].sql);
                }
                items
            }
            None => {
                let exact: Vec<Expr> = scope
                    .columns
                    .iter()
                    .filter(|c| !(wanted.exact && c.inexact))
                    .cloned()
                    .collect();
                match exact.is_empty() {
                    true => vec![Expr::new(Type::BigInt, "count(*)")],
                    false => exact,
                }
            }
        };
        let mut select = Select { items, ..Select::default() };
        if self.rng.chance(12) {
            self.features.note("having");
            select.having.push(self.predicate(&scope, 1));
        }
        self.subqueries = subqueries;
        self.fill(&mut select, from);
        select
    }

    fn windowed(&mut self, from: From) -> Select {
        let subqueries = std::mem::take(&mut self.subqueries);
        let mut items = Vec::new();
        for _ in 0..self.rng.between(0, 2) {
            let ty = self.any_type(&from.scope);
            items.push(self.value(&from.scope, ty, 1));
        }
        for _ in 0..self.rng.between(1, 2) {
            items.push(self.window(&from.scope));
        }
        self.subqueries = subqueries;
        let mut select = Select { items, ..Select::default() };
        self.fill(&mut select, from);
        select
    }
}
