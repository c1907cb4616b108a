//! Lists that are read and appended to, in tables of several kinds.

use std::sync::atomic::Ordering;

use super::{
    Round,
    checker::{Operation, Transaction},
};
use crate::{
    generate::Rng,
    support::{Answer, Session},
};

/// Lists of a round.
const LISTS: u32 = 50;
/// Lists that are in use at a time; then come others, so that none gets long.
const IN_USE: u32 = 15;

/// How a table holds lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An element is a row, with its place in the list as a part of the key.
    Rows,
    /// A list is a text, which UPDATE makes longer.
    Text,
    /// The same, and its row moves to another datanode each time.
    Moving,
}

/// The tables: list `n` is in the one with the number `n` modulo their count.
const TABLES: [(&str, Form, &str); 5] = [
    ("rows", Form::Rows, "(k int, at int, value int, PRIMARY KEY (k, at)) DISTRIBUTED BY (k)"),
    ("text", Form::Text, "(k int, items text) DISTRIBUTED RANDOMLY"),
    ("moving", Form::Moving, "(k int, items text, n int) DISTRIBUTED BY (n)"),
    ("copies", Form::Text, "(k int, items text) DISTRIBUTED REPLICATED"),
    (
        "parts",
        Form::Text,
        "(k int, items text) DISTRIBUTED BY (k) PARTITION BY RANGE (k) (START (0) END (60) EVERY (7))",
    ),
];

/// A transaction that was not to be, by the statement that failed.
struct Failed(String, Answer);

impl Round {
    pub(super) fn list_tables(&self) -> Vec<String> {
        let mut statements = Vec::new();
        for (index, (table, form, columns)) in TABLES.iter().enumerate() {
            let name = self.table(table);
            statements.push(format!("CREATE TABLE {name} {columns}"));
            let values = match form {
                Form::Rows => continue,
                Form::Text => "g, ''",
                Form::Moving => "g, '', g",
            };
            let (count, last) = (TABLES.len(), LISTS - 1);
            statements.push(format!(
                "INSERT INTO {name} SELECT {values} FROM generate_series({index}, {last}, {count}) AS g"
            ));
        }
        statements
    }

    /// The names of the tables with lists.
    pub(super) fn list_table_names(&self) -> Vec<String> {
        TABLES.iter().map(|(table, _, _)| self.table(table)).collect()
    }

    pub(super) fn table(&self, name: &str) -> String {
        format!("{name}_{}", self.number)
    }

    /// One transaction on lists, which goes into the history.
    pub(super) async fn lists(&self, session: &Session, number: usize, rng: &mut Rng) {
        let mut transaction = Transaction {
            session: number,
            begin: self.now(),
            end: 0,
            is_committed: false,
            operations: Vec::new(),
        };
        let done = match rng.chance(25) {
            true => self.one_operation(session, rng, &mut transaction.operations).await,
            false => self.block(session, rng, &mut transaction.operations).await,
        };
        match done {
            Ok(()) => transaction.is_committed = true,
            // Two may have found the same place free.
            Err(Failed(statement, answer)) => {
                self.give_up(session, &statement, &answer, &["23505"]).await;
            }
        }
        transaction.end = self.now();
        self.history.lock().unwrap().push(transaction);
    }

    /// Those in use move on with the round.
    fn any_list(&self, rng: &mut Rng) -> u32 {
        let begun = self.begun.load(Ordering::Relaxed).min(self.transactions);
        let first = begun * u64::from(LISTS - IN_USE) / self.transactions.max(1);
        first as u32 + rng.below(IN_USE as usize) as u32
    }

    async fn block(
        &self,
        session: &Session,
        rng: &mut Rng,
        done: &mut Vec<Operation>,
    ) -> Result<(), Failed> {
        execute(session, "BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        for _ in 0..rng.between(1, 4) {
            let list = self.any_list(rng);
            match rng.chance(50) {
                true => self.append(session, list, done).await?,
                false => self.read(session, list, done).await?,
            }
        }
        execute(session, "COMMIT").await.map(|_| ())
    }

