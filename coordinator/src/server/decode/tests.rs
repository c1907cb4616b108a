//! Parameters as drivers send them.

use std::sync::Arc;

use arrow::datatypes::IntervalMonthDayNano;

use super::*;

/// The formats of a session in this time zone; empty: the default.
fn formats_of(zone: &str) -> SessionFormats {
    let setting = |zone: &str| ("TimeZone".to_string(), zone.to_string());
    let zone = Some(zone).filter(|zone| !zone.is_empty()).map(setting);
    SessionFormats::from_settings(&zone.into_iter().collect()).unwrap()
}

fn decode_one(sql_type: SqlType, format: Format, bytes: &[u8], zone: &str) -> Result<ScalarValue> {
    let style = formats_of(zone);
    let values = vec![Some(Bytes::copy_from_slice(bytes))];
    let mut parameters = decode_parameters("portal \"p\"", &[sql_type], &[format], values, &style)?;
    Ok(parameters.remove(0).value)
}

fn check(sql_type: SqlType, text: &str, expected: ScalarValue) {
    let value = decode_one(sql_type, Format::Text, text.as_bytes(), "").unwrap();
    assert_eq!(value, expected, "{text} as {sql_type}");
}

fn check_error(sql_type: SqlType, text: &str, sqlstate: SqlState, message: &str) {
    let error = decode_one(sql_type, Format::Text, text.as_bytes(), "").unwrap_err();
    assert_eq!((error.sqlstate, error.message.as_str()), (sqlstate, message));
}

fn check_binary(sql_type: SqlType, hex: &str, expected: ScalarValue) {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let value = decode_one(sql_type, Format::Binary, &bytes, "").unwrap();
    assert_eq!(value, expected, "{hex} as {sql_type}");
}

fn decimal(value: i128, precision: u8, scale: i8) -> ScalarValue {
    ScalarValue::Decimal128(Some(value), precision, scale)
}

const NUMERIC: SqlType = SqlType::Numeric(38, 10);
const MICROS: i64 = 1_709_210_096_500_000;

#[test]
fn arrays_and_json() {
    let integers = |values: &[Option<i32>]| {
        let values: Vec<_> = values.iter().map(|v| ScalarValue::Int32(*v)).collect();
        let data_type = SqlType::Integer.arrow();
        ScalarValue::List(ScalarValue::new_list_nullable(&values, &data_type))
    };
    let of_integers = SqlType::Array(Element::Integer);
    check(of_integers, "{1,NULL, 3}", integers(&[Some(1), None, Some(3)]));
    check(of_integers, "{}", integers(&[]));
    check_error(
        of_integers,
        "{x}",
        SqlState::INVALID_TEXT_REPRESENTATION,
        "invalid input syntax for type integer: \"x\"",
    );
    check_binary(
        of_integers,
        "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
        integers(&[Some(1), None, Some(3)]),
    );
    check_binary(of_integers, "000000000000000000000017", integers(&[]));
    let json = ScalarValue::Utf8View(Some("{\"a\": 1}".into()));
    check(SqlType::Jsonb, "{\"a\":1}", json.clone());
    check_binary(SqlType::Jsonb, "017b2261223a20317d", json);
    assert_eq!(parameter_type(1007), Ok(Some(of_integers)));
    let smallints = [ScalarValue::Int16(Some(2)), ScalarValue::Int16(Some(1))];
    let vector = ScalarValue::new_list_nullable(&smallints, &SqlType::SmallInt.arrow());
    check(SqlType::Int2Vector, " 2 1", ScalarValue::List(Arc::clone(&vector)));
    check_binary(
        SqlType::Int2Vector,
        "0000000100000000000000150000000200000000000000020002000000020001",
        ScalarValue::List(vector),
    );
    assert_eq!(parameter_type(30), Ok(Some(SqlType::OidVector)));
}

