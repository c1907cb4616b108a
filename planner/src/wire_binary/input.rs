//! The bytes of one value, taken from the front (PostgreSQL's `pq_getmsgint` and its like,
//! src/backend/libpq/pqformat.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

/// What is left of a value.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Of all of it.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next bytes.
    ///
    /// # Errors
    /// 08P01: there are not so many.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, rest)) = self.0.split_first_chunk() else {
            return Err(too_short("insufficient data left in message"));
        };
        self.0 = rest;
        Ok(*head)
    }

    /// As many as somebody has said; `None`: there are fewer.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// The next byte, as a boolean.
    ///
    /// # Errors
    /// 08P01: there is none.
    pub fn bool(&mut self) -> Result<bool> {
        let [byte] = self.take().map_err(|_| too_short("no data left in message"))?;
        Ok(byte != 0)
    }

    /// The next two bytes, as a number.
    ///
    /// # Errors
    /// As [`Input::take`].
    pub fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_be_bytes)
    }

    /// The next four bytes, as a number.
    ///
    /// # Errors
    /// As [`Input::take`].
    pub fn i32(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// The next eight bytes, as a number.
    ///
    /// # Errors
    /// As [`Input::take`].
    pub fn i64(&mut self) -> Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing must be left; `place` ends the error's message.
    ///
    /// # Errors
    /// 22P03: something is.
    pub fn end(&self, place: &str) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(malformed(format!("incorrect binary data format{place}"))),
        }
    }
}

/// 22P03: the bytes are no value.
pub fn malformed(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

/// 08P01
fn too_short(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message)
}
