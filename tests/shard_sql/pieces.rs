//! Pieces of a table have each of its rows once.

use kestrel_datanode::shard::kes::{
    Capabilities,
    sql::{HashKey, Piece, pieces},
};
use kestrel_planner::catalog::SqlType;

use crate::support::{Session, postgres};

const ROWS: u64 = 200_000;

async fn rows(session: &Session, piece: &Piece) -> u64 {
    let condition = piece.condition().unwrap_or("true");
    let count = session.value(&format!("SELECT count(*) FROM t WHERE {condition}")).await;
    count.parse().unwrap()
}

#[tokio::test]
async fn every_row_is_in_one_piece() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    session
        .run_all([
            "CREATE TABLE t AS SELECT CASE WHEN i % 10 > 0 THEN i END AS k, \
             repeat('x', 40) AS pad FROM generate_series(1::bigint, 200000) i",
            "DELETE FROM t WHERE k IS NULL AND ctid > '(100,0)'",
        ])
        .await;
    let blocks = session.value("SELECT pg_relation_size('t') / 8192").await.parse().unwrap();
    let total = rows(&session, &Piece::WHOLE).await;
    assert!(total < ROWS && total > ROWS / 2);
    let key = HashKey { name: "k", sql_type: SqlType::BigInt };
    for tid_range_scan in [true, false] {
        let capabilities = Capabilities { tid_range_scan, ..Capabilities::POSTGRESQL_15 };
        // Statistics may be older than the table.
        for blocks in [blocks, blocks / 2] {
            let pieces = pieces(4, blocks, Some(key), capabilities).unwrap();
            assert_eq!(pieces.len(), 4);
            let mut sum = 0;
            for piece in &pieces {
                let rows = rows(&session, piece).await;
                assert!(rows > total / 10, "{piece:?} has {rows} of {total} rows");
                sum += rows;
            }
            assert_eq!(sum, total, "{pieces:?}");
        }
    }
}
