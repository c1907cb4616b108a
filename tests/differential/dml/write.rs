//! INSERT, COPY and TRUNCATE of a script.

use super::{
    script::{Script, Statement},
    tables::Table,
    values::{Row, condition, value},
};

impl Script {
    pub(super) fn insert(&mut self, table: &Table) -> Statement {
        match self.rng.weighted(&[45, 10, 20, 15, 10]) {
            0 => {
                let rows = self.rng.between(1, 12) as usize;
                self.insert_values(table, rows)
            }
            1 => self.insert_into_partition(table),
            2 => self.insert_select(table),
            3 => self.insert_groups(table),
            _ => self.insert_series(table),
        }
    }

    pub(super) fn rows(&mut self, table: &Table, count: usize) -> Vec<Row> {
        (0..count)
            .map(|_| {
                let id = self.id();
                Row::generate(&mut self.rng, table, id)
            })
            .collect()
    }

    /// `INSERT … VALUES`, with all columns or the first ones.
    pub(super) fn insert_values(&mut self, table: &Table, count: usize) -> Statement {
        self.features.note("insert values");
        let rows = self.rows(table, count);
        // `k` is among them: it may be NOT NULL.
        let (columns, count) = match self.rng.below(5) {
            0 => (" (id, k)", 2),
            1 => (" (id, k, v, n)", 4),
            _ => ("", 6),
        };
        let tuples: Vec<_> = rows.iter().map(|row| row.tuple(count)).collect();
        format!("INSERT INTO {}{columns} VALUES {}", table.name, tuples.join(", ")).into()
    }

    fn insert_into_partition(&mut self, table: &Table) -> Statement {
        let k = self.rng.between(0, 9);
        let Some(partition) = table.partition_of(k) else { return self.insert_values(table, 1) };
        self.features.note("insert into a partition");
        let mut row = self.rows(table, 1).remove(0);
        row.0[1] = Some(k.to_string());
        format!("INSERT INTO {partition} VALUES {}", row.tuple(6)).into()
    }

    fn insert_select(&mut self, table: &Table) -> Statement {
        let Some(shift) = self.shift() else { return self.insert_values(table, 2) };
        self.features.note("insert select");
        let other = self.other().name;
        let values: Vec<_> = super::values::SETTABLE
            .iter()
            .map(|column| value(&mut self.rng, table, column, "o."))
            .collect();
        let condition = condition(&mut self.rng, "o.");
        format!(
            "INSERT INTO {} SELECT o.id + {shift}, {} FROM {other} AS o WHERE {condition}",
            table.name,
            values.join(", ")
        )
        .into()
    }

    fn insert_groups(&mut self, table: &Table) -> Statement {
        let Some(shift) = self.shift() else { return self.insert_values(table, 3) };
        self.features.note("insert select group by");
        let other = self.other().name;
        format!(
            "INSERT INTO {} SELECT min(o.id) + {shift}, o.k, max(o.v), max(o.n), min(o.s), max(o.d) \
             FROM {other} AS o WHERE o.k IS NOT NULL AND o.v < 1000 GROUP BY o.k",
            table.name
        )
        .into()
    }

    /// Many rows at once.
    fn insert_series(&mut self, table: &Table) -> Statement {
        let Some(shift) = self.shift() else { return self.insert_values(table, 4) };
        self.features.note("insert series");
        let rows = *self.rng.pick(&[1, 10, 50, 200]);
        format!(
            "INSERT INTO {} SELECT g + {shift}, g % 10, g, g * 0.5, 'g' || (g % 7)::text, \
             DATE '2024-01-01' + g FROM generate_series(1, {rows}) AS g",
            table.name
        )
        .into()
    }

    pub(super) fn copy(&mut self, table: &Table) -> Statement {
        self.features.note("copy");
        let count = self.rng.between(0, 30) as usize;
        let rows = self.rows(table, count);
        let name = &table.name;
        match self.rng.below(3) {
            0 => Statement::copy(
                format!("COPY {name} FROM STDIN (FORMAT csv)"),
                rows.iter().map(Row::csv).collect(),
            ),
            1 => {
                // PostgreSQL 15 does not manage all others here: NOT ends in XX000.
                let conditions = ["k < 5", "v > 50 OR s IS NULL", "s LIKE 'a%'", "k IS NOT NULL"];
                let condition = *self.rng.pick(&conditions);
                Statement::copy(
                    format!("COPY {name} FROM STDIN WHERE {condition}"),
                    rows.iter().map(Row::text).collect(),
                )
            }
            _ => Statement::copy(
                format!("COPY {name} (id, k, v, n, s, d) FROM STDIN"),
                rows.iter().map(Row::text).collect(),
            ),
        }
    }

    pub(super) fn truncate(&mut self, table: &Table) -> Statement {
        self.features.note("truncate");
        let k = self.rng.between(0, 9);
        let other = self.other().name;
        match (self.rng.below(4), table.partition_of(k)) {
            (0, Some(partition)) => format!("TRUNCATE {partition}").into(),
            (1, _) if other != table.name => format!("TRUNCATE {}, {other}", table.name).into(),
            _ => format!("TRUNCATE TABLE {}", table.name).into(),
        }
    }
}
