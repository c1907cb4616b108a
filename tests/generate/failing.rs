//! Queries that must fail, on some rows at least: then the SQLSTATE is compared.
//!
//! Engines may differ in whether they evaluate an expression for a row that a filter or a limit
//! drops. So the failing expression stands in the select list, or in an aggregate of it, over the
//! whole of one table; and only one kind of failure is possible in one query.

use super::{
    Generator,
    query::{Query, Select},
    schema::Table,
    types::{Expr, Type},
};

impl Generator<'_> {
    /// A query that fails if the table has such rows.
    pub(crate) fn failing(&mut self) -> Query {
        for _ in 0..20 {
            let (table, alias) = self.any_table();
            let candidates = candidates(&table, &alias);
            if candidates.is_empty() {
                continue;
            }
            let (feature, ty, sql) = self.rng.pick(&candidates).clone();
            self.features.note(feature);
            let aggregate = ty != Type::Bool && self.rng.chance(30);
            let item = if aggregate { format!("max({sql})") } else { sql };
            let mut items = vec![Expr::new(ty, item)];
            if !aggregate {
                items.insert(0, Expr::new(Type::Int, format!("{alias}.id")));
            }
            let from = vec![format!("{} {alias}", table.name)];
            return Query::of(Select { items, from, ..Select::default() });
        }
        self.constant_failure()
    }

    /// One without a table.
    fn constant_failure(&mut self) -> Query {
        self.features.note("error: cast");
        let (ty, sql) = match self.rng.below(4) {
            0 => (Type::Int, "'abc'::int"),
            1 => (Type::Date, "'2021-02-29'::date"),
            2 => (Type::Int, "2147483648::int"),
            _ => (Type::Bool, "'perhaps'::boolean"),
        };
        Query::of(Select { items: vec![Expr::new(ty, sql)], ..Select::default() })
    }
}

/// Feature, type and text of what may fail over this table.
fn candidates(table: &Table, alias: &str) -> Vec<(&'static str, Type, String)> {
    let mut found = Vec::new();
    let mut add = |column: &str, feature: &'static str, ty: Type, texts: &[&str]| {
        if table.column(column).is_some() {
            let name = format!("{alias}.{column}");
            found.extend(texts.iter().map(|t| (feature, ty, t.replace('$', &name))));
        }
    };
    let overflow = "error: overflow";
    add("w", overflow, Type::Int, &["($ + 1)", "($ - 2)", "($ * 2)", "(- $)", "abs($)"]);
    add("w", overflow, Type::SmallInt, &["($)::smallint"]);
    add("v", overflow, Type::BigInt, &["($ + 1)", "($ - 1)", "($ * 3)", "(- $)", "abs($)"]);
    add("v", overflow, Type::Int, &["($)::int"]);
    add("s", overflow, Type::SmallInt, &["($ + 32760::smallint)", "($ * 16000::smallint)"]);
    let division = "error: division by zero";
    add("k", division, Type::Int, &["(10 / ($ - 3))", "(10 % ($ - 4))", "mod(7, $)"]);
    add("k2", division, Type::BigInt, &["(10 / $)"]);
    add("n", division, Type::Numeric, &["trunc(1.5 / $)"]);
    add("f", division, Type::Double, &["(1 / ($ - 3))"]);
    add("n", "error: numeric overflow", Type::Numeric, &["($)::numeric(4,2)"]);
    add("m", "error: numeric overflow", Type::Numeric, &["($)::numeric(3,3)"]);
    let cast = "error: cast";
    add("t", cast, Type::Int, &["($)::int"]);
    add("t", cast, Type::Date, &["($)::date"]);
    add("u", cast, Type::Numeric, &["($)::numeric(10,2)"]);
    add("u", cast, Type::Bool, &["($)::boolean"]);
    let domain = "error: domain";
    add("f", domain, Type::Double, &["sqrt($)", "ln($ + 1.25)"]);
    add("s", domain, Type::Text, &["substring('abc' FROM 1 FOR $)"]);
    // Over more than one row for sure.
    if table.rows.len() > 1 {
        let sql = format!("(SELECT x.id FROM {} x)", table.name);
        found.push(("error: several rows", Type::Int, sql));
    }
    found
}
