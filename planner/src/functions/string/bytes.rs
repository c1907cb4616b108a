//! Functions of bytea (PostgreSQL's bytea.c, and varlena.c). Positions and lengths are in bytes, from
//! 1; bits are counted from 0, the lowest of each byte first.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::row::{
    Call, Datum, Function,
    Type::{BigInt, Bytea, Integer, Text},
    strict,
};

/// `kestrel_…` are what the functions that texts have, too, become, and `||`.
pub(crate) const BYTEA_FUNCTIONS: &[Function] = &[
    Function {
        name: "bit_count",
        overloads: &[strict(&[Bytea], BigInt, |_, a| {
            Ok(Datum::Int(bytes(&a[0]).iter().map(|byte| i64::from(byte.count_ones())).sum()))
        })],
    },
    Function {
        name: "bit_length",
        overloads: &[
            strict(&[Text], Integer, |_, a| Ok(Datum::Int(a[0].text().len() as i64 * 8))),
            strict(&[Bytea], Integer, |_, a| Ok(Datum::Int(bytes(&a[0]).len() as i64 * 8))),
        ],
    },
    Function { name: "convert_from", overloads: &[strict(&[Bytea, Text], Text, convert_from)] },
    Function { name: "convert_to", overloads: &[strict(&[Text, Text], Bytea, convert_to)] },
    Function {
        name: "get_bit",
        overloads: &[strict(&[Bytea, BigInt], Integer, |_, a| {
            let bit = bit_place(a)?;
            Ok(Datum::Int(i64::from(bytes(&a[0])[bit / 8] >> (bit % 8) & 1)))
        })],
    },
    Function {
        name: "get_byte",
        overloads: &[strict(&[Bytea, Integer], Integer, |_, a| {
            let at = place(a[1].int(), bytes(&a[0]).len() as i64)?;
            Ok(Datum::Int(i64::from(bytes(&a[0])[at])))
        })],
    },
    Function {
        name: "kestrel_bytea_concat",
        overloads: &[strict(&[Bytea, Bytea], Bytea, |_, a| {
            Ok(Datum::Bytes([bytes(&a[0]), bytes(&a[1])].concat()))
        })],
    },
    Function {
        name: "kestrel_bytea_length",
        overloads: &[strict(&[Bytea], Integer, |_, a| Ok(Datum::Int(bytes(&a[0]).len() as i64)))],
    },
    Function {
        name: "kestrel_bytea_position",
        overloads: &[strict(&[Bytea, Bytea], Integer, |_, a| {
            let (whole, part) = (bytes(&a[0]), bytes(&a[1]));
            let found = match part.len() {
                0 => Some(0),
                length => whole.windows(length).position(|window| window == part),
            };
            Ok(Datum::Int(found.map_or(0, |at| at as i64 + 1)))
        })],
    },
    Function {
        name: "kestrel_bytea_substring",
        overloads: &[
            strict(&[Bytea, Integer], Bytea, substring),
            strict(&[Bytea, Integer, Integer], Bytea, substring),
        ],
    },
    Function {
        name: "octet_length",
        overloads: &[
            strict(&[Text], Integer, |_, a| Ok(Datum::Int(a[0].text().len() as i64))),
            strict(&[Bytea], Integer, |_, a| Ok(Datum::Int(bytes(&a[0]).len() as i64))),
        ],
    },
    Function {
        name: "set_bit",
        overloads: &[strict(&[Bytea, BigInt, Integer], Bytea, |_, a| {
            let bit = bit_place(a)?;
            let mut changed = bytes(&a[0]).to_vec();
            match a[2].int() {
                Some(0) => changed[bit / 8] &= !(1 << (bit % 8)),
                Some(1) => changed[bit / 8] |= 1 << (bit % 8),
                _ => {
                    let message = "new bit must be 0 or 1";
                    return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
            }
            Ok(Datum::Bytes(changed))
        })],
    },
    Function {
        name: "set_byte",
        overloads: &[strict(&[Bytea, Integer, Integer], Bytea, |_, a| {
            let mut changed = bytes(&a[0]).to_vec();
            let at = place(a[1].int(), changed.len() as i64)?;
            changed[at] = a[2].int().unwrap_or(0) as u8;
            Ok(Datum::Bytes(changed))
        })],
    },
];

fn bytes(value: &Datum) -> &[u8] {
    match value {
        Datum::Bytes(bytes) => bytes,
        _ => &[],
    }
}

/// An index below `count`.
fn place(index: Option<i64>, count: i64) -> Result<usize> {
    let index = index.unwrap_or(0);
    let message = || format!("index {index} out of valid range, 0..{}", count - 1);
    let within = usize::try_from(index).ok().filter(|_| index < count);
    within.ok_or_else(|| ErrorReport::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message()))
}

fn bit_place(arguments: &[Datum]) -> Result<usize> {
    place(arguments[1].int(), bytes(&arguments[0]).len() as i64 * 8)
}

/// `substring(bytes, start [, length])` (`bytea_substring`)
fn substring(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let whole = bytes(&arguments[0]);
    let start = arguments[1].int().unwrap_or(1);
    let end = match arguments.get(2).and_then(Datum::int) {
        Some(..0) => {
            let message = "negative substring length not allowed";
            return Err(ErrorReport::new(SqlState::SUBSTRING_ERROR, message));
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let within = |at: i64| usize::try_from(at - 1).unwrap_or(0).min(whole.len());
    let (from, to) = (within(start.max(1)), within(end.max(1)));
    Ok(Datum::Bytes(whole.get(from..to).unwrap_or_default().to_vec()))
}

/// The encodings that texts are converted from and to.
enum Encoding {
    Utf8,
    Latin1,
}

impl Encoding {
    fn named(name: &str) -> Result<Self> {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        match letters.collect::<String>().to_ascii_lowercase().as_str() {
            "utf8" | "unicode" | "sqlascii" => Ok(Self::Utf8),
            "latin1" | "iso88591" => Ok(Self::Latin1),
            _ => Err(ErrorReport::unsupported(format!(
                "conversion between UTF8 and \"{name}\" is not supported"
            ))),
        }
    }
}

fn convert_from(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let bytes = bytes(&arguments[0]);
    let text = match Encoding::named(arguments[1].text())? {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let shown = bytes.get(at).copied().unwrap_or(0);
            let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{shown:02x}");
            ErrorReport::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
        })?,
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    match text.contains('\0') {
        true => Err(ErrorReport::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        )),
        false => Ok(Datum::Text(text)),
    }
}

fn convert_to(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let text = arguments[0].text();
    let latin1 = |c: char| {
        u8::try_from(u32::from(c)).map_err(|_| {
            let mut utf8 = [0; 4];
            let bytes = c.encode_utf8(&mut utf8).bytes().map(|byte| format!("0x{byte:02x}"));
            let bytes = bytes.collect::<Vec<_>>().join(" ");
            let message = format!(
                "character with byte sequence {bytes} in encoding \"UTF8\" has no equivalent in \
                 encoding \"LATIN1\""
            );
            ErrorReport::new(SqlState::UNTRANSLATABLE_CHARACTER, message)
        })
    };
    Ok(Datum::Bytes(match Encoding::named(arguments[1].text())? {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Latin1 => text.chars().map(latin1).collect::<Result<_>>()?,
    }))
}
