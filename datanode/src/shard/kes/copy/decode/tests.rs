//! Rows that are encoded are decoded again, whatever they are; data that are none are refused.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
        FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
        IntervalMonthDayNanoArray, RecordBatch, StringViewArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    },
    datatypes::{Date32Type, IntervalMonthDayNano, Schema, TimestampMicrosecondType},
};
use kestrel_planner::catalog::SqlType;
use kestrel_proto::Result;

use super::{DecodePool, decode_chunk};
use crate::shard::kes::copy::{ChunkLimits, CopyEncoder, CopyLayout, RowFinder};

const MAX_38_DIGITS: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;
/// The first and the last day of PostgreSQL's calendar, in days since 1970.
const DAYS: (i32, i32) = (-2_440_588, 2_145_042_905);
/// Its first microsecond since 1970, and the last that fits 64 bits in both counts.
const MICROS: (i64, i64) = (-210_866_803_200_000_000, i64::MAX - 1);

/// Every type that a column of a table can have.
const TYPES: &[SqlType] = &[
    SqlType::SmallInt,
    SqlType::Integer,
    SqlType::BigInt,
    SqlType::Real,
    SqlType::Double,
    SqlType::Numeric(15, 2),
    SqlType::Numeric(38, 10),
    SqlType::Numeric(38, 38),
    SqlType::Numeric(9, 0),
    SqlType::Numeric(5, -3),
    SqlType::Boolean,
    SqlType::Text,
    SqlType::Varchar(None),
    SqlType::Varchar(Some(44)),
    SqlType::Char(10),
    SqlType::Date,
    SqlType::Time,
    SqlType::Timestamp,
    SqlType::TimestampTz,
    SqlType::Interval,
    SqlType::Uuid,
    SqlType::Bytea,
    SqlType::Oid,
    SqlType::Name,
    SqlType::Json,
    SqlType::Jsonb,
];