#[test]
fn text_values() {
    check(SqlType::SmallInt, "-7", ScalarValue::Int16(Some(-7)));
    check(SqlType::Integer, " 7 ", ScalarValue::Int32(Some(7)));
    check(SqlType::BigInt, "+7", ScalarValue::Int64(Some(7)));
    check(SqlType::Oid, "4294967295", ScalarValue::Int64(Some(4_294_967_295)));
    check(SqlType::Double, "1e3", ScalarValue::Float64(Some(1_000.0)));
    check(SqlType::Real, "-Infinity", ScalarValue::Float32(Some(f32::NEG_INFINITY)));
    check(NUMERIC, "-12.50", decimal(-1_250, 4, 2));
    check(NUMERIC, "0.001", decimal(1, 3, 3));
    check(NUMERIC, "1.5e3", decimal(1_500, 4, 0));
    check(NUMERIC, "15e-3", decimal(15, 3, 3));
    check(NUMERIC, ".5", decimal(5, 1, 1));
    check(SqlType::Boolean, "t", ScalarValue::Boolean(Some(true)));
    check(SqlType::Boolean, "OFF", ScalarValue::Boolean(Some(false)));
    check(SqlType::Text, " a ", ScalarValue::Utf8View(Some(" a ".into())));
    check(SqlType::Char(5), "a  ", ScalarValue::Utf8View(Some("a".into())));
    check(SqlType::Bytea, "\\x00fF", ScalarValue::BinaryView(Some(vec![0, 255])));
    check(SqlType::Bytea, "a\\\\\\001", ScalarValue::BinaryView(Some(b"a\\\x01".to_vec())));
    let uuid: Vec<u8> = (0..16).map(|i| i * 17).collect();
    let uuid = ScalarValue::FixedSizeBinary(16, Some(uuid));
    check(SqlType::Uuid, "00112233-4455-6677-8899-aabbccddeeff", uuid.clone());
    check(SqlType::Uuid, "{00112233445566778899AABBCCDDEEFF}", uuid);
    check(SqlType::Date, "2024-02-29", ScalarValue::Date32(Some(19_782)));
    check(SqlType::Time, "12:34:56.5", ScalarValue::Time64Microsecond(Some(45_296_500_000)));
    let timestamp = ScalarValue::TimestampMicrosecond(Some(MICROS), None);
    check(SqlType::Timestamp, "2024-02-29 12:34:56.5", timestamp);
    let interval = IntervalMonthDayNano::new(0, 3, 7_200_000_005_000);
    let interval = ScalarValue::IntervalMonthDayNano(Some(interval));
    check(SqlType::Interval, "3 days 2:00:00.000005", interval);
}

#[test]
fn timestamptz_without_offset_is_in_the_sessions_zone() {
    let expected = ScalarValue::TimestampMicrosecond(Some(MICROS), Some("UTC".into()));
    let cases = [
        ("2024-02-29 12:34:56.5+00", "Asia/Shanghai"),
        ("2024-02-29 20:34:56.5", "Asia/Shanghai"),
        ("2024-02-29 12:34:56.5", ""),
        ("2024-02-29T18:04:56.5+05:30", ""),
    ];
    for (text, zone) in cases {
        let value = decode_one(SqlType::TimestampTz, Format::Text, text.as_bytes(), zone);
        assert_eq!(value.unwrap(), expected, "{text} in {zone}");
    }
}

