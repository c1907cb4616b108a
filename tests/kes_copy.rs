//! Binary COPY data as PostgreSQL 15 writes and reads them, through the decoder and the encoder of
//! shards that a database holds.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        IntervalMonthDayNanoType, Schema, Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use futures::{TryStreamExt, stream};
use kestrel_datanode::shard::kes::copy::{
    ChunkLimits, CopyEncoder, CopyLayout, DecodePool, decode_stream,
};
use kestrel_planner::catalog::SqlType;
use kestrel_proto::Result;

use crate::support::{Session, postgres};

/// Rows of random values beside the listed ones.
const RANDOM_ROWS: usize = 3_000;

/// Values of one type.
struct Case {
    sql_type: SqlType,
    /// Literals.
    values: &'static [&'static str],
    /// An expression of the type, random over `i`.
    random: &'static str,
    /// What the array holds for `v`, as text.
    shown: &'static str,
}

const TIMESTAMPS: &[&str] = &[
    "1970-01-01 00:00:00",
    "2000-01-01 00:00:00",
    "1999-12-31 23:59:59.999999",
    "4714-11-24 00:00:00 BC",
    "294246-12-31 00:00:00",
    "infinity",
    "-infinity",
];
const SHOWN_TIMESTAMP: &str = "case v when 'infinity' then '9223372036854775807' \
    when '-infinity' then '-9223372036854775808' \
    else (extract(epoch from v) * 1000000)::bigint::text end";
const TEXTS: &[&str] =
    &["", "a", "twelve bytes", "thirteen byte", "é漢🦅", "  a  ", "é漢🦅é漢🦅 long"];