/// Marsaglia's xorshift64: "Xorshift RNGs", Journal of Statistical Software 8 (2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of the extremes, or a number of any length.
    fn number(&mut self, extremes: &[i128], limits: (i128, i128)) -> i128 {
        if self.below(8) == 0 {
            return extremes[self.below(extremes.len() as u64) as usize];
        }
        let bits = self.below(128) as u32;
        let wide = i128::from(self.next()) << 64 | i128::from(self.next());
        (wide >> bits).clamp(limits.0, limits.1)
    }

    fn signed(&mut self, min: i128, max: i128) -> i128 {
        let number = self.number(&[0, min, max, 1, -1], (min, max));
        if self.below(2) == 0 || -number > max { number } else { -number }
    }

    fn text(&mut self, chars: u64) -> String {
        const LETTERS: [char; 8] = ['a', 'Z', ' ', '0', 'é', '漢', '🦅', '\n'];
        let chars = self.below(chars + 1);
        let mut text: String = (0..chars).map(|_| LETTERS[self.below(8) as usize]).collect();
        // Most texts have no special letters.
        if self.below(3) > 0 {
            text = text.replace(|c: char| !c.is_ascii(), "x");
        }
        text
    }

    /// Values of a type, some of them NULL.
    #[expect(clippy::too_many_lines, reason = "one arm per type")]
    fn array(&mut self, sql_type: SqlType, rows: usize, nulls: bool) -> ArrayRef {
        macro_rules! collect {
            ($array:ty, $value:expr) => {{
                let value = |_| (!nulls || self.below(5) > 0).then(|| $value);
                (0..rows).map(value).collect::<$array>()
            }};
        }
        match sql_type {
            SqlType::SmallInt => {
                Arc::new(collect!(Int16Array, self.signed(-0x8000, 0x7fff) as i16))
            }
            SqlType::Integer => {
                let (min, max) = (i128::from(i32::MIN), i128::from(i32::MAX));
                Arc::new(collect!(Int32Array, self.signed(min, max) as i32))
            }
            SqlType::BigInt => {
                let (min, max) = (i128::from(i64::MIN), i128::from(i64::MAX));
                Arc::new(collect!(Int64Array, self.signed(min, max) as i64))
            }
            SqlType::Oid => Arc::new(collect!(Int64Array, self.below(1 << 32) as i64)),
            SqlType::Real => Arc::new(collect!(Float32Array, f32::from_bits(self.next() as u32))),
            SqlType::Double => Arc::new(collect!(Float64Array, f64::from_bits(self.next()))),
            SqlType::Numeric(precision, _) => {
                let max =
                    if precision == 38 { MAX_38_DIGITS } else { 10i128.pow(precision.into()) - 1 };
                let array = collect!(Decimal128Array, self.signed(-max, max));
                Arc::new(array.with_data_type(sql_type.arrow()))
            }
            SqlType::Boolean => Arc::new(collect!(BooleanArray, self.below(2) == 0)),
            SqlType::Char(n) => {
                let value = |text: String| text.trim_end_matches(' ').to_string();
                Arc::new(collect!(StringViewArray, value(self.text(n.into()))))
            }
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Name
            | SqlType::Json
            | SqlType::Jsonb => Arc::new(collect!(StringViewArray, self.text(40))),
            SqlType::Date => {
                let (min, max) = (i128::from(DAYS.0), i128::from(DAYS.1));
                let ends = [min, max, 0, i128::from(i32::MIN), i128::from(i32::MAX)];
                Arc::new(collect!(Date32Array, self.number(&ends, (min, max)) as i32))
            }
            SqlType::Time => {
                let limits = (0, 86_400_000_000);
                let ends = [limits.0, limits.1];
                Arc::new(collect!(Time64MicrosecondArray, self.number(&ends, limits) as i64))
            }
            SqlType::Timestamp | SqlType::TimestampTz => {
                let limits = (i128::from(MICROS.0), i128::from(MICROS.1));
                let ends = [limits.0, limits.1, 0, i128::from(i64::MIN), i128::from(i64::MAX)];
                let array = collect!(TimestampMicrosecondArray, self.number(&ends, limits) as i64);
                Arc::new(array.with_data_type(sql_type.arrow()))
            }
            SqlType::Interval => {
                let micros = i128::from(i64::MAX / 1000);
                Arc::new(collect!(
                    IntervalMonthDayNanoArray,
                    IntervalMonthDayNano::new(
                        self.next() as i32,
                        self.next() as i32,
                        self.signed(-micros, micros) as i64 * 1000,
                    )
                ))
            }
            SqlType::Uuid => {
                let value =
                    |high: u64, low: u64| (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
                let values: Vec<_> = (0..rows)
                    .map(|_| (!nulls || self.below(5) > 0).then(|| value(self.next(), self.next())))
                    .collect();
                let array =
                    FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16);
                Arc::new(array.unwrap())
            }
            SqlType::Bytea => Arc::new(collect!(
                BinaryViewArray,
                (0..self.below(30)).map(|_| self.next() as u8).collect::<Vec<u8>>()
            )),
            SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => {
                panic!("no column of a table is an array")
            }
        }
    }
}

fn layout(types: &[SqlType]) -> CopyLayout {
    let oids: Vec<u32> = types.iter().map(|sql_type| sql_type.oid()).collect();
    layout_of(types, &oids)
}

fn layout_of(types: &[SqlType], oids: &[u32]) -> CopyLayout {
    let fields = types.iter().enumerate();
    let fields: Vec<_> = fields.map(|(at, t)| t.field(&format!("c{at}"), true)).collect();
    CopyLayout::try_new("t", Arc::new(Schema::new(fields)), oids).unwrap()
}

fn encode(layout: &CopyLayout, batches: &[RecordBatch]) -> Vec<u8> {
    let (mut encoder, mut payloads) = (CopyEncoder::new(layout.clone()), Vec::new());
    for batch in batches {
        encoder.encode(batch, &mut payloads).unwrap();
    }
    encoder.finish(&mut payloads);
    payloads.concat()
}

/// The batches of data that come in these pieces.
fn decode<'a>(
    layout: &CopyLayout,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    rows: usize,
) -> Result<Vec<RecordBatch>> {
    let limits = ChunkLimits { rows, ..ChunkLimits::default() };
    let (mut finder, mut chunks) =
        (RowFinder::new(layout.schema().fields().len(), limits), Vec::new());
    for piece in pieces {
        finder.push(piece, &mut chunks)?;
    }
    chunks.extend(finder.finish()?);
    chunks.iter().map(|chunk| decode_chunk(layout, chunk)).collect()
}

