//! Random values of every type that a shard's database holds, and their literals.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use kestrel_datanode::shard::kes::sql::literal;
use kestrel_planner::catalog::SqlType;

use super::seed;
use crate::{
    generate::Rng,
    support::{Session, postgres},
};

/// All types of columns.
pub(super) const TYPES: [SqlType; 19] = [
    SqlType::SmallInt,
    SqlType::Integer,
    SqlType::BigInt,
    SqlType::Real,
    SqlType::Double,
    SqlType::Numeric(15, 2),
    SqlType::Numeric(38, 9),
    SqlType::Boolean,
    SqlType::Text,
    SqlType::Varchar(Some(12)),
    SqlType::Char(6),
    SqlType::Date,
    SqlType::Time,
    SqlType::Timestamp,
    SqlType::TimestampTz,
    SqlType::Interval,
    SqlType::Uuid,
    SqlType::Bytea,
    SqlType::Json,
];

/// What statements are made of.
const PIECES: [&str; 22] = [
    "a", "B", "é", "🦅", "'", "''", "\"", "\\", "\\'", "--", "/*", "*/", ";", "$$", "$1", "%", "_",
    " ", "\n", "\u{7f}", "\u{80}", "\u{feff}",
];

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// A text of such pieces, of no more than `longest` characters.
pub(super) fn text(rng: &mut Rng, longest: usize) -> String {
    let mut text = String::new();
    for _ in 0..rng.below(8) {
        let piece: &&str = rng.pick(&PIECES);
        text.push_str(piece);
    }
    text.chars().take(longest).collect()
}

/// A value as Kestrel holds it; often one that many others equal. Never NULL.
pub(super) fn value(rng: &mut Rng, sql_type: SqlType) -> ScalarValue {
    use ScalarValue as V;
    let usual = rng.chance(70);
    let integer = |rng: &mut Rng, lowest: i64, highest: i64| match usual {
        true => rng.between(-3, 3),
        false => *rng.pick(&[lowest, lowest + 1, highest - 1, highest, 1000, -77]),
    };
    match sql_type {
        SqlType::SmallInt => V::Int16(Some(integer(rng, -32_768, 32_767) as i16)),
        SqlType::Integer => V::Int32(Some(integer(rng, i32::MIN.into(), i32::MAX.into()) as i32)),
        SqlType::BigInt => V::Int64(Some(integer(rng, i64::MIN, i64::MAX))),
        SqlType::Real => {
            let odd = [f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, 0.1];
            let value = if usual { rng.between(-3, 3) as f32 } else { *rng.pick(&odd) };
            V::Float32(Some(value))
        }
        SqlType::Double => {
            let odd = [f64::NAN, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX, 0.1 + 0.2, 1e23];
            let value = if usual { rng.between(-3, 3) as f64 / 2.0 } else { *rng.pick(&odd) };
            V::Float64(Some(value))
        }
        SqlType::Numeric(precision, scale) => {
            let unit = 10_i128.pow(scale as u32);
            let most = 10_i128.pow(precision.into()) - 1;
            let odd = [most, -most, 1, -1, unit * 10_000, unit / 4];
            let value = if usual { i128::from(rng.between(-3, 3)) * unit } else { *rng.pick(&odd) };
            V::Decimal128(Some(value), precision, scale)
        }
        SqlType::Boolean => V::Boolean(Some(rng.chance(50))),
        SqlType::Text | SqlType::Varchar(None) => V::Utf8View(Some(word(rng, 30, usual))),
        SqlType::Varchar(Some(n)) => V::Utf8View(Some(word(rng, n as usize, usual))),
        // Held without its blanks.
        SqlType::Char(n) => {
            V::Utf8View(Some(word(rng, n as usize, usual).trim_end_matches(' ').into()))
        }
        SqlType::Json | SqlType::Jsonb => V::Utf8View(Some(format!("[{}]", rng.below(9)))),
        SqlType::Date => {
            let odd = [-2_440_588, 2_145_042_905, -719_529, 2_932_897, 59];
            V::Date32(Some(if usual { rng.between(-3, 3) as i32 } else { *rng.pick(&odd) }))
        }
        SqlType::Time => V::Time64Microsecond(Some(match usual {
            true => rng.between(0, 3) * HOUR_US,
            false => *rng.pick(&[DAY_US, DAY_US - 1, 1, 61_000_001]),
        })),
        SqlType::Timestamp => V::TimestampMicrosecond(Some(moment(rng, usual)), None),
        SqlType::TimestampTz => {
            V::TimestampMicrosecond(Some(moment(rng, usual)), Some("UTC".into()))
        }
        SqlType::Interval => {
            let fields = [rng.between(-14, 14), rng.between(-40, 40)];
            let micros = *rng.pick(&[0, 1, -1, HOUR_US, -HOUR_US - 1, 30 * DAY_US]);
            V::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
                fields[0] as i32,
                fields[1] as i32,
                micros * 1000,
            )))
        }
        SqlType::Uuid => V::FixedSizeBinary(16, Some(vec![rng.below(4) as u8; 16])),
        SqlType::Bytea => {
            let length = rng.below(4);
            let byte = |_| *rng.pick(&[0, 39, 92, 128, 255, 65]);
            V::BinaryView(Some((0..length).map(byte).collect()))
        }
        SqlType::Oid
        | SqlType::Name
        | SqlType::Array(_)
        | SqlType::Int2Vector
        | SqlType::OidVector => panic!("no columns of {sql_type}"),
    }
}

