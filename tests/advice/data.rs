//! Tables of the proof: rows that are made of a seed, and where a key places them.

use std::{fmt::Write, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, StringArray};
use kestrel_planner::{
    catalog::SqlType,
    placement::{buckets, owners},
};
use kestrel_proto::BucketMap;

use crate::generate::Rng;

const ROWS_MIN: usize = 100_000;
const ROWS_MORE: usize = 50_000;

/// A table, and its rows column by column.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) rows: usize,
    columns: Vec<Column>,
    /// How many of the first columns are its key.
    key: usize,
}

/// Values as numbers; a text is made of its number.
struct Column {
    name: &'static str,
    sql_type: SqlType,
    values: Vec<Option<i64>>,
}

/// The values of a key of so many rows, column by column.
type Keys = Vec<Vec<Option<i64>>>;

/// What makes so many of them.
type Make = fn(&mut Rng, usize) -> Keys;

/// What a table's key may be like, of which type.
const KINDS: &[(&str, SqlType, Make)] = &[
    ("uniform", SqlType::BigInt, uniform),
    ("Zipf 0.5", SqlType::BigInt, |rng, rows| zipf(rng, rows, 0.5)),
    ("Zipf 1.0", SqlType::BigInt, |rng, rows| zipf(rng, rows, 1.0)),
    ("Zipf 1.5", SqlType::Text, |rng, rows| zipf(rng, rows, 1.5)),
    ("few values", SqlType::Text, few_values),
    ("one hot value", SqlType::BigInt, one_hot_value),
    ("NULLs", SqlType::BigInt, nulls),
    ("composite", SqlType::BigInt, composite),
];

impl Table {
    /// The table of this number. All kinds come with all numbers of datanodes, if these take turns.
    pub(super) fn generate(seed: u64, number: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let (kind, sql_type, keys) = KINDS[number as usize % KINDS.len()];
        let rows = ROWS_MIN + rng.below(ROWS_MORE);
        let keys = keys(&mut rng, rows).into_iter().zip(["k", "l"]);
        let mut columns: Vec<_> =
            keys.map(|(values, name)| Column { name, sql_type, values }).collect();
        let key = columns.len();
        let bigint = |name, values| Column { name, sql_type: SqlType::BigInt, values };
        // Numbers that are keys of another table: with gaps, or without.
        let (count, step) = (*rng.pick(&[300, 3000, 30_000]), *rng.pick(&[1, 17]));
        let c = (0..rows).map(|_| Some(step * rng.between(1, count)));
        columns.push(bigint("c", c.collect()));
        // Most tables have a column that lies evenly, and some have none.
        if rng.chance(67) {
            columns.push(bigint("id", (0..rows).map(|row| Some(row as i64)).collect()));
        }
        Self { name: format!("t{number}"), kind, rows, columns, key }
    }