#[test]
fn every_type_is_decoded_as_it_was_encoded() {
    let pool = DecodePool::try_new(2).unwrap();
    for seed in 1..40 {
        let mut random = Random(seed * 0x9e37_79b9_7f4a_7c15);
        let (rows, layout) = (1 + random.below(700) as usize, layout(TYPES));
        let with_nulls = random.below(4) > 0;
        let columns = TYPES.iter().map(|t| random.array(*t, rows, with_nulls)).collect();
        let batch = RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap();
        let data =
            encode(&layout, &[batch.slice(0, rows / 2), batch.slice(rows / 2, rows - rows / 2)]);
        let pieces = data.chunks(1 + random.below(300) as usize);
        let batches = decode(&layout, pieces, 1 + random.below(200) as usize).unwrap();
        let decoded = arrow::compute::concat_batches(layout.schema(), &batches).unwrap();
        for (at, sql_type) in TYPES.iter().enumerate() {
            assert_same(decoded.column(at), batch.column(at), &format!("{sql_type}, seed {seed}"));
        }
        // The same in parallel.
        let (mut finder, mut chunks) =
            (RowFinder::new(TYPES.len(), ChunkLimits::default()), vec![]);
        finder.push(&data, &mut chunks).unwrap();
        let chunk = finder.finish().unwrap().unwrap();
        assert_eq!(
            bits(&pool.decode_blocking(&layout, &chunk).unwrap()),
            bits(&decode_chunk(&layout, &chunk).unwrap())
        );
    }
}

/// Floats by their bits: NaN is equal to itself.
fn assert_same(decoded: &ArrayRef, expected: &ArrayRef, what: &str) {
    assert_eq!(decoded.data_type(), expected.data_type(), "{what}");
    assert_eq!(&float_bits(decoded), &float_bits(expected), "{what}");
}

fn bits(batch: &RecordBatch) -> Vec<ArrayRef> {
    batch.columns().iter().map(float_bits).collect()
}

fn float_bits(array: &ArrayRef) -> ArrayRef {
    use arrow::datatypes::{Float32Type, Float64Type, UInt32Type, UInt64Type};
    if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
        return Arc::new(floats.unary::<_, UInt32Type>(f32::to_bits));
    }
    match array.as_primitive_opt::<Float64Type>() {
        Some(floats) => Arc::new(floats.unary::<_, UInt64Type>(f64::to_bits)),
        None => Arc::clone(array),
    }
}

#[test]
fn rows_without_columns_are_counted() {
    let layout = layout(&[]);
    let data = [&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..], b"\0\0\0\0\0\0\xff\xff"].concat();
    let batches = decode(&layout, [data.as_slice()], 2).unwrap();
    let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [2, 1]);
}

#[test]
fn dates_and_timestamps_are_read_as_each_other() {
    // As the shard's timestamp (1114) to our date, and the other way round.
    let layout = layout_of(&[SqlType::Date, SqlType::Timestamp], &[1114, 1082]);
    let days = [0, -1, DAYS.0, 100_000_000, i32::MIN, i32::MAX];
    let micros = [0, -86_400_000_000, MICROS.0, 8_640_000_000_000_000_000, i64::MIN, i64::MAX];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from(days.to_vec())),
        Arc::new(TimestampMicrosecondArray::from(micros.to_vec())),
    ];
    let batch = RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap();
    let data = encode(&layout, &[batch]);
    let decoded = decode(&layout, [data.as_slice()], 10).unwrap().remove(0);
    assert_eq!(decoded.column(0).as_primitive::<Date32Type>().values().as_ref(), days);
    let timestamps = decoded.column(1).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(timestamps.values().as_ref(), micros);
}

