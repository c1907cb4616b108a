//! Every type's text and binary form, as PostgreSQL 15 gives them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, LargeStringArray, NullArray, StringArray,
    StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::{Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, Schema};

use super::*;

/// The formats of a session in this time zone; empty: the default.
fn formats_of(zone: &str) -> SessionFormats {
    let setting = |zone: &str| ("TimeZone".to_string(), zone.to_string());
    let zone = Some(zone).filter(|zone| !zone.is_empty()).map(setting);
    SessionFormats::from_settings(&zone.into_iter().collect()).unwrap()
}

/// Encodes one column of one row and gives back the cell; `None`: NULL.
fn cell(array: ArrayRef, sql_type: SqlType, format: Format, zone: &str) -> Option<Vec<u8>> {
    let fields = [OutputField { name: "c".into(), sql_type, table_oid: 0, column_number: 0 }];
    let style = formats_of(zone);
    let encoder = RowEncoder::new(&fields, &[format], style);
    let column = arrow::datatypes::Field::new("c", array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![column]));
    let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
    let rows = encoder.prepare(&batch).unwrap();
    let mut out = BytesMut::new();
    assert_eq!(encoder.encode(&rows, 0, usize::MAX, &mut out, usize::MAX).unwrap(), 1);
    assert_eq!(out[0], b'D');
    assert_eq!(i32::from_be_bytes(out[1..5].try_into().unwrap()) as usize, out.len() - 1);
    assert_eq!(out[5..7], [0, 1]);
    match i32::from_be_bytes(out[7..11].try_into().unwrap()) {
        -1 => None,
        length => {
            assert_eq!(length as usize, out.len() - 11);
            Some(out[11..].to_vec())
        }
    }
}

fn text(array: ArrayRef, sql_type: SqlType, zone: &str) -> String {
    String::from_utf8(cell(array, sql_type, Format::Text, zone).unwrap()).unwrap()
}

fn check(array: impl arrow::array::Array + 'static, sql_type: SqlType, expected: &str) {
    assert_eq!(text(Arc::new(array), sql_type, ""), expected, "{sql_type}");
}

fn check_binary(array: impl arrow::array::Array + 'static, sql_type: SqlType, expected: &str) {
    let bytes = cell(Arc::new(array), sql_type, Format::Binary, "").unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected, "{sql_type}");
}

fn decimal(value: i128, precision: u8, scale: i8) -> Decimal128Array {
    Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale).unwrap()
}

fn interval(months: i32, days: i32, micros: i64) -> IntervalMonthDayNanoArray {
    IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, micros * 1_000)])
}

fn uuid() -> FixedSizeBinaryArray {
    let bytes: Vec<u8> = (0..16).map(|i| i * 17).collect();
    FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap()
}

#[test]
fn numbers_as_text() {
    check(Int16Array::from(vec![i16::MIN]), SqlType::SmallInt, "-32768");
    check(Int32Array::from(vec![0]), SqlType::Integer, "0");
    check(Int64Array::from(vec![i64::MIN]), SqlType::BigInt, "-9223372036854775808");
    check(Int64Array::from(vec![i64::MAX]), SqlType::BigInt, "9223372036854775807");
    check(Int64Array::from(vec![4_294_967_295]), SqlType::Oid, "4294967295");
    let cases = [
        (0, 15, 2, "0.00"),
        (-5, 15, 2, "-0.05"),
        (123_456, 15, 2, "1234.56"),
        (-100, 15, 0, "-100"),
        (7, 15, -3, "7000"),
        (0, 15, -3, "0"),
        (i128::from(u64::MAX) * 10, 38, 10, "18446744073.7095516150"),
        (1, 38, 38, "0.00000000000000000000000000000000000001"),
        (10i128.pow(38) - 1, 38, 0, "99999999999999999999999999999999999999"),
        (1 - 10i128.pow(38), 38, 19, "-9999999999999999999.9999999999999999999"),
        (10i128.pow(37), 38, 30, "10000000.000000000000000000000000000000"),
    ];
    for (value, precision, scale, expected) in cases {
        check(decimal(value, precision, scale), SqlType::Numeric(precision, scale), expected);
    }
}