    pub(super) fn create(&self) -> String {
        let type_name = |sql_type| if sql_type == SqlType::Text { "text" } else { "bigint" };
        let columns = self.columns.iter().map(|c| format!("{} {}", c.name, type_name(c.sql_type)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("CREATE TABLE {} ({columns}) DISTRIBUTED BY ({})", self.name, self.key().join(", "))
    }

    pub(super) fn key(&self) -> Vec<&str> {
        self.columns[..self.key].iter().map(|column| column.name).collect()
    }

    /// As COPY's text format has them.
    pub(super) fn data(&self) -> String {
        let mut data = String::new();
        for row in 0..self.rows {
            for (at, column) in self.columns.iter().enumerate() {
                let end = if at + 1 == self.columns.len() { '\n' } else { '\t' };
                let _ = match column.values[row] {
                    None => write!(data, "\\N{end}"),
                    Some(value) if column.sql_type == SqlType::Text => {
                        write!(data, "{}{end}", text(value))
                    }
                    Some(value) => write!(data, "{value}{end}"),
                };
            }
        }
        data
    }

    /// How many of its rows each datanode has when they are distributed by these columns.
    pub(super) fn counts(&self, key: &[&str], datanodes: u32) -> Vec<u64> {
        let column = |name: &&str| self.columns.iter().find(|column| column.name == *name).unwrap();
        let columns: Vec<_> = key.iter().map(column).collect();
        let arrays: Vec<ArrayRef> = columns.iter().map(|column| column.array()).collect();
        let classes: Vec<_> = columns.iter().map(|c| c.sql_type.hash_class().unwrap()).collect();
        let buckets = buckets(&arrays, &classes).unwrap();
        let mut counts = vec![0; datanodes as usize];
        for owner in owners(&buckets, &BucketMap::even(1, datanodes)) {
            counts[owner as usize] += 1;
        }
        counts
    }
}

impl Column {
    fn array(&self) -> ArrayRef {
        match self.sql_type {
            SqlType::Text => {
                Arc::new(self.values.iter().map(|value| value.map(text)).collect::<StringArray>())
            }
            _ => Arc::new(Int64Array::from(self.values.clone())),
        }
    }
}

fn text(value: i64) -> String {
    format!("value {value}")
}

/// The part of the datanodes' time that a scan leaves idle: 1 − average / largest.
pub(super) fn idle_fraction(counts: &[u64]) -> f64 {
    let largest = counts.iter().copied().max().unwrap_or_default().max(1);
    1.0 - counts.iter().sum::<u64>() as f64 / counts.len() as f64 / largest as f64
}

/// Of `count` values each as often as the others.
fn drawn(rng: &mut Rng, rows: usize, count: i64) -> Vec<Option<i64>> {
    (0..rows).map(|_| Some(rng.between(1, count))).collect()
}

fn uniform(rng: &mut Rng, rows: usize) -> Keys {
    let count = *rng.pick(&[200, 2000, 20_000, 1_000_000_000]);
    vec![drawn(rng, rows, count)]
}

/// The `i`th of the values is as frequent as `1 / i^exponent`.
fn zipf(rng: &mut Rng, rows: usize, exponent: f64) -> Keys {
    let count = *rng.pick(&[1000, 100_000]);
    vec![zipf_values(rng, rows, count, exponent)]
}

fn zipf_values(rng: &mut Rng, rows: usize, count: usize, exponent: f64) -> Vec<Option<i64>> {
    const STEPS: usize = 1 << 53;
    let weights = (1..=count).map(|i| (i as f64).powf(-exponent));
    let sums = weights.scan(0.0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    let sums: Vec<f64> = sums.collect();
    let all = sums[count - 1];
    let value = |_| {
        let point = rng.below(STEPS) as f64 / STEPS as f64 * all;
        Some(sums.partition_point(|sum| *sum < point) as i64 + 1)
    };
    (0..rows).map(value).collect()
}

fn few_values(rng: &mut Rng, rows: usize) -> Keys {
    let count = rng.between(2, 60);
    vec![drawn(rng, rows, count)]
}

/// In 2 to 60 of 100 rows.
fn some_rows(rng: &mut Rng, rows: usize, value: Option<i64>) -> Keys {
    let percent = rng.between(2, 60) as usize;
    let others = *rng.pick(&[5000, 1_000_000_000]);
    let of_row = |_| if rng.chance(percent) { value } else { Some(rng.between(1, others)) };
    vec![(0..rows).map(of_row).collect()]
}

fn one_hot_value(rng: &mut Rng, rows: usize) -> Keys {
    some_rows(rng, rows, Some(7))
}

fn nulls(rng: &mut Rng, rows: usize) -> Keys {
    some_rows(rng, rows, None)
}

/// Two columns: of few values or of Zipf's; in a third of the tables the one determines the other.
fn composite(rng: &mut Rng, rows: usize) -> Keys {
    let count = *rng.pick(&[3, 20, 200]);
    let first = match rng.chance(50) {
        true => drawn(rng, rows, count),
        false => zipf_values(rng, rows, count as usize, 1.0),
    };
    let second = match rng.chance(33) {
        true => first.iter().map(|value| value.map(|value| value % 5)).collect(),
        false => {
            let count = *rng.pick(&[2, 10, 1000]);
            drawn(rng, rows, count)
        }
    };
    vec![first, second]
}
