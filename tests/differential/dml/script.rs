//! A random script: statements one after the other, each made when the answer to the last is known.
//!
//! A statement can fail for one reason only, so that engines that look at rows and rules in another
//! order must give the same SQLSTATE. Values of keys never collide while a statement runs unless they
//! do so at its end, too: PostgreSQL looks after each row, Kestrel after the last. Both rest on this:
//! new rows get ids below [`SHIFT`] that no row ever had; who changes a column of a key moves the ids
//! of the same rows by a power of two times [`SHIFT`] that no id has in it yet.

use crate::generate::{Features, Rng};

use super::tables::Table;

/// Ids of new rows are less.
const SHIFT: i64 = 10_000;
/// So that sums of shifts are ints.
const SHIFTS: u32 = 16;

/// The state of a script.
pub(super) struct Script {
    pub(super) rng: Rng,
    pub(super) tables: Vec<Table>,
    pub(super) features: Features,
    ids: i64,
    shifts: u32,
    in_block: bool,
    has_failed: bool,
    savepoints: Vec<String>,
    names: usize,
}

/// A statement, and what it does to the transaction if it succeeds.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    /// What follows `COPY … FROM STDIN`.
    pub(super) data: Option<String>,
    control: Control,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Control {
    None,
    Begin,
    End,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
}

impl From<String> for Statement {
    fn from(sql: String) -> Self {
        Self { sql, data: None, control: Control::None }
    }
}

impl Statement {
    pub(super) fn copy(sql: String, data: String) -> Self {
        Self { data: Some(data), ..sql.into() }
    }

    /// Whether the transaction is over.
    pub(super) fn is_end(&self) -> bool {
        self.control == Control::End
    }

    /// As psql reads it.
    pub(super) fn text(&self) -> String {
        match &self.data {
            None => format!("{};", self.sql),
            Some(data) => format!("{};\n{data}\\.", self.sql),
        }
    }
}

impl Script {
    /// The script of this seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = rng.between(2, 4);
        let tables = (0..count).map(|i| Table::generate(&mut rng, format!("t{i}"))).collect();
        Self {
            rng,
            tables,
            features: Features::default(),
            ids: 0,
            shifts: 0,
            in_block: false,
            has_failed: false,
            savepoints: Vec::new(),
            names: 0,
        }
    }

    /// The rows that the tables have at first, in several segments.
    pub(super) fn first_rows(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        for table in self.tables.clone() {
            for _ in 0..self.rng.below(4) {
                let rows = self.rng.between(1, 20) as usize;
                statements.push(self.insert_values(&table, rows));
            }
        }
        statements
    }

    /// Whether tables can be read now.
    pub(super) fn can_read(&self) -> bool {
        !self.has_failed
    }

    /// The last statement's effect.
    pub(super) fn note(&mut self, statement: &Statement, has_succeeded: bool) {
        if !has_succeeded {
            self.has_failed = self.in_block;
            return;
        }
        let place = |name| self.savepoints.iter().rposition(|other| other == name);
        match &statement.control {
            Control::None => {}
            Control::Begin => self.in_block = true,
            Control::End => {
                (self.in_block, self.has_failed) = (false, false);
                self.savepoints.clear();
            }
            Control::Savepoint(name) => self.savepoints.push(name.clone()),
            Control::RollbackTo(name) => {
                let left = place(name).map_or(0, |place| place + 1);
                self.savepoints.truncate(left);
                self.has_failed = false;
            }
            Control::Release(name) => {
                let left = place(name).unwrap_or(0);
                self.savepoints.truncate(left);
            }
        }
    }

    /// The statement that ends what is open.
    pub(super) fn last(&mut self) -> Statement {
        let word = if self.rng.chance(70) { "COMMIT" } else { "ROLLBACK" };
        self.control(word, Control::End)
    }

    pub(super) fn next(&mut self) -> Statement {
        if self.has_failed && self.rng.chance(75) {
            return match self.rng.weighted(&[60, 25, 15]) {
                0 if !self.savepoints.is_empty() => self.rollback_to(),
                2 => self.control("COMMIT", Control::End),
                _ => self.control("ROLLBACK", Control::End),
            };
        }
        if self.rng.chance(if self.in_block { 35 } else { 18 }) {
            return self.transaction_control();
        }
        let table = self.rng.pick(&self.tables).clone();
        match self.rng.weighted(&[23, 33, 19, 10, 4, 23]) {
            0 => self.insert(&table),
            1 => self.update(&table),
            2 => self.delete(&table),
            3 => self.copy(&table),
            4 => self.truncate(&table),
            _ => self.failing(&table),
        }
    }

    fn transaction_control(&mut self) -> Statement {
        if !self.in_block {
            return match self.rng.weighted(&[92, 3, 5]) {
                0 => self.control("BEGIN", Control::Begin),
                1 => self.savepoint(),
                _ => self.control("COMMIT", Control::End),
            };
        }
        match self.rng.weighted(&[32, 26, 14, 18, 8, 2]) {
            0 => self.savepoint(),
            1 if !self.savepoints.is_empty() => self.rollback_to(),
            2 if !self.savepoints.is_empty() => {
                let name = self.rng.pick(&self.savepoints).clone();
                self.control(&format!("RELEASE SAVEPOINT {name}"), Control::Release(name))
            }
            3 => self.control("COMMIT", Control::End),
            4 => self.control("ROLLBACK", Control::End),
            5 => {
                let name = "nobody".to_string();
                self.control(&format!("ROLLBACK TO SAVEPOINT {name}"), Control::RollbackTo(name))
            }
            _ => self.savepoint(),
        }
    }

    fn savepoint(&mut self) -> Statement {
        // Sometimes one hides another.
        if self.names == 0 || self.rng.chance(80) {
            self.names += 1;
        }
        let name = format!("s{}", self.names);
        self.control(&format!("SAVEPOINT {name}"), Control::Savepoint(name))
    }

    fn rollback_to(&mut self) -> Statement {
        let name = self.rng.pick(&self.savepoints).clone();
        self.control(&format!("ROLLBACK TO SAVEPOINT {name}"), Control::RollbackTo(name))
    }

    fn control(&mut self, sql: &str, control: Control) -> Statement {
        self.features.note(match &control {
            Control::None => "statement",
            Control::Begin => "begin",
            Control::End if sql == "COMMIT" => "commit",
            Control::End => "rollback",
            Control::Savepoint(_) => "savepoint",
            Control::RollbackTo(_) => "rollback to",
            Control::Release(_) => "release",
        });
        Statement { control, ..sql.to_string().into() }
    }

    /// An id that no row ever had.
    pub(super) fn id(&mut self) -> i64 {
        self.ids += 1;
        self.ids
    }

    /// What makes ids such that no row ever had; `None`: it is used up.
    pub(super) fn shift(&mut self) -> Option<i64> {
        let shift = (self.shifts < SHIFTS).then(|| SHIFT << self.shifts)?;
        self.shifts += 1;
        Some(shift)
    }

    /// Any table of the script.
    pub(super) fn other(&mut self) -> Table {
        self.rng.pick(&self.tables).clone()
    }
}
