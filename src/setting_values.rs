//! What flags may say, and the keys of TOML files just the same.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use serde::Deserialize;

use crate::{memory::parse_size, up::parse_listen};

/// More than enough for one machine, and a typo does not take it down.
const DATANODES_MAX: u32 = 64;

/// A number of bytes: `512MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Size(pub(crate) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_size(text).map(Self)
    }
}

/// A number of bytes, or 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CacheSize(pub(crate) usize);

impl FromStr for CacheSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" { Ok(Self(0)) } else { parse_size(text).map(Self) }
    }
}

/// A time: `500ms`, `2s`, `1min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a time such as 500ms or 2s");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit_ms = match text[digits..].trim() {
            "ms" => 1,
            "s" => 1000,
            "min" => 60_000,
            _ => return Err(wrong()),
        };
        // Nothing waits for a day, and nothing may wait for no time.
        let ms = number.checked_mul(unit_ms).filter(|ms| (1..=86_400_000).contains(ms));
        ms.map(|ms| Self(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

/// Where to listen: `127.0.0.1:5433`, `localhost:5433`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_listen(text).map(Self)
    }
}

macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}

from_text!(Size, CacheSize, Span, Listen);

/// How many datanodes a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct DatanodeCount(pub(crate) u32);

impl TryFrom<i64> for DatanodeCount {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let count = u32::try_from(number).ok().filter(|count| (1..=DATANODES_MAX).contains(count));
        count.map(Self).ok_or_else(|| format!("{number} is not in 1..={DATANODES_MAX}"))
    }
}

impl FromStr for DatanodeCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: i64 = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
        number.try_into()
    }
}

/// How rows are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CompressionName {
    /// Not at all
    None,
    /// LZ4, for slow links
    Lz4,
}

/// Whether a connection is encrypted, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encryption {
    /// It is not
    Disable,
    /// It is, with whoever answers
    Require,
    /// It is, and the server shows a certificate for its host
    VerifyFull,
}
