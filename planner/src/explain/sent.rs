//! What the databases beside the datanodes are sent for a scan: what each datanode says, or, where
//! none was asked or answers, what is the same for every server.
//!
//! ```text
//!   Shard SQL: SELECT "a" FROM "public"."t" (in up to 4 pieces)       on all datanodes
//!
//!   Shard SQL (dn1): SELECT "a" FROM "public"."t" WHERE ("b" = 'x')   where they differ
//!   Shard SQL (dn2): SELECT "a", "b" FROM "public"."t"
//! ```

use std::collections::BTreeMap;

use kestrel_proto::{DatanodeId, message::ScanSql};
use serde_json::{Value, json};

use super::ExplainOptions;
use crate::{operators::database_scans, slice::Slice};

/// More datanodes whose SQL differs are only counted, unless VERBOSE asks for them.
const DATANODES_SHOWN: usize = 8;
/// How EXPLAIN names it.
const LABEL: &str = "Shard SQL";

/// What datanodes say of a plan's scans.
#[derive(Clone, Debug, Default)]
pub struct SentSql {
    /// By slice and datanode: its scans of the database, in pre-order. Those that were not asked, or
    /// did not answer, are missing.
    pub scans: BTreeMap<(u32, DatanodeId), Vec<ScanSql>>,
    /// Of each init plan.
    pub init: Vec<SentSql>,
}

/// The SQL of one scan.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSql {
    /// As far as every server can do it.
    presumed: String,
    /// What the datanodes that run the scan say of it.
    said: Vec<(DatanodeId, Option<ScanSql>)>,
}

impl SentSql {
    /// Of the `position`th such scan of a slice.
    pub(super) fn of_scan(&self, slice: &Slice, position: usize, presumed: String) -> NodeSql {
        let scans = database_scans(&slice.plan);
        let said = slice.executors.iter().map(|datanode| {
            let of_slice = self.scans.get(&(slice.id.0, *datanode));
            // Scans are told from one another by their order alone.
            let of_slice = of_slice.filter(|of_slice| of_slice.len() == scans);
            (*datanode, of_slice.and_then(|of_slice| of_slice.get(position)).cloned())
        });
        NodeSql { presumed, said: said.collect() }
    }
}

impl NodeSql {
    /// As lines of text.
    pub(super) fn lines(&self, options: ExplainOptions) -> Vec<String> {
        if self.said.iter().all(|(_, sql)| sql.is_none()) {
            return vec![format!("{LABEL}: {}", self.presumed)];
        }
        if let Some(sql) = self.said_by_all() {
            return lines_of("", Some(&sql), &self.presumed, options);
        }
        let shown = if options.verbose { usize::MAX } else { DATANODES_SHOWN };
        let of_datanode = |(datanode, sql): &(DatanodeId, Option<ScanSql>)| {
            lines_of(&datanode.name(), sql.as_ref(), &self.presumed, options)
        };
        let mut lines: Vec<_> = self.said.iter().take(shown).flat_map(of_datanode).collect();
        let more = self.said.len().saturating_sub(shown);
        if more > 0 {
            lines.push(format!("{LABEL}: of {more} more datanodes, which VERBOSE shows"));
        }
        lines
    }

    /// As JSON: an object for each datanode, with all its queries.
    pub(super) fn value(&self) -> (&'static str, Value) {
        let of_datanode = |(datanode, sql): &(DatanodeId, Option<ScanSql>)| match sql {
            Some(sql) if sql.pieces_max > 1 => json!({
                "datanode": datanode.name(), "sql": sql.queries, "pieces_max": sql.pieces_max,
            }),
            Some(sql) => json!({ "datanode": datanode.name(), "sql": sql.queries }),
            None => json!({
                "datanode": datanode.name(), "sql": [self.presumed], "answered": false,
            }),
        };
        (LABEL, self.said.iter().map(of_datanode).collect())
    }

    /// What all say, if their queries are the same.
    fn said_by_all(&self) -> Option<ScanSql> {
        let mut all: Option<ScanSql> = None;
        for (_, sql) in &self.said {
            let sql = sql.as_ref()?;
            match &mut all {
                None => all = Some(sql.clone()),
                Some(all) if all.queries == sql.queries => {
                    all.pieces_max = all.pieces_max.max(sql.pieces_max);
                }
                Some(_) => return None,
            }
        }
        all
    }
}

