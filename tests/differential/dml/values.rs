//! Rows, expressions and conditions: all of exact types, whose values stay in bounds however often
//! a statement is run.

use crate::generate::Rng;

use super::tables::{K_VALUES, Table};

/// The columns that UPDATE may set without touching `id`.
pub(super) const SETTABLE: [&str; 5] = ["k", "v", "n", "s", "d"];

/// A row to be inserted; `None`: NULL.
#[derive(Clone, Debug)]
pub(super) struct Row(pub(super) [Option<String>; 6]);

impl Row {
    /// A row that the table takes.
    pub(super) fn generate(rng: &mut Rng, table: &Table, id: i64) -> Self {
        let k = (!(table.has_null_k && rng.chance(15))).then(|| rng.below(K_VALUES as usize));
        let v = rng.chance(85).then(|| rng.between(-20, 999));
        let n = rng.chance(85).then(|| *rng.pick(&["0.00", "1.50", "-2.25", "12.00", "99.99"]));
        let s = rng.chance(85).then(|| *rng.pick(&["", "a", "ab", "b", "q", "none", "漢字"]));
        let d = rng.chance(85).then(|| *rng.pick(&["2020-02-29", "2021-12-31", "2024-01-01"]));
        Self([
            Some(id.to_string()),
            k.map(|k| k.to_string()),
            v.map(|v| v.to_string()),
            n.map(str::to_string),
            s.map(str::to_string),
            d.map(str::to_string),
        ])
    }

    /// As VALUES has it, with the first so many columns.
    pub(super) fn tuple(&self, columns: usize) -> String {
        let literal = |(index, value): (usize, &Option<String>)| match value {
            None => "NULL".to_string(),
            Some(value) if index >= 4 => format!("'{value}'"),
            Some(value) => value.clone(),
        };
        let values: Vec<_> = self.0.iter().take(columns).enumerate().map(literal).collect();
        format!("({})", values.join(", "))
    }

    /// A line of COPY's text format.
    pub(super) fn text(&self) -> String {
        let values: Vec<_> = self.0.iter().map(|v| v.as_deref().unwrap_or("\\N")).collect();
        values.join("\t") + "\n"
    }

    /// A line of CSV.
    pub(super) fn csv(&self) -> String {
        let value =
            |v: &Option<String>| v.as_ref().map_or_else(String::new, |v| format!("\"{v}\""));
        let values: Vec<_> = self.0.iter().map(value).collect();
        values.join(",") + "\n"
    }
}

/// A new value for a column of the table, computed of a row whose columns are written with `a`
/// before their names.
pub(super) fn value(rng: &mut Rng, table: &Table, column: &str, a: &str) -> String {
    let expressions: &[&str] = match column {
        "k" => &[
            "(@k + 1) % 10",
            "9 - @k",
            "@k",
            "3",
            "@id % 10",
            "abs(@v % 10)::int",
            "CASE WHEN @k > 5 THEN 1 ELSE @k END",
            "length(@s) % 10",
        ],
        "v" => &[
            "(@v + @k) % 1000",
            "(@v * 2) % 1000",
            "-@v",
            "(@id + 1) % 1000",
            "17",
            "length(@s)",
            "@k * @k",
            "NULL",
            "CASE WHEN @s IS NULL THEN 0 ELSE @v END",
        ],
        "n" => &["@n + 0.5", "@k * 1.25", "@v * 0.25", "-@n", "NULL", "round(@n)", "@k", "3.14"],
        "s" => &[
            "upper(@s)",
            "left(@s || 'x', 6)",
            "'q'",
            "''",
            "NULL",
            "@k::text",
            "coalesce(@s, 'z')",
            "CASE WHEN @s = 'none' THEN 'some' ELSE lower(@s) END",
        ],
        _ => &["@d + 1", "DATE '2024-02-29'", "NULL", "@d + @k", "coalesce(@d, DATE '2020-01-01')"],
    };
    let mut expression = (*rng.pick(expressions)).to_string();
    if column == "v" && table.has_check {
        // What was negative may be large now.
        expression = format!("({expression}) % 1000");
        if expression == "(NULL) % 1000" {
            expression = "NULL".into();
        }
    }
    if column == "k" && !table.has_null_k {
        expression = format!("coalesce({expression}, 4)");
    }
    expression.replace('@', a)
}

/// A condition on a row.
pub(super) fn condition(rng: &mut Rng, a: &str) -> String {
    const CONDITIONS: &[&str] = &[
        "@k = 3",
        "@k IN (1, 2, 5)",
        "@k < 5",
        "@v > 50",
        "@v < 100",
        "@s IS NULL",
        "@s LIKE 'a%'",
        "@s > 'a'",
        "@id % 3 = 1",
        "@id % 2 = 0",
        "@n BETWEEN 0 AND 40",
        "@d > DATE '2021-01-01'",
        "NOT (@k = 4)",
        "(@k IS NOT NULL AND @v < 100 OR @s = 'q')",
        "@k <> 7",
        "@id > 0",
    ];
    let mut condition = (*rng.pick(CONDITIONS)).to_string();
    if rng.chance(25) {
        condition = format!("{condition} AND {}", rng.pick(CONDITIONS));
    }
    condition.replace('@', a)
}

/// A condition with a subquery over another table, or the same.
pub(super) fn subquery_condition(rng: &mut Rng, a: &str, other: &str) -> String {
    let inner = condition(rng, "o.");
    match rng.below(6) {
        0 => format!("{a}k IN (SELECT o.k FROM {other} AS o WHERE {inner})"),
        1 => {
            format!("{a}k NOT IN (SELECT o.k FROM {other} AS o WHERE o.k IS NOT NULL AND {inner})")
        }
        2 => format!("EXISTS (SELECT 1 FROM {other} AS o WHERE o.k = {a}k AND {inner})"),
        3 => format!("NOT EXISTS (SELECT 1 FROM {other} AS o WHERE o.k = {a}k AND {inner})"),
        4 => format!("{a}v = (SELECT max(o.v) FROM {other} AS o)"),
        _ => format!("{a}v > (SELECT min(o.v) FROM {other} AS o WHERE o.k = {a}k AND {inner})"),
    }
}
