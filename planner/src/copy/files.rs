//! What COPY reads from files of the server, and who reads which part of them.

use kestrel_proto::DatanodeId;

use super::{CopyParser, RejectLimit};

/// Smaller parts of a file are not worth that two datanodes open it.
const PART_BYTES_MIN: u64 = 8 << 20;

/// The files of a COPY, and what is made of them.
#[derive(Clone, Debug)]
pub struct FileScan {
    /// Reads them, if they have records; of Parquet files, its layout has the columns.
    pub parser: CopyParser,
    /// What their bytes are.
    pub kind: FileKind,
    /// Who reads what, each in this order.
    pub parts: Vec<(DatanodeId, FilePart)>,
    /// How many bad rows each datanode may leave out.
    pub rejects: Option<RejectLimit>,
    /// There are several files: errors say in which one they are.
    pub names_files: bool,
}

/// What a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Text or csv.
    Records,
    /// Parquet.
    Parquet,
}

/// A part of a file: the records, or row groups, that begin between two places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// Absolute, without symbolic links.
    pub path: String,
    /// The first place, in bytes.
    pub start: u64,
    /// The place behind the last one.
    pub end: u64,
    /// How long the file is.
    pub length: u64,
}

impl FilePart {
    /// Is it all of the file?
    pub fn is_whole(&self) -> bool {
        self.start == 0 && self.end == self.length
    }
}

impl FileScan {
    /// What one datanode reads.
    pub fn parts_of(&self, datanode: DatanodeId) -> impl Iterator<Item = &FilePart> {
        self.parts.iter().filter(move |(reader, _)| *reader == datanode).map(|(_, part)| part)
    }

    /// How many bytes all read.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, part)| part.end - part.start).sum()
    }
}

/// Shares files, each with its length, among datanodes: about as many bytes for each, and as few
/// files in parts as can be. An empty file has a part, too: it may lack a header.
pub fn share_files(
    files: &[(String, u64)],
    datanodes: &[DatanodeId],
) -> Vec<(DatanodeId, FilePart)> {
    let total: u64 = files.iter().map(|(_, length)| length).sum();
    let share = total.div_ceil(datanodes.len().max(1) as u64);
    let mut readers = datanodes.iter().copied();
    let (mut reader, mut room) = (readers.next(), share);
    let mut parts = Vec::new();
    for (path, length) in files {
        let mut start = 0;
        while let Some(to) = reader {
            let rest = length - start;
            // Neither part of it may be too small.
            let is_last = rest < room + PART_BYTES_MIN || readers.len() == 0;
            let taken = match (is_last, room < PART_BYTES_MIN) {
                (true, _) => rest,
                (false, false) => room,
                (false, true) => 0,
            };
            if taken > 0 || is_last {
                let (path, length) = (path.clone(), *length);
                parts.push((to, FilePart { path, start, end: start + taken, length }));
            }
            start += taken;
            room = room.saturating_sub(taken);
            if is_last {
                break;
            }
            (reader, room) = (readers.next(), share);
        }
        if room == 0 && readers.len() > 0 {
            (reader, room) = (readers.next(), share);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dn1: a 0-8, b` of files and their lengths in MB.
    fn shared(files: &[(&str, u64)], datanodes: u32) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, mb)| (path.to_string(), mb << 20)).collect();
        let datanodes: Vec<_> = (1..=datanodes).map(DatanodeId).collect();
        let parts = share_files(&files, &datanodes);
        let of = |datanode: &DatanodeId| {
            let parts = parts.iter().filter(|(reader, _)| reader == datanode);
            let parts = parts.map(|(_, part)| match part.is_whole() {
                true => part.path.clone(),
                false => format!("{} {}-{}", part.path, part.start >> 20, part.end >> 20),
            });
            parts.collect::<Vec<_>>().join(", ")
        };
        datanodes.iter().map(of).collect()
    }

    #[test]
    fn datanodes_get_about_as_much() {
        for (files, datanodes, expected) in [
            (&[("a", 90)][..], 3, &["a 0-30", "a 30-60", "a 60-90"][..]),
            (&[("a", 90)], 1, &["a"]),
            // Small files stay whole.
            (&[("a", 10)], 3, &["a", "", ""]),
            (&[("a", 0)], 2, &["a", ""]),
            (&[("a", 20), ("b", 20)], 2, &["a", "b"]),
            (&[("a", 4), ("b", 4), ("c", 4), ("d", 4)], 2, &["a, b", "c, d"]),
            (&[("a", 40), ("b", 20)], 2, &["a 0-30", "a 30-40, b"]),
            (&[("a", 33), ("b", 30)], 2, &["a", "b"]),
            (&[], 2, &["", ""]),
        ] {
            assert_eq!(shared(files, datanodes), expected, "{files:?} for {datanodes}");
        }
    }

    #[test]
    fn nothing_is_left_out_or_read_twice() {
        for count in 1..9_u64 {
            for size in [0, 1, 5, 13, 40, 111] {
                let files: Vec<_> =
                    (0..count).map(|at| (at.to_string(), (size * (at + 1)) << 20)).collect();
                let datanodes: Vec<_> = (1..=5).map(DatanodeId).collect();
                let parts = share_files(&files, &datanodes);
                for (path, length) in &files {
                    let mut end = 0;
                    for (_, part) in parts.iter().filter(|(_, part)| part.path == *path) {
                        assert_eq!(part.start, end, "{path} of {count} by {size}");
                        end = part.end;
                    }
                    assert_eq!(end, *length, "{path} of {count} by {size}");
                }
            }
        }
    }
}
