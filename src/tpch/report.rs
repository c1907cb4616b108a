//! How a run is shown: a table as it goes, or one JSON document.

use super::QUERIES;
use super::run::{QueryReport, RunReport, Verdict};
use crate::output::{Bar, Columns, Console};
use crate::{CommandError, Result};

/// Shows a run as a table, line by line.
pub struct Table {
    columns: Columns,
    console: Console,
    bar: Bar,
}

impl Table {
    /// Shows the headings.
    pub fn begin(console: &Console) -> Self {
        let headings = [
            ("query", 5, false),
            ("ms", 9, false),
            ("rows", 7, false),
            ("rows moved", 11, false),
            ("bytes moved", 13, false),
            ("answer", 7, true),
            ("warnings", 8, false),
        ];
        let bar = console.bar("queries", QUERIES.len() as u64);
        let table = Self { columns: Columns::new(&headings), console: console.clone(), bar };
        table.console.result(&table.columns.row(headings.map(|(name, ..)| name)));
        table.console.result(&table.columns.rule());
        table
    }

    /// Shows one query.
    pub fn line(&self, report: &QueryReport) {
        let number = |n: Option<u64>| n.map_or("-".to_string(), |n| n.to_string());
        let answer = match report.answer {
            Verdict::Right => "right",
            Verdict::Wrong => "WRONG",
            Verdict::Failed => "FAILED",
            Verdict::Unchecked => "-",
        };
        self.bar.advance(1);
        self.console.result(&self.columns.row([
            report.query.to_string(),
            format!("{:.1}", report.ms),
            report.rows.to_string(),
            number(report.rows_moved),
            number(report.bytes_moved),
            answer.to_string(),
            report.warnings.len().to_string(),
        ]));
    }

    /// Shows the sums, and what was warned of.
    pub fn end(self, report: &RunReport) {
        let sum = |value: fn(&QueryReport) -> Option<u64>| {
            let known: Vec<_> = report.queries.iter().filter_map(value).collect();
            if known.is_empty() { "-".to_string() } else { known.iter().sum::<u64>().to_string() }
        };
        let right = report.queries.iter().filter(|q| q.answer == Verdict::Right).count();
        self.console.result(&self.columns.rule());
        self.console.result(&self.columns.row([
            "total".to_string(),
            format!("{:.1}", report.total_ms),
            report.queries.iter().map(|q| q.rows).sum::<usize>().to_string(),
            sum(|q| q.rows_moved),
            sum(|q| q.bytes_moved),
            format!("{right}/{}", report.queries.len()),
            report.queries.iter().map(|q| q.warnings.len()).sum::<usize>().to_string(),
        ]));
        self.console.result(&format!("geometric mean {:.1} ms", report.geometric_mean_ms));
        for query in &report.queries {
            for warning in &query.warnings {
                self.console.result(&format!("query {}: {warning}", query.query));
            }
        }
    }
}

/// Shows a run as one JSON document.
pub fn json(report: &RunReport, console: &Console) -> Result<()> {
    let text = serde_json::to_string_pretty(report);
    console.result(&text.map_err(|e| CommandError::failure(e.to_string()))?);
    Ok(())
}

/// An error when an answer is wrong; says on standard error which and how.
pub fn verdict(report: &RunReport, console: &Console) -> Result<()> {
    let bad: Vec<_> = report.bad().collect();
    for (query, text) in &bad {
        console.step(&format!("query {query}: {text}"));
    }
    match bad.len() {
        0 => Ok(()),
        n => Err(CommandError::failure(format!("{n} of {} answers are not right", QUERIES.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(answer: Verdict) -> RunReport {
        let bad = matches!(answer, Verdict::Wrong | Verdict::Failed);
        let query = QueryReport {
            query: 7,
            ms: 1.25,
            rows: 4,
            rows_moved: None,
            bytes_moved: Some(9),
            answer,
            problem: bad.then(|| "row 1".to_string()),
            warnings: vec!["WARNING 01K01: skew".to_string()],
        };
        RunReport { scale: 0.01, queries: vec![query], total_ms: 1.25, geometric_mean_ms: 1.25 }
    }

    #[test]
    fn wrong_and_failed_answers_are_errors() {
        let console = Console::silent();
        for (answer, right) in [
            (Verdict::Right, true),
            (Verdict::Unchecked, true),
            (Verdict::Wrong, false),
            (Verdict::Failed, false),
        ] {
            assert_eq!(verdict(&report(answer), &console).is_ok(), right);
        }
    }

    #[test]
    fn json_has_what_the_table_has() {
        let wrong = serde_json::to_value(report(Verdict::Wrong)).unwrap();
        let query = &wrong["queries"][0];
        assert_eq!((&query["answer"], &query["problem"]), (&"wrong".into(), &"row 1".into()));
        assert_eq!(query["rows_moved"], serde_json::Value::Null);
        assert_eq!(query["bytes_moved"], 9);
        assert_eq!(query["warnings"][0], "WARNING 01K01: skew");
    }
}
