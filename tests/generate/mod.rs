//! Random small queries over random small tables, all determined by a seed.
//!
//! The queries are typed, so that nearly all are valid, and deterministic: whatever an engine may
//! choose freely (the order of ties, the digits of an average) is either not asked for or marked,
//! so that a right engine gives PostgreSQL's answer.

mod aggregate;
mod expr;
mod failing;
mod features;
mod from;
mod predicate;
mod query;
mod rng;
mod schema;
mod select;
mod subquery;
mod types;

pub(crate) use features::Features;
pub(crate) use query::Query;
pub(crate) use rng::Rng;
pub(crate) use schema::Schema;
pub(crate) use types::Kind;

use query::Body;
use select::Wanted;
use types::{Expr, Type};

/// Makes queries over one schema.
pub(crate) struct Generator<'s> {
    rng: Rng,
    schema: &'s Schema,
    features: Features,
    aliases: usize,
    /// How many subqueries the expressions of this query may still have.
    subqueries: usize,
    ctes: Vec<Cte>,
    /// The tables in FROM so far.
    tables_used: Vec<String>,
}

/// A common table expression that FROM can name.
#[derive(Clone, Debug)]
struct Cte {
    name: String,
    columns: Vec<Expr>,
    unique: Vec<usize>,
    uses: usize,
}

impl<'s> Generator<'s> {
    /// Queries over this schema; equal seeds give equal queries.
    pub(crate) fn new(schema: &'s Schema, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            schema,
            features: Features::default(),
            aliases: 0,
            subqueries: 0,
            ctes: Vec::new(),
            tables_used: Vec::new(),
        }
    }

    /// A query, and what is in it.
    pub(crate) fn query(mut self) -> (Query, Features) {
        let query = match self.rng.weighted(&[8, 92]) {
            0 => self.failing(),
            _ => self.answering(),
        };
        (query, self.features)
    }

    fn answering(&mut self) -> Query {
        let mut ctes = Vec::new();
        for _ in 0..self.rng.weighted(&[82, 12, 6]) {
            self.features.note("cte");
            let (query, unique) = self.nested_query(1);
            let name = format!("w{}", self.ctes.len());
            let columns = query.columns().to_vec();
            self.ctes.push(Cte { name: name.clone(), columns, unique, uses: 0 });
            ctes.push((name, query));
        }
        self.subqueries = 2;
        let mut query = match self.rng.chance(18) {
            true => self.set_operation(1),
            false => Query::of(self.select(Wanted { types: None, exact: false, nested: 1 }).0),
        };
        self.order(&mut query);
        query.ctes = ctes;
        query
    }

    /// A query for FROM or WITH, and the columns that are different in every row, if known.
    fn nested_query(&mut self, nested: usize) -> (Query, Vec<usize>) {
        let subqueries = std::mem::replace(&mut self.subqueries, 1);
        let tables_used = std::mem::take(&mut self.tables_used);
        let (mut query, unique) = match self.rng.chance(15) {
            true => (self.set_operation(0), Vec::new()),
            false => {
                let wanted = Wanted { types: None, exact: true, nested: nested.saturating_sub(1) };
                let (select, unique) = self.select(wanted);
                (Query::of(select), unique)
            }
        };
        if self.rng.chance(15) {
            self.order(&mut query);
        }
        self.subqueries = subqueries;
        self.tables_used = tables_used;
        (query, unique)
    }

    fn set_operation(&mut self, depth: usize) -> Query {
        let types: Vec<Type> = (0..self.rng.between(1, 3))
            .map(|_| {
                *self.rng.pick(&[
                    Type::Int,
                    Type::Int,
                    Type::Text,
                    Type::Numeric,
                    Type::Date,
                    Type::BigInt,
                    Type::Bool,
                    Type::Char,
                    Type::SmallInt,
                ])
            })
            .collect();
        self.set_operation_of(&types, depth)
    }

    fn set_operation_of(&mut self, types: &[Type], depth: usize) -> Query {
        const OPERATORS: &[(&str, &str)] = &[
            ("UNION", "union"),
            ("UNION ALL", "union all"),
            ("INTERSECT", "intersect"),
            ("INTERSECT ALL", "intersect all"),
            ("EXCEPT", "except"),
            ("EXCEPT ALL", "except all"),
        ];
        let (operator, feature) = *self.rng.pick(OPERATORS);
        self.features.note(feature);
        let side = |this: &mut Self| {
            if depth > 0 && this.rng.chance(22) {
                this.features.note("set operation under a set operation");
                return Box::new(this.set_operation_of(types, depth - 1));
            }
            // A branch may have narrower integers: the result has the common type.
            let mut types = types.to_vec();
            for ty in &mut types {
                if *ty == Type::BigInt && this.rng.chance(30) {
                    *ty = Type::Int;
                }
            }
            let wanted = Wanted { types: Some(&types), exact: true, nested: 0 };
            let mut query = Query::of(this.select(wanted).0);
            if this.rng.chance(8) {
                this.order(&mut query);
            }
            Box::new(query)
        };
        let (left, right) = (side(self), side(self));
        Query::with_body(Body::Set { operator, left, right })
    }

    /// ORDER BY, and LIMIT where the order is total.
    fn order(&mut self, query: &mut Query) {
        let exact: Vec<usize> =
            (0..query.columns().len()).filter(|index| !query.columns()[*index].inexact).collect();
        let total = exact.len() == query.columns().len();
        let limited = total && self.rng.chance(35);
        if exact.is_empty() || !(limited || self.rng.chance(35)) {
            return;
        }
        self.features.note("order by");
        let count = if limited { exact.len() } else { self.rng.between(1, 3) as usize };
        for column in self.rng.sample(&exact, count) {
            let rest = *self.rng.pick(&[
                "",
                "",
                " DESC",
                " ASC",
                " NULLS FIRST",
                " DESC NULLS LAST",
                " ASC NULLS LAST",
            ]);
            query.order_by.push((column, rest));
        }
        if limited {
            if self.rng.chance(85) {
                self.features.note("limit");
                query.limit = Some(*self.rng.pick(&[1, 2, 3, 5, 10, 10, 20, 100, 0]));
            }
            if query.limit.is_none() || self.rng.chance(40) {
                self.features.note("offset");
                query.offset = Some(*self.rng.pick(&[0, 1, 1, 2, 3, 5, 20]));
            }
        }
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("x{}", self.aliases)
    }
}
