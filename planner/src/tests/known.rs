//! Statistics as tests write them, one column a line, everything but the name if it is wanted:
//!
//! ```text
//! k distinct=100 nulls=0.1 width=12 common=7:0.5,8:0.1 histogram=0,25,50,75,100
//! (a, b) distinct=100
//! a -> b 0.9
//! ```
//!
//! The smallest and the largest value are those of the histogram.

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
    let (rows, bytes) = catalog.live_size(table);
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
            columns.insert(id(table, name), Arc::new(column(rows, sql_type, facts)));
        }
    }
    let known = TableStatistics {
        table: table.id,
        rows,
        bytes,
        shards: catalog.datanode_ids().into_iter().map(|id| shard(table, id)).collect(),
        changed_rows: catalog.changed_rows(table),
        columns,
        groups: vec![Arc::new(group)],
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

fn column(rows: u64, sql_type: SqlType, facts: &str) -> ColumnStatistics {
    let mut column = ColumnStatistics { rows, average_width: 8.0, ..Default::default() };
    for fact in facts.split(' ') {
        let (name, text) = fact.split_once('=').unwrap();
        match name {
            "distinct" => column.distinct = text.parse().unwrap(),
            "nulls" => column.null_fraction = text.parse().unwrap(),
            "width" => column.average_width = text.parse().unwrap(),
            "common" => {
                let common = text.split(',').map(|common| {
                    let (text, frequency) = common.split_once(':').unwrap();
                    let frequency = frequency.parse().unwrap();
                    CommonValue { value: value(sql_type, text), frequency }
                });
                column.common = common.collect();
            }
            "histogram" => {
                column.histogram = text.split(',').map(|text| value(sql_type, text)).collect();
            }
            other => panic!("unknown fact: {other}"),
        }
    }
    let all = column.histogram.iter().chain(column.common.iter().map(|common| &common.value));
    (column.minimum, column.maximum) = (all.clone().min().cloned(), all.max().cloned());
    column
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
