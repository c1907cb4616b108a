//! The tables, their rows, and what is known of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kestrel_planner::{
    catalog::{Catalog, CatalogChange, DatanodeDef, Segment},
    ddl,
    parse::{StatementKind, parse},
    statistics::{ColumnStatistics, TableStatistics, Value},
};
use kestrel_proto::{ErrorReport, Result};

const DATANODES: u32 = 3;
const BUCKETS: i64 = 10;

/// Tables with their rows, what they are distributed by (nothing: they are replicated), and the columns
/// beside `id`: `>` leads to the table whose id it is, `#` and `$` to how many numbers or texts it has.
pub(super) const TABLES: [(&str, u64, &str, &str); 21] = [
    ("aka_name", 901_343, "person_id", "person_id>name name$814000"),
    (
        "aka_title",
        361_472,
        "movie_id",
        "movie_id>title title$322000 kind_id>kind_type production_year#130",
    ),
    (
        "cast_info",
        36_244_344,
        "movie_id",
        "person_id>name movie_id>title person_role_id>char_name note$520000 nr_order#1100 \
         role_id>role_type",
    ),
    ("char_name", 3_140_339, "id", "name$3140000"),
    ("comp_cast_type", 4, "", "kind$4"),
    ("company_name", 234_997, "id", "name$230000 country_code$210"),
    ("company_type", 4, "", "kind$4"),
    (
        "complete_cast",
        135_086,
        "movie_id",
        "movie_id>title subject_id>comp_cast_type status_id>comp_cast_type",
    ),
    ("info_type", 113, "", "info$113"),
    ("keyword", 134_170, "id", "keyword$134170"),
    ("kind_type", 7, "", "kind$7"),
    ("link_type", 18, "", "link$18"),
    (
        "movie_companies",
        2_609_129,
        "movie_id",
        "movie_id>title company_id>company_name company_type_id>company_type note$133000",
    ),
    ("movie_info", 14_835_720, "movie_id", "movie_id>title info_type_id>info_type info$2720000"),
    ("movie_info_idx", 1_380_035, "movie_id", "movie_id>title info_type_id>info_type info$120000"),
    ("movie_keyword", 4_523_930, "movie_id", "movie_id>title keyword_id>keyword"),
    (
        "movie_link",
        29_997,
        "movie_id",
        "movie_id>title linked_movie_id>title link_type_id>link_type",
    ),
    ("name", 4_167_491, "id", "name$4060000 gender$3"),
    ("person_info", 2_963_664, "person_id", "person_id>name info_type_id>info_type info$2120000"),
    ("role_type", 12, "", "role$12"),
    ("title", 2_528_312, "id", "title$1880000 kind_id>kind_type production_year#133"),
];

/// A column beside `id`.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
}

#[derive(Clone, Copy)]
pub(super) enum Holds {
    Reference(&'static str),
    Numbers(u64),
    Texts(u64),
}

fn columns(columns: &'static str) -> Vec<Column> {
    let column = |text: &'static str| {
        let count = |text: &str| text.parse().unwrap_or_default();
        let of = |mark: char| text.split_once(mark);
        let (name, holds) = match (of('>'), of('#'), of('$')) {
            (Some((name, table)), ..) => (name, Holds::Reference(table)),
            (_, Some((name, numbers)), _) => (name, Holds::Numbers(count(numbers))),
            (.., Some((name, texts))) => (name, Holds::Texts(count(texts))),
            (None, None, None) => (text, Holds::Texts(1)),
        };
        Column { name, holds }
    };
    columns.split_whitespace().map(column).collect()
}

/// The tables of the schema with their columns.
pub(super) fn schema() -> HashMap<&'static str, Vec<Column>> {
    TABLES.iter().map(|(name, _, _, list)| (*name, columns(list))).collect()
}

/// The tables, filled and analyzed.
pub(super) fn catalog() -> Result<Catalog> {
    let datanodes = (0..DATANODES).map(|id| DatanodeDef {
        id,
        name: format!("dn{}", id + 1),
        uuid: String::new(),
        address: "local".into(),
        shard_kind: "columnar".into(),
    });
    let datanodes = datanodes.collect();
    let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
    let mut catalog = Catalog::empty().apply(&[change])?;
    for (name, rows, key, list) in &TABLES {
        let list = columns(list);
        for parsed in parse(&create(name, key, &list))? {
            if let StatementKind::Ddl(create) = &parsed.kind {
                let plan = ddl::plan(create, &catalog, &["public".into()])?;
                catalog = catalog.apply(&plan.changes)?;
            }
        }
        let here = if key.is_empty() { *rows } else { rows / u64::from(DATANODES) };
        let table = catalog.table("public", name);
        let table = table.ok_or_else(|| ErrorReport::internal(format!("no table {name}")))?;
        let segments = (0..DATANODES).map(|datanode| segment(datanode, here)).collect();
        let mut known = BTreeMap::new();
        let id = Column { name: "id", holds: Holds::Numbers(*rows) };
        for column in list.into_iter().chain([id]) {
            if let Some(def) = table.column(column.name) {
                known.insert(def.id, Arc::new(described(column.holds, *rows)));
            }
        }
        let (table, rows) = (table.id, *rows);
        let statistics =
            TableStatistics { table, rows, columns: known, ..TableStatistics::default() };
        catalog = catalog.apply(&[
            CatalogChange::AddSegments { table, segments },
            CatalogChange::SetStatistics(Box::new(statistics)),
        ])?;
    }
    Ok(catalog)
}

fn create(name: &str, key: &str, columns: &[Column]) -> String {
    let column = |column: &Column| match column.holds {
        Holds::Reference(_) | Holds::Numbers(_) => format!(", {} int", column.name),
        Holds::Texts(_) => format!(", {} text", column.name),
    };
    let columns: String = columns.iter().map(column).collect();
    let id = if key == "id" { "PRIMARY KEY" } else { "NOT NULL" };
    let distributed = match key {
        "" => "REPLICATED".to_string(),
        key => format!("BY ({key})"),
    };
    format!("CREATE TABLE {name} (id int {id}{columns}) DISTRIBUTED {distributed}")
}

fn described(holds: Holds, rows: u64) -> ColumnStatistics {
    let table = |name: &str| TABLES.iter().find(|(table, ..)| *table == name);
    let values = match holds {
        Holds::Reference(to) => table(to).map_or(rows, |(_, rows, ..)| *rows),
        Holds::Numbers(count) | Holds::Texts(count) => count,
    };
    let distinct = values.min(rows);
    let known = ColumnStatistics {
        rows,
        average_width: 8.0,
        distinct: distinct as f64,
        ..ColumnStatistics::default()
    };
    match holds {
        Holds::Texts(_) => known,
        Holds::Reference(_) | Holds::Numbers(_) => {
            let most = i64::try_from(values).unwrap_or(i64::MAX);
            let bounds = (0..=BUCKETS).map(|at| Value::Integer(most / BUCKETS * at));
            ColumnStatistics { histogram: bounds.collect(), ..known }
        }
    }
}

fn segment(datanode: u32, rows: u64) -> Segment {
    Segment {
        datanode,
        id: 1,
        kind: 0,
        file: "segment".into(),
        offset: 0,
        length: rows * 20,
        rows,
        bytes: rows * 40,
        zone_summary: Vec::new(),
        deletes: None,
        checksum: 0,
    }
}
