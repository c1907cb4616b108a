//! UPDATE and DELETE of a script.

use super::{
    script::{Script, Statement},
    tables::Table,
    values::{SETTABLE, condition, subquery_condition, value},
};

impl Script {
    pub(super) fn update(&mut self, table: &Table) -> Statement {
        match self.rng.weighted(&[45, 20, 10, 12, 13]) {
            0 => self.update_by_expressions(table),
            1 => self.update_from_groups(table),
            2 => self.update_from_values(table),
            3 => self.update_from_unique(table),
            _ => self.update_by_subquery(table),
        }
    }

    /// Columns to set: of a key all or none, as `id` goes with them.
    fn columns(&mut self, table: &Table) -> Vec<&'static str> {
        let count = self.rng.between(1, 3) as usize;
        self.rng.sample(&SETTABLE, count).into_iter().filter(|c| !table.key.contains(c)).collect()
    }

    /// `SET` of some columns, those of the key, too, now and then. Values are computed of `a`'s row;
    /// `x` is the alias of the table itself.
    fn assignments(&mut self, table: &Table, a: &str, x: &str) -> String {
        let mut set: Vec<String> = Vec::new();
        for column in self.columns(table) {
            set.push(format!("{column} = {}", value(&mut self.rng, table, column, a)));
        }
        if (set.is_empty() || self.rng.chance(25))
            && let Some(shift) = self.shift()
        {
            self.features.note("update of a key");
            set.push(format!("id = {x}id + {shift}"));
            for column in table.key.iter().filter(|column| **column != "id") {
                set.push(format!("{column} = {}", value(&mut self.rng, table, column, a)));
            }
        }
        if set.is_empty() {
            set.push("d = NULL".into());
        }
        set.join(", ")
    }

    fn any_condition(&mut self, a: &str) -> String {
        if self.rng.chance(30) {
            self.features.note("subquery in a condition");
            let other = self.other().name;
            return subquery_condition(&mut self.rng, a, &other);
        }
        condition(&mut self.rng, a)
    }

    fn update_by_expressions(&mut self, table: &Table) -> Statement {
        self.features.note("update");
        let name = &table.name;
        let set = self.assignments(table, "x.", "x.");
        if self.rng.chance(10) {
            return format!("UPDATE {name} AS x SET {set}").into();
        }
        let condition = self.any_condition("x.");
        format!("UPDATE {name} AS x SET {set} WHERE {condition}").into()
    }

    /// Each row is matched once: the groups are by the column that is compared.
    fn update_from_groups(&mut self, table: &Table) -> Statement {
        self.features.note("update from");
        let (name, other) = (&table.name, self.other().name);
        let inner = condition(&mut self.rng, "o.");
        let groups = format!(
            "(SELECT o.k, max(o.id) AS id, max(o.v) AS v, max(o.n) AS n, min(o.s) AS s, \
             max(o.d) AS d, count(*) AS c FROM {other} AS o WHERE {inner} GROUP BY o.k) AS q"
        );
        let set = match self.rng.below(3) {
            0 if !table.key.contains(&"s") => {
                "(v, s) = ((q.v + q.c) % 1000, q.s || 'y')".to_string()
            }
            _ => self.assignments(table, "q.", "x."),
        };
        let condition = condition(&mut self.rng, "x.");
        let rest = format!("FROM {groups} WHERE q.k = x.k AND {condition}");
        format!("UPDATE {name} AS x SET {set} {rest}").into()
    }

    fn update_from_values(&mut self, table: &Table) -> Statement {
        self.features.note("update from values");
        let (name, v) = (&table.name, self.rng.between(-50, 900));
        format!(
            "UPDATE {name} SET v = {name}.v % 10 + q.v, d = DATE '2022-01-01' + q.k \
             FROM (VALUES (1, {v}), (4, 5), (8, NULL)) AS q (k, v) WHERE q.k = {name}.k"
        )
        .into()
    }

    fn update_from_unique(&mut self, table: &Table) -> Statement {
        let unique: Vec<_> = self.tables.iter().filter(|t| t.has_unique_id()).collect();
        if unique.is_empty() {
            return self.update_by_expressions(table);
        }
        let (name, other) = (&table.name, self.rng.pick(&unique).name.clone());
        self.features.note("update from a table");
        let set = self.assignments(table, "o.", "x.");
        let condition = condition(&mut self.rng, "o.");
        let rest = format!("FROM {other} AS o WHERE o.id = x.id AND {condition}");
        format!("UPDATE {name} AS x SET {set} {rest}").into()
    }

    fn update_by_subquery(&mut self, table: &Table) -> Statement {
        self.features.note("update by a subquery");
        let (name, other) = (&table.name, self.other().name);
        let inner = condition(&mut self.rng, "o.");
        let set = match self.rng.below(3) {
            0 => format!("v = (SELECT max(o.v) % 100 FROM {other} AS o WHERE o.k = x.k)"),
            1 => format!("n = (SELECT max(o.n) FROM {other} AS o WHERE {inner})"),
            _ => format!(
                "(v, d) = (SELECT max(o.v) % 100, min(o.d) FROM {other} AS o WHERE o.k = x.k)"
            ),
        };
        let condition = condition(&mut self.rng, "x.");
        format!("UPDATE {name} AS x SET {set} WHERE {condition}").into()
    }

    pub(super) fn delete(&mut self, table: &Table) -> Statement {
        let (name, other) = (&table.name, self.other().name);
        match self.rng.weighted(&[45, 25, 10, 10, 10]) {
            1 => {
                self.features.note("delete using");
                let condition = condition(&mut self.rng, "o.");
                format!("DELETE FROM {name} AS x USING {other} AS o WHERE o.k = x.k AND {condition}")
            }
            2 => {
                self.features.note("delete using itself");
                format!(
                    "DELETE FROM {name} AS x USING {name} AS o WHERE o.k = x.k AND x.id < o.id \
                     AND o.v > 100"
                )
            }
            3 => {
                self.features.note("delete with");
                let condition = condition(&mut self.rng, "o.");
                format!(
                    "WITH few AS (SELECT o.k, max(o.v) AS v FROM {other} AS o WHERE {condition} \
                     GROUP BY o.k) DELETE FROM {name} AS x USING few WHERE few.k = x.k AND few.v = x.v"
                )
            }
            4 => {
                self.features.note("delete of a partition");
                let k = self.rng.between(0, 9);
                let part = table.partition_of(k).unwrap_or_else(|| name.clone());
                format!("DELETE FROM {part} WHERE k = {k}")
            }
            _ => {
                self.features.note("delete");
                let condition = self.any_condition("x.");
                format!("DELETE FROM {name} AS x WHERE {condition}")
            }
        }
        .into()
    }
}
