//! Statements of a script that fail, mostly: each for one reason, whatever the order in which rows
//! and rules are looked at.

use super::{
    script::{Script, Statement},
    tables::Table,
    values::{Row, condition},
};

impl Script {
    pub(super) fn failing(&mut self, table: &Table) -> Statement {
        match self.rng.weighted(&[40, 14, 15, 16, 15]) {
            0 if !table.key.is_empty() => self.doubled(table),
            1 => self.without_id(table),
            2 if table.has_check => self.checked(table),
            3 if table.partition_of(0).is_some() => self.misplaced(table),
            _ => self.miscalculated(table),
        }
    }

    /// One row is changed as the caller says.
    fn rows_with(&mut self, table: &Table, change: impl FnOnce(&mut Row)) -> Vec<Row> {
        let count = self.rng.between(1, 6) as usize;
        let mut rows = self.rows(table, count);
        let which = self.rng.below(count);
        change(&mut rows[which]);
        rows
    }

    /// INSERT or COPY.
    fn write(&mut self, table: &Table, rows: &[Row]) -> Statement {
        let name = &table.name;
        if self.rng.chance(30) {
            let data = rows.iter().map(Row::text).collect();
            return Statement::copy(format!("COPY {name} FROM STDIN"), data);
        }
        let tuples: Vec<_> = rows.iter().map(|row| row.tuple(6)).collect();
        format!("INSERT INTO {name} VALUES {}", tuples.join(", ")).into()
    }

    /// A key that is there already; of a key with NULL none is.
    fn doubled(&mut self, table: &Table) -> Statement {
        self.features.note("doubled keys");
        let name = &table.name;
        match self.rng.below(4) {
            0 => {
                let mut rows = self.rows(table, 3);
                rows[2] = rows[0].clone();
                self.write(table, &rows)
            }
            1 => {
                let condition = condition(&mut self.rng, "");
                format!("INSERT INTO {name} SELECT * FROM {name} WHERE {condition}").into()
            }
            2 => {
                let k = self.rng.between(0, 9);
                format!("UPDATE {name} SET id = (SELECT max(id) FROM {name}) WHERE k = {k}").into()
            }
            _ => {
                let (id, k) = (self.id(), self.rng.between(0, 9));
                format!("UPDATE {name} SET id = {id} WHERE k = {k} OR v = {k}").into()
            }
        }
    }

    fn without_id(&mut self, table: &Table) -> Statement {
        self.features.note("missing values");
        if self.rng.chance(40) {
            let condition = condition(&mut self.rng, "");
            return format!("UPDATE {} SET id = NULL WHERE {condition}", table.name).into();
        }
        let rows = self.rows_with(table, |row| row.0[0] = None);
        self.write(table, &rows)
    }

    fn checked(&mut self, table: &Table) -> Statement {
        self.features.note("checks");
        if self.rng.chance(40) {
            let condition = condition(&mut self.rng, "");
            return format!("UPDATE {} SET v = 5000 WHERE {condition}", table.name).into();
        }
        let rows = self.rows_with(table, |row| row.0[2] = Some("1000".into()));
        self.write(table, &rows)
    }

    /// A row that no partition takes, or this one not.
    fn misplaced(&mut self, table: &Table) -> Statement {
        self.features.note("rows for no partition");
        if table.has_gaps() {
            let rows = self.rows_with(table, |row| row.0[1] = Some("77".into()));
            return self.write(table, &rows);
        }
        let mut row = self.rows(table, 1).remove(0);
        row.0[1] = Some("8".into());
        let name = &table.name;
        // 8 is even, and above 4: not in the partition of 1, whatever they are made of.
        let partition = table.partition_of(1).unwrap_or_else(|| name.clone());
        match self.rng.below(2) {
            0 => format!("INSERT INTO {partition} VALUES {}", row.tuple(6)).into(),
            _ if table.key.contains(&"k") => {
                format!("INSERT INTO {partition} VALUES {}", row.tuple(6)).into()
            }
            _ => format!("UPDATE {partition} SET k = 8 WHERE k = 1").into(),
        }
    }

    fn miscalculated(&mut self, table: &Table) -> Statement {
        let name = &table.name;
        let k = self.rng.between(0, 9);
        match self.rng.below(4) {
            0 => {
                self.features.note("division by zero");
                let condition = condition(&mut self.rng, "");
                format!("UPDATE {name} SET v = 100 / (k - {k}) WHERE {condition}").into()
            }
            1 => {
                self.features.note("division by zero");
                format!("DELETE FROM {name} WHERE 10 / (k - {k}) > 20").into()
            }
            2 => {
                self.features.note("numbers out of range");
                let condition = condition(&mut self.rng, "");
                format!("UPDATE {name} SET n = (id + 1) * 100000000.0 WHERE {condition}").into()
            }
            _ => {
                self.features.note("data that is no number");
                let mut rows = self.rows(table, 3);
                rows[2].0[2] = Some("x1".into());
                let data = rows.iter().map(Row::text).collect();
                Statement::copy(format!("COPY {name} FROM STDIN"), data)
            }
        }
    }
}
