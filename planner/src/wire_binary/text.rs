//! Text: there is one encoding, UTF-8, and no zero byte in it (PostgreSQL's
//! `pg_verify_mbstr`, src/backend/utils/mb/mbutils.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

/// Bytes as text, if they are UTF-8 without zeros.
///
/// # Errors
/// 22021, with the bytes of the first character that is wrong.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes);
    if let Ok(text) = text
        && !bytes.contains(&0)
    {
        return Ok(text);
    }
    let zero = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let wrong = text.map_or_else(|error| error.valid_up_to().min(zero), |_| zero);
    let rest = bytes.get(wrong..).unwrap_or_default();
    let length = match rest.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf7) => 4,
        _ => 1,
    };
    let shown = rest.iter().take(length).map(|byte| format!("0x{byte:02x}"));
    let shown = shown.collect::<Vec<_>>().join(" ");
    let message = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
    Err(ErrorReport::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
}

#[cfg(test)]
mod tests {
    use super::*;

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
