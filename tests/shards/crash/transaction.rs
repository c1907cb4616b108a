//! The transactions that are crashed, and how much of one is where.

use std::collections::VecDeque;

use super::cluster::{Processes, value};
use crate::support::Session;

const TABLES: &[&str] = &[
    "CREATE TABLE t (id int, v int) DISTRIBUTED BY (id)",
    "INSERT INTO t SELECT g, 0 FROM generate_series(1, 400) g",
];
/// The second database refuses such rows, but not before the transaction is prepared.
const REFUSING: &[&str] = &[
    "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$",
    "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON public.t DEFERRABLE INITIALLY DEFERRED \
     FOR EACH ROW WHEN (NEW.v < 0) EXECUTE FUNCTION public.refuse()",
];

/// Where a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// On the first datanode.
    One,
    /// On both, in this table and, if `ddl`, in a table that it makes.
    Both { ddl: bool },
    /// On both, and the second does not prepare it.
    Refused,
}

/// Keys that each datanode's database has, or, not there yet, will get.
pub(super) struct Keys([VecDeque<i64>; 2]);

/// Makes the tables.
pub(super) async fn prepare(cluster: &Processes) -> Keys {
    let session = cluster.ready().await;
    session.run_all(TABLES).await;
    let mut keys = [VecDeque::new(), VecDeque::new()];
    for (index, keys) in keys.iter_mut().enumerate() {
        let database = cluster.database(index).await.unwrap();
        let ids = database.rows("SELECT id FROM public.t ORDER BY id").await;
        keys.extend(ids.into_iter().map(|row| row[0].as_ref().unwrap().parse::<i64>().unwrap()));
        assert!(keys.len() > 100, "dn{} has {} of 400 rows", index + 1, keys.len());
    }
    // Half of the keys are free again.
    session.run_all(["DELETE FROM t WHERE id > 200"]).await;
    cluster.database(1).await.unwrap().run_all(REFUSING).await;
    Keys(keys)
}

impl Keys {
    /// One that is there, and one that is not; neither was used before.
    fn next(&mut self, datanode: usize) -> (i64, i64) {
        let keys = &mut self.0[datanode];
        (keys.pop_front().unwrap(), keys.pop_back().unwrap())
    }

    /// The statements before COMMIT of the transaction with this number. Each database that it writes
    /// to gets two rows with the number in them.
    pub(super) fn statements(&mut self, number: i64, writes: Writes) -> Vec<String> {
        let mut statements = Vec::new();
        let datanodes = if writes == Writes::One { 0..1 } else { 0..2 };
        for datanode in datanodes {
            let (there, free) = self.next(datanode);
            // An UPDATE with this value is refused.
            let value = if writes == Writes::Refused { -number } else { number };
            statements.push(format!("INSERT INTO t VALUES ({free}, {value})"));
            statements.push(format!("UPDATE t SET v = {value} WHERE id = {there}"));
        }
        if writes == (Writes::Both { ddl: true }) {
            statements.push(format!("CREATE TABLE made_{number} (id int) DISTRIBUTED BY (id)"));
            let fill = "SELECT id FROM t WHERE id <= 200";
            statements.push(format!("INSERT INTO made_{number} {fill}"));
        }
        statements
    }
}

/// How much of a transaction is somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    All,
    Nothing,
    Half,
}

/// What is to be found of a transaction: rows in each database, and whether it has made a table.
fn expected(writes: Writes) -> ([&'static str; 2], bool) {
    match writes {
        Writes::One => (["2", "0"], false),
        Writes::Both { ddl } => (["2", "2"], ddl),
        Writes::Refused => (["2", "2"], false),
    }
}

/// How much of the transaction with this number is there: in both databases and, asked of the
/// cluster, in all. `None`: somebody gives no answer, or something is still prepared.
pub(super) async fn find(cluster: &Processes, number: i64, writes: Writes) -> Option<Found> {
    let client = cluster.session().await?;
    for not_settled in [
        "SELECT count(*) FROM kestrel.datanodes WHERE state <> 'up'",
        "SELECT count(*) FROM kestrel.transactions_in_doubt",
    ] {
        if value(&client, not_settled).await? != "0" {
            return None;
        }
    }
    let (rows, makes_table) = expected(writes);
    let mut found = Vec::new();
    for (index, rows) in rows.into_iter().enumerate() {
        let database = cluster.database(index).await?;
        let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'kst_%'";
        if value(&database, prepared).await? != "0" {
            return None;
        }
        let is_there = value(&database, &count("public.t", number)).await?;
        // Nothing was to be there: that tells nothing.
        if rows != "0" {
            found.push(amount(&is_there, rows));
        } else if is_there != "0" {
            return Some(Found::Half);
        }
        if makes_table {
            let made = format!("SELECT count(*) FROM pg_class WHERE relname = 'made_{number}'");
            found.push(amount(&value(&database, &made).await?, "1"));
        }
    }
    let all = if rows[1] == "0" { "2" } else { "4" };
    found.push(amount(&value(&client, &count("t", number)).await?, all));
    if makes_table {
        found.push(made(&client, number).await?);
    }
    let first = *found.first()?;
    Some(if found.iter().all(|other| *other == first) { first } else { Found::Half })
}

/// The table that the transaction has made, with all of its rows.
async fn made(client: &Session, number: i64) -> Option<Found> {
    let known = format!("SELECT count(*) FROM pg_class WHERE relname = 'made_{number}'");
    let known = amount(&value(client, &known).await?, "1");
    if known != Found::All {
        return Some(known);
    }
    let rows = value(client, &format!("SELECT count(*) FROM made_{number}")).await?;
    let known = value(client, "SELECT count(*) FROM t WHERE id <= 200").await?;
    Some(if rows == known { Found::All } else { Found::Half })
}

fn count(table: &str, number: i64) -> String {
    format!("SELECT count(*) FROM {table} WHERE v = {number} OR v = -{number}")
}

fn amount(found: &str, all: &str) -> Found {
    match found {
        "0" => Found::Nothing,
        found if found == all => Found::All,
        _ => Found::Half,
    }
}
