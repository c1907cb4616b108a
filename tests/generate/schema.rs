//! A few small tables: random columns, random rows, a random distribution for each.
//!
//! Values come from small domains, so that joins find partners and groups have several rows.
//! Every table has `id`, which is different in every row, and `k`, the usual join key.

use std::fmt::Write;

use super::{
    rng::Rng,
    types::{Expr, Type},
};

/// The tables of one differential run.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    /// `t0`, `t1`, …
    pub(crate) tables: Vec<Table>,
}

/// A table with its rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: String,
    /// Its columns; the first is `id`.
    pub(crate) columns: Vec<Column>,
    /// Its rows, as SQL literals.
    pub(crate) rows: Vec<Vec<String>>,
    /// Where Kestrel puts the rows.
    pub(crate) layout: Layout,
    /// `id` is declared PRIMARY KEY.
    pub(crate) primary_key: bool,
    /// Into how many INSERT statements the rows are cut.
    inserts: usize,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its name; the same name has the same type and domain in every table.
    pub(crate) name: &'static str,
    /// Its type, for the generator.
    pub(crate) ty: Type,
    /// Its type, in DDL.
    declared: &'static str,
    /// Where its NULLs are.
    pub(crate) nulls: Nulls,
}

/// Where a column's NULLs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// Nowhere.
    None,
    /// In one row: so, unless the table is replicated, on one datanode only.
    One,
    /// In so many of 100 rows.
    Percent(usize),
}

/// The declared distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `DISTRIBUTED BY (…)`
    Hash(Vec<&'static str>),
    /// `DISTRIBUTED RANDOMLY`
    Random,
    /// `DISTRIBUTED REPLICATED`
    Replicated,
}

/// A possible column: name, type, declared type, values.
type Template = (&'static str, Type, &'static str, &'static [&'static str]);

const TEMPLATES: &[Template] = &[
    ("k", Type::Int, "int", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    ("k2", Type::BigInt, "bigint", &["0", "1", "2", "3", "4", "5", "6", "9"]),
    ("s", Type::SmallInt, "smallint", &["-2", "-1", "0", "1", "2", "3", "5", "9"]),
    ("w", Type::Int, "int", &["2147483647", "2147483646", "-2147483648", "-2147483647", "0", "7"]),
    (
        "v",
        Type::BigInt,
        "bigint",
        &["9223372036854775807", "-9223372036854775808", "-9223372036854775807", "0", "-1", "7"],
    ),
    (
        "n",
        Type::Numeric,
        "numeric(10,2)",
        &["0.00", "1.50", "-2.25", "3.00", "7.00", "10.00", "0.01", "99999999.99"],
    ),
    ("m", Type::Numeric, "numeric(12,4)", &["0.0000", "1.5000", "3.0000", "-0.0001", "7.1250"]),
    ("f", Type::Double, "double precision", &["0.5", "-1.25", "3", "0.1", "7", "100.75", "-0.2"]),
    (
        "t",
        Type::Text,
        "text",
        &["", "a", "A", "ab", "b", "ba", "x_y", "10%", "漢字", "🦅k", " a", "a ", "it's", "NULL"],
    ),
    ("u", Type::Text, "varchar(8)", &["", "a", "ab", "abc", "B", "b", "漢字", "zzz"]),
    ("c", Type::Char, "char(4)", &["a", "ab", "abcd", "", "B", "zz"]),
    ("b", Type::Bool, "boolean", &["true", "false"]),
    (
        "d",
        Type::Date,
        "date",
        &["2020-01-01", "2020-02-29", "2020-03-01", "1999-12-31", "2024-12-31", "1969-07-20"],
    ),
    (
        "ts",
        Type::Timestamp,
        "timestamp",
        &[
            "2020-01-01 00:00:00",
            "2020-02-29 12:30:45.5",
            "1999-12-31 23:59:59.999999",
            "1969-07-20 20:17:40",
        ],
    ),
];

impl Schema {
    /// Five tables; equal seeds give equal tables.
    pub(crate) fn generate(rng: &mut Rng) -> Self {
        let empty = if rng.chance(25) { rng.below(5) } else { 5 };
        let tables = (0..5)
            .map(|index| {
                let rows = match rng.weighted(&[5, 25, 40, 30]) {
                    _ if index == empty => 0,
                    0 => 1,
                    1 => rng.between(2, 9) as usize,
                    2 => rng.between(10, 30) as usize,
                    _ => rng.between(31, 60) as usize,
                };
                Table::generate(rng, format!("t{index}"), rows)
            })
            .collect();
        Self { tables }
    }

    /// The same tables, with their rows in the opposite order.
    pub(crate) fn reversed(&self) -> Self {
        let mut schema = self.clone();
        schema.tables.iter_mut().for_each(|table| table.rows.reverse());
        schema
    }

    /// The statements that make the tables, for Kestrel or without its words.
    pub(crate) fn statements(&self, kestrel: bool) -> Vec<String> {
        self.tables.iter().flat_map(|table| table.statements(kestrel)).collect()
    }
}

impl Table {
    fn generate(rng: &mut Rng, name: String, row_count: usize) -> Self {
        let mut columns =
            vec![Column { name: "id", ty: Type::Int, declared: "int", nulls: Nulls::None }];
        let others = rng.between(4, 8) as usize;
        let mut chosen = rng.sample(&(1..TEMPLATES.len()).collect::<Vec<_>>(), others);
        chosen.push(0);
        chosen.sort_unstable();
        for template in &chosen {
            let (name, ty, declared, _) = TEMPLATES[*template];
            columns.push(Column { name, ty, declared, nulls: nulls(rng) });
        }
        let mut values = vec![(1..=row_count).map(|id| id.to_string()).collect::<Vec<_>>()];
        for (template, column) in chosen.iter().zip(&columns[1..]) {
            values.push(column.values(rng, TEMPLATES[*template].3, row_count));
        }
        let rows =
            (0..row_count).map(|row| values.iter().map(|v| v[row].clone()).collect()).collect();
        let mut primary_key = rng.chance(20);
        let layout = match rng.weighted(&[55, 22, 23]) {
            0 if primary_key => Layout::Hash(vec!["id"]),
            0 => {
                let names: Vec<&'static str> = columns.iter().map(|c| c.name).collect();
                let keys = if rng.chance(70) { 1 } else { 2 };
                // Mostly the join key: only then some joins need no motion.
                if keys == 1 && rng.chance(40) {
                    Layout::Hash(vec!["k"])
                } else {
                    Layout::Hash(rng.sample(&names, keys))
                }
            }
            1 => {
                primary_key = false;
                Layout::Random
            }
            _ => Layout::Replicated,
        };
        Self { name, columns, rows, layout, primary_key, inserts: rng.between(1, 3) as usize }
    }

    /// Its columns as expressions under an alias.
    pub(crate) fn expressions(&self, alias: &str) -> Vec<Expr> {
        let wide = |c: &Column| matches!(c.name, "w" | "v");
        self.columns
            .iter()
            .map(|c| Expr::new(c.ty, format!("{alias}.{}", c.name)).wide(wide(c)))
            .collect()
    }

    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Whether the only NULL of this column is on one datanode only.
    pub(crate) fn has_single_null(&self, column: &Column) -> bool {
        column.nulls == Nulls::One && self.layout != Layout::Replicated && self.rows.len() > 1
    }

    fn statements(&self, kestrel: bool) -> Vec<String> {
        let mut create = format!("CREATE TABLE {} (", self.name);
        for (index, column) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(create, "{comma}{} {}", column.name, column.declared);
            match column.name {
                "id" if self.primary_key => create.push_str(" PRIMARY KEY"),
                "id" => create.push_str(" NOT NULL"),
                _ => {}
            }
        }
        create.push(')');
        if kestrel {
            create.push_str(&match &self.layout {
                Layout::Hash(keys) => format!(" DISTRIBUTED BY ({})", keys.join(", ")),
                Layout::Random => " DISTRIBUTED RANDOMLY".into(),
                Layout::Replicated => " DISTRIBUTED REPLICATED".into(),
            });
        }
        let mut statements = vec![create];
        let chunk = self.rows.len().div_ceil(self.inserts).max(1);
        for rows in self.rows.chunks(chunk) {
            let tuples: Vec<String> = rows.iter().map(|r| format!("({})", r.join(", "))).collect();
            statements.push(format!("INSERT INTO {} VALUES {}", self.name, tuples.join(", ")));
        }
        statements
    }
}

