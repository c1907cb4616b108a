//! Aggregates and window functions.

use super::{
    Generator,
    types::{Expr, Scope, Type},
};

impl Generator<'_> {
    /// An aggregate over the scope.
    pub(crate) fn aggregate(&mut self, scope: &Scope) -> Expr {
        let mut aggregate = match self.rng.weighted(&[16, 8, 14, 22, 6, 12, 18, 6]) {
            0 => Expr::new(Type::BigInt, "count(*)"),
            1 => {
                let ty = self.any_type(scope);
                Expr::new(Type::BigInt, format!("count({})", self.value(scope, ty, 1).sql))
            }
            2 => {
                self.features.note("count distinct");
                let ty = self.any_type(scope);
                let value = self.value(scope, ty, 1).sql;
                Expr::new(Type::BigInt, format!("count(DISTINCT {value})"))
            }
            3 => self.sum(scope, ""),
            4 => {
                self.features.note("sum distinct");
                self.sum(scope, "DISTINCT ")
            }
            5 => {
                let argument = self.number(scope);
                avg(&argument, "")
            }
            6 => self.extreme(scope),
            _ => {
                let argument = self.value(scope, Type::Bool, 1).sql;
                let name = *self.rng.pick(&["bool_and", "bool_or", "every"]);
                Expr::new(Type::Bool, format!("{name}({argument})"))
            }
        };
        if self.rng.chance(10) {
            self.features.note("aggregate filter");
            let condition = self.predicate(scope, 1);
            aggregate.sql += &format!(" FILTER (WHERE {condition})");
        }
        aggregate
    }

    fn sum(&mut self, scope: &Scope, distinct: &str) -> Expr {
        let argument = self.number(scope);
        sum(&argument, distinct)
    }

    fn extreme(&mut self, scope: &Scope) -> Expr {
        let mut ty = self.any_type(scope);
        if ty == Type::Bool {
            ty = Type::Int;
        }
        let argument = self.value(scope, ty, 1);
        let name = *self.rng.pick(&["min", "max"]);
        Expr::new(ty, format!("{name}({})", argument.sql)).wide(true)
    }

    /// Something that can be summed.
    fn number(&mut self, scope: &Scope) -> Expr {
        let numbers =
            [Type::SmallInt, Type::Int, Type::BigInt, Type::Numeric, Type::Numeric, Type::Double];
        let column = match self.rng.chance(70) {
            true => self.column(scope, |c| numbers.contains(&c.ty) && !c.inexact),
            false => None,
        };
        let ty = column.map_or_else(|| *self.rng.pick(&numbers), |c| c.ty);
        // Sums of computed doubles may cancel out: no tolerance would tell them from wrong ones.
        let depth = if ty == Type::Double { 0 } else { 1 };
        self.value(scope, ty, depth)
    }

    /// A window function over a scope whose rows `unique` tells apart.
    pub(crate) fn window(&mut self, scope: &Scope) -> Expr {
        let partition = self.partition_by(scope);
        let total = self.window_order(scope, true);
        match self.rng.weighted(&[20, 18, 14, 16, 14, 16, 6]) {
            0 => {
                self.features.note("window row_number");
                Expr::new(Type::BigInt, format!("row_number() OVER ({partition}{total})"))
            }
            1 => {
                self.features.note("window rank");
                let name = *self.rng.pick(&["rank", "dense_rank"]);
                let order = self.window_order(scope, false);
                Expr::new(Type::BigInt, format!("{name}() OVER ({partition}{order})"))
            }
            2 => {
                self.features.note("window aggregate");
                self.window_aggregate(scope, &format!("({})", partition.trim_end()))
            }
            3 => {
                self.features.note("window aggregate");
                let order = self.window_order(scope, false);
                self.window_aggregate(scope, &format!("({partition}{order})"))
            }
            4 => {
                self.features.note("window frame");
                let frame = *self.rng.pick(&[
                    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
                    "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                    "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
                ]);
                self.window_aggregate(scope, &format!("({partition}{total} {frame})"))
            }
            5 => {
                self.features.note("window lag or lead");
                let argument = self.column(scope, |c| !c.inexact);
                let Some(argument) = argument else { return self.window_aggregate(scope, "()") };
                let ty = argument.ty;
                let call = match self.rng.below(5) {
                    0 => format!("lag({})", argument.sql),
                    1 => format!("lead({}, 2)", argument.sql),
                    2 => format!("lag({}, 1, {})", argument.sql, self.literal(ty).sql),
                    3 => format!("first_value({})", argument.sql),
                    _ => format!("last_value({})", argument.sql),
                };
                Expr::new(ty, format!("{call} OVER ({partition}{total})")).wide(true)
            }
            _ => {
                let order = self.window_order(scope, false);
                match self.rng.below(3) {
                    0 => Expr::new(Type::Int, format!("ntile(3) OVER ({partition}{total})")),
                    1 => double(format!("percent_rank() OVER ({partition}{order})")),
                    _ => double(format!("cume_dist() OVER ({partition}{order})")),
                }
            }
        }
    }

    fn window_aggregate(&mut self, scope: &Scope, over: &str) -> Expr {
        let over = format!(" OVER {over}");
        match self.rng.below(4) {
            0 => Expr::new(Type::BigInt, format!("count(*){over}")),
            1 => {
                let mut extreme = self.extreme(scope);
                extreme.sql += &over;
                extreme
            }
            2 => avg(&self.number(scope), &over),
            _ => {
                let mut sum = self.sum(scope, "");
                sum.sql += &over;
                sum
            }
        }
    }

    fn partition_by(&mut self, scope: &Scope) -> String {
        let count = self.rng.weighted(&[35, 50, 15]);
        let keys: Vec<String> = (0..count)
            .map(|_| {
                let ty = self.any_type(scope);
                self.value(scope, ty, 0).sql
            })
            .collect();
        if keys.is_empty() { String::new() } else { format!("PARTITION BY {} ", keys.join(", ")) }
    }

    fn window_order(&mut self, scope: &Scope, total: bool) -> String {
        let mut keys = Vec::new();
        if !total || self.rng.chance(60) {
            let ty = self.any_type(scope);
            let direction = *self.rng.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            keys.push(format!("{}{direction}", self.value(scope, ty, 0).sql));
        }
        if total {
            keys.extend(scope.unique.iter().cloned());
        }
        format!("ORDER BY {}", keys.join(", "))
    }
}

fn double(sql: String) -> Expr {
    Expr::new(Type::Double, sql).inexact(true)
}

fn sum(argument: &Expr, distinct: &str) -> Expr {
    let ty = match argument.ty {
        Type::SmallInt | Type::Int => Type::BigInt,
        Type::Double => Type::Double,
        _ => Type::Numeric,
    };
    Expr::new(ty, format!("sum({distinct}{})", argument.sql))
        .wide(argument.wide || ty == Type::Numeric)
        .inexact(ty == Type::Double)
}

fn avg(argument: &Expr, over: &str) -> Expr {
    let ty = if argument.ty == Type::Double { Type::Double } else { Type::Numeric };
    Expr::new(ty, format!("avg({}){over}", argument.sql)).wide(true).inexact(true)
}