fn word(rng: &mut Rng, longest: usize, usual: bool) -> String {
    match usual {
        true => {
            rng.pick(&["", "a", "A", "ab", "b", "é", "a ", " a"]).chars().take(longest).collect()
        }
        false => text(rng, longest),
    }
}

fn moment(rng: &mut Rng, usual: bool) -> i64 {
    match usual {
        true => rng.between(-3, 3) * DAY_US,
        false => *rng.pick(&[
            -210_866_803_200_000_000,
            i64::MAX - 1,
            -1,
            1_582_934_399_999_999,
            -62_135_596_800_000_001,
        ]),
    }
}

/// The value's bytes in PostgreSQL's binary format, as hexadecimal digits, and the function that
/// gives them; of types of no fixed form the text and the cast.
fn sent(value: &ScalarValue, sql_type: SqlType) -> (&'static str, String) {
    use ScalarValue as V;
    const EPOCH_DAYS: i32 = 10_957;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match (value, sql_type) {
        (V::Int16(Some(v)), _) => ("int2send", hex(&v.to_be_bytes())),
        (V::Int32(Some(v)), _) => ("int4send", hex(&v.to_be_bytes())),
        (V::Int64(Some(v)), _) => ("int8send", hex(&v.to_be_bytes())),
        (V::Float32(Some(v)), _) => ("float4send", hex(&v.to_be_bytes())),
        (V::Float64(Some(v)), _) => ("float8send", hex(&v.to_be_bytes())),
        (V::Boolean(Some(v)), _) => ("boolsend", hex(&[u8::from(*v)])),
        (V::Utf8View(Some(v)), SqlType::Char(_)) => ("bpcharsend", hex(v.as_bytes())),
        (V::Utf8View(Some(v)), SqlType::Json) => ("json_send", hex(v.as_bytes())),
        (V::Utf8View(Some(v)), SqlType::Varchar(_)) => ("varcharsend", hex(v.as_bytes())),
        (V::Utf8View(Some(v)), _) => ("textsend", hex(v.as_bytes())),
        (V::Date32(Some(v)), _) => ("date_send", hex(&(v - EPOCH_DAYS).to_be_bytes())),
        (V::Time64Microsecond(Some(v)), _) => ("time_send", hex(&v.to_be_bytes())),
        (V::TimestampMicrosecond(Some(v), zone), _) => {
            let since_2000 = v - i64::from(EPOCH_DAYS) * DAY_US;
            let function = if zone.is_some() { "timestamptz_send" } else { "timestamp_send" };
            (function, hex(&since_2000.to_be_bytes()))
        }
        (V::IntervalMonthDayNano(Some(v)), _) => {
            let micros = (v.nanoseconds / 1000).to_be_bytes();
            let bytes = [&micros[..], &v.days.to_be_bytes(), &v.months.to_be_bytes()].concat();
            ("interval_send", hex(&bytes))
        }
        (V::FixedSizeBinary(16, Some(v)), _) => ("uuid_send", hex(v)),
        (V::BinaryView(Some(v)), _) => ("byteasend", hex(v)),
        (other, _) => panic!("no binary form of {other:?}"),
    }
}

#[tokio::test]
async fn literals_are_read_back_exactly_under_every_setting() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    let mut rng = Rng::new(seed());
    for settings in [
        "SET DateStyle = 'ISO, MDY'",
        "SET DateStyle = 'German, DMY'; SET IntervalStyle = sql_standard; SET TimeZone = 'Asia/Tokyo'",
        "SET DateStyle = 'SQL, DMY'; SET IntervalStyle = iso_8601; SET extra_float_digits = 0",
    ] {
        session.run_all(settings.split(';')).await;
        for sql_type in TYPES {
            for _ in 0..60 {
                let value = value(&mut rng, sql_type);
                let literal = literal(&value, sql_type).unwrap();
                if let ScalarValue::Decimal128(Some(digits), _, scale) = value {
                    let scaled =
                        session.value(&format!("SELECT trunc({literal} * 1e{scale})")).await;
                    assert_eq!(scaled, digits.to_string(), "seed {}: {literal}", seed());
                    continue;
                }
                let (function, expected) = sent(&value, sql_type);
                let got =
                    session.value(&format!("SELECT encode({function}({literal}), 'hex')")).await;
                // A NaN has many forms.
                let is_nan = literal.starts_with("'NaN'");
                assert!(
                    got == expected || is_nan,
                    "seed {}: {literal} is {got}, not {expected}",
                    seed()
                );
            }
        }
    }
}
