//! Which part of a table's rows conditions on one column leave.

use crate::{
    Bench, Result,
    figures::{Errors, print_columns, print_errors, print_heading, print_line, q_error},
    random::Random,
    server::Server,
    tables::{Column, Table},
};

/// Of each column.
const RANGES: usize = 40;
const EQUALITIES: usize = 20;
/// Of smaller tables, a row is more than what is wanted; that there is one is always thought.
const ROWS_MIN: u64 = 100;
/// Conditions whose rows one query counts.
const COUNTED_AT_ONCE: usize = 20;
/// Points: an error that is shown.
const FAR: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Range,
    Equality,
}

struct Condition {
    kind: Kind,
    sql: String,
}

/// What is wrong of one server's estimates.
#[derive(Clone, Default)]
struct Found {
    /// In points, a hundredth of all rows: of TPC-H and of the skewed table.
    ranges: [Errors; 2],
    equalities: Errors,
    /// How many times the rows, or the rows it.
    times: Errors,
}

/// Constants are drawn from the rows: a frequent value comes often.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Bench { servers, tables, flags } = bench;
    let mut found = vec![Found::default(); servers.len()];
    let mut random = Random::new(flags.seed);
    let mut far = Vec::new();
    for table in tables.iter().filter(|table| table.rows >= ROWS_MIN) {
        for column in table.columns(&mut servers[0]).await? {
            let conditions = draw(table, &column, &mut random);
            let truth = count(&mut servers[0], table, &conditions).await?;
            for (server, found) in servers.iter_mut().zip(&mut found) {
                for (condition, truth) in conditions.iter().zip(&truth) {
                    let sql = format!("SELECT 1 FROM {} WHERE {}", table.name, condition.sql);
                    let estimated = server.estimate(&sql).await?;
                    let points = 100.0 * (estimated - truth).abs() / table.rows as f64;
                    found.note(table, condition.kind, points, q_error(estimated, *truth));
                    if points > FAR {
                        let (name, sql) = (server.name, &condition.sql);
                        far.push(format!(
                            "{points:>7.2} {name:<12} {truth:>10} {estimated:>10} {sql}"
                        ));
                    }
                }
            }
        }
    }
    print_heading("Rows that pass a condition on one column: error in points, or times");
    print_columns();
    for (server, found) in servers.iter().zip(&found) {
        let [tpch, skewed] = &found.ranges;
        let mut all = tpch.clone();
        all.extend(skewed);
        print_errors(server.name, "ranges, TPC-H", tpch, "");
        print_errors(server.name, "ranges, skewed", skewed, "");
        print_errors(server.name, "ranges, all", &all, "p95 <= 5");
        print_errors(server.name, "=", &found.equalities, "");
        print_errors(server.name, "=, times", &found.times, "");
    }
    if flags.verbose {
        print_line("");
        far.iter().for_each(|line| print_line(line));
    }
    Ok(())
}

impl Found {
    fn note(&mut self, table: &Table, kind: Kind, points: f64, times: f64) {
        match kind {
            Kind::Range => self.ranges[usize::from(!table.is_tpch())].push(points),
            Kind::Equality => {
                self.equalities.push(points);
                self.times.push(times);
            }
        }
    }
}

fn draw(table: &Table, column: &Column, random: &mut Random) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let name = &column.name;
    for number in 0..RANGES + EQUALITIES {
        let (Some(one), Some(other)) = (table.draw(column, random), table.draw(column, random))
        else {
            break;
        };
        let (low, high) = if is_below(one, other, column) { (one, other) } else { (other, one) };
        let (one, low, high) = (literal(one, column), literal(low, column), literal(high, column));
        let (kind, sql) = match (number < RANGES, number % 3) {
            (false, _) => (Kind::Equality, format!("{name} = {one}")),
            (true, 0) => (Kind::Range, format!("{name} < {one}")),
            (true, 1) => (Kind::Range, format!("{name} > {one}")),
            (true, _) => (Kind::Range, format!("{name} BETWEEN {low} AND {high}")),
        };
        conditions.push(Condition { kind, sql });
    }
    conditions
}

/// Text has the order of its bytes, and dates that of their text.
fn is_below(one: &str, other: &str, column: &Column) -> bool {
    let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
    if column.is_number { number(one) < number(other) } else { one < other }
}

fn literal(value: &str, column: &Column) -> String {
    if column.is_number { value.to_string() } else { format!("'{}'", value.replace('\'', "''")) }
}

/// How many rows pass each.
async fn count(server: &mut Server, table: &Table, conditions: &[Condition]) -> Result<Vec<f64>> {
    let mut truth = Vec::new();
    for conditions in conditions.chunks(COUNTED_AT_ONCE) {
        let counts = conditions.iter();
        let counts = counts.map(|condition| format!("count(*) FILTER (WHERE {})", condition.sql));
        let counts: Vec<_> = counts.collect();
        let sql = format!("SELECT {} FROM {}", counts.join(", "), table.name);
        truth.extend(server.numbers(&sql).await?);
    }
    Ok(truth)
}