impl Column {
    fn values(&self, rng: &mut Rng, domain: &[&str], row_count: usize) -> Vec<String> {
        // Sometimes few different values, so that groups are large and placement is skewed.
        let domain = match rng.chance(25) {
            true => rng.sample(domain, 2),
            false => domain.to_vec(),
        };
        let lone_null = rng.below(row_count);
        (0..row_count)
            .map(|row| {
                let null = match self.nulls {
                    Nulls::None => false,
                    Nulls::One => row == lone_null,
                    Nulls::Percent(percent) => rng.chance(percent),
                };
                let value = *rng.pick(&domain);
                if null { "NULL".into() } else { plain_literal(self.ty, value) }
            })
            .collect()
    }
}

/// The values that columns of this type have.
pub(crate) fn domain(ty: Type) -> &'static [&'static str] {
    let usual = TEMPLATES.iter().find(|t| t.1 == ty).map(|t| t.3);
    usual.unwrap_or_default()
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A value of a domain as people write it in INSERT.
fn plain_literal(ty: Type, value: &str) -> String {
    match ty {
        Type::Text | Type::Char | Type::Date | Type::Timestamp => quoted(value),
        _ => value.into(),
    }
}

/// A value of a domain as an SQL literal of exactly this type.
pub(crate) fn literal(ty: Type, value: &str) -> String {
    match ty {
        Type::Text => quoted(value),
        Type::Char => format!("{}::char(4)", quoted(value)),
        Type::Date => format!("DATE {}", quoted(value)),
        Type::Timestamp => format!("TIMESTAMP {}", quoted(value)),
        Type::Int | Type::Numeric if value.starts_with('-') => format!("({value})"),
        Type::Int | Type::Numeric | Type::Bool => value.into(),
        Type::SmallInt => format!("({value})::smallint"),
        Type::BigInt => format!("({value})::bigint"),
        Type::Double => format!("({value})::double precision"),
    }
}

fn nulls(rng: &mut Rng) -> Nulls {
    match rng.weighted(&[32, 30, 28, 10]) {
        0 => Nulls::None,
        1 => Nulls::One,
        2 => Nulls::Percent(20),
        _ => Nulls::Percent(50),
    }
}
