//! Random filters: the rows that pass what is pushed, in PostgreSQL, are the rows that pass the
//! filter in Kestrel.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion::common::ScalarValue;
use kestrel_datanode::shard::kes::{
    Capabilities,
    sql::{ddl, literal, pushed},
};
use kestrel_planner::catalog::{Catalog, SqlType};

use super::{planned::Planned, seed, values};
use crate::{
    generate::Rng,
    support::{Session, number_from_env, postgres},
};

const ROWS: usize = 150;
/// As many filters as the default run has.
const FILTERS: u64 = 600;

/// A column: name and type.
type Column = (String, SqlType);

/// Two columns of every type that has an order.
fn columns() -> Vec<Column> {
    let types = values::TYPES.into_iter().filter(|t| !matches!(t, SqlType::Json));
    let pair = |(i, sql_type): (usize, SqlType)| {
        [(format!("a{i}"), sql_type), (format!("b{i}"), sql_type)]
    };
    types.enumerate().flat_map(pair).collect()
}

/// The same rows in the database and as Kestrel holds them.
async fn fill(
    session: &Session,
    rng: &mut Rng,
    schema: SchemaRef,
    types: &[SqlType],
) -> RecordBatch {
    let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::new(); types.len()];
    let mut rows = Vec::new();
    for id in 0..ROWS {
        let mut literals = Vec::new();
        for (at, sql_type) in types.iter().enumerate() {
            let value = match at {
                0 => ScalarValue::Int32(Some(id as i32)),
                _ if rng.chance(15) => ScalarValue::try_from(&sql_type.arrow()).unwrap(),
                _ => values::value(rng, *sql_type),
            };
            literals.push(literal(&value, *sql_type).unwrap());
            columns[at].push(value);
        }
        rows.push(format!("({})", literals.join(", ")));
    }
    session.run_all([format!("INSERT INTO public.t VALUES {}", rows.join(", "))]).await;
    let arrays = columns.into_iter().map(|values| ScalarValue::iter_to_array(values).unwrap());
    RecordBatch::try_new(schema, arrays.collect()).unwrap()
}

/// A literal of Kestrel's.
fn constant(rng: &mut Rng, sql_type: SqlType) -> String {
    let value = values::value(rng, sql_type);
    if let ScalarValue::BinaryView(Some(bytes)) = &value {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        return format!("'\\x{digits}'::bytea");
    }
    let text = literal(&value, sql_type).unwrap();
    let quoted = text.rsplit_once("::pg_catalog.").map_or(text.as_str(), |(quoted, _)| quoted);
    format!("{quoted}::{sql_type}")
}

fn condition(rng: &mut Rng, columns: &[Column], depth: usize) -> String {
    if depth == 0 || rng.chance(40) {
        return simple(rng, columns);
    }
    let inner = |rng: &mut Rng| condition(rng, columns, depth - 1);
    match rng.below(6) {
        0 | 1 => format!("({} AND {})", inner(rng), inner(rng)),
        2 | 3 => format!("({} OR {})", inner(rng), inner(rng)),
        4 => format!("(NOT {})", inner(rng)),
        _ => {
            let what = rng.pick(&["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN"]);
            format!("({} IS {what})", inner(rng))
        }
    }
}

/// A condition of one column, or of it and the other of its type.
fn simple(rng: &mut Rng, columns: &[Column]) -> String {
    let at = rng.below(columns.len());
    let (name, sql_type) = &columns[at];
    let other = &columns[at ^ 1].0;
    let op = *rng.pick(&["=", "<>", "<", "<=", ">", ">="]);
    match rng.below(10) {
        0 => format!("({name} IS {}NULL)", rng.pick(&["", "NOT "])),
        1 => format!("({name} {op} {other})"),
        2 => {
            let members: Vec<_> = (0..rng.below(6) + 1).map(|_| constant(rng, *sql_type)).collect();
            let null = if rng.chance(15) { ", NULL" } else { "" };
            format!("({name} {}IN ({}{null}))", rng.pick(&["", "NOT "]), members.join(", "))
        }
        3 => {
            let (low, high) = (constant(rng, *sql_type), constant(rng, *sql_type));
            format!("({name} {}BETWEEN {low} AND {high})", rng.pick(&["", "NOT "]))
        }
        4 => {
            let not = *rng.pick(&["", "NOT "]);
            format!("({name} IS {not}DISTINCT FROM {})", constant(rng, *sql_type))
        }
        5 => {
            let (or, with) = (constant(rng, *sql_type), constant(rng, *sql_type));
            format!("(coalesce({name}, {or}) {op} {with})")
        }
        6 => {
            let when = simple(rng, columns);
            let with = constant(rng, *sql_type);
            format!("(CASE WHEN {when} THEN {name} ELSE {other} END {op} {with})")
        }
        7 => special(rng, name, *sql_type, op),
        _ => format!("({name} {op} {})", constant(rng, *sql_type)),
    }
}

