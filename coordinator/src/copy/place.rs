//! Where in the client's data something is, as the CONTEXT of an error tells it.

use kestrel_proto::{ErrorReport, Result, SqlState};

/// Text of the client is shown up to here, in bytes.
const SHOWN_BYTES: usize = 100;

/// Where the rows of a batch come from.
#[derive(Debug, Default)]
pub struct Places {
    table: String,
    lines: Vec<u64>,
    /// The lines' texts, one behind the other; binary data has none.
    text: String,
    /// Where each line's text ends.
    ends: Vec<usize>,
}

impl Places {
    /// Of no rows yet.
    pub(super) fn new(table: &str) -> Self {
        Self { table: table.to_string(), ..Self::default() }
    }

    /// Takes the next row.
    pub(super) fn note(&mut self, line: u64, text: Option<&str>) {
        self.lines.push(line);
        if let Some(text) = text {
            self.text.push_str(text);
            self.ends.push(self.text.len());
        }
    }

    /// The places up to here; no row is noted any more.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(&self.table);
        std::mem::replace(self, empty)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The line of a row.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or_default()
    }

    /// The CONTEXT of an error in this row.
    pub fn context(&self, row: usize) -> String {
        let text = self.ends.get(row).map(|end| {
            let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.text[start..*end]
        });
        at_line(&self.table, self.line(row), text)
    }
}

/// `COPY t, line 3: "its text"`
pub(super) fn at_line(table: &str, line: u64, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("COPY {table}, line {line}: \"{}\"", shown(text)),
        None => format!("COPY {table}, line {line}"),
    }
}

/// `COPY t, line 3, column c: "its value"`
pub(super) fn at_column(table: &str, line: u64, column: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => {
            format!("COPY {table}, line {line}, column {column}: \"{}\"", shown(value))
        }
        None => format!("COPY {table}, line {line}, column {column}"),
    }
}

/// As much of a text as an error shows.
fn shown(text: &str) -> String {
    if text.len() <= SHOWN_BYTES {
        return text.to_string();
    }
    format!("{}...", &text[..text.floor_char_boundary(SHOWN_BYTES)])
}

/// 22P04
pub(super) fn bad_format(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// Bytes as text, if they are UTF-8 without zeros.
///
/// # Errors
/// 22021, with the bytes of the first character that is wrong.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    let zero = bytes.iter().position(|byte| *byte == 0);
    let wrong = match (std::str::from_utf8(bytes), zero) {
        (Ok(text), None) => return Ok(text),
        (Ok(_), Some(at)) => at,
        (Err(error), zero) => zero.map_or(error.valid_up_to(), |at| at.min(error.valid_up_to())),
    };
    let length = match bytes[wrong] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    let shown = bytes[wrong..].iter().take(length).map(|byte| format!("0x{byte:02x}"));
    let shown = shown.collect::<Vec<_>>().join(" ");
    let message = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
    Err(ErrorReport::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_in_postgresqls_words() {
        let mut places = Places::new("t");
        places.note(1, Some("1\ta"));
        places.note(4, Some("x"));
        assert_eq!(places.context(0), "COPY t, line 1: \"1\ta\"");
        assert_eq!(places.context(1), "COPY t, line 4: \"x\"");
        assert_eq!(places.take().rows(), 2);
        places.note(5, None);
        assert_eq!(places.context(0), "COPY t, line 5");
        let long = "é".repeat(60);
        let expected = format!("COPY t, line 1, column c: \"{}...\"", "é".repeat(50));
        assert_eq!(at_column("t", 1, "c", Some(&long)), expected);
    }

    #[test]
    fn wrong_bytes_are_shown() {
        for (bytes, expected) in [
            (&b"a\xff"[..], "0xff"),
            (b"\xe4A", "0xe4 0x41"),
            (b"a\0b", "0x00"),
            (b"\xc3", "0xc3"),
            (b"\0\xff", "0x00"),
        ] {
            let error = utf8(bytes).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
            assert!(error.message.ends_with(&format!(": {expected}")), "{}", error.message);
        }
        assert_eq!(utf8("é漢".as_bytes()), Ok("é漢"));
    }
}
