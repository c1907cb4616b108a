//! The extended protocol: parameters, binary values, portals, errors in between.

use std::error::Error;

use bytes::BytesMut;
use futures::future::join3;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::support::{Failure, TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_binary_values_of_every_type() {
    let cluster = TestCluster::start(3).await;
    let client = &cluster.session().await.client;
    client
        .batch_execute(
            "CREATE TABLE t (s smallint, i int, b bigint, r real, f double precision, o boolean, \
             x text, v varchar(9)) DISTRIBUTED BY (i)",
        )
        .await
        .unwrap();
    let insert = "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let none: Option<&str> = None;
    let row = client
        .execute(insert, &[&1_i16, &2_i32, &3_i64, &0.5_f32, &0.25_f64, &true, &"it's", &none])
        .await;
    assert_eq!(row.unwrap(), 1);
    let row = client.query_one("SELECT * FROM t WHERE i = $1 AND x = $2", &[&2_i32, &"it's"]);
    let row = row.await.unwrap();
    assert_eq!(
        (row.get::<_, i16>(0), row.get::<_, i32>(1), row.get::<_, i64>(2), row.get::<_, f32>(3)),
        (1, 2, 3, 0.5)
    );
    assert_eq!(
        (row.get::<_, f64>(4), row.get::<_, bool>(5), row.get::<_, &str>(6)),
        (0.25, true, "it's")
    );
    assert_eq!(row.get::<_, Option<&str>>(7), None);
    let types: Vec<&Type> = row.columns().iter().map(|c| c.type_()).collect();
    let expected = [
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::BOOL,
        Type::TEXT,
        Type::VARCHAR,
    ];
    assert_eq!(types, expected.iter().collect::<Vec<_>>());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_get_the_types_that_postgresql_infers() {
    let cluster = TestCluster::start(1).await;
    let client = &cluster.session().await.client;
    client
        .batch_execute("CREATE TABLE t (i int, n numeric(8,2), d date, x text) DISTRIBUTED BY (i)")
        .await
        .unwrap();
    for (sql, expected) in [
        ("SELECT i FROM t WHERE i = $1", vec![Type::INT4]),
        ("SELECT i FROM t WHERE n > $1 AND d < $2", vec![Type::NUMERIC, Type::DATE]),
        ("SELECT i FROM t WHERE x LIKE $1", vec![Type::TEXT]),
        ("SELECT $1::bigint + 1", vec![Type::INT8]),
        ("SELECT i + $1 FROM t", vec![Type::INT4]),
        ("SELECT $2 || $1", vec![Type::TEXT, Type::TEXT]),
        ("SELECT i FROM t WHERE i IN ($1, $2) LIMIT $3", vec![Type::INT4, Type::INT4, Type::INT8]),
        ("SELECT i FROM t WHERE i = 1 OR $1", vec![Type::BOOL]),
        ("SELECT pg_get_indexdef(0::oid, $1, $2)", vec![Type::INT4, Type::BOOL]),
        ("SELECT i FROM t WHERE i = $1 OR i::bigint = $1", vec![Type::INT4]),
        ("INSERT INTO t (d, i) VALUES ($1, $2)", vec![Type::DATE, Type::INT4]),
        ("EXPLAIN SELECT i FROM t WHERE d = $1", vec![Type::DATE]),
        ("EXPLAIN INSERT INTO t (d) VALUES ($1)", vec![Type::DATE]),
        ("SELECT $1", vec![Type::TEXT]),
    ] {
        let prepared = client.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(prepared.params(), expected, "{sql}");
    }
    cluster.stop().await;
}

/// A parameter of any type: its text, or NULL.
#[derive(Debug)]
struct Written(Option<&'static str>);

impl ToSql for Written {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A value as it came, in hex.
struct Sent(String);

impl<'a> FromSql<'a> for Sent {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_have_the_types_that_they_were_prepared_with() {
    let cluster = TestCluster::start(1).await;
    let client = &cluster.session().await.client;
    // The types are PostgreSQL's. With NULLs the optimizer sees through each of these.
    for (sql, values, expected) in [
        (
            "SELECT relname, conname FROM pg_class LEFT JOIN pg_constraint \
             ON conrelid = pg_class.oid AND contype = $1::varchar WHERE relname = $2::varchar",
            vec!["f", "pg_am"],
            vec![Type::NAME, Type::NAME],
        ),
        (
            "SELECT indkey, indclass FROM pg_index WHERE indrelid = $1::int",
            vec!["0"],
            vec![Type::INT2_VECTOR, Type::OID_VECTOR],
        ),
        (
            "SELECT $1::name, $2::json, $3::char(3), $4::varchar",
            vec!["a", "[1]", "b", "c"],
            vec![Type::NAME, Type::JSON, Type::BPCHAR, Type::VARCHAR],
        ),
        ("SELECT coalesce($1, 1), $2", vec!["4", "x"], vec![Type::INT4, Type::TEXT]),
        ("SELECT $1 UNION SELECT 1", vec!["4"], vec![Type::INT4]),
        ("SELECT 1 INTERSECT SELECT $1", vec!["4"], vec![Type::INT4]),
        ("SELECT 1::bigint WHERE 1::int = $1 OR 2::bigint = $1", vec!["4"], vec![Type::INT8]),
    ] {
        let prepared = client.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let types: Vec<_> = prepared.columns().iter().map(|c| c.type_().clone()).collect();
        assert_eq!(types, expected, "{sql}");
        let nulls = values.iter().map(|_| Written(None)).collect::<Vec<_>>();
        let values = values.iter().map(|text| Written(Some(text))).collect::<Vec<_>>();
        for parameters in [&nulls, &values] {
            let parameters: Vec<_> = parameters.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
            let rows = client.query(&prepared, &parameters).await;
            rows.unwrap_or_else(|e| panic!("{sql}, {parameters:?}: {e:?}"));
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numeric_parameters_keep_their_digits() {
    let cluster = TestCluster::start(1).await;
    let client = &cluster.session().await.client;
    let parameters = [Written(Some("1.1234567890123")), Written(Some("2.25"))];
    let [a, b] = &parameters;
    let row = client.query_one("SELECT $1::numeric * 2, $2 + 1.5", &[a, b]).await.unwrap();
    // numeric_send: digits, weight, sign, scale, and the digits of base 10000.
    assert_eq!(row.get::<_, Sent>(0).0, "000500000000000d000209a5054d1f581770");
    assert_eq!(row.get::<_, Sent>(1).0, "000200000000000200031d4c");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_planned_for_what_is_there_when_it_runs() {
    let cluster = TestCluster::start(2).await;
    let client = &cluster.session().await.client;
    client.batch_execute("CREATE TABLE t (i int, x text) DISTRIBUTED BY (i)").await.unwrap();
    let insert = client.prepare("INSERT INTO t VALUES ($1, $2)").await.unwrap();
    let count = client.prepare("SELECT count(*) FROM t WHERE i >= $1").await.unwrap();
    for i in 0..20_i32 {
        client.execute(&insert, &[&i, &format!("row {i}")]).await.unwrap();
        let found: i64 = client.query_one(&count, &[&0_i32]).await.unwrap().get(0);
        assert_eq!(found, i64::from(i) + 1);
    }
    let few: i64 = client.query_one(&count, &[&15_i32]).await.unwrap().get(0);
    assert_eq!(few, 5);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_ends_the_statement_and_not_the_session() {
    let cluster = TestCluster::start(2).await;
    let client = &cluster.session().await.client;
    client.batch_execute("CREATE TABLE t (i int) DISTRIBUTED BY (i)").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (0), (1), (2)").await.unwrap();
    let divide = client.prepare("SELECT 10 / i FROM t WHERE i >= $1").await.unwrap();
    for _ in 0..3 {
        let failure = Failure::of(&client.query(&divide, &[&0_i32]).await.unwrap_err());
        assert_eq!(failure.sqlstate, "22012", "{failure}");
        assert_eq!(client.query(&divide, &[&1_i32]).await.unwrap().len(), 2);
        let failure = Failure::of(&client.prepare("SELECT missing FROM t").await.unwrap_err());
        assert_eq!((failure.sqlstate.as_str(), failure.position), ("42703", Some(8)), "{failure}");
    }
    // Several at once on one connection: answered in order, each on its own.
    let (a, b, c) = join3(
        client.query(&divide, &[&1_i32]),
        client.query(&divide, &[&0_i32]),
        client.query("SELECT i FROM t WHERE i = $1", &[&2_i32]),
    )
    .await;
    assert_eq!(a.unwrap().len(), 2);
    assert_eq!(Failure::of(&b.unwrap_err()).sqlstate, "22012");
    assert_eq!(c.unwrap()[0].get::<_, i32>(0), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_gives_its_rows_in_portions() {
    let cluster = TestCluster::start(3).await;
    let mut session = cluster.session().await;
    session.run_all(["CREATE TABLE t (i int) DISTRIBUTED BY (i)"]).await;
    let lines: String = (0..1000).map(|i| format!("{i}\n")).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &lines).await, Ok(1000));
    let transaction = session.client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT i FROM t ORDER BY i", &[]).await.unwrap();
    let mut next = 0;
    for expected in [300, 300, 300, 100, 0] {
        let rows = transaction.query_portal(&portal, 300).await.unwrap();
        assert_eq!(rows.len(), expected);
        for row in rows {
            assert_eq!(row.get::<_, i32>(0), next);
            next += 1;
        }
    }
    transaction.commit().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_tables_are_described_as_what_they_are() {
    let cluster = TestCluster::start(1).await;
    let client = &cluster.session().await.client;
    client
        .batch_execute(
            "CREATE TABLE t (id int, n numeric(8,2), v varchar(9), c char(3)) DISTRIBUTED BY (id); \
             CREATE TABLE u (id int, x text) DISTRIBUTED BY (id)",
        )
        .await
        .unwrap();
    let oid = |name: &str| {
        let sql = format!("SELECT oid::bigint FROM pg_class WHERE relname = '{name}'");
        async move { client.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) as u32 }
    };
    let (t, u) = (oid("t").await, oid("u").await);
    // For each output: the table and the column's number, and the type modifier.
    for (sql, expected) in [
        ("SELECT * FROM t", vec![(t, 1, -1), (t, 2, 524_294), (t, 3, 13), (t, 4, 7)]),
        ("SELECT n AS m, n + 1, id + 1 FROM t", vec![(t, 2, 524_294), (0, 0, -1), (0, 0, -1)]),
        ("SELECT u.x, t.v FROM t JOIN u ON t.id = u.id", vec![(u, 2, -1), (t, 3, 13)]),
        ("SELECT c, count(*) FROM t GROUP BY c ORDER BY c", vec![(t, 4, 7), (0, 0, -1)]),
        ("SELECT s.v FROM (SELECT v FROM t LIMIT 1) s", vec![(t, 3, 13)]),
        ("WITH w AS (SELECT DISTINCT n FROM t) SELECT n FROM w", vec![(t, 2, 524_294)]),
        ("SELECT sum(n), max(id) FROM t", vec![(0, 0, -1), (0, 0, -1)]),
        ("SELECT x FROM u UNION ALL SELECT x FROM u", vec![(0, 0, -1)]),
    ] {
        let prepared = client.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let columns = prepared.columns().iter().map(|column| {
            let (table, number) = (column.table_oid(), column.column_id());
            (table.unwrap_or(0), number.unwrap_or(0), column.type_modifier())
        });
        assert_eq!(columns.collect::<Vec<_>>(), expected, "{sql}");
    }
    cluster.stop().await;
}
