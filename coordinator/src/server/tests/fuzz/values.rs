//! Bind's values: of each type, as text and binary; and what was read, written again.

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use kestrel_planner::catalog::SqlType;
use kestrel_planner::functions::SessionFormats;
use rand::Rng;

use super::driver::{Random, Target, fuzz};
use super::expect_no_bug;
use super::mutations::{mutate, one_of};
use crate::server::decode::decode_parameters;
use crate::server::{Format, Parameter, RowEncoder};
use crate::session::OutputField;

/// Every type; `copy_data` reads them, too.
pub(super) const TYPES: &[SqlType] = &[
    SqlType::SmallInt,
    SqlType::Integer,
    SqlType::BigInt,
    SqlType::Real,
    SqlType::Double,
    SqlType::Numeric(38, 10),
    SqlType::Numeric(5, 2),
    SqlType::Boolean,
    SqlType::Text,
    SqlType::Varchar(None),
    SqlType::Varchar(Some(3)),
    SqlType::Char(4),
    SqlType::Date,
    SqlType::Time,
    SqlType::Timestamp,
    SqlType::TimestampTz,
    SqlType::Interval,
    SqlType::Uuid,
    SqlType::Bytea,
    SqlType::Oid,
    SqlType::Name,
];

/// Values of some type as text.
pub(super) const TEXTS: &[&[u8]] = &[
    b"",
    b"-32768",
    b" 2147483647 ",
    b"9223372036854775808",
    b"1e-308",
    b"-Infinity",
    b"NaN",
    b"0x1F",
    b"12345678901234567890.12345678901234567890",
    b"-.5e-3",
    b"1e2147483647",
    b"true",
    b"off",
    b"h\xc3\xa9 \xf0\x9f\x90\xa6",
    b"2024-02-29",
    b"29.02.2024 BC",
    b"January 8, 99999",
    b"J2451187",
    b"12:34:56.789012 PM",
    b"24:00:00",
    b"2024-02-29 12:34:56.5+05:30",
    b"294276-12-31 23:59:59.999999 Europe/Berlin",
    b"4714-11-24 00:00:00 BC",
    b"infinity",
    b"epoch",
    b"1 year -2 mons +3 days -04:05:06.7",
    b"P1Y2M3DT4H5M6.7S",
    b"2147483647 years 9223372036854 hours ago",
    b"@ 1.5 weeks",
    b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    b"{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
    b"\\xdeadBEEF",
    b"\\000abc\\\\\\377",
];

/// Values of some type in binary format.
pub(super) const BINARIES: &[&[u8]] = &[
    b"",
    b"\x01",
    b"\x7f\xff",
    b"\0\0\0\x07",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0\0\0\0\0",
    b"\x7f\xf0\0\0\0\0\0\0",
    b"\0\x02\xb5\x83\x41\x6e\x1d\x20",
    b"\0\0\0\x03\x6c\x97\xca\x88\0\0\0\x03\0\0\0\x0e",
    b"0123456789abcdef",
    b"h\xc3\xa9",
    // numerics: -1234.56, 10000^32767, NaN
    b"\0\x02\0\0\x40\0\0\x02\x04\xd2\x15\xe0",
    b"\0\x01\x7f\xff\0\0\0\0\0\x01",
    b"\0\0\0\0\xc0\0\0\0",
];

const ZONES: &[&str] = &["UTC", "Europe/Berlin", "America/St_Johns", "<+05:30>-05:30"];

#[test]
fn values() {
    fuzz(Target { test: "values", make, one_in: 1 }, || check);
}

fn make(random: &mut Random) -> Vec<u8> {
    let mut value = one_of(if random.random() { TEXTS } else { BINARIES }, random).to_vec();
    if random.random_ratio(9, 10) {
        mutate(&mut value, random);
    }
    value
}

/// As one type in one format; the same input comes again for others.
fn check(input: &[u8], random: &mut Random) {
    let sql_type = one_of(TYPES, random);
    let format = one_of(&[Format::Text, Format::Binary], random);
    let settings = [("TimeZone".to_string(), one_of(ZONES, random).to_string())];
    let style = SessionFormats::from_settings(&settings.into()).unwrap();
    let values = vec![Some(Bytes::copy_from_slice(input))];
    match decode_parameters("portal", &[sql_type], &[format], values, &style) {
        Err(error) => expect_no_bug(&error),
        Ok(parameters) => {
            let formats = [Format::Text, Format::Binary];
            formats.into_iter().for_each(|format| write(&parameters[0], format, style));
        }
    }
}

/// What was taken for a value can be shown.
fn write(parameter: &Parameter, format: Format, style: SessionFormats) {
    let sql_type = parameter.sql_type;
    let field = OutputField { name: "v".into(), sql_type, table_oid: 0, column_number: 0 };
    let array = parameter.value.to_array().unwrap();
    let batch = RecordBatch::try_from_iter([("v", array)]).unwrap();
    let encoder = RowEncoder::new(&[field], &[format], style);
    let mut output = BytesMut::new();
    let encoded = encoder
        .prepare(&batch)
        .and_then(|rows| encoder.encode(&rows, 0, 1, &mut output, usize::MAX));
    match encoded {
        Ok(rows) => assert_eq!(rows, 1),
        Err(error) => expect_no_bug(&error),
    }
}
