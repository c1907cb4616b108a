//! EXPLAIN shows what the databases are sent: what they would be, and with ANALYZE what they were.

use crate::support::{Session, ShardServers, TestCluster};

/// For each scan in the plan, the table's name and the lines about its SQL.
async fn scans(session: &Session, explain: &str) -> Vec<(String, Vec<String>)> {
    let mut scans: Vec<(String, Vec<String>)> = Vec::new();
    for row in session.rows(explain).await {
        let line = row[0].as_deref().unwrap().trim();
        // Then comes what the slices took.
        if line.starts_with("Slice ") {
            break;
        }
        if let Some((_, table)) = line.split_once("Seq Scan on ") {
            let table = table.split(' ').next().unwrap();
            scans.push((table.to_string(), Vec::new()));
        } else if line.contains("SQL") {
            scans.last_mut().unwrap().1.push(line.to_string());
        }
    }
    scans.sort();
    scans
}

fn scan(table: &str, lines: &[&str]) -> (String, Vec<String>) {
    (table.into(), lines.iter().map(ToString::to_string).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_databases_are_sent() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
            "CREATE TABLE u (a int, c int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT g, g % 10 FROM generate_series(1, 100) g",
            "INSERT INTO u SELECT g, g % 7 FROM generate_series(1, 1000) g",
            // Not empty: what is joined to nothing need not be read.
            "CREATE TEMP TABLE f (a int) DISTRIBUTED BY (a)",
            "INSERT INTO f SELECT generate_series(1, 100)",
        ])
        .await;
    // However the join is turned round where it runs.
    let join = "SELECT t.b, u.c FROM t JOIN u ON t.a = u.a JOIN f ON f.a = t.a WHERE u.c > 3";
    let t = "Shard SQL: SELECT \"a\", \"b\" FROM \"public\".\"t\"";
    let u = "Shard SQL: SELECT \"a\", \"c\" FROM \"public\".\"u\" \
             WHERE (\"c\" > '3'::pg_catalog.int4)";
    let [plain, analyze] = ["(COSTS off)", "(ANALYZE, COSTS off)"];
    let expected = [scan("f", &[]), scan("t", &[t]), scan("u", &[u])];
    for options in [plain, analyze] {
        assert_eq!(scans(&session, &format!("EXPLAIN {options} {join}")).await, expected);
    }

    // An init plan's value is known when it has run; what is sent before is not shown as if it were.
    let init = "SELECT b FROM t WHERE b > (SELECT max(c) FROM u WHERE a < 50)";
    for options in [plain, analyze] {
        let found = scans(&session, &format!("EXPLAIN {options} {init}")).await;
        let [(_, of_t), (_, of_u)] = found.as_slice() else { panic!("{found:?}") };
        assert!(of_t.len() == 1 && of_t[0].contains("\"public\".\"t\""), "{options}: {of_t:?}");
        let filtered = "Shard SQL: SELECT \"c\" FROM \"public\".\"u\" \
                        WHERE (\"a\" < '50'::pg_catalog.int4)";
        assert_eq!(*of_u, [filtered], "{options}");
    }

    // One datanode is asked for a row that only it can have.
    let json = session.value("EXPLAIN (COSTS off, FORMAT json) SELECT b FROM t WHERE a = 7").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of_datanodes = json[0]["Plan"]["Plans"][0]["Shard SQL"].as_array().unwrap();
    assert_eq!(of_datanodes.len(), 1, "{json}");
    let sql = "SELECT \"b\" FROM \"public\".\"t\" WHERE (\"a\" = '7'::pg_catalog.int4)";
    assert_eq!(of_datanodes[0]["sql"], serde_json::json!([sql]));

    // A block that has written reads its own rows, by a cursor; EXPLAIN reads nothing.
    session.run_all(["BEGIN", "INSERT INTO t VALUES (101, 1)"]).await;
    let all = [scan("t", &[t])];
    for options in [plain, analyze] {
        assert_eq!(scans(&session, &format!("EXPLAIN {options} SELECT * FROM t")).await, all);
    }
    session.run_all(["ROLLBACK"]).await;
    servers.server(1).stop().unwrap();
    assert_eq!(scans(&session, &format!("EXPLAIN {plain} SELECT * FROM t")).await, all);
    cluster.stop().await;
}