#[test]
fn what_is_no_value_is_refused() {
    use SqlType::*;
    let numeric = Numeric(6, 2);
    let end_of_days = 2_145_031_949_i32.to_be_bytes();
    let last_timestamp = 9_223_371_331_199_999_999_i64.to_be_bytes();
    for (sql_type, oid, bytes, expected) in [
        (Integer, 23, &b"\0\0\0"[..], "08P01 insufficient data left in message"),
        (Integer, 23, b"\0\0\0\0\0", "22P03 incorrect binary data format"),
        (Boolean, 16, b"", "08P01 insufficient data left in message"),
        (
            numeric,
            1700,
            b"\0\0\0\0\xc0\0\0\0",
            "22003 numeric values NaN and infinity are not supported",
        ),
        (
            numeric,
            1700,
            b"\0\0\0\0\xd0\0\0\x20",
            "22003 numeric values NaN and infinity are not supported",
        ),
        (numeric, 1700, b"\0\x01\0\x01\0\0\0\0\0\x01", "22003 numeric field overflow"),
        (
            numeric,
            1700,
            b"\0\x01\xff\xff\0\0\0\x03\x03\xe1",
            "22003 a number has more digits behind the point than its column",
        ),
        (numeric, 1700, b"\0\x01\0\0", "08P01 insufficient data left in message"),
        (numeric, 1700, b"\0\0\0\0\0\0\0\x02\0", "22P03 incorrect binary data format"),
        (Date, 1082, &end_of_days, "22008 date out of range"),
        (Date, 1114, b"\0\0\0\0\0\0\0\x01", "22008 a timestamp with a time of day is no date"),
        (Timestamp, 1082, b"\x7f\xd0\0\0", "22008 timestamp out of range"),
        (Timestamp, 1114, &last_timestamp, "22008 timestamp out of range"),
        (Time, 1083, &(-1i64).to_be_bytes(), "22008 time out of range"),
        (Interval, 1186, &[0x7f; 16], "22008 interval out of range"),
        (Text, 25, b"abc\xffd", "22021 invalid byte sequence for encoding \"UTF8\": 0xff"),
        (
            Text,
            25,
            b"a long text, not held inline \xc3",
            "22021 invalid byte sequence for encoding \"UTF8\": 0xc3",
        ),
        (Jsonb, 3802, b"\x02{}", "08P01 unsupported jsonb version number"),
        (Jsonb, 3802, b"", "08P01 unsupported jsonb version number"),
    ] {
        let layout = layout_of(&[Integer, sql_type], &[23, oid]);
        let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\xff\xff\xff\xff".to_vec();
        data.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        data.extend_from_slice(bytes);
        data.extend_from_slice(b"\xff\xff");
        let error = decode(&layout, [data.as_slice()], 10).unwrap_err();
        assert_eq!(format!("{} {}", error.sqlstate.as_str(), error.message), expected);
        let detail = error.detail.unwrap_or_default();
        assert!(detail.ends_with("In column \"c1\" of table \"t\"."), "{detail}");
        assert_eq!(error.object.map(|object| object.column), Some("c1".into()));
    }
}

#[test]
fn types_that_are_not_read_as_each_other_are_refused() {
    let schema = Arc::new(Schema::new(vec![SqlType::Integer.field("a", true)]));
    for (oids, expected) in [
        (&[20][..], "0A000 column \"a\" of table \"t\" cannot be of type integer"),
        (&[], "XX000 COPY data of 1 fields and 0 types"),
    ] {
        let error = CopyLayout::try_new("t", Arc::clone(&schema), oids).unwrap_err();
        assert_eq!(format!("{} {}", error.sqlstate.as_str(), error.message), expected);
    }
}

/// Truncated anywhere it is an error. With other bytes in it, it is an error or other values, and
/// never a panic or memory that the data do not justify.
#[test]
fn damaged_data_do_no_harm() {
    let layout = layout(TYPES);
    let mut random = Random(0x5eed);
    let columns = TYPES.iter().map(|t| random.array(*t, 20, true)).collect();
    let batch = RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap();
    let data = encode(&layout, &[batch]);
    for end in 0..data.len() {
        let error = decode(&layout, [&data[..end]], 3).unwrap_err();
        assert_eq!(error.sqlstate.as_str(), "08P01", "cut at {end}");
    }
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut damaged = data.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(damaged.len() as u64) as usize;
            match random.below(4) {
                0 => damaged[at] ^= 1 << random.below(8),
                1 => damaged[at] = random.next() as u8,
                2 => drop(damaged.remove(at)),
                _ => damaged.insert(at, random.next() as u8),
            }
        }
        let pieces = damaged.chunks(1 + random.below(500) as usize);
        match decode(&layout, pieces, 1 + random.below(30) as usize) {
            Ok(batches) => batches.iter().for_each(|batch| assert!(batch.num_rows() <= 30)),
            Err(error) => {
                assert_ne!(error.sqlstate.as_str(), "XX000", "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 5_000, "only {refused} were refused");
}
