//! Queries that grow along references.

use std::collections::HashMap;

use super::schema::{Column, Holds, TABLES, schema};

pub(super) const QUERIES: usize = 100;
/// So many relations the smallest and the largest queries have.
const RELATIONS: (usize, usize) = (4, 17);
/// So often a table is in a query at most.
const ALIASES: usize = 2;

/// SplitMix64: the same queries each time.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % count.max(1) as u64) as usize
    }
}

/// How a relation may be added; `None` is the new one.
#[derive(Clone, Copy)]
struct Way {
    table: &'static str,
    from: Option<usize>,
    column: &'static str,
    to: Option<usize>,
}

/// A query that grows by references, in both directions.
struct Growing<'a> {
    schema: &'a HashMap<&'static str, Vec<Column>>,
    tables: Vec<&'static str>,
    /// Of a relation, by its number, the columns that refer to others, and to which.
    references: Vec<(usize, &'static str, usize)>,
    conditions: Vec<String>,
}

impl Growing<'_> {
    fn columns(&self, table: &str) -> &[Column] {
        self.schema.get(table).map_or(&[], Vec::as_slice)
    }

    fn ways(&self) -> Vec<Way> {
        let mut found = Vec::new();
        for (at, table) in self.tables.iter().enumerate() {
            for column in self.columns(table) {
                let is_used = self.references.iter().any(|(r, c, _)| (*r, *c) == (at, column.name));
                if let (Holds::Reference(to), false) = (column.holds, is_used) {
                    found.push(Way { table: to, from: Some(at), column: column.name, to: None });
                }
            }
            for (other, ..) in &TABLES {
                for column in self.columns(other) {
                    if matches!(column.holds, Holds::Reference(to) if to == *table) {
                        let (from, to) = (None, Some(at));
                        found.push(Way { table: other, from, column: column.name, to });
                    }
                }
            }
        }
        let times = |table: &str| self.tables.iter().filter(|other| **other == table).count();
        found.retain(|way: &Way| times(way.table) < ALIASES);
        found
    }

    fn grow(&mut self, random: &mut Random) {
        let ways = self.ways();
        let Some(Way { table, from, column, to }) = ways.get(random.below(ways.len())).copied()
        else {
            return;
        };
        let new = self.tables.len();
        let (from, to) = (from.unwrap_or(new), to.unwrap_or(new));
        self.tables.push(table);
        self.conditions.push(format!("r{from}.{column} = r{to}.id"));
        // What refers to the same is compared with each other, too, as people write it.
        let beside = self.references.iter().find(|(_, _, other)| *other == to);
        if let Some((other, its, _)) = beside
            && random.below(2) == 0
        {
            self.conditions.push(format!("r{from}.{column} = r{other}.{its}"));
        }
        self.references.push((from, column, to));
    }

    fn filter(&mut self, at: usize, random: &mut Random) {
        let columns = self.columns(self.tables[at]);
        let column = columns[random.below(columns.len())];
        let name = column.name;
        self.conditions.push(match column.holds {
            Holds::Reference(_) => return,
            Holds::Numbers(count) => format!("r{at}.{name} > {}", random.below(count as usize)),
            Holds::Texts(count) => match random.below(3) {
                0 => format!("r{at}.{name} LIKE '%v{}%'", random.below(100)),
                1 => format!("r{at}.{name} IN ('v1', 'v2', 'v3')"),
                _ => format!("r{at}.{name} = 'v{}'", random.below(count as usize)),
            },
        });
    }

    fn text_columns(&self) -> Vec<String> {
        let of = |(at, table): (usize, &&'static str)| {
            let texts = self.columns(table).iter();
            let texts = texts.filter(|column| matches!(column.holds, Holds::Texts(_)));
            texts.map(|column| format!("min(r{at}.{})", column.name)).collect::<Vec<_>>()
        };
        self.tables.iter().enumerate().flat_map(of).collect()
    }
}

fn query(relations: usize, random: &mut Random) -> String {
    let schema = schema();
    let mut growing = Growing {
        schema: &schema,
        tables: vec!["title"],
        references: Vec::new(),
        conditions: Vec::new(),
    };
    while growing.tables.len() < relations {
        growing.grow(random);
    }
    for at in 0..relations {
        if random.below(2) == 0 {
            growing.filter(at, random);
        }
    }
    let mut outputs = growing.text_columns();
    while outputs.len() > 3 {
        outputs.swap_remove(random.below(outputs.len()));
    }
    let tables = growing.tables.iter().enumerate();
    let from: Vec<_> = tables.map(|(at, table)| format!("{table} AS r{at}")).collect();
    let conditions = growing.conditions.join(" AND ");
    format!("SELECT {} FROM {} WHERE {conditions}", outputs.join(", "), from.join(", "))
}

pub(super) fn queries() -> Vec<String> {
    let mut random = Random(0);
    (0..QUERIES).map(|at| query(relations_of(at), &mut random)).collect()
}

/// How many relations a query has, by its number.
pub(super) fn relations_of(query: usize) -> usize {
    let (least, most) = RELATIONS;
    least + query % (most - least + 1)
}
