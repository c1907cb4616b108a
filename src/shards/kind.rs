//! What the shards of a cluster are kept in: files, or databases.

use std::{fmt, path::Path, str::FromStr};

use clap::ValueEnum;
use kestrel_planner::catalog::DatanodeDef;
use kestrel_proto::{ErrorReport, Result, SqlState};
use serde::Deserialize;

/// Where the rows of all datanodes of a cluster are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ShardKind {
    /// Columnar files of the datanodes
    #[default]
    Columnar,
    /// KingbaseES or PostgreSQL databases beside them
    Kes,
}

impl ShardKind {
    /// As flags, the catalog and `kestrel.datanodes` name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Columnar => "columnar",
            Self::Kes => "kes",
        }
    }

    /// What the cluster in directory `data` has, which knows these datanodes; a new one gets what
    /// is asked for.
    ///
    /// # Errors
    /// 55000 when the directory's is another than was asked for; XX001.
    pub(crate) fn of_cluster(
        asked: Option<Self>,
        known: &[DatanodeDef],
        data: &Path,
    ) -> Result<Self> {
        let Some(there) = known.first() else { return Ok(asked.unwrap_or_default()) };
        let there: Self = there.shard_kind.parse()?;
        match asked {
            Some(asked) if asked != there => Err(ErrorReport::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "\"{}\" is the directory of a cluster whose shards are of kind \"{there}\", \
                     not \"{asked}\"",
                    data.display()
                ),
            )
            .hint("Leave out --shards, or give another directory.")),
            _ => Ok(there),
        }
    }
}

impl fmt::Display for ShardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ShardKind {
    type Err = ErrorReport;

    fn from_str(name: &str) -> Result<Self> {
        let kind = Self::value_variants().iter().find(|kind| kind.as_str() == name);
        kind.copied().ok_or_else(|| {
            let message = format!("the catalog has shards of the unknown kind \"{name}\"");
            ErrorReport::new(SqlState::DATA_CORRUPTED, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_kind() {
        use ShardKind::{Columnar, Kes};
        let known = |kind: &str| {
            vec![DatanodeDef {
                id: 0,
                name: "dn1".into(),
                uuid: String::new(),
                address: String::new(),
                shard_kind: kind.into(),
            }]
        };
        for (asked, known, expected) in [
            (None, vec![], Ok(Columnar)),
            (Some(Kes), vec![], Ok(Kes)),
            (None, known("columnar"), Ok(Columnar)),
            (None, known("kes"), Ok(Kes)),
            (Some(Kes), known("kes"), Ok(Kes)),
            (
                Some(Kes),
                known("columnar"),
                Err(
                    "\"/d\" is the directory of a cluster whose shards are of kind \"columnar\", not \"kes\"",
                ),
            ),
            (
                Some(Columnar),
                known("kes"),
                Err(
                    "\"/d\" is the directory of a cluster whose shards are of kind \"kes\", not \"columnar\"",
                ),
            ),
            (None, known("punched"), Err("the catalog has shards of the unknown kind \"punched\"")),
        ] {
            let found = ShardKind::of_cluster(asked, &known, Path::new("/d"));
            assert_eq!(found.map_err(|e| e.message), expected.map_err(str::to_string), "{asked:?}");
        }
        for kind in ShardKind::value_variants() {
            let flag = kind.to_possible_value().map(|value| value.get_name().to_string());
            assert_eq!(flag.as_deref(), Some(kind.as_str()));
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }
}