    /// A statement that is a transaction.
    async fn one_operation(
        &self,
        session: &Session,
        rng: &mut Rng,
        done: &mut Vec<Operation>,
    ) -> Result<(), Failed> {
        let list = self.any_list(rng);
        // An element's place is read first: that makes two statements.
        match TABLES[list as usize % TABLES.len()].1 {
            Form::Text | Form::Moving if rng.chance(50) => self.append(session, list, done).await,
            _ => self.read(session, list, done).await,
        }
    }

    async fn append(
        &self,
        session: &Session,
        list: u32,
        done: &mut Vec<Operation>,
    ) -> Result<(), Failed> {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        let (table, form, _) = TABLES[list as usize % TABLES.len()];
        let name = self.table(table);
        let statement = match form {
            Form::Rows => {
                self.read(session, list, done).await?;
                let at = match done.last() {
                    Some(Operation::Read { values, .. }) => values.len() + 1,
                    _ => 1,
                };
                format!("INSERT INTO {name} (k, at, value) VALUES ({list}, {at}, {value})")
            }
            Form::Text => {
                format!("UPDATE {name} SET items = items || ',{value}' WHERE k = {list}")
            }
            Form::Moving => {
                let set = format!("items = items || ',{value}', n = n + 1");
                format!("UPDATE {name} SET {set} WHERE k = {list}")
            }
        };
        // Whoever sees it now must not: whether it fails is not known yet.
        done.push(Operation::Append { list, value });
        match execute(session, &statement).await? {
            Answer::Done(1) => Ok(()),
            other => {
                self.complain(format!("{statement}: {other}"));
                Ok(())
            }
        }
    }

    async fn read(
        &self,
        session: &Session,
        list: u32,
        done: &mut Vec<Operation>,
    ) -> Result<(), Failed> {
        let (table, form, _) = TABLES[list as usize % TABLES.len()];
        let name = self.table(table);
        let statement = match form {
            Form::Rows => format!("SELECT at, value FROM {name} WHERE k = {list} ORDER BY at"),
            Form::Text | Form::Moving => format!("SELECT items FROM {name} WHERE k = {list}"),
        };
        let Answer::Rows { rows, .. } = execute(session, &statement).await? else {
            return Ok(());
        };
        let number = |text: &str| text.parse::<u32>().unwrap();
        let mut values = Vec::new();
        match form {
            Form::Rows => {
                for (place, row) in rows.iter().enumerate() {
                    if row[0].as_deref() != Some(&(place + 1).to_string()) {
                        self.complain(format!("list {list} has a hole: {rows:?}"));
                    }
                    values.push(number(row[1].as_deref().unwrap()));
                }
            }
            Form::Text | Form::Moving => match rows.as_slice() {
                [row] => {
                    let items = row[0].as_deref().unwrap_or_default();
                    values.extend(items.split(',').filter(|item| !item.is_empty()).map(number));
                }
                rows => self.complain(format!("list {list} is in {} rows: {rows:?}", rows.len())),
            },
        }
        done.push(Operation::Read { list, values });
        Ok(())
    }

    /// When all is over: whatever was acknowledged must be there.
    pub(super) async fn read_all(&self, session: &Session, number: usize) {
        for list in 0..LISTS {
            let begin = self.now();
            let mut operations = Vec::new();
            if let Err(Failed(statement, answer)) = self.read(session, list, &mut operations).await
            {
                self.complain(format!("{statement}\n{answer}"));
            }
            let (end, is_committed) = (self.now(), true);
            let read = Transaction { session: number, begin, end, is_committed, operations };
            self.history.lock().unwrap().push(read);
        }
    }
}

async fn execute(session: &Session, statement: &str) -> Result<Answer, Failed> {
    match session.run(statement).await {
        answer @ Answer::Error(_) => Err(Failed(statement.to_string(), answer)),
        answer => Ok(answer),
    }
}
