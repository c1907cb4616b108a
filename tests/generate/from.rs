//! FROM: tables, subqueries, common table expressions and VALUES, joined in every way.

use super::{
    Generator,
    types::{Expr, Relation, Scope, Type},
};

/// No join may have more rows than this before its conditions.
const MOST_ROWS: usize = 300_000;

/// A FROM clause, and what can be said over it.
#[derive(Clone, Debug, Default)]
pub(crate) struct From {
    /// The first item, then each join, with its leading comma or space.
    pub(crate) pieces: Vec<String>,
    /// The columns.
    pub(crate) scope: Scope,
    /// Conditions that belong into WHERE.
    pub(crate) filter: Vec<String>,
}

impl Generator<'_> {
    /// One to four relations. `nested`: how many levels of subqueries there may still be.
    pub(crate) fn from(&mut self, nested: usize) -> From {
        let subqueries = std::mem::take(&mut self.subqueries);
        let mut from = From::default();
        let count = 1 + self.rng.weighted(&[38, 42, 16, 4]);
        let mut rows = 1;
        for index in 0..count {
            let (text, relation, filter) = self.relation(nested);
            rows *= relation.rows.max(1);
            if index > 0 && rows > MOST_ROWS {
                break;
            }
            let right = Scope { columns: relation.columns.clone(), ..Scope::default() };
            let piece = match index {
                0 => text,
                _ => self.join(&mut from, &right, &text, index + 1 == count),
            };
            from.pieces.push(piece);
            from.filter.extend(filter);
            from.scope.columns.extend(relation.columns.clone());
            from.scope.relations.push(relation);
        }
        if from.scope.relations.iter().all(|r| !r.unique.is_empty()) {
            from.scope.unique =
                from.scope.relations.iter().flat_map(|r| r.unique.clone()).collect();
        }
        self.subqueries = subqueries;
        from
    }

    /// A join of what there is with the relation written as `text`. After some forms there can be
    /// no other join: they are for the last one.
    fn join(&mut self, from: &mut From, right: &Scope, text: &str, last: bool) -> String {
        let left = from.scope.clone();
        let mut kind = self.rng.weighted(&[32, 22, 13, 12, 6, 8, 5, 4]);
        if kind > 5 && !last {
            kind = 0;
        }
        let simple = !text.starts_with('(') && !from.pieces[0].starts_with('(');
        let has_k = |s: &Scope| s.columns.iter().any(|c| c.sql.ends_with(".k"));
        if kind == 7 && simple && left.relations.len() == 1 && has_k(&left) && has_k(right) {
            self.features.note("join using");
            let join = *self.rng.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
            from.scope.columns.push(Expr::new(Type::Int, "k"));
            return format!(" {join} {text} USING (k)");
        }
        let conditions = self.join_conditions(&left, right, kind == 3);
        if kind == 4 || conditions.is_empty() {
            self.features.note("cross join");
            return format!(" CROSS JOIN {text}");
        }
        match kind {
            5 => {
                let Some(condition) = self.inequality(&left, right) else {
                    return format!(" CROSS JOIN {text}");
                };
                self.features.note("non-equi join");
                let join = *self.rng.pick(&["JOIN", "LEFT JOIN"]);
                format!(" {join} {text} ON {condition}")
            }
            6 => {
                from.filter.extend(conditions);
                format!(", {text}")
            }
            _ => {
                let (join, feature) = match kind {
                    1 => ("LEFT JOIN", "left join"),
                    2 => ("RIGHT JOIN", "right join"),
                    3 => ("FULL JOIN", "full join"),
                    _ => ("JOIN", "inner join"),
                };
                self.features.note(feature);
                format!(" {join} {text} ON {}", conditions.join(" AND "))
            }
        }
    }

    /// At least one equality, if there is one, and what else may stand beside it.
    fn join_conditions(&mut self, left: &Scope, right: &Scope, full: bool) -> Vec<String> {
        let Some(mut equality) = self.equality(left, right) else { return Vec::new() };
        if full {
            // PostgreSQL's full joins need an operator that can be hashed or merged.
            equality = equality.replace("IS NOT DISTINCT FROM", "=");
        }
        let mut conditions = vec![equality];
        if self.rng.chance(16) {
            conditions.extend(self.equality(left, right));
            self.features.note("join on several keys");
        }
        if self.rng.chance(12) {
            conditions.extend(self.inequality(left, right));
        }
        if self.rng.chance(14) {
            self.features.note("one-sided join condition");
            let side = if self.rng.chance(50) { left } else { right };
            conditions.push(self.predicate(side, 1));
        }
        conditions
    }

    /// Its text, what it is, and a condition for WHERE.
    fn relation(&mut self, nested: usize) -> (String, Relation, Option<String>) {
        let unused = self.ctes.iter().position(|c| c.uses == 0);
        let cte = if self.ctes.is_empty() { 0 } else { 40 };
        let derived = if nested > 0 { 10 } else { 0 };
        match self.rng.weighted(&[72, derived, cte, 6, 4]) {
            _ if unused.is_some() => self.cte_relation(unused.unwrap_or_default()),
            0 => self.table_relation(),
            1 => self.derived_relation(nested - 1),
            2 => {
                let index = self.rng.below(self.ctes.len());
                self.cte_relation(index)
            }
            3 => self.values_relation(),
            _ => self.top_n_relation(),
        }
    }

    fn table_relation(&mut self) -> (String, Relation, Option<String>) {
        let (table, alias) = self.any_table();
        if self.tables_used.contains(&table.name) {
            self.features.note("self join");
        }
        self.tables_used.push(table.name.clone());
        let relation = Relation {
            columns: table.expressions(&alias),
            rows: table.rows.len(),
            unique: vec![format!("{alias}.id")],
            alias,
        };
        (format!("{} {}", table.name, relation.alias), relation, None)
    }

    fn derived_relation(&mut self, nested: usize) -> (String, Relation, Option<String>) {
        self.features.note("derived table");
        let alias = self.alias();
        let (query, unique) = self.nested_query(nested);
        let relation = named_columns(&alias, query.columns(), &unique);
        (format!("({query}) AS {alias}"), relation, None)
    }

    fn cte_relation(&mut self, index: usize) -> (String, Relation, Option<String>) {
        let alias = self.alias();
        let cte = &mut self.ctes[index];
        cte.uses += 1;
        if cte.uses == 2 {
            self.features.note("cte used twice");
        }
        let relation = named_columns(&alias, &cte.columns, &cte.unique);
        (format!("{} {alias}", cte.name), relation, None)
    }

    fn values_relation(&mut self) -> (String, Relation, Option<String>) {
        self.features.note("values");
        let alias = self.alias();
        let other = *self.rng.pick(&[Type::Text, Type::Numeric, Type::Date, Type::BigInt]);
        let count = self.rng.between(1, 5) as usize;
        let mut rows = Vec::new();
        for index in 0..count {
            let k = self.literal(Type::Int).sql;
            let null = index > 0 && self.rng.chance(20);
            let x = if null { "NULL".into() } else { self.literal(other).sql };
            rows.push(format!("({k}, {x})"));
        }
        let columns = vec![
            Expr::new(Type::Int, format!("{alias}.k")),
            Expr::new(other, format!("{alias}.x")),
        ];
        let text = format!("(VALUES {}) AS {alias}(k, x)", rows.join(", "));
        (text, Relation { alias, columns, rows: count, unique: Vec::new() }, None)
    }

    /// The first rows of each group, by row_number.
    fn top_n_relation(&mut self) -> (String, Relation, Option<String>) {
        self.features.note("top n per group");
        let (table, inner) = self.any_table();
        let alias = self.alias();
        let scope = Scope { columns: table.expressions(&inner), ..Scope::default() };
        let group = self.column(&scope, |_| true).map(|c| c.sql).unwrap_or_default();
        let order = self.column(&scope, |_| true).map(|c| c.sql).unwrap_or_default();
        let text = format!(
            "(SELECT {inner}.*, row_number() OVER (PARTITION BY {group} ORDER BY {order} DESC, \
             {inner}.id) AS rn FROM {} {inner}) AS {alias}",
            table.name
        );
        let mut columns = table.expressions(&alias);
        columns.push(Expr::new(Type::BigInt, format!("{alias}.rn")));
        let unique = vec![format!("{alias}.id")];
        let filter = Some(format!("{alias}.rn <= {}", self.rng.between(1, 3)));
        (text, Relation { alias, columns, rows: table.rows.len(), unique }, filter)
    }
}

/// A relation whose columns are named `c0`, `c1`, …
fn named_columns(alias: &str, columns: &[Expr], unique: &[usize]) -> Relation {
    let name = |index: usize| format!("{alias}.c{index}");
    let columns = columns
        .iter()
        .enumerate()
        .map(|(index, c)| Expr { sql: name(index), ..c.clone() })
        .collect();
    Relation {
        alias: alias.to_string(),
        columns,
        // Not known; enough to keep products of several such relations small.
        rows: 60,
        unique: unique.iter().map(|index| name(*index)).collect(),
    }
}
