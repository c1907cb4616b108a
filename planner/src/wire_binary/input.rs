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
            let message = "insufficient data left in message";
            return Err(ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message));
        };
        self.0 = rest;
        Ok(*head)
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

    /// Nothing must be left.
    ///
    /// # Errors
    /// 22P03: something is.
    pub fn end(&self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(ErrorReport::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                "incorrect binary data format",
            )),
        }
    }
}
