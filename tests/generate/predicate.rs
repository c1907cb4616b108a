//! Conditions: comparisons, BETWEEN, IN, LIKE, NULL tests, subquery predicates, and what joins
//! them.

use super::{
    Generator,
    types::{Expr, Scope, Type},
};

const COMPARISONS: &[&str] = &["=", "<>", "<", "<=", ">", ">=", "<>", ">="];
const PATTERNS: &[&str] = &["a%", "%a", "%b%", "_", "__", "", "%", "%\\%%", "x\\_y", "A_%", "漢_"];

impl Generator<'_> {
    /// A condition; an operand of AND, OR and NOT as it stands.
    pub(crate) fn predicate(&mut self, scope: &Scope, depth: usize) -> String {
        let below = depth.saturating_sub(1);
        let nested = if depth > 0 { 16 } else { 0 };
        let subquery = if self.subqueries > 0 { 14 } else { 0 };
        match self.rng.weighted(&[38, 7, 9, 7, 8, 5, 6, 4, nested, subquery]) {
            0 => self.comparison(scope, below),
            1 => self.between(scope, below),
            2 => self.in_list(scope, below),
            3 => self.like(scope, below),
            4 => {
                let ty = self.any_type(scope);
                let not = if self.rng.chance(50) { " NOT" } else { "" };
                format!("({} IS{not} NULL)", self.value(scope, ty, below).sql)
            }
            5 => self.is_distinct(scope, below),
            6 => self.value(scope, Type::Bool, below).sql,
            7 => {
                let tests = ["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN"];
                let test = *self.rng.pick(&tests);
                format!("({} {test})", self.value(scope, Type::Bool, below).sql)
            }
            8 => self.connected(scope, below),
            _ => self.subquery_predicate(scope),
        }
    }

    /// Conditions for WHERE: ANDed by the caller.
    pub(crate) fn conjuncts(&mut self, scope: &Scope) -> Vec<String> {
        let count = self.rng.weighted(&[46, 42, 10, 2]);
        (0..count).map(|_| self.predicate(scope, 2)).collect()
    }

    fn comparison(&mut self, scope: &Scope, depth: usize) -> String {
        let ty = self.any_type(scope);
        let a = self.value(scope, ty, depth).sql;
        let b = match self.rng.below(10) {
            0..4 => self.literal(ty).sql,
            4 if self.subqueries > 0 => self.scalar_subquery(scope, ty),
            _ => {
                let other = self.comparable(scope, ty);
                self.value(scope, other, depth).sql
            }
        };
        format!("({a} {} {b})", self.rng.pick(COMPARISONS))
    }

    /// A type of the scope that can be compared with this one.
    fn comparable(&mut self, scope: &Scope, ty: Type) -> Type {
        let column = self.column(scope, |c| c.ty.compares_with(ty) && !c.inexact);
        column.map_or(ty, |c| c.ty)
    }

    fn between(&mut self, scope: &Scope, depth: usize) -> String {
        self.features.note("between");
        let ty = self.any_type(scope);
        let not = if self.rng.chance(25) { " NOT" } else { "" };
        let x = self.value(scope, ty, depth).sql;
        let (low, high) = (self.value(scope, ty, 0).sql, self.literal(ty).sql);
        format!("({x}{not} BETWEEN {low} AND {high})")
    }

    fn in_list(&mut self, scope: &Scope, depth: usize) -> String {
        let ty = self.any_type(scope);
        let x = self.value(scope, ty, depth).sql;
        let mut list: Vec<String> =
            (0..self.rng.between(1, 4)).map(|_| self.literal(ty).sql).collect();
        if self.rng.chance(15) {
            list.push("NULL".into());
        }
        if self.rng.chance(20) {
            list.push(self.value(scope, ty, 0).sql);
        }
        let not = self.rng.chance(35);
        self.features.note(if not { "not in list" } else { "in list" });
        format!("({x}{} IN ({}))", if not { " NOT" } else { "" }, list.join(", "))
    }

    fn like(&mut self, scope: &Scope, depth: usize) -> String {
        self.features.note("like");
        let operator = *self.rng.pick(&["LIKE", "LIKE", "NOT LIKE", "ILIKE"]);
        let pattern = *self.rng.pick(PATTERNS);
        format!("({} {operator} '{pattern}')", self.expr(scope, Type::Text, depth).sql)
    }

    fn is_distinct(&mut self, scope: &Scope, depth: usize) -> String {
        self.features.note("is distinct from");
        let ty = self.any_type(scope);
        let other = self.comparable(scope, ty);
        let (a, b) = (self.value(scope, ty, depth).sql, self.value(scope, other, 0).sql);
        let not = if self.rng.chance(50) { " NOT" } else { "" };
        format!("({a} IS{not} DISTINCT FROM {b})")
    }

    fn connected(&mut self, scope: &Scope, depth: usize) -> String {
        let with_subqueries = self.subqueries;
        let a = self.predicate(scope, depth);
        match self.rng.below(5) {
            0 => format!("(NOT {a})"),
            1 | 2 => {
                let b = self.predicate(scope, depth);
                if self.subqueries < with_subqueries {
                    self.features.note("subquery under or");
                }
                format!("({a} OR {b})")
            }
            _ => format!("({a} AND {})", self.predicate(scope, depth)),
        }
    }

    /// A comparison that only a nested loop can evaluate, between two sides of a join.
    pub(crate) fn inequality(&mut self, left: &Scope, right: &Scope) -> Option<String> {
        let pairs = pairs(left, right);
        if pairs.is_empty() {
            return None;
        }
        let (a, b) = self.rng.pick(&pairs);
        Some(format!("{} {} {}", a.sql, self.rng.pick(&["<", "<=", ">", "<>"]), b.sql))
    }

    /// An equality between two sides of a join, mostly of their usual join keys.
    pub(crate) fn equality(&mut self, left: &Scope, right: &Scope) -> Option<String> {
        let pairs = pairs(left, right);
        if pairs.is_empty() {
            return None;
        }
        let key = |e: &Expr| matches!(column_name(&e.sql), "k" | "k2");
        let keys: Vec<&(Expr, Expr)> = pairs.iter().filter(|(a, b)| key(a) && key(b)).collect();
        let alike: Vec<&(Expr, Expr)> = pairs.iter().filter(|(a, b)| a.ty == b.ty).collect();
        let (a, b) = match self.rng.below(100) {
            0..55 if !keys.is_empty() => (*self.rng.pick(&keys)).clone(),
            0..88 if !alike.is_empty() => (*self.rng.pick(&alike)).clone(),
            _ => self.rng.pick(&pairs).clone(),
        };
        match a.ty {
            Type::Text => self.features.note("join on text"),
            Type::Char => self.features.note("join on char"),
            Type::Date => self.features.note("join on date"),
            ty if ty != b.ty => self.features.note("join on numbers of two types"),
            _ => {}
        }
        let operator = if self.rng.chance(4) { "IS NOT DISTINCT FROM" } else { "=" };
        Some(format!("{} {operator} {}", a.sql, b.sql))
    }
}

/// All pairs of columns that can be compared and are sometimes equal.
fn pairs(left: &Scope, right: &Scope) -> Vec<(Expr, Expr)> {
    let usable = |e: &&Expr| !e.inexact && e.ty != Type::Bool;
    let mut pairs = Vec::new();
    for a in left.columns.iter().filter(usable) {
        for b in right.columns.iter().filter(usable) {
            if a.ty.compares_with(b.ty) && a.wide == b.wide {
                pairs.push((a.clone(), b.clone()));
            }
        }
    }
    pairs
}

/// `k` of `x1.k`.
pub(crate) fn column_name(sql: &str) -> &str {
    sql.rsplit('.').next().unwrap_or(sql)
}