#[test]
fn wrong_text_is_refused_in_postgresqls_words() {
    let syntax = SqlState::INVALID_TEXT_REPRESENTATION;
    let range = SqlState::NUMERIC_VALUE_OUT_OF_RANGE;
    let cases = [
        (SqlType::Integer, "a1", syntax, "invalid input syntax for type integer: \"a1\""),
        (SqlType::SmallInt, "99999", range, "value \"99999\" is out of range for type smallint"),
        (SqlType::Double, "1e400", range, "\"1e400\" is out of range for type double precision"),
        (SqlType::Boolean, "o", syntax, "invalid input syntax for type boolean: \"o\""),
        (NUMERIC, "1.2.3", syntax, "invalid input syntax for type numeric: \"1.2.3\""),
        (SqlType::Uuid, "0011", syntax, "invalid input syntax for type uuid: \"0011\""),
        (
            SqlType::Date,
            "soon",
            SqlState::INVALID_DATETIME_FORMAT,
            "invalid input syntax for type date: \"soon\"",
        ),
    ];
    for (sql_type, text, sqlstate, message) in cases {
        check_error(sql_type, text, sqlstate, message);
    }
    let digits = "1".repeat(39);
    check_error(NUMERIC, &digits, range, "a numeric parameter has more than 38 digits");
}

#[test]
fn binary_values() {
    check_binary(SqlType::SmallInt, "fffe", ScalarValue::Int16(Some(-2)));
    check_binary(SqlType::Integer, "00000001", ScalarValue::Int32(Some(1)));
    check_binary(SqlType::BigInt, "0000000000000001", ScalarValue::Int64(Some(1)));
    check_binary(SqlType::Double, "3ff8000000000000", ScalarValue::Float64(Some(1.5)));
    check_binary(SqlType::Boolean, "01", ScalarValue::Boolean(Some(true)));
    check_binary(SqlType::Text, "6162", ScalarValue::Utf8View(Some("ab".into())));
    check_binary(SqlType::Date, "00002279", ScalarValue::Date32(Some(19_782)));
    let timestamp = ScalarValue::TimestampMicrosecond(Some(MICROS), None);
    check_binary(SqlType::Timestamp, "0002b583416e1d20", timestamp);
    let interval = IntervalMonthDayNano::new(14, 3, 14_706_789_000_000);
    let interval = ScalarValue::IntervalMonthDayNano(Some(interval));
    check_binary(SqlType::Interval, "000000036c97ca88000000030000000e", interval);
    // numeric_send of 0.00, 10000, -1234.56, 0.0001, 0.00001, 123456.789.
    check_binary(NUMERIC, "0000000000000002", decimal(0, 2, 2));
    check_binary(NUMERIC, "00010001000000000001", decimal(10_000, 5, 0));
    check_binary(NUMERIC, "000200004000000204d215e0", decimal(-123_456, 6, 2));
    check_binary(NUMERIC, "0001ffff000000040001", decimal(1, 4, 4));
    check_binary(NUMERIC, "0001fffe0000000503e8", decimal(1, 5, 5));
    check_binary(NUMERIC, "0003000100000003000c0d801ed2", decimal(123_456_789, 9, 3));
}

#[test]
fn nulls_are_typed_and_lengths_checked() {
    let style = SessionFormats::default();
    let types = [SqlType::Date, NUMERIC];
    let formats = [Format::Text, Format::Binary];
    let parameters = decode_parameters("", &types, &formats, vec![None, None], &style);
    let values: Vec<ScalarValue> = parameters.unwrap().into_iter().map(|p| p.value).collect();
    assert_eq!(values[0], ScalarValue::Date32(None));
    assert!(values[1].is_null());
}

