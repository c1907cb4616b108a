//! The tables of a script: random layouts and keys over the same columns.
//!
//! Scripts fail for one reason at a time, so that the SQLSTATE does not depend on the order in which
//! an engine looks at rows and rules: see [`super::script`].

use std::fmt::Write;

use crate::generate::{Kind, Rng};

/// The columns of every table, with their types.
const COLUMNS: [(&str, &str); 6] = [
    ("id", "int NOT NULL"),
    ("k", "int"),
    ("v", "bigint DEFAULT 7"),
    ("n", "numeric(10,2)"),
    ("s", "text DEFAULT 'none'"),
    ("d", "date"),
];

/// How `SELECT *` of a table is compared.
pub(super) const KINDS: [Kind; 6] =
    [Kind::Number, Kind::Number, Kind::Number, Kind::Number, Kind::Text, Kind::Text];

/// Values of `k` are from 0 to 9; a partitioned table without a default partition takes no others.
pub(super) const K_VALUES: i64 = 10;

/// A table of a script.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The columns of its primary or unique key.
    pub(super) key: &'static [&'static str],
    how_declared: KeyKind,
    layout: &'static str,
    pub(super) partitions: Partitions,
    /// `CHECK (v < 1000)`.
    pub(super) has_check: bool,
    /// `k` may be NULL.
    pub(super) has_null_k: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    Primary,
    Unique,
    Index,
}

/// How a table is partitioned, always by `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partitions {
    None,
    /// Of 0 to 3, 4 to 6, and the rest or 7 to 9.
    Range {
        default: bool,
    },
    /// Of even numbers, odd numbers but 9, and the rest or 9.
    List {
        default: bool,
    },
}

/// A layout, and the keys that tables may have under it: they contain the distribution key.
type Layout = (&'static str, &'static [&'static [&'static str]]);

const LAYOUTS: &[Layout] = &[
    ("DISTRIBUTED BY (id)", &[&["id"], &["id", "s"], &["id", "k"]]),
    ("DISTRIBUTED BY (k)", &[&["k", "id"]]),
    ("DISTRIBUTED BY (k, id)", &[&["id", "k"]]),
    ("DISTRIBUTED BY (s)", &[]),
    ("DISTRIBUTED RANDOMLY", &[]),
    ("DISTRIBUTED REPLICATED", &[&["id"], &["id", "s"], &["k", "id"]]),
];

impl Table {
    pub(super) fn generate(rng: &mut Rng, name: String) -> Self {
        let (layout, keys) = LAYOUTS[rng.weighted(&[35, 15, 10, 8, 12, 20])];
        let default = rng.chance(60);
        let partitions = match rng.weighted(&[70, 15, 15]) {
            // Every datanode has all rows of a replicated table: Kestrel cuts none of those.
            1 if layout != "DISTRIBUTED REPLICATED" => Partitions::Range { default },
            2 if layout != "DISTRIBUTED REPLICATED" => Partitions::List { default },
            _ => Partitions::None,
        };
        let is_partitioned = partitions != Partitions::None;
        let fitting: Vec<_> =
            keys.iter().filter(|key| !is_partitioned || key.contains(&"k")).copied().collect();
        let key = if fitting.is_empty() || rng.chance(20) { &[][..] } else { *rng.pick(&fitting) };
        // Of a primary key's columns none is NULL, and `s` is often.
        let how_declared = match rng.below(3) {
            0 if !key.contains(&"s") => KeyKind::Primary,
            1 => KeyKind::Index,
            _ => KeyKind::Unique,
        };
        let takes_all = !matches!(
            partitions,
            Partitions::Range { default: false } | Partitions::List { default: false }
        );
        let has_null_k = takes_all && !key.contains(&"k") && rng.chance(70);
        Self { name, key, how_declared, layout, partitions, has_check: rng.chance(30), has_null_k }
    }

    /// Whether `id` alone is different in every row.
    pub(super) fn has_unique_id(&self) -> bool {
        self.key == ["id"]
    }

    /// Whether some rows are refused for their `k`.
    pub(super) fn has_gaps(&self) -> bool {
        matches!(
            self.partitions,
            Partitions::Range { default: false } | Partitions::List { default: false }
        )
    }

    /// The partition that takes this `k`, by a name of its own.
    pub(super) fn partition_of(&self, k: i64) -> Option<String> {
        let which = match self.partitions {
            Partitions::None => return None,
            Partitions::Range { .. } => match k {
                0..=3 => 0,
                4..=6 => 1,
                _ => 2,
            },
            Partitions::List { .. } => match k {
                9 => 2,
                _ if k % 2 == 0 => 0,
                _ => 1,
            },
        };
        Some(format!("{}_p{which}", self.name))
    }

    /// The statements that make it, for Kestrel or without its words.
    pub(super) fn statements(&self, kestrel: bool) -> Vec<String> {
        let mut create = format!("CREATE TABLE {} (", self.name);
        for (index, (name, declared)) in COLUMNS.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let not_null = if *name == "k" && !self.has_null_k { " NOT NULL" } else { "" };
            let check = if *name == "v" && self.has_check { " CHECK (v < 1000)" } else { "" };
            let _ = write!(create, "{comma}{name} {declared}{not_null}{check}");
        }
        let columns = self.key.join(", ");
        match self.how_declared {
            _ if self.key.is_empty() => {}
            KeyKind::Primary => {
                let _ = write!(create, ", PRIMARY KEY ({columns})");
            }
            KeyKind::Unique => {
                let _ = write!(create, ", UNIQUE ({columns})");
            }
            KeyKind::Index => {}
        }
        create.push(')');
        if kestrel {
            let _ = write!(create, " {}", self.layout);
        }
        create.push_str(match self.partitions {
            Partitions::None => "",
            Partitions::Range { .. } => " PARTITION BY RANGE (k)",
            Partitions::List { .. } => " PARTITION BY LIST (k)",
        });
        let mut statements = vec![create];
        for (which, bound) in self.bounds().into_iter().enumerate() {
            let name = &self.name;
            statements.push(format!("CREATE TABLE {name}_p{which} PARTITION OF {name} {bound}"));
        }
        if !self.key.is_empty() && self.how_declared == KeyKind::Index {
            statements.push(format!("CREATE UNIQUE INDEX ON {} ({columns})", self.name));
        }
        statements
    }

    fn bounds(&self) -> Vec<&'static str> {
        match self.partitions {
            Partitions::None => vec![],
            Partitions::Range { default } => vec![
                "FOR VALUES FROM (0) TO (4)",
                "FOR VALUES FROM (4) TO (7)",
                if default { "DEFAULT" } else { "FOR VALUES FROM (7) TO (10)" },
            ],
            Partitions::List { default } => vec![
                "FOR VALUES IN (0, 2, 4, 6, 8)",
                "FOR VALUES IN (1, 3, 5, 7)",
                if default { "DEFAULT" } else { "FOR VALUES IN (9)" },
            ],
        }
    }
}
