//! What a decider finds, and how it reads.

use kestrel_proto::{ErrorObject, ErrorReport, Severity};

use super::Kind;
use crate::{catalog::TableDef, parse::quote};

/// Who is told of advice, from nobody to those who hear warnings only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// Nobody; nothing is looked for.
    Off,
    /// Whoever looks into `kestrel.advice`, or at EXPLAIN.
    View,
    /// The client, as a NOTICE, too.
    Notice,
    /// The client, as a WARNING, too.
    Warning,
}

/// What advice is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Object {
    /// The schema of its first table.
    pub schema: String,
    /// The table, or tables: `t`, `t, u`.
    pub name: String,
    /// The ids of all tables of which something is told.
    pub tables: Vec<u64>,
}

/// What a decider has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub object: Object,
    /// No louder than this, whatever the kind's setting says.
    pub at_most: Delivery,
    /// Lower case, no period.
    pub message: String,
    /// The numbers and the cause, in sentences.
    pub detail: String,
    /// The statement to run, and nothing else; `None`: no statement mends it.
    pub hint: Option<String>,
}

/// Something to say.
#[derive(Clone, Debug)]
pub struct Advice {
    /// Its kind.
    pub kind: &'static Kind,
    /// What was found.
    pub finding: Finding,
}

impl Delivery {
    /// The words of settings, in the order of how loud they are.
    const WORDS: [(&'static str, Self); 4] = [
        ("off", Self::Off),
        ("view", Self::View),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
    ];

    /// From a setting's value.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, delivery)| *delivery)
    }

    /// As a setting's value.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("off", |(word, _)| word)
    }

    /// How it is sent; `None`: it is not.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Off | Self::View => None,
            Self::Notice => Some(Severity::Notice),
            Self::Warning => Some(Severity::Warning),
        }
    }
}

impl Object {
    /// A table.
    pub fn table(table: &TableDef) -> Self {
        Self { schema: table.schema_name.clone(), name: table.name.clone(), tables: vec![table.id] }
    }

    /// Several tables, the first of which has the schema; each once.
    pub fn tables<'a>(tables: impl Iterator<Item = &'a TableDef>) -> Self {
        let mut object = Self::default();
        let mut names: Vec<&str> = Vec::new();
        for table in tables {
            if object.tables.contains(&table.id) {
                continue;
            }
            if object.tables.is_empty() {
                object.schema.clone_from(&table.schema_name);
            }
            object.tables.push(table.id);
            names.push(&table.name);
        }
        object.name = names.join(", ");
        object
    }
}

impl Advice {
    /// How loud it is when its kind is to be so loud.
    pub fn delivered(&self, kind: Delivery) -> Delivery {
        kind.min(self.finding.at_most)
    }

    /// As the client is told.
    pub fn report(&self, severity: Severity) -> ErrorReport {
        let Finding { message, detail, hint, object, .. } = &self.finding;
        let report = ErrorReport::notice(self.kind.sqlstate, message).detail(detail);
        let (schema, table) = (object.schema.clone(), object.name.clone());
        let about = ErrorObject { schema, table, ..ErrorObject::default() };
        let object = (object.tables.len() == 1).then(|| Box::new(about));
        ErrorReport { severity, hint: hint.clone(), object, ..report }
    }
}

/// A table's name as statements write it: `public.t`.
pub(super) fn qualified(table: &TableDef) -> String {
    format!("{}.{}", quote(&table.schema_name), quote(&table.name))
}

/// `ANALYZE public.t;`
pub(super) fn analyze(table: &TableDef) -> String {
    format!("ANALYZE {};", qualified(table))
}

/// `ALTER TABLE public.t SET DISTRIBUTED BY (a, b);`
pub(super) fn distribute_by(table: &TableDef, columns: &[u32]) -> String {
    let columns = columns.iter().filter_map(|id| table.column_by_id(*id));
    let columns: Vec<_> = columns.map(|column| quote(&column.name)).collect();
    format!("ALTER TABLE {} SET DISTRIBUTED BY ({});", qualified(table), columns.join(", "))
}

/// `"a", "b"`
pub(super) fn column_names(table: &TableDef, columns: impl IntoIterator<Item = u32>) -> String {
    let columns = columns.into_iter().filter_map(|id| table.column_by_id(id));
    let columns: Vec<_> = columns.map(|column| format!("\"{}\"", column.name)).collect();
    columns.join(", ")
}

/// A part as people read it: `41 %`.
pub(super) fn percent(part: f64) -> String {
    let percent = 100.0 * part;
    if percent > 0.0 && percent < 0.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Rows as people read them; an estimate is no fraction.
pub(super) fn rows(rows: f64) -> String {
    format!("{:.0}", rows.max(0.0))
}

/// Bytes in the largest unit that they have a few of.
pub(super) fn bytes(bytes: f64) -> String {
    let units = [(1u64 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    let unit = units.iter().find(|(unit, _)| bytes >= *unit as f64);
    unit.map_or_else(
        || format!("{bytes:.0} bytes"),
        |(unit, name)| format!("{:.1} {name}", bytes / *unit as f64),
    )
}