#[test]
fn floats_as_text() {
    let doubles = [
        (1.0, "1"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (1e20, "1e+20"),
        (1e15, "1e+15"),
        (1e14, "100000000000000"),
        (999_999_999_999_999.0, "999999999999999"),
        (123_456.75, "123456.75"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (0.000_123_4, "0.0001234"),
        (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (9_007_199_254_740_993.0, "9.007199254740992e+15"),
        // Ties that read back only by rounding to even.
        (1e23, "9.999999999999999e+22"),
        (2e23, "1.9999999999999998e+23"),
        (8.41e21, "8.409999999999999e+21"),
        // Half-way between two decimals: the even one.
        (1_708_850_971_042_302.2, "1.7088509710423022e+15"),
        (29_049_517_220_146.062, "29049517220146.062"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (value, expected) in doubles {
        check(Float64Array::from(vec![value]), SqlType::Double, expected);
    }
    let singles = [
        (0.1, "0.1"),
        (100_000.0, "100000"),
        (1e6, "1e+06"),
        (16_777_216.0, "1.6777216e+07"),
        (522_541.12, "522541.12"),
        (3.402_823_5e38, "3.4028235e+38"),
        (1e-45, "1e-45"),
        (1e-4, "0.0001"),
    ];
    for (value, expected) in singles {
        check(Float32Array::from(vec![value]), SqlType::Real, expected);
    }
}

#[test]
fn other_types_as_text() {
    check(BooleanArray::from(vec![true]), SqlType::Boolean, "t");
    check(BooleanArray::from(vec![false]), SqlType::Boolean, "f");
    check(StringViewArray::from(vec!["日本"]), SqlType::Text, "日本");
    check(StringViewArray::from(vec!["日本"]), SqlType::Char(4), "日本  ");
    check(StringViewArray::from(vec!["abc"]), SqlType::Char(3), "abc");
    check(StringViewArray::from(vec![""]), SqlType::Char(2), "  ");
    check(StringViewArray::from(vec!["x "]), SqlType::Varchar(Some(5)), "x ");
    check(StringViewArray::from(vec!["pg_class"]), SqlType::Name, "pg_class");
    check(uuid(), SqlType::Uuid, "00112233-4455-6677-8899-aabbccddeeff");
    let bytes: &[u8] = &[0, 255, 16];
    check(BinaryViewArray::from(vec![bytes]), SqlType::Bytea, "\\x00ff10");
}

#[test]
fn dates_and_times_as_text() {
    let dates = [
        (0, "1970-01-01"),
        (19_782, "2024-02-29"),
        (-1, "1969-12-31"),
        (-719_162, "0001-01-01"),
        (-719_163, "0001-12-31 BC"),
        (-735_160, "0044-03-15 BC"),
        (2_932_897, "10000-01-01"),
        (i32::MAX, "infinity"),
        (i32::MIN, "-infinity"),
    ];
    for (days, expected) in dates {
        check(Date32Array::from(vec![days]), SqlType::Date, expected);
    }
    let times = [(0, "00:00:00"), (86_400_000_000, "24:00:00"), (45_296_120_000, "12:34:56.12")];
    for (micros, expected) in times {
        check(Time64MicrosecondArray::from(vec![micros]), SqlType::Time, expected);
    }
    let timestamps = [
        (0, "1970-01-01 00:00:00"),
        (-1, "1969-12-31 23:59:59.999999"),
        (1_709_210_096_500_000, "2024-02-29 12:34:56.5"),
        (-62_135_596_800_000_001, "0001-12-31 23:59:59.999999 BC"),
        (i64::MAX, "infinity"),
    ];
    for (micros, expected) in timestamps {
        check(TimestampMicrosecondArray::from(vec![micros]), SqlType::Timestamp, expected);
    }
}

#[test]
fn timestamptz_follows_the_zone() {
    let cases = [
        (1_709_210_096_500_000, "", "2024-02-29 12:34:56.5+00"),
        (1_709_210_096_500_000, "Asia/Shanghai", "2024-02-29 20:34:56.5+08"),
        (1_709_210_096_500_000, "Asia/Kolkata", "2024-02-29 18:04:56.5+05:30"),
        (1_709_210_096_500_000, "America/New_York", "2024-02-29 07:34:56.5-05"),
        (1_720_000_000_000_000, "America/New_York", "2024-07-03 05:46:40-04"),
        (-2_500_000_000_000_000, "Europe/Berlin", "1890-10-11 20:26:48+00:53:28"),
        (-62_135_596_800_000_001, "", "0001-12-31 23:59:59.999999+00 BC"),
        (i64::MIN, "Asia/Shanghai", "-infinity"),
    ];
    for (micros, zone, expected) in cases {
        let array = TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC");
        assert_eq!(text(Arc::new(array), SqlType::TimestampTz, zone), expected, "{zone}");
    }
}

#[test]
fn intervals_as_text() {
    let cases = [
        (interval(0, 0, 0), "00:00:00"),
        (interval(14, 3, 14_706_789_000), "1 year 2 mons 3 days 04:05:06.789"),
        (interval(-14, 3, -1), "-1 years -2 mons +3 days -00:00:00.000001"),
        (interval(1, -1, 3_600_000_000), "1 mon -1 days +01:00:00"),
        (interval(0, 1, 0), "1 day"),
        (interval(-12, 0, 0), "-1 years"),
        (interval(0, 0, 360_000_000_000), "100:00:00"),
        (interval(0, 0, -90_000_000), "-00:01:30"),
    ];
    for (array, expected) in cases {
        check(array, SqlType::Interval, expected);
    }
}

#[test]
fn binary_forms() {
    check_binary(Int16Array::from(vec![-2]), SqlType::SmallInt, "fffe");
    check_binary(Int32Array::from(vec![1]), SqlType::Integer, "00000001");
    check_binary(Int64Array::from(vec![1]), SqlType::BigInt, "0000000000000001");
    check_binary(Int64Array::from(vec![4_294_967_295]), SqlType::Oid, "ffffffff");
    check_binary(Float32Array::from(vec![1.5]), SqlType::Real, "3fc00000");
    check_binary(Float64Array::from(vec![1.5]), SqlType::Double, "3ff8000000000000");
    check_binary(BooleanArray::from(vec![true]), SqlType::Boolean, "01");
    check_binary(StringViewArray::from(vec!["a"]), SqlType::Char(2), "6120");
    check_binary(StringViewArray::from(vec!["a"]), SqlType::Text, "61");
    check_binary(Date32Array::from(vec![19_782]), SqlType::Date, "00002279");
    check_binary(Date32Array::from(vec![i32::MAX]), SqlType::Date, "7fffffff");
    check_binary(Time64MicrosecondArray::from(vec![1]), SqlType::Time, "0000000000000001");
    let micros = 1_709_210_096_500_000;
    let timestamp = TimestampMicrosecondArray::from(vec![micros]);
    check_binary(timestamp.clone(), SqlType::Timestamp, "0002b583416e1d20");
    check_binary(timestamp.with_timezone("UTC"), SqlType::TimestampTz, "0002b583416e1d20");
    check_binary(
        interval(14, 3, 14_706_789_000),
        SqlType::Interval,
        "000000036c97ca88000000030000000e",
    );
    check_binary(uuid(), SqlType::Uuid, "00112233445566778899aabbccddeeff");
    let bytes: &[u8] = &[0, 255];
    check_binary(BinaryViewArray::from(vec![bytes]), SqlType::Bytea, "00ff");
}

#[test]
fn arrays_and_json() {
    use arrow::array::ListArray;
    use kestrel_planner::catalog::Element;
    let integers = |values: Vec<Option<i32>>| {
        ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(values)])
    };
    let texts = || {
        let values: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b c"]));
        let item = arrow::datatypes::Field::new_list_field(values.data_type().clone(), true);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
        ListArray::new(Arc::new(item), offsets, values, None)
    };
    let (of_integers, of_texts) = (SqlType::Array(Element::Integer), SqlType::Array(Element::Text));
    check(integers(vec![Some(1), None, Some(3)]), of_integers, "{1,NULL,3}");
    check(integers(vec![]), of_integers, "{}");
    check(texts(), of_texts, "{a,\"b c\"}");
    // array_send, jsonb_send
    check_binary(
        integers(vec![Some(1), None, Some(3)]),
        of_integers,
        "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
    );
    check_binary(integers(vec![]), of_integers, "000000000000000000000017");
    check_binary(
        texts(),
        of_texts,
        "0000000100000000000000190000000200000001000000016100000003622063",
    );
    let smallints = |values: Vec<Option<i16>>| {
        ListArray::from_iter_primitive::<Int16Type, _, _>(vec![Some(values)])
    };
    let oids = |values: Vec<Option<i64>>| {
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(values)])
    };
    check(smallints(vec![Some(2), Some(1)]), SqlType::Int2Vector, "2 1");
    check(smallints(vec![]), SqlType::Int2Vector, "");
    check(oids(vec![Some(1978), Some(3126)]), SqlType::OidVector, "1978 3126");
    // int2vectorsend and oidvectorsend are array_send; the lower bound is 0.
    check_binary(
        smallints(vec![Some(2), Some(1)]),
        SqlType::Int2Vector,
        "000000010000000000000015000000020000000000000002000200000002\
         0001",
    );
    check_binary(
        oids(vec![Some(1978)]),
        SqlType::OidVector,
        "00000001000000000000001a000000010000000000000004000007ba",
    );
    check_binary(
        smallints(vec![]),
        SqlType::Int2Vector,
        "0000000100000000000000150000000000000000",
    );
    let json = || StringViewArray::from(vec!["{\"a\": 1}"]);
    check(json(), SqlType::Jsonb, "{\"a\": 1}");
    check_binary(json(), SqlType::Jsonb, "017b2261223a20317d");
    check_binary(json(), SqlType::Json, "7b2261223a20317d");
}

#[test]
fn numerics_in_binary() {
    // As numeric_send of PostgreSQL 15 gives them.
    let cases = [
        (0, 2, "0000000000000002"),
        (1, 0, "00010000000000000001"),
        (10_000, 0, "00010001000000000001"),
        (-123_456, 2, "000200004000000204d215e0"),
        (1, 4, "0001ffff000000040001"),
        (1, 5, "0001fffe0000000503e8"),
        (123_456_789, 3, "0003000100000003000c0d801ed2"),
        (1, 38, "0001fff6000000260064"),
        (10i128.pow(38) - 1, 0, "000a0009000000000063270f270f270f270f270f270f270f270f270f"),
        (1 - 10i128.pow(38), 19, "000a00044000001303e7270f270f270f270f270f270f270f270f2706"),
        (10i128.pow(37), 30, "000100010000001e03e8"),
        (1_234_567_890_123_456, 16, "0004ffff0000001004d2162e23340d80"),
        (
            12_345_678_901_234_567_890_123_456_789_012_345_678,
            8,
            "000a000700000008000c0d801ed204d2162e23340d801ed204d2162e",
        ),
        (5, 1, "0001ffff000000011388"),
    ];
    for (value, scale, expected) in cases {
        check_binary(decimal(value, 38, scale), SqlType::Numeric(38, scale), expected);
    }
}

#[test]
fn other_arrow_forms_are_cast() {
    check(Int8Array::from(vec![-7]), SqlType::SmallInt, "-7");
    check(UInt32Array::from(vec![u32::MAX]), SqlType::BigInt, "4294967295");
    check(UInt32Array::from(vec![u32::MAX]), SqlType::Oid, "4294967295");
    check(UInt64Array::from(vec![u64::MAX]), SqlType::Numeric(20, 0), "18446744073709551615");
    check(StringArray::from(vec!["a"]), SqlType::Text, "a");
    check(LargeStringArray::from(vec!["a"]), SqlType::Char(2), "a ");
    let dictionary: DictionaryArray<Int32Type> = ["x", "y"].into_iter().collect();
    let dictionary = arrow::array::Array::slice(&dictionary, 1, 1);
    assert_eq!(text(dictionary, SqlType::Text, ""), "y");
    check(
        TimestampNanosecondArray::from(vec![1_000]),
        SqlType::Timestamp,
        "1970-01-01 00:00:00.000001",
    );
    check(decimal(12_345, 9, 3), SqlType::Numeric(38, 3), "12.345");
    check(decimal(12_345, 9, 3), SqlType::Numeric(38, 4), "12.3450");
    assert_eq!(cell(Arc::new(NullArray::new(1)), SqlType::Integer, Format::Text, ""), None);
    let zone = TimestampMicrosecondArray::from(vec![0]).with_timezone("Asia/Tokyo");
    check(zone, SqlType::TimestampTz, "1970-01-01 00:00:00+00");
}

#[test]
fn encoding_stops_at_the_byte_limit() {
    let fields = [OutputField {
        name: "c".into(),
        sql_type: SqlType::Integer,
        table_oid: 0,
        column_number: 0,
    }];
    let encoder = RowEncoder::new(&fields, &[Format::Text], SessionFormats::default());
    let array: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10));
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    let rows = encoder.prepare(&batch).unwrap();
    let mut out = BytesMut::new();
    // A row of one digit takes 12 bytes.
    assert_eq!(encoder.encode(&rows, 0, 10, &mut out, 30).unwrap(), 3);
    assert_eq!(encoder.encode(&rows, 3, 2, &mut out, 1_000).unwrap(), 2);
    assert_eq!(encoder.encode(&rows, 5, 10, &mut out, 0).unwrap(), 1);
    assert_eq!(out.len(), 6 * 12);
}

#[test]
fn a_batch_of_other_columns_is_a_bug() {
    let encoder = RowEncoder::new(&[], &[], SessionFormats::default());
    let array: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    let error = encoder.prepare(&batch).err().unwrap();
    assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
}
