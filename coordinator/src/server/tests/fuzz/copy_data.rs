//! COPY's data: read in one piece and cut anywhere, it says the same.

use arrow::array::RecordBatch;
use kestrel_planner::catalog::ColumnDef;
use kestrel_planner::copy::{BinaryReader, CopyLayout, CopyReader, Forced, Header, RecordFormat};
use kestrel_planner::functions::SessionFormats;
use rand::Rng;
use rand::SeedableRng;

use super::driver::{Random, Target, fuzz};
use super::expect_no_bug;
use super::mutations::{mutate, one_of};
use super::values::{BINARIES, TEXTS, TYPES};

const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Between values, and what looks like it.
const SEPARATORS: &[&[u8]] =
    &[b"\t", b",", b"|", b"\t", b",", b"\n", b"\r\n", b"\\.\n", b"\\", b"\""];
/// What COPY's options let through as a delimiter (`planner::parse`'s `check_delimiter`).
const DELIMITERS: &[u8] = b"\t,|;: \x01";
const QUOTES: &[u8] = b"\"'$\\";
const NULLS: &[&str] = &["\\N", "", "NULL", "é"];

#[test]
fn copy_data() {
    fuzz(Target { test: "copy_data", make, one_in: 1 }, || check);
}

fn make(random: &mut Random) -> Vec<u8> {
    let mut data = if random.random_ratio(1, 3) { binary(random) } else { text(random) };
    if random.random_ratio(3, 4) {
        mutate(&mut data, random);
    }
    data
}

fn text(random: &mut Random) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..random.random_range(0..8) {
        if random.random_ratio(1, 4) {
            data.push(b'"');
        }
        let values: [&[u8]; 4] = [b"1", b"7", b"\\N", one_of(TEXTS, random)];
        data.extend_from_slice(one_of(&values, random));
        data.extend_from_slice(one_of(SEPARATORS, random));
    }
    data
}

fn binary(random: &mut Random) -> Vec<u8> {
    let mut data = BINARY_HEADER.to_vec();
    for _ in 0..random.random_range(0..4) {
        let columns: u16 = random.random_range(1..4);
        data.extend_from_slice(&columns.to_be_bytes());
        for _ in 0..columns {
            match one_of(BINARIES, random) {
                b"" => data.extend_from_slice(&[0xff; 4]),
                value => {
                    let length = u32::try_from(value.len()).unwrap();
                    data.extend_from_slice(&length.to_be_bytes());
                    data.extend_from_slice(value);
                }
            }
        }
    }
    if random.random() {
        data.extend_from_slice(b"\xff\xff");
    }
    data
}

fn check(input: &[u8], random: &mut Random) {
    let options = Random::seed_from_u64(random.random());
    let is_binary = input.starts_with(b"PGC");
    let new_reader = || reader(is_binary, &mut options.clone());
    let whole = read(new_reader(), &[input]);
    let first = random.random_range(0..=input.len());
    let second = random.random_range(first..=input.len());
    let pieces = [&input[..first], &input[first..second], &input[second..]];
    assert_eq!(read(new_reader(), &pieces), whole, "cut at {first} and {second}");
}

fn reader(is_binary: bool, random: &mut Random) -> CopyReader {
    let columns: Vec<ColumnDef> = (1..=random.random_range(1..4))
        .map(|id| {
            let sql_type = one_of(TYPES, random);
            ColumnDef {
                id,
                name: format!("c{id}"),
                sql_type,
                not_null: false,
                default: None,
                identity: None,
            }
        })
        .collect();
    if is_binary {
        return CopyReader::binary(BinaryReader::new("t", columns));
    }
    let csv = random.random();
    let null = one_of(NULLS, random);
    let delimiter = one_of(DELIMITERS, random);
    let (quote, escape) = (one_of(QUOTES, random), one_of(QUOTES, random));
    let format = RecordFormat { csv, delimiter, null: null.into(), quote, escape };
    let forced =
        columns.iter().map(|_| Forced { not_null: random.random(), null: random.random() });
    let forced = forced.collect();
    let header = one_of(&[Header::None, Header::Skip, Header::Match], random);
    let (table, formats) = ("t".into(), SessionFormats::default());
    let rejects = random.random();
    CopyReader::records(CopyLayout { table, columns, forced, format, header, formats, rejects })
}

/// The rows, and the errors of reading and of the values.
type Read = (Option<RecordBatch>, Vec<String>);

fn read(mut reader: CopyReader, pieces: &[&[u8]]) -> Read {
    let pushed = pieces.iter().try_for_each(|piece| reader.push(piece));
    let pushed = pushed.and_then(|()| reader.finish());
    let taken = reader.take();
    let errors = [pushed.as_ref().err(), taken.as_ref().err()];
    errors.into_iter().flatten().for_each(expect_no_bug);
    let texts = errors.into_iter().flatten().map(|e| format!("{e} {:?}", e.context)).collect();
    let batch = taken.ok().flatten();
    if let Some(batch) = &batch {
        // Every row has its place.
        assert_eq!(batch.places.rows(), batch.rows.num_rows());
        assert!(!batch.places.context(batch.rows.num_rows() - 1).is_empty());
    }
    (batch.map(|batch| batch.rows), texts)
}