const CASES: &[Case] = &[
    Case {
        sql_type: SqlType::SmallInt,
        values: &["0", "-32768", "32767"],
        random: "(random() * 65535 - 32768)::int",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Integer,
        values: &["0", "-2147483648", "2147483647"],
        random: "(random() * 4000000000 - 2000000000)::bigint",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::BigInt,
        values: &["0", "-9223372036854775808", "9223372036854775807"],
        random: "(random() * 1e18 - 5e17)::bigint",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Oid,
        values: &["0", "4294967295"],
        random: "(random() * 4294967295)::bigint",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Real,
        values: &["0", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45"],
        random: "random() * power(10, i % 60 - 30)",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Double,
        values: &["0", "-0", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324"],
        random: "random() * power(10::float8, i % 600 - 300)",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Numeric(15, 2),
        values: &[
            "0",
            "0.01",
            "-0.01",
            "9999999999999.99",
            "-9999999999999.99",
            "10000",
            "100000000",
        ],
        random: "(random() * power(10, i % 14) - i)",
        shown: "(v * 100)::numeric(40, 0)::text",
    },
    Case {
        sql_type: SqlType::Numeric(38, 10),
        values: &["0", "0.0000000001", "9999999999999999999999999999.9999999999", "1e27", "-1e-9"],
        random: "(random()::numeric * power(10::numeric, i % 28))",
        shown: "(v * 10000000000)::numeric(40, 0)::text",
    },
    Case {
        sql_type: SqlType::Numeric(38, 38),
        values: &["0", "1e-38", "0.99999999999999999999999999999999999999", "-0.5"],
        random: "random()::numeric / power(10::numeric, i % 30)",
        shown: "(v * 1e38)::numeric(40, 0)::text",
    },
    Case {
        sql_type: SqlType::Numeric(5, 0),
        values: &["0", "1", "9999", "10000", "99999", "-99999"],
        random: "(i * 31)",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Numeric(5, -3),
        values: &["0", "1000", "99999000", "-12000"],
        random: "(i * 7000)",
        shown: "trunc(v / 1000)::text",
    },
    Case {
        sql_type: SqlType::Boolean,
        values: &["true", "false"],
        random: "i % 3 = 0",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Text,
        values: TEXTS,
        random: "repeat(md5(i::text), i % 4)",
        shown: "v",
    },
    Case {
        sql_type: SqlType::Varchar(Some(30)),
        values: TEXTS,
        random: "left(md5(i::text), i % 31)",
        shown: "v",
    },
    // A cast of character to text takes the blanks off.
    Case {
        sql_type: SqlType::Char(20),
        values: TEXTS,
        random: "left(md5(i::text), i % 20)",
        shown: "v::text",
    },
    Case { sql_type: SqlType::Name, values: TEXTS, random: "md5(i::text)", shown: "v::text" },
    Case {
        sql_type: SqlType::Date,
        values: &[
            "1970-01-01",
            "2000-01-01",
            "1969-12-31",
            "4714-11-24 BC",
            "5874897-12-31",
            "infinity",
            "-infinity",
        ],
        random: "date '2000-01-01' + (random() * 100000 - 50000)::int",
        shown: "case v when 'infinity' then '2147483647' when '-infinity' then '-2147483648' \
            else (v - date '1970-01-01')::text end",
    },
    Case {
        sql_type: SqlType::Time,
        values: &["00:00:00", "23:59:59.999999", "24:00:00"],
        random: "time '00:00' + random() * interval '24 hours'",
        shown: "(extract(epoch from v) * 1000000)::bigint::text",
    },
    Case {
        sql_type: SqlType::Timestamp,
        values: TIMESTAMPS,
        random: "timestamp '2000-01-01' + (random() - 0.5) * interval '3000 years'",
        shown: SHOWN_TIMESTAMP,
    },
    Case {
        sql_type: SqlType::TimestampTz,
        values: TIMESTAMPS,
        random: "timestamptz '2000-01-01' + (random() - 0.5) * interval '3000 years'",
        shown: SHOWN_TIMESTAMP,
    },
    Case {
        sql_type: SqlType::Interval,
        values: &["0", "1 mon -1 day 00:00:00.000001", "-178000000 years", "2147483647 days"],
        random: "make_interval(months => i, days => -i, secs => random() * 1e6)",
        shown: "case when v is not null then format('%s %s %s', (extract(year from v) * 12 + extract(month from v))::bigint, \
            extract(day from v), ((extract(hour from v) * 3600 + extract(minute from v) * 60) \
            * 1000000 + extract(microseconds from v))::bigint) end",
    },
    Case {
        sql_type: SqlType::Uuid,
        values: &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        random: "md5(i::text)::uuid",
        shown: "replace(v::text, '-', '')",
    },
    Case {
        sql_type: SqlType::Bytea,
        values: &["", "\\x00", "\\xff00ff00ff00ff00ff00ff00ff00ff"],
        random: "decode(repeat(md5(i::text), i % 3), 'hex')",
        shown: "encode(v, 'hex')",
    },
    Case {
        sql_type: SqlType::Json,
        values: &["{\"b\" : 1,  \"a\":2}", "null", "\"é\""],
        random: "format('[%s,  %s]', i, i * 2)::json",
        shown: "v::text",
    },
    Case {
        sql_type: SqlType::Jsonb,
        values: &["{\"b\" : 1,  \"a\":2}", "null", "\"é\"", "1e3"],
        random: "format('[%s,  %s]', i, i * 2)::jsonb",
        shown: "v::text",
    },
];

#[tokio::test]
async fn values_of_every_type_come_and_go_as_postgresql_has_them() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    session.rows("SET TimeZone = 'America/New_York'").await;
    for (at, case) in CASES.iter().enumerate() {
        check(&session, case, &format!("t{at}")).await;
    }
}

async fn check(session: &Session, case: &Case, table: &str) {
    let Case { sql_type, values, random, shown } = case;
    let mut literals = String::new();
    for (at, value) in values.iter().enumerate() {
        let _ = write!(literals, "({at}, E'{}'), ", value.replace('\\', "\\\\"));
    }
    session
        .run_all([
            format!("CREATE TABLE {table} (i int, v {sql_type})"),
            format!("CREATE TABLE {table}_copy (i int, v {sql_type})"),
            format!("INSERT INTO {table} VALUES {literals} (-1, NULL)"),
            format!(
                "INSERT INTO {table} SELECT i, CASE WHEN i % 7 > 0 THEN {random} END \
                 FROM generate_series(100, {}) i",
                99 + RANDOM_ROWS
            ),
        ])
        .await;

    // What the decoder makes of it is what PostgreSQL says that it is.
    let layout = layout(&[("i", SqlType::Integer, 23), ("v", *sql_type, sql_type.oid())]);
    let sql = format!("COPY (SELECT i, v FROM {table} ORDER BY i) TO STDOUT (FORMAT BINARY)");
    let batches = decode(&layout, session.copy_out(&sql).await.unwrap()).await.unwrap();
    let rows = session.rows(&format!("SELECT i, {shown} FROM {table} ORDER BY i")).await;
    let decoded = batches.iter().flat_map(|batch| {
        let (keys, values) = (batch.column(0), batch.column(1));
        (0..batch.num_rows()).map(|row| (show(keys, row), show(values, row)))
    });
    let decoded: Vec<_> = decoded.collect();
    assert_eq!(decoded.len(), values.len() + 1 + RANDOM_ROWS, "{sql_type}");
    for ((key, value), row) in decoded.into_iter().zip(rows) {
        let (expected_key, expected) = (row[0].clone(), row[1].clone());
        let expected = expected.map(|text| as_shown(text, *sql_type));
        assert_eq!((key, value), (expected_key, expected), "{sql_type}");
    }

    // What the encoder makes of that, PostgreSQL reads as what it sent.
    let sql = format!("COPY {table}_copy FROM STDIN (FORMAT BINARY)");
    let (mut encoder, mut payloads) = (CopyEncoder::new(layout), Vec::new());
    for batch in &batches {
        encoder.encode(batch, &mut payloads).unwrap();
    }
    encoder.finish(&mut payloads);
    session.copy_in(&sql, payloads.concat()).await.unwrap_or_else(|e| panic!("{sql_type}: {e:?}"));
    for (a, b) in [("", "_copy"), ("_copy", "")] {
        let difference = format!(
            "SELECT i, v::text FROM {table}{a} EXCEPT ALL SELECT i, v::text FROM {table}{b}"
        );
        let different: Vec<Vec<Option<String>>> = session.rows(&difference).await;
        assert!(different.is_empty(), "{sql_type} {a}: {different:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_held_is_an_error() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    for (value, sql_type, oid, expected) in [
        ("'NaN'::numeric", SqlType::Numeric(38, 10), 1700, "22003"),
        ("'-Infinity'::numeric", SqlType::Numeric(38, 10), 1700, "22003"),
        ("1e28::numeric", SqlType::Numeric(38, 10), 1700, "22003"),
        ("1.00000000001::numeric", SqlType::Numeric(38, 10), 1700, "22003"),
        ("timestamp '294276-12-31 23:59:59'", SqlType::Timestamp, 1114, "22008"),
        ("timestamp '2000-01-01 00:00:01'", SqlType::Date, 1114, "22008"),
        ("interval '300000 hours' * 100", SqlType::Interval, 1186, "22008"),
        ("1::bigint", SqlType::Integer, 23, "22P03"),
        ("1::smallint", SqlType::Integer, 23, "08P01"),
    ] {
        let sql = format!("COPY (SELECT {value}) TO STDOUT (FORMAT BINARY)");
        let data = session.copy_out(&sql).await.unwrap();
        let error = decode(&layout(&[("v", sql_type, oid)]), data).await.unwrap_err();
        assert_eq!(error.sqlstate.as_str(), expected, "{value}: {error:?}");
        assert_eq!(error.object.map(|object| object.column), Some("v".into()), "{value}");
    }
    // In KingbaseES's Oracle mode such a column is declared as date.
    let sql =
        "COPY (SELECT timestamp '2024-02-29', timestamp '1969-12-31') TO STDOUT (FORMAT BINARY)";
    let layout = layout(&[("a", SqlType::Date, 1114), ("b", SqlType::Date, 1114)]);
    let batches = decode(&layout, session.copy_out(sql).await.unwrap()).await.unwrap();
    let days = [show(batches[0].column(0), 0), show(batches[0].column(1), 0)];
    assert_eq!(days, [Some("19782".to_string()), Some("-1".to_string())]);
}

fn layout(columns: &[(&str, SqlType, u32)]) -> CopyLayout {
    let fields: Vec<_> = columns.iter().map(|(name, t, _)| t.field(name, true)).collect();
    let oids: Vec<u32> = columns.iter().map(|(.., oid)| *oid).collect();
    CopyLayout::try_new("t", Arc::new(Schema::new(fields)), &oids).unwrap()
}

async fn decode(layout: &CopyLayout, data: Vec<u8>) -> Result<Vec<RecordBatch>> {
    let pieces: Vec<_> = data.chunks(1_013).map(|piece| Ok(piece.to_vec().into())).collect();
    let (limits, pool) = (ChunkLimits { rows: 1_000, bytes: 1 << 20 }, DecodePool::try_new(2)?);
    decode_stream(stream::iter(pieces), layout.clone(), limits, pool).try_collect().await
}

/// What stands in an array, as text: numbers without their scale or epoch.
fn show(array: &ArrayRef, row: usize) -> Option<String> {
    macro_rules! number {
        ($($type:ty),*) => {
            $(if let Some(values) = array.as_primitive_opt::<$type>() {
                return Some(values.value(row).to_string());
            })*
        };
    }
    if array.is_null(row) {
        return None;
    }
    number!(Int16Type, Int32Type, Int64Type, Decimal128Type, Float32Type, Float64Type);
    number!(Date32Type, Time64MicrosecondType, TimestampMicrosecondType);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if let Some(values) = array.as_primitive_opt::<IntervalMonthDayNanoType>() {
        let value = values.value(row);
        return Some(format!("{} {} {}", value.months, value.days, value.nanoseconds / 1_000));
    }
    if let Some(values) = array.as_string_view_opt() {
        return Some(values.value(row).to_string());
    }
    if let Some(values) = array.as_boolean_opt() {
        return Some(values.value(row).to_string());
    }
    if let Some(values) = array.as_fixed_size_binary_opt() {
        return Some(hex(values.value(row)));
    }
    Some(hex(array.as_binary_view().value(row)))
}

/// PostgreSQL's text of a float as Rust writes it: both tell the number exactly.
fn as_shown(text: String, sql_type: SqlType) -> String {
    let number = text.replace("Infinity", "inf");
    match sql_type {
        SqlType::Real => number.parse::<f32>().unwrap().to_string(),
        SqlType::Double => number.parse::<f64>().unwrap().to_string(),
        _ => text,
    }
}
