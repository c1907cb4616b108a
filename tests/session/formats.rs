//! A session's time zone and styles beyond the text of rows: COPY, parameters, binary values, what
//! clients are told, and what they ask for when they connect.

use std::time::{Duration, SystemTime};

use crate::support::{Session, TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn copy_reads_and_writes_in_the_sessions_styles() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (id int, d date, tz timestamptz, i interval, b bytea) DISTRIBUTED BY (id)",
            "SET DateStyle = 'German'",
            "SET TimeZone = 'Europe/Berlin'",
            "SET IntervalStyle = 'iso_8601'",
            "SET bytea_output = 'escape'",
        ])
        .await;
    let rows = "1\t01.02.2024\t01.07.2024 12:00:00 CEST\tP1DT2H\ta\\\\000\n";
    assert_eq!(session.copy_in("COPY t FROM STDIN", rows).await, Ok(1));
    let copied = session.copy_out("COPY t TO STDOUT").await.unwrap();
    assert_eq!(String::from_utf8(copied).unwrap(), rows);
    let casts = "COPY (SELECT d::text, tz::text, i::text, b::text FROM t) TO STDOUT";
    let copied = session.copy_out(casts).await.unwrap();
    assert_eq!(String::from_utf8(copied).unwrap(), rows.split_once('\t').unwrap().1);
    session.run_all(["RESET ALL"]).await;
    let plain = "1\t2024-02-01\t2024-07-01 10:00:00+00\t1 day 02:00:00\t\\\\x6100\n";
    let copied = session.copy_out("COPY t TO STDOUT").await.unwrap();
    assert_eq!(String::from_utf8(copied).unwrap(), plain);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_values_do_not_depend_on_styles() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["SET TimeZone = 'Asia/Tokyo'", "SET DateStyle = 'SQL, DMY'"]).await;
    // 2024-01-01 20:30 UTC
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_141_000);
    let query = "SELECT $1::timestamptz, $1::timestamptz::date::text, $1::timestamptz::text";
    let row = session.client.query_one(query, &[&moment]).await.unwrap();
    assert_eq!(row.get::<_, SystemTime>(0), moment);
    assert_eq!(row.get::<_, String>(1), "02/01/2024");
    assert_eq!(row.get::<_, String>(2), "02/01/2024 05:30:00 JST");
    // A text parameter is read as the session reads texts.
    session.run_all(["PREPARE p (date, timestamptz) AS SELECT $1, $2"]).await;
    let rows = session.rows("EXECUTE p ('02/01/2024', '02/01/2024 09:00')").await;
    let texts: Vec<_> = rows[0].iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(texts, ["02/01/2024", "02/01/2024 09:00:00 JST"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_ask_for_settings_when_they_connect() {
    let cluster = TestCluster::start(1).await;
    let options = "-c%20timezone%3Dasia/tokyo%20--datestyle%3Dsql%20-c%20my.var%3Da%5C%20b";
    let url = format!("{}?options={options}", cluster.url());
    let session = Session::connect(&url).await;
    for (setting, expected) in
        [("TimeZone", "Asia/Tokyo"), ("DateStyle", "SQL, MDY"), ("my.var", "a b")]
    {
        assert_eq!(session.value(&format!("SHOW {setting}")).await, expected);
        session.run_all([format!("SET {setting} = DEFAULT")]).await;
        assert_eq!(session.value(&format!("SHOW {setting}")).await, expected, "after RESET");
    }
    let source = "SELECT source FROM pg_settings WHERE name = 'TimeZone'";
    assert_eq!(session.value(source).await, "client");
    for (options, sqlstate) in [("-c%20nothing%3D1", "42704"), ("-x", "42601")] {
        let url = format!("{}?options={options}", cluster.url());
        let error = Session::try_connect(&url).await.err().unwrap();
        assert_eq!(error.code().map(|code| code.code()), Some(sqlstate), "{options}: {error}");
    }
    cluster.stop().await;
}