/// Of one datanode; of all, without a name.
fn lines_of(
    datanode: &str,
    sql: Option<&ScanSql>,
    presumed: &str,
    options: ExplainOptions,
) -> Vec<String> {
    let label = |notes: &[&str]| {
        let notes: Vec<_> = notes.iter().copied().filter(|note| !note.is_empty()).collect();
        if notes.is_empty() { LABEL.to_string() } else { format!("{LABEL} ({})", notes.join(", ")) }
    };
    let Some(sql) = sql else {
        return vec![format!("{}: {presumed}", label(&[datanode, "no answer"]))];
    };
    match sql.queries.as_slice() {
        [] => vec![format!("{}: nothing was sent", label(&[datanode]))],
        [query] if sql.pieces_max > 1 => {
            vec![format!("{}: {query} (in up to {} pieces)", label(&[datanode]), sql.pieces_max)]
        }
        [query] => vec![format!("{}: {query}", label(&[datanode]))],
        queries if options.verbose => {
            let number = |at: usize| format!("piece {}", at + 1);
            let line = |(at, query)| format!("{}: {query}", label(&[datanode, &number(at)]));
            queries.iter().enumerate().map(line).collect()
        }
        [first, more @ ..] => {
            let pieces = if more.len() == 1 { "piece" } else { "pieces" };
            vec![format!("{}: {first} (and {} more {pieces})", label(&[datanode]), more.len())]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datanode that has not answered.
    const SILENT: Option<(&[&str], u32)> = None;

    fn node(said: &[Option<(&[&str], u32)>]) -> NodeSql {
        let sql = |(queries, pieces_max): &(&[&str], u32)| ScanSql {
            queries: queries.iter().map(ToString::to_string).collect(),
            pieces_max: *pieces_max,
        };
        let said = said.iter().enumerate();
        let said = said.map(|(at, said)| (DatanodeId(at as u32), said.as_ref().map(sql)));
        NodeSql { presumed: "P".into(), said: said.collect() }
    }

    #[track_caller]
    fn check(said: &[Option<(&[&str], u32)>], plain: &[&str], verbose: &[&str]) {
        let options = |verbose| ExplainOptions { costs: false, verbose, timing: true };
        assert_eq!(node(said).lines(options(false)), plain, "{said:?}");
        assert_eq!(node(said).lines(options(true)), verbose, "{said:?}, VERBOSE");
    }

    #[test]
    fn equal_queries_are_one_line_and_others_one_each() {
        let same = ["Shard SQL: A"];
        check(&[Some((&["A"], 1)), Some((&["A"], 0))], &same, &same);
        let differ = ["Shard SQL (dn1): A", "Shard SQL (dn2): B"];
        check(&[Some((&["A"], 1)), Some((&["B"], 1))], &differ, &differ);
        let pieces = ["Shard SQL: A (in up to 4 pieces)"];
        check(&[Some((&["A"], 3)), Some((&["A"], 4))], &pieces, &pieces);
        let not_read = ["Shard SQL (dn1): A", "Shard SQL (dn2): nothing was sent"];
        check(&[Some((&["A"], 0)), Some((&[], 0))], &not_read, &not_read);
    }

    #[test]
    fn who_does_not_answer_is_presumed_to_do_what_all_can() {
        let presumed = ["Shard SQL: P"];
        check(&[], &presumed, &presumed);
        check(&[SILENT, SILENT], &presumed, &presumed);
        let one = ["Shard SQL (dn1): A", "Shard SQL (dn2, no answer): P"];
        check(&[Some((&["A"], 1)), SILENT], &one, &one);
    }

    #[test]
    fn only_verbose_shows_all_pieces() {
        check(
            &[Some((&["A", "B", "C"], 0)), Some((&["D", "E"], 0))],
            &["Shard SQL (dn1): A (and 2 more pieces)", "Shard SQL (dn2): D (and 1 more piece)"],
            &[
                "Shard SQL (dn1, piece 1): A",
                "Shard SQL (dn1, piece 2): B",
                "Shard SQL (dn1, piece 3): C",
                "Shard SQL (dn2, piece 1): D",
                "Shard SQL (dn2, piece 2): E",
            ],
        );
        check(
            &[Some((&["A", "B"], 0)), Some((&["A", "B"], 0))],
            &["Shard SQL: A (and 1 more piece)"],
            &["Shard SQL (piece 1): A", "Shard SQL (piece 2): B"],
        );
    }

    #[test]
    fn many_datanodes_are_counted() {
        let mut said = vec![Some((&["A"][..], 1)); 40];
        said.push(Some((&["B"], 1)));
        let options = |verbose| ExplainOptions { costs: false, verbose, timing: true };
        let lines = node(&said).lines(options(false));
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[7], "Shard SQL (dn8): A");
        assert_eq!(lines[8], "Shard SQL: of 33 more datanodes, which VERBOSE shows");
        assert_eq!(node(&said).lines(options(true)).len(), 41);
    }

    #[test]
    fn json_has_all_of_each_datanode() {
        let said: [Option<(&[&str], u32)>; 4] =
            [Some((&["A", "B"], 0)), Some((&["A"], 4)), Some((&[], 0)), SILENT];
        let expected = json!([
            { "datanode": "dn1", "sql": ["A", "B"] },
            { "datanode": "dn2", "sql": ["A"], "pieces_max": 4 },
            { "datanode": "dn3", "sql": [] },
            { "datanode": "dn4", "sql": ["P"], "answered": false },
        ]);
        assert_eq!(node(&said).value(), ("Shard SQL", expected));
    }
}
