//! With a real driver.

use std::time::SystemTime;

use futures::{SinkExt, TryStreamExt};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use super::*;

async fn connect(server: &Server) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.address.port()).user("me").dbname(DATABASE);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn parameters_go_there_and_back() {
    let server = Server::start().await;
    let client = connect(&server).await;
    let types = [
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::BOOL,
        Type::TEXT,
        Type::BYTEA,
        Type::TIMESTAMPTZ,
        Type::OID,
    ];
    let statement = client.prepare_typed("echo 10", &types).await.unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_709_210_096_500_000);
    let row = client
        .query_one(
            &statement,
            &[
                &-2i16,
                &7i32,
                &i64::MIN,
                &1.5f32,
                &0.1f64,
                &true,
                &Some("日本"),
                &vec![0u8, 255],
                &now,
                &u32::MAX,
            ],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i16>(0), -2);
    assert_eq!(row.get::<_, i32>(1), 7);
    assert_eq!(row.get::<_, i64>(2), i64::MIN);
    assert_eq!(row.get::<_, f32>(3), 1.5);
    assert_eq!(row.get::<_, f64>(4), 0.1);
    assert!(row.get::<_, bool>(5));
    assert_eq!(row.get::<_, Option<&str>>(6), Some("日本"));
    assert_eq!(row.get::<_, &[u8]>(7), [0, 255]);
    assert_eq!(row.get::<_, SystemTime>(8), now);
    assert_eq!(row.get::<_, u32>(9), u32::MAX);
}

#[tokio::test]
async fn many_rows_come_whole_and_in_order() {
    let server = Server::start().await;
    let client = connect(&server).await;
    let rows = client.query_raw("rows 100000", Vec::<i32>::new()).await.unwrap();
    let numbers: Vec<i32> = rows.map_ok(|row| row.get::<_, i32>(0)).try_collect().await.unwrap();
    assert!(numbers.iter().copied().eq(0..100_000));
}

#[tokio::test]
async fn driver_portals_and_errors() {
    let server = Server::start().await;
    let mut client = connect(&server).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("rows 5", &[]).await.unwrap();
    for expected in [2, 2, 1] {
        assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), expected);
    }
    transaction.commit().await.unwrap();
    let error = client.batch_execute("a; fail 3").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "42P01");
    assert_eq!(error.hint(), Some("try another"));
    assert_eq!(error.position(), Some(&tokio_postgres::error::ErrorPosition::Original(3)));
}

#[tokio::test]
async fn driver_cancel() {
    let server = Server::start().await;
    let client = connect(&server).await;
    let token = client.cancel_token();
    let cancel = async {
        server.log.wait_for("execute hang").await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (result, ()) = tokio::join!(client.batch_execute("hang"), cancel);
    assert_eq!(result.unwrap_err().code().unwrap().code(), "57014");
}

#[tokio::test]
async fn driver_copy() {
    let server = Server::start().await;
    let client = connect(&server).await;
    let sink = client.copy_in::<_, bytes::Bytes>("copy").await.unwrap();
    let lines = (0..1_000).map(|i| Ok(bytes::Bytes::from(format!("{i}\tx\n"))));
    let mut sink = Box::pin(sink);
    sink.send_all(&mut futures::stream::iter(lines)).await.unwrap();
    assert_eq!(sink.as_mut().finish().await.unwrap(), 1_000);
    client.batch_execute("a").await.unwrap();
}
