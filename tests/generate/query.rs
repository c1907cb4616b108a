//! A generated query as a value: printed as SQL, and made smaller piece by piece.

use std::fmt;

use super::types::{Expr, Kind};

/// A query, with its WITH, ORDER BY and LIMIT.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Name and query of each common table expression.
    pub(crate) ctes: Vec<(String, Query)>,
    /// What is between WITH and ORDER BY.
    pub(crate) body: Body,
    /// Output columns, and the rest of each sort key (`DESC NULLS FIRST`).
    pub(crate) order_by: Vec<(usize, &'static str)>,
    /// LIMIT
    pub(crate) limit: Option<usize>,
    /// OFFSET
    pub(crate) offset: Option<usize>,
}

/// One SELECT, or two queries under a set operation.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Select(Select),
    Set { operator: &'static str, left: Box<Query>, right: Box<Query> },
}

/// One SELECT.
#[derive(Clone, Debug, Default)]
pub(crate) struct Select {
    /// SELECT DISTINCT
    pub(crate) distinct: bool,
    /// The select list; the columns are named `c0`, `c1`, …
    pub(crate) items: Vec<Expr>,
    /// The first item of FROM, then each join.
    pub(crate) from: Vec<String>,
    /// WHERE: joined by AND.
    pub(crate) filter: Vec<String>,
    /// GROUP BY
    pub(crate) group_by: Vec<String>,
    /// HAVING: joined by AND.
    pub(crate) having: Vec<String>,
}

impl Query {
    /// A query of this SELECT alone.
    pub(crate) fn of(select: Select) -> Self {
        Self::with_body(Body::Select(select))
    }

    /// A query of this body alone.
    pub(crate) fn with_body(body: Body) -> Self {
        Self { ctes: Vec::new(), body, order_by: Vec::new(), limit: None, offset: None }
    }

    /// The output columns: those of the leftmost SELECT.
    pub(crate) fn columns(&self) -> &[Expr] {
        match &self.body {
            Body::Select(select) => &select.items,
            Body::Set { left, .. } => left.columns(),
        }
    }

    /// How each output column is compared.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.columns().iter().map(Expr::kind).collect()
    }

    /// The columns by which the rows are sorted, the most significant first.
    pub(crate) fn sorted_by(&self) -> Vec<usize> {
        self.order_by.iter().map(|(column, _)| *column).collect()
    }

    /// Smaller queries, the much smaller ones first. Some are not valid: the caller tries them.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        for index in 0..self.ctes.len() {
            let mut query = self.clone();
            query.ctes.remove(index);
            smaller.push(query);
            for cte in self.ctes[index].1.smaller() {
                let mut query = self.clone();
                query.ctes[index].1 = cte;
                smaller.push(query);
            }
        }
        if self.limit.is_some() || self.offset.is_some() {
            smaller.push(Self { limit: None, offset: None, ..self.clone() });
        }
        if self.limit.is_none() && self.offset.is_none() && !self.order_by.is_empty() {
            smaller.push(Self { order_by: Vec::new(), ..self.clone() });
        }
        match &self.body {
            Body::Select(select) => smaller.extend(self.smaller_selects(select)),
            Body::Set { operator, left, right } => {
                for side in [left, right] {
                    smaller.push(Self { body: side.body.clone(), ..self.clone() });
                }
                let set = |left: Query, right: Query| Body::Set {
                    operator,
                    left: Box::new(left),
                    right: Box::new(right),
                };
                for left in left.smaller() {
                    let body = set(left, (**right).clone());
                    smaller.push(Self { body, ..self.clone() });
                }
                for right in right.smaller() {
                    let body = set((**left).clone(), right);
                    smaller.push(Self { body, ..self.clone() });
                }
            }
        }
        smaller
    }

    fn smaller_selects(&self, select: &Select) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut push = |body: Select, order_by: Vec<(usize, &'static str)>| {
            smaller.push(Self { body: Body::Select(body), order_by, ..self.clone() });
        };
        if select.from.len() > 1 {
            let mut fewer = select.clone();
            fewer.from.pop();
            push(fewer, self.order_by.clone());
        }
        for list in 0..3 {
            for index in 0..select.clone().lists()[list].len() {
                let mut fewer = select.clone();
                fewer.lists()[list].remove(index);
                push(fewer, self.order_by.clone());
            }
        }
        if select.distinct {
            push(Select { distinct: false, ..select.clone() }, self.order_by.clone());
        }
        for index in 0..select.items.len() {
            // With a limit, the rows are determined only while all columns are sorted by.
            if select.items.len() > 1 {
                let mut fewer = select.clone();
                fewer.items.remove(index);
                let others = self.order_by.iter().filter(|(column, _)| *column != index);
                let order_by = others.map(|(c, s)| (c - usize::from(*c > index), *s)).collect();
                push(fewer, order_by);
            }
        }
        smaller
    }
}

impl Select {
    /// The lists of which single entries can be left out.
    fn lists(&mut self) -> [&mut Vec<String>; 3] {
        [&mut self.filter, &mut self.having, &mut self.group_by]
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, query)) in self.ctes.iter().enumerate() {
            write!(f, "{}{name} AS ({query})", if index == 0 { "WITH " } else { ", " })?;
        }
        if !self.ctes.is_empty() {
            f.write_str(" ")?;
        }
        match &self.body {
            Body::Select(select) => write!(f, "{select}")?,
            Body::Set { operator, left, right } => write!(f, "({left}) {operator} ({right})")?,
        }
        for (index, (column, rest)) in self.order_by.iter().enumerate() {
            f.write_str(if index == 0 { " ORDER BY " } else { ", " })?;
            match index % 2 {
                0 => write!(f, "{}{rest}", column + 1)?,
                _ => write!(f, "c{column}{rest}")?,
            }
        }
        if let Some(limit) = self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " OFFSET {offset}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.distinct { "SELECT DISTINCT " } else { "SELECT " })?;
        for (index, item) in self.items.iter().enumerate() {
            write!(f, "{}{} AS c{index}", if index == 0 { "" } else { ", " }, item.sql)?;
        }
        for (index, piece) in self.from.iter().enumerate() {
            write!(f, "{}{piece}", if index == 0 { " FROM " } else { "" })?;
        }
        let lists = [
            (" WHERE ", " AND ", &self.filter),
            (" GROUP BY ", ", ", &self.group_by),
            (" HAVING ", " AND ", &self.having),
        ];
        for (word, between, list) in lists {
            if !list.is_empty() {
                write!(f, "{word}{}", list.join(between))?;
            }
        }
        Ok(())
    }
}
