//! Names of encodings (PostgreSQL's `src/common/encnames.c`).

use kestrel_proto::{ErrorReport, Result, SqlState};

/// PostgreSQL's other encodings, as [`plain`] writes their names: letters and digits.
const OTHERS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "eucjis2004",
    "eucjp",
    "euccn",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "windows866",
    "windows874",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];

/// What the name of an encoding stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF8
    Utf8,
    /// SQL_ASCII: bytes as they are
    SqlAscii,
    /// One that PostgreSQL converts, and Kestrel does not.
    Other,
}

impl Encoding {
    /// The encoding of this name; `None`: there is none.
    pub fn of_name(name: &str) -> Option<Self> {
        match plain(name).as_str() {
            "utf8" | "unicode" => Some(Self::Utf8),
            "sqlascii" => Some(Self::SqlAscii),
            name => OTHERS.contains(&name).then_some(Self::Other),
        }
    }
}

/// Accepts the names of UTF-8.
///
/// # Errors
/// 0A000: it is another encoding. 22023: it is none.
pub(super) fn check_is_utf8(name: &str) -> Result<()> {
    match Encoding::of_name(name) {
        Some(Encoding::Utf8) => Ok(()),
        Some(Encoding::SqlAscii | Encoding::Other) => {
            Err(ErrorReport::unsupported(format!("encoding \"{name}\" is not supported"))
                .hint("Kestrel reads and writes UTF8."))
        }
        None => {
            let message = "argument to option \"encoding\" must be a valid encoding name";
            Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

/// What PostgreSQL compares: hyphens, blanks and case do not count.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_is_taken() {
        for (name, expected) in [
            ("utf8", None),
            ("UTF-8", None),
            ("Unicode", None),
            ("LATIN1", Some(SqlState::FEATURE_NOT_SUPPORTED)),
            ("iso_8859_1", Some(SqlState::FEATURE_NOT_SUPPORTED)),
            ("SQL_ASCII", Some(SqlState::FEATURE_NOT_SUPPORTED)),
            ("utf9", Some(SqlState::INVALID_PARAMETER_VALUE)),
            ("", Some(SqlState::INVALID_PARAMETER_VALUE)),
        ] {
            assert_eq!(check_is_utf8(name).err().map(|e| e.sqlstate), expected, "{name}");
        }
    }
}
