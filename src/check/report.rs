//! What was looked at, and what is wrong.

use kestrel_planner::catalog::TableDef;
use serde::Serialize;

use crate::{CommandError, Result};

/// All that `kestrel check` has found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Tables and partitions of the catalog.
    pub(super) tables: usize,
    /// Those of which only databases know the rows: these are not looked at.
    pub(super) tables_in_databases: usize,
    /// Files that were read.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Rows that were looked at.
    pub(super) rows: u64,
    /// Files that the catalog does not know: a crash has left them, the next start removes them.
    pub(super) unknown_files: u64,
    /// In the order in which they were found.
    pub(super) problems: Vec<Problem>,
}

/// Something that is not as it must be.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub(super) kind: ProblemKind,
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
    pub(super) datanode: Option<String>,
    /// Relative to the datanode's directory.
    pub(super) file: Option<String>,
    /// How many it is about.
    pub(super) rows: Option<u64>,
    pub(super) detail: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProblemKind {
    /// A datanode has no directory.
    Directory,
    /// A file is missing, or has other bytes.
    File,
    /// Rows cannot be read.
    Unreadable,
    /// Rows are on another datanode than the one that their key belongs to.
    Placement,
    /// Rows are in another partition than the one that takes them.
    Partition,
    /// The copies of a replicated table differ.
    Copies,
}

impl Problem {
    fn new(kind: ProblemKind, detail: String) -> Self {
        let (schema, table, datanode) = (None, None, None);
        Self { kind, schema, table, datanode, file: None, rows: None, detail }
    }

    /// Of a table.
    pub(super) fn of(kind: ProblemKind, table: &TableDef, detail: String) -> Self {
        let (schema, name) = (table.schema_name.clone(), table.name.clone());
        Self { schema: Some(schema), table: Some(name), ..Self::new(kind, detail) }
    }

    /// On a datanode.
    pub(super) fn on(self, datanode: &str) -> Self {
        Self { datanode: Some(datanode.into()), ..self }
    }

    fn line(&self) -> String {
        let mut line = String::new();
        if let (Some(schema), Some(table)) = (&self.schema, &self.table) {
            line += &format!("{schema}.{table}");
        }
        if let Some(datanode) = &self.datanode {
            line += if line.is_empty() { "" } else { " on " };
            line += datanode;
        }
        if let Some(file) = &self.file {
            line += &format!(", \"{file}\"");
        }
        format!("{line}: {}", self.detail)
    }
}

impl Report {
    /// A datanode has no directory.
    pub(super) fn directory(&mut self, datanode: &str, detail: String) {
        self.problems.push(Problem::new(ProblemKind::Directory, detail).on(datanode));
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.problems.iter().map(Problem::line).collect();
        lines.push(format!(
            "{} tables, {} files, {} bytes, {} rows: {} problems",
            self.tables,
            self.files,
            self.bytes,
            self.rows,
            self.problems.len()
        ));
        if self.unknown_files > 0 {
            lines.push(format!(
                "{} files are no table's; the next start removes them",
                self.unknown_files
            ));
        }
        if self.tables_in_databases > 0 {
            lines.push(format!(
                "the rows of {} tables are in databases, and were not looked at",
                self.tables_in_databases
            ));
        }
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| CommandError::failure(format!("cannot write the report: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::Distribution;

    use super::*;

    #[test]
    fn problems_are_told() {
        let table = TableDef::new(20_000, ("public", "t"), Vec::new(), Distribution::Random);
        let mut report = Report { tables: 1, files: 3, bytes: 50, rows: 7, ..Report::default() };
        report.directory("dn3", "\"/x\" is no directory".into());
        let file = Some("segments/20000/1".to_string());
        let missing = Problem::of(ProblemKind::File, &table, "it is missing".into()).on("dn1");
        report.problems.push(Problem { file, ..missing });
        let placement = Problem::of(ProblemKind::Placement, &table, "2 rows".into()).on("dn2");
        report.problems.push(Problem { rows: Some(2), ..placement });
        let expected = [
            "dn3: \"/x\" is no directory",
            "public.t on dn1, \"segments/20000/1\": it is missing",
            "public.t on dn2: 2 rows",
            "1 tables, 3 files, 50 bytes, 7 rows: 3 problems",
        ];
        assert_eq!(report.lines(), expected);
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["problems"][2]["kind"], "placement");
        assert_eq!(json["problems"][2]["rows"], 2);
        assert_eq!(json["problems"][1]["file"], "segments/20000/1");
    }
}
