//! What a backup is made of. A manifest is JSON, and behind it the line `crc32c 1a2b3c4d` with the
//! checksum of all that is before it.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use kestrel_planner::catalog::{Catalog, SegmentFile};
use kestrel_proto::DatanodeId;
use serde::{Deserialize, Serialize};

use crate::{CommandError, Result};

/// Grows when what is below changes.
pub(super) const FORMAT: u32 = 1;

/// Before the checksum.
const CHECKSUM: &str = "crc32c ";

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// When it began: `20261127T203301Z`.
    pub(super) name: String,
    pub(super) cluster_id: String,
    pub(super) catalog_version: u64,
    /// Of the Kestrel that has made it.
    pub(super) engine_version: String,
    /// In `catalogs`, under the backup's name.
    pub(super) catalog: StoredFile,
    /// Tables whose rows are in databases, and not in the backup.
    pub(super) tables_in_databases: usize,
    /// In the order of their ids.
    pub(super) datanodes: Vec<DatanodeFiles>,
}

/// What a datanode's directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DatanodeFiles {
    pub(super) id: u32,
    /// Empty: it has never registered, and has no directory.
    pub(super) uuid: String,
    pub(super) files: Vec<StoredFile>,
}

/// A file, as it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    /// Relative to the data directory that it is of.
    pub(crate) path: String,
    pub(crate) length: u64,
    /// crc32c
    pub(crate) checksum: u32,
}

impl Manifest {
    /// As it is written.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| CommandError::failure(format!("cannot encode a manifest: {e}")))?;
        text.push('\n');
        let checksum = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("{CHECKSUM}{checksum:08x}\n"));
        Ok(text.into_bytes())
    }

    /// As it was written, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_string())?;
        let cut_off = || "it is cut off".to_string();
        let text = text.strip_suffix('\n').ok_or_else(cut_off)?;
        let at = text.rfind('\n').ok_or_else(cut_off)? + 1;
        let (json, last) = text.split_at(at);
        let checksum = last.strip_prefix(CHECKSUM).ok_or_else(cut_off)?;
        if u32::from_str_radix(checksum, 16) != Ok(crc32c::crc32c(json.as_bytes())) {
            return Err("its bytes do not have their checksum".to_string());
        }
        let manifest: Self = serde_json::from_str(json).map_err(|e| e.to_string())?;
        if manifest.format > FORMAT {
            return Err("a newer Kestrel has written it".to_string());
        }
        let mut all = manifest.datanodes.iter().flat_map(|datanode| &datanode.files);
        match all.find(|file| !file.is_inside()) {
            Some(file) => Err(format!("\"{}\" is no file of a data directory", file.path)),
            None => Ok(manifest),
        }
    }

    /// Bytes of all its files.
    pub(super) fn length(&self) -> u64 {
        let datanodes = self.datanodes.iter().map(DatanodeFiles::length);
        self.catalog.length + datanodes.sum::<u64>()
    }

    /// How many files it has.
    pub(super) fn count(&self) -> usize {
        1 + self.datanodes.iter().map(|datanode| datanode.files.len()).sum::<usize>()
    }

    /// The datanode of this name.
    pub(super) fn datanode(&self, name: &str) -> Option<&DatanodeFiles> {
        self.datanodes.iter().find(|datanode| datanode.name() == name)
    }
}

impl DatanodeFiles {
    /// What the datanodes of a cluster with this catalog hold. Temporary tables end with their
    /// sessions: nobody will need their files.
    pub(super) fn of(catalog: &Catalog) -> Vec<Self> {
        let mut files: BTreeMap<u32, Vec<StoredFile>> = BTreeMap::new();
        let tables = catalog.tables.values().filter(|table| !table.is_temporary());
        for segment in tables.flat_map(|table| &table.segments) {
            let of_node = files.entry(segment.datanode).or_default();
            of_node.extend(segment.files().map(StoredFile::from));
        }
        let of_datanode = |id| {
            let mut files = files.remove(&id).unwrap_or_default();
            // Segments may share a file.
            files.sort();
            files.dedup();
            files
        };
        let ids = catalog.datanodes.iter().map(|datanode| datanode.id);
        let files: Vec<_> = ids.map(of_datanode).collect();
        let datanodes = catalog.datanodes.iter().zip(files);
        let datanodes = datanodes.map(|(datanode, files)| Self {
            id: datanode.id,
            uuid: datanode.uuid.clone(),
            files,
        });
        datanodes.collect()
    }

    /// `dn1`, …
    pub(super) fn name(&self) -> String {
        DatanodeId(self.id).name()
    }

    /// Bytes of all its files.
    pub(super) fn length(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }
}

impl StoredFile {
    /// Whether the path stays in the directory that it is relative to.
    fn is_inside(&self) -> bool {
        let mut parts = Path::new(&self.path).components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    }
}

impl From<SegmentFile<'_>> for StoredFile {
    fn from(file: SegmentFile<'_>) -> Self {
        Self { path: file.name.to_string(), length: file.length, checksum: file.checksum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        let file = |path: &str| StoredFile { path: path.into(), length: 7, checksum: 0xff };
        Manifest {
            format: FORMAT,
            name: "20261127T203301Z".into(),
            cluster_id: "c".into(),
            catalog_version: 12,
            engine_version: "e".into(),
            catalog: file("catalog.db"),
            tables_in_databases: 0,
            datanodes: vec![DatanodeFiles { id: 0, uuid: "u".into(), files: vec![file(path)] }],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_or_not_at_all() {
        let written = manifest("segments/7/1-2-3.parquet");
        let bytes = written.encode().unwrap();
        assert_eq!(Manifest::decode(&bytes), Ok(written.clone()));
        assert_eq!((written.length(), written.count()), (14, 2));
        assert!(written.datanode("dn1").is_some() && written.datanode("dn2").is_none());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Manifest::decode(&changed).is_err(), "byte {at}");
            assert!(Manifest::decode(&bytes[..at]).is_err(), "{at} bytes");
        }
        let newer = Manifest { format: FORMAT + 1, ..written };
        assert!(Manifest::decode(&newer.encode().unwrap()).unwrap_err().contains("newer"));
    }

    #[test]
    fn files_stay_in_their_directory() {
        for path in ["../x", "/etc/passwd", "segments/../../x", ""] {
            let decoded = Manifest::decode(&manifest(path).encode().unwrap());
            assert!(decoded.unwrap_err().contains("is no file of a data directory"), "{path}");
        }
    }
}