/// What only some types have.
fn special(rng: &mut Rng, name: &str, sql_type: SqlType, op: &str) -> String {
    match sql_type {
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => {
            let patterns =
                ["a%", "%a", "%é%", "_", "a_", "%\\%%", "\\_%", "%\\\\%", "", "%", "%\n%"];
            format!("({name} {}LIKE '{}')", rng.pick(&["", "NOT "]), rng.pick(&patterns))
        }
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => {
            let by = *rng.pick(&["+ 1", "- 2", "* 3", "/ 2", "% 3", "/ 0", "+ 1::bigint"]);
            format!("({name} {by} {op} {})", rng.between(-9, 9))
        }
        SqlType::Numeric(..) => {
            let by = *rng.pick(&["+ 1.5", "- 2", "* 3", "/ 2", "* 0.1", "% 2"]);
            format!("({name} {by} {op} 1.5)")
        }
        SqlType::Boolean => name.to_string(),
        _ => format!("({name} {op} {})", constant(rng, sql_type)),
    }
}

#[derive(Debug, Default)]
struct Counts {
    /// Queries that Kestrel does not plan.
    refused: u64,
    filters: u64,
    pushed: u64,
    /// Pushed, and only some rows pass.
    selective: u64,
}

#[tokio::test]
async fn pushed_filters_have_kestrels_answers() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    let mut rng = Rng::new(seed());
    let columns = columns();
    let definitions: Vec<_> = columns.iter().map(|(name, t)| format!("{name} {t}")).collect();
    let create = format!("CREATE TABLE t (id int, {}) DISTRIBUTED BY (id)", definitions.join(", "));
    let planned = Planned::new(&create);
    for change in &planned.changes {
        session.run_all(ddl::statements(change, &Catalog::empty()).unwrap()).await;
    }
    let table = planned.table();
    let types: Vec<_> = table.columns.iter().map(|column| column.sql_type).collect();
    let batch = fill(&session, &mut rng, table.arrow_schema(), &types).await;

    let mut counts = Counts::default();
    for _ in 0..number_from_env("KESTREL_TEST_QUERIES", FILTERS) {
        let condition = condition(&mut rng, &columns, 3);
        let sql = format!("SELECT id FROM t WHERE {condition}");
        match planned.scan(&sql).await {
            Err(_) => counts.refused += 1,
            Ok(None) => {}
            Ok(Some(scan)) => {
                for filter in &scan.filters {
                    counts.filters += 1;
                    let text = pushed(filter, &scan.schema, Capabilities::POSTGRESQL_15);
                    let Some(text) = text else { continue };
                    counts.pushed += 1;
                    let value = filter.evaluate(&batch).and_then(|value| value.into_array(ROWS));
                    let value = value.unwrap_or_else(|e| {
                        panic!("seed {}: {sql}\n{text}\ncan fail: {e}", seed())
                    });
                    let value = value.as_boolean();
                    let passes = |row: &usize| value.is_valid(*row) && value.value(*row);
                    let expected: Vec<_> =
                        (0..ROWS).filter(passes).map(|row| row.to_string()).collect();
                    let query = format!("SELECT id FROM public.t WHERE {text} ORDER BY id");
                    let rows = session.rows(&query).await;
                    let found: Vec<_> =
                        rows.into_iter().map(|row| row[0].clone().unwrap_or_default()).collect();
                    assert_eq!(found, expected, "seed {}: {sql}\n{filter}\n{text}", seed());
                    counts.selective += u64::from((1..ROWS).contains(&expected.len()));
                }
            }
        }
    }
    // A test of little would prove little.
    assert!(counts.refused * 4 < counts.filters, "{counts:?}");
    assert!(counts.pushed * 3 > counts.filters, "{counts:?}");
    assert!(counts.selective * 4 > counts.pushed, "{counts:?}");
}
