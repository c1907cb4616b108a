//! Transfers between accounts, whose sum never changes, and flags, of which all see one order.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use super::Round;
use crate::{
    generate::Rng,
    support::{Answer, Session},
};

const ACCOUNTS: i64 = 24;
const BALANCE: i64 = 100;
const FLAGS_IN_GROUP: u32 = 4;

impl Round {
    pub(super) fn bank_tables(&self) -> Vec<String> {
        let (accounts, flags) = (self.table("accounts"), self.table("flags"));
        vec![
            format!("CREATE TABLE {accounts} (id int, balance bigint) DISTRIBUTED BY (id)"),
            format!(
                "INSERT INTO {accounts} SELECT g, {BALANCE} FROM generate_series(1, {ACCOUNTS}) AS g"
            ),
            format!("CREATE TABLE {flags} (g int, flag int) DISTRIBUTED RANDOMLY"),
        ]
    }

    pub(super) fn drop_tables(&self) -> Vec<String> {
        let others = ["accounts", "flags"].map(|table| self.table(table));
        let tables = self.list_table_names().into_iter().chain(others);
        tables.map(|table| format!("DROP TABLE {table}")).collect()
    }

    /// In one statement or two.
    pub(super) async fn transfer(&self, session: &Session, rng: &mut Rng) {
        let accounts = self.table("accounts");
        let (one, step) = (rng.between(1, ACCOUNTS), rng.between(1, ACCOUNTS - 1));
        let other = (one + step - 1) % ACCOUNTS + 1;
        let amount = rng.between(-20, 20);
        let statements = match rng.chance(40) {
            true => vec![format!(
                "UPDATE {accounts} SET balance = balance + CASE id WHEN {one} THEN {amount} \
                 ELSE -({amount}) END WHERE id IN ({one}, {other})"
            )],
            false => vec![
                "BEGIN".to_string(),
                format!("UPDATE {accounts} SET balance = balance + ({amount}) WHERE id = {one}"),
                format!("UPDATE {accounts} SET balance = balance - ({amount}) WHERE id = {other}"),
                "COMMIT".to_string(),
            ],
        };
        for statement in statements {
            let answer = session.run(&statement).await;
            if answer.sqlstate().is_some() {
                return self.give_up(session, &statement, &answer, &[]).await;
            }
        }
    }

    /// The same sum in every snapshot.
    pub(super) async fn add_up(&self, session: &Session) {
        let accounts = self.table("accounts");
        let expected = [BALANCE * ACCOUNTS, ACCOUNTS].map(|number| Some(number.to_string()));
        let query = format!("SELECT sum(balance), count(*) FROM {accounts}");
        for statement in ["BEGIN", &query, &query, "COMMIT", &query] {
            match session.run(statement).await {
                Answer::Rows { rows, .. } if rows != [expected.to_vec()] => {
                    self.complain(format!("{statement} gives {rows:?}, not {expected:?}"));
                }
                answer @ Answer::Error(_) => {
                    return self.give_up(session, statement, &answer, &[]).await;
                }
                Answer::Rows { .. } | Answer::Done(_) => {}
            }
        }
    }

    /// Nobody is in anybody's way: of two who set flags at a time, both commit.
    pub(super) async fn set_flag(&self, session: &Session) {
        let flag = self.flags.fetch_add(1, Ordering::SeqCst);
        // Those of a group are set at about the same time.
        let (flags, group) = (self.table("flags"), flag / FLAGS_IN_GROUP);
        let statement = format!("INSERT INTO {flags} VALUES ({group}, {flag})");
        let answer = session.run(&statement).await;
        if answer.sqlstate().is_some() {
            self.give_up(session, &statement, &answer, &[]).await;
        }
    }

    /// One of the newest groups, by several statements of a block.
    pub(super) async fn read_flags(&self, session: &Session, rng: &mut Rng) {
        let newest = self.flags.load(Ordering::SeqCst) / FLAGS_IN_GROUP;
        let group = newest.saturating_sub(rng.below(2) as u32);
        let mut seen = BTreeSet::new();
        session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
        for part in 0..FLAGS_IN_GROUP {
            let statement = format!(
                "SELECT flag FROM {} WHERE g = {group} AND flag % {FLAGS_IN_GROUP} = {part}",
                self.table("flags")
            );
            match session.run(&statement).await {
                Answer::Rows { rows, .. } => {
                    let flags = rows.iter().map(|row| row[0].as_deref().unwrap());
                    seen.extend(flags.map(|flag| flag.parse::<u32>().unwrap()));
                }
                answer => return self.give_up(session, &statement, &answer, &[]).await,
            }
        }
        session.rows("COMMIT").await;
        self.flag_reads.lock().unwrap().push((group, seen));
    }

    /// Of two reads of a group one must have seen all that the other saw.
    pub(super) fn other_forks(&self) -> Vec<String> {
        let mut seen = self.flag_reads.lock().unwrap().clone();
        seen.sort_by_key(|(group, flags)| (*group, flags.len()));
        let pairs = seen.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        pairs
            .filter(|pair| !pair[0].1.is_subset(&pair[1].1))
            .map(|pair| format!("a long fork: {:?} and {:?}", pair[0], pair[1]))
            .collect()
    }
}