#[test]
fn what_is_no_binary_value_is_told_in_postgresqls_words() {
    let integers = SqlType::Array(Element::Integer);
    // One dimension of one element; of which type, and what it is.
    let array = |oid: u32, item: &[u8]| {
        let words = [1, 0, oid, 1, 1].map(u32::to_be_bytes).concat();
        [&words[..], item].concat()
    };
    for (sql_type, bytes, expected) in [
        (SqlType::Integer, vec![0; 2], "08P01 insufficient data left in message"),
        (SqlType::Integer, vec![0; 5], "22P03 incorrect binary data format in bind parameter 1"),
        (SqlType::Boolean, vec![], "08P01 no data left in message"),
        (NUMERIC, vec![0, 1, 0, 0, 0, 0, 0, 0], "08P01 insufficient data left in message"),
        (
            NUMERIC,
            vec![0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
            "22P03 invalid digit in external \"numeric\" value",
        ),
        (
            NUMERIC,
            vec![0, 1, 0, 0, 0x10, 0, 0, 0, 0, 1],
            "22P03 invalid sign in external \"numeric\" value",
        ),
        (
            NUMERIC,
            vec![0, 1, 0, 10, 0, 0, 0, 0, 0, 1],
            "22003 a numeric parameter has more than 38 digits",
        ),
        (integers, array(23, b"\0\0\0\x09ab"), "22P03 insufficient data left in message"),
        (integers, array(23, b"\0\0\0\x02ab"), "08P01 insufficient data left in message"),
        (
            integers,
            array(23, b"\0\0\0\x05abcde"),
            "22P03 improper binary format in array element 1",
        ),
        (
            integers,
            array(25, b"\0\0\0\x04abcd"),
            "42804 binary data has array element type 25 (text) instead of expected 23 (integer)",
        ),
        (integers, vec![0xff; 12], "22P03 invalid number of dimensions: -1"),
        (integers, [1, 7, 23, 0, 1].map(u32::to_be_bytes).concat(), "22P03 invalid array flags"),
    ] {
        let error = decode_one(sql_type, Format::Binary, &bytes, "").unwrap_err();
        assert_eq!(format!("{} {}", error.sqlstate.as_str(), error.message), expected);
        assert_eq!(error.context.as_deref(), Some("portal \"p\" parameter $1"));
    }
    let error = decode_one(SqlType::Integer, Format::Text, b"secret", "").unwrap_err();
    assert_eq!(error.context.as_deref(), Some("portal \"p\" parameter $1 = '...'"));
    let texts = array(1043, b"\0\0\0\x02ab");
    assert!(decode_one(SqlType::Array(Element::Text), Format::Binary, &texts, "").is_ok());
    let numerics = array(1700, b"\xff\xff\xff\xff");
    let of_numerics = SqlType::Array(Element::Numeric(38, 10));
    assert!(decode_one(of_numerics, Format::Binary, &numerics, "").is_ok());
}

#[test]
fn what_is_no_value_is_refused_in_either_format() {
    let text = SqlState::CHARACTER_NOT_IN_REPERTOIRE;
    let range = SqlState::DATETIME_FIELD_OVERFLOW;
    let cases: &[(SqlType, Format, &[u8], SqlState, &str)] = &[
        (SqlType::Text, Format::Binary, b"a\0b", text, "encoding \"UTF8\": 0x00"),
        (SqlType::Text, Format::Text, b"a\0b", text, "encoding \"UTF8\": 0x00"),
        (SqlType::Text, Format::Text, b"\xffab", text, "encoding \"UTF8\": 0xff"),
        // 5874898-01-01, the day after the last, and the day before the first.
        (SqlType::Date, Format::Binary, &2_145_031_949i32.to_be_bytes(), range, "date out of"),
        (SqlType::Date, Format::Binary, &(-2_451_546i32).to_be_bytes(), range, "date out of"),
        (SqlType::Timestamp, Format::Binary, &(i64::MIN + 1).to_be_bytes(), range, "timestamp"),
        (SqlType::TimestampTz, Format::Binary, &(i64::MAX - 1).to_be_bytes(), range, "timestamp"),
    ];
    for (sql_type, format, bytes, sqlstate, message) in cases {
        let error = decode_one(*sql_type, *format, bytes, "").unwrap_err();
        assert_eq!(error.sqlstate, *sqlstate, "{bytes:?} as {sql_type}");
        assert!(error.message.contains(message), "{bytes:?} as {sql_type}: {}", error.message);
    }
    check_binary(SqlType::Date, "7fffffff", ScalarValue::Date32(Some(i32::MAX)));
}

#[test]
fn declared_types() {
    assert_eq!(parameter_type(0), Ok(None));
    assert_eq!(parameter_type(23), Ok(Some(SqlType::Integer)));
    let error = parameter_type(600).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
}
