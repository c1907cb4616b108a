//! The names of segments' files and those of their delete vectors.

use std::path::{Component, Path, PathBuf};

use kestrel_proto::{ErrorReport, Result, TableId, TransactionId};

/// The directory of all segments, in the data directory.
pub(super) const SEGMENTS: &str = "segments";

/// What is not yet a segment ends with this.
pub(super) const TEMPORARY: &str = ".tmp";

/// `<epoch>-<transaction>-<sequence>.parquet`, or another ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    pub(super) epoch: u64,
    pub(super) transaction: TransactionId,
    pub(super) sequence: u64,
    pub(super) kind: FileKind,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A segment.
    Segment,
    /// A delete vector.
    Deletes,
}

impl FileKind {
    const ALL: [Self; 2] = [Self::Segment, Self::Deletes];

    fn ending(self) -> &'static str {
        match self {
            Self::Segment => ".parquet",
            Self::Deletes => ".deletes",
        }
    }
}

impl FileName {
    /// The file's name in its table's directory.
    pub(super) fn file_name(&self) -> String {
        let Self { epoch, transaction, sequence, kind } = self;
        format!("{epoch}-{}-{sequence}{}", transaction.0, kind.ending())
    }

    /// From a file's name, temporary or not; `None`: not one of these.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let name = file_name.strip_suffix(TEMPORARY).unwrap_or(file_name);
        let mut kinds = FileKind::ALL.into_iter();
        let (kind, name) =
            kinds.find_map(|kind| Some((kind, name.strip_suffix(kind.ending())?)))?;
        let mut numbers = name.split('-').map(|n| n.parse().ok());
        let (epoch, transaction, sequence) = (numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(Self {
            epoch,
            transaction: TransactionId(transaction),
            sequence,
            kind,
        })
    }
}

/// A table's directory, relative to the data directory.
pub(super) fn table_dir(table: TableId) -> PathBuf {
    Path::new(SEGMENTS).join(table.0.to_string())
}

/// The table in whose directory a segment is; `None`: its name is none of a segment.
pub(super) fn table_of(file: &str) -> Option<TableId> {
    let mut parts = Path::new(file).strip_prefix(SEGMENTS).ok()?.components();
    parts.next()?.as_os_str().to_str()?.parse().ok().map(TableId)
}

/// The path of a file that the catalog names.
///
/// # Errors
/// XX000 when the name leads out of the segments' directory.
pub(super) fn path_of(data: &Path, file: &str) -> Result<PathBuf> {
    let relative = Path::new(file);
    let inside = relative.starts_with(SEGMENTS)
        && relative.components().all(|part| matches!(part, Component::Normal(_)));
    if inside {
        return Ok(data.join(relative));
    }
    Err(ErrorReport::internal(format!("\"{file}\" is not the name of a segment")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        let kind = FileKind::Segment;
        let name = FileName { epoch: 3, transaction: TransactionId(14), sequence: 0, kind };
        assert_eq!(name.file_name(), "3-14-0.parquet");
        let vector = FileName { kind: FileKind::Deletes, ..name };
        for (text, expected) in [
            ("3-14-0.parquet", Some(name)),
            ("3-14-0.parquet.tmp", Some(name)),
            (&vector.file_name(), Some(vector)),
            ("3-14-0.deletes.tmp", Some(vector)),
            ("3-14.parquet", None),
            ("3-14-0-1.parquet", None),
            ("3-x-0.parquet", None),
            ("3-14-0", None),
            ("", None),
        ] {
            assert_eq!(FileName::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_segments_name_tells_its_table() {
        for (file, table) in [
            ("segments/7/1-2-3.parquet", Some(TableId(7))),
            ("segments/x/1-2-3.parquet", None),
            ("segments", None),
            ("datanode.json", None),
        ] {
            assert_eq!(table_of(file), table, "{file}");
        }
    }

    #[test]
    fn names_lead_only_to_segments() {
        let data = Path::new("/data");
        for (file, inside) in [
            ("segments/7/1-2-3.parquet", true),
            ("segments/../datanode.json", false),
            ("/segments/7/1-2-3.parquet", false),
            ("datanode.json", false),
            ("", false),
        ] {
            assert_eq!(path_of(data, file).is_ok(), inside, "{file}");
        }
    }
}
