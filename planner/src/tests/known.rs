//! Statistics as tests write them, one column a line, everything but the name if it is wanted:
//!
//! ```text
//! k distinct=100 nulls=0.1 width=12 common=7:0.5,8:0.1 histogram=0,25,50,75,100
//! (a, b) distinct=100
//! a -> b 0.9
//! ```
//!
//! The smallest and the largest value are those of the histogram. `all=7,8`: these are all values there
//! are, equally frequent. In lists `1..11/5` is `1,3,5,7,9,11`.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, NaiveDate};
use kestrel_proto::DatanodeId;

use crate::{
    catalog::{Catalog, CatalogChange, SqlType, TableDef},
    statistics::{
        ColumnGroup, ColumnStatistics, CommonValue, Dependency, GroupDistinct, ShardStatistics,
        TableStatistics, Value,
    },
};

/// The catalog with the statistics of one of its tables.
pub(super) fn statistics(catalog: &Catalog, name: &str, input: &str) -> Catalog {
    let table = catalog.table("public", name).unwrap();
    let (rows, _) = catalog.live_size(table);
    let mut columns = BTreeMap::new();
    let mut group = ColumnGroup::default();
    for line in input.lines() {
        if let Some(line) = line.strip_prefix('(') {
            let (names, distinct) = line.split_once(") distinct=").unwrap();
            let mut ids: Vec<u32> = names.split(", ").map(|name| id(table, name)).collect();
            ids.sort_unstable();
            group
                .distinct
                .push(GroupDistinct { columns: ids, distinct: distinct.parse().unwrap() });
        } else if let Some((from, to)) = line.split_once(" -> ") {
            let (to, degree) = to.split_once(' ').unwrap();
            let from = from.split(", ").map(|name| id(table, name)).collect();
            let degree = degree.parse().unwrap();
            group.dependencies.push(Dependency { from, to: id(table, to), degree });
        } else {
            let (name, facts) = line.split_once(' ').unwrap();
            let sql_type = table.column(name).unwrap().sql_type;
            let known = column(rows, sql_type, facts.split(' '), ',');
            columns.insert(id(table, name), Arc::new(known));
        }
    }
    set(catalog, table, columns, vec![Arc::new(group)])
}

/// The same of text that may have spaces and commas: there is a tab before each fact, and lists are cut
/// at `|`. Every column has a line.
pub(super) fn tabbed_statistics(catalog: &Catalog, name: &str, input: &str) -> Catalog {
    let table = catalog.table("public", name).unwrap();
    let (rows, _) = catalog.live_size(table);
    let columns = input.lines().map(|line| {
        let (name, facts) = line.split_once('\t').unwrap();
        let sql_type = table.column(name).unwrap().sql_type;
        (id(table, name), Arc::new(column(rows, sql_type, facts.split('\t'), '|')))
    });
    let columns: BTreeMap<_, _> = columns.collect();
    assert_eq!(columns.len(), table.columns.len(), "{name}");
    set(catalog, table, columns, Vec::new())
}

fn set(
    catalog: &Catalog,
    table: &TableDef,
    columns: BTreeMap<u32, Arc<ColumnStatistics>>,
    groups: Vec<Arc<ColumnGroup>>,
) -> Catalog {
    let (rows, bytes) = catalog.live_size(table);
    let known = TableStatistics {
        table: table.id,
        rows,
        bytes,
        shards: catalog.datanode_ids().into_iter().map(|id| shard(table, id)).collect(),
        changed_rows: catalog.changed_rows(table),
        columns,
        groups,
        ..TableStatistics::default()
    };
    catalog.apply(&[CatalogChange::SetStatistics(Box::new(known))]).unwrap()
}

fn shard(table: &TableDef, datanode: DatanodeId) -> ShardStatistics {
    let (rows, bytes) = table.size_on(datanode);
    ShardStatistics { datanode: datanode.0, rows, bytes }
}

fn id(table: &TableDef, name: &str) -> u32 {
    table.column(name).unwrap().id
}

fn column<'a>(
    rows: u64,
    sql_type: SqlType,
    facts: impl Iterator<Item = &'a str>,
    separator: char,
) -> ColumnStatistics {
    let mut column = ColumnStatistics { rows, average_width: 8.0, ..Default::default() };
    for fact in facts {
        let (name, text) = fact.split_once('=').unwrap();
        match name {
            "distinct" => column.distinct = text.parse().unwrap(),
            "nulls" => column.null_fraction = text.parse().unwrap(),
            "width" => column.average_width = text.parse().unwrap(),
            "common" => {
                let common = text.split(separator).map(|common| {
                    let (text, frequency) = common.split_once(':').unwrap();
                    let frequency = frequency.parse().unwrap();
                    CommonValue { value: value(sql_type, text), frequency }
                });
                column.common = common.collect();
            }
            "all" => {
                let all = values(sql_type, text, separator);
                let frequency = 1.0 / all.len() as f64;
                column.distinct = all.len() as f64;
                let common = all.into_iter().map(|value| CommonValue { value, frequency });
                column.common = common.collect();
            }
            "histogram" => column.histogram = values(sql_type, text, separator),
            other => panic!("unknown fact: {other}"),
        }
    }
    let all = column.histogram.iter().chain(column.common.iter().map(|common| &common.value));
    (column.minimum, column.maximum) = (all.clone().min().cloned(), all.max().cloned());
    column
}

/// A list with ranges: `1..11/5` has five equal steps from 1 to 11.
fn values(sql_type: SqlType, text: &str, separator: char) -> Vec<Value> {
    let mut found = Vec::new();
    for item in text.split(separator) {
        match item.split_once("..") {
            Some((first, rest)) => {
                let (last, steps) = rest.split_once('/').unwrap();
                found.extend(range(sql_type, [first, last], steps.parse().unwrap()));
            }
            None => found.push(value(sql_type, item)),
        }
    }
    found
}

/// Of numbers and dates.
fn range(sql_type: SqlType, ends: [&str; 2], steps: i128) -> Vec<Value> {
    let scale = match sql_type {
        SqlType::Numeric(_, scale) => scale,
        _ => 0,
    };
    let [first, last] = ends.map(|end| match value(sql_type, end) {
        Value::Integer(value) => i128::from(value) * 10i128.pow(scale.unsigned_abs().into()),
        Value::Decimal(digits, from) => {
            i128::from(digits) * 10i128.pow((scale - from).unsigned_abs().into())
        }
        other => panic!("no range of {other:?}"),
    });
    (0..=steps).map(|step| Value::decimal(first + (last - first) * step / steps, scale)).collect()
}

fn value(sql_type: SqlType, text: &str) -> Value {
    match sql_type {
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => {
            Value::Integer(text.parse().unwrap())
        }
        SqlType::Numeric(..) => {
            let scale = text.split_once('.').map_or(0, |(_, digits)| digits.len());
            Value::decimal(text.replace('.', "").parse().unwrap(), scale as i8)
        }
        SqlType::Boolean => Value::Boolean(text == "true"),
        SqlType::Date => {
            let date: NaiveDate = text.parse().unwrap();
            Value::Integer((date - DateTime::UNIX_EPOCH.date_naive()).num_days())
        }
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => Value::Text(text.into()),
        other => panic!("no statistics of {other}"),
    }
}
