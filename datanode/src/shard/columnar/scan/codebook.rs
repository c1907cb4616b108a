//! Strings as codes for operators of ours: one code for a string in the whole scan.

use std::{collections::HashMap, ops::Range, sync::Arc};

use arrow::array::{Array, AsArray, StringViewArray, UInt16Array};
use kestrel_proto::{ErrorReport, Result};
use parking_lot::RwLock;

use crate::shard::columnar::chunk::{Chunk, Values};

/// How a column comes out of a scan that does not widen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// `Int64`: integers, dates and timestamps by their values, decimals by their unscaled ones.
    Integers,
    /// `UInt16`: codes of strings, which the column's [`Codebook`] has.
    Codes,
}

/// The strings of a column, by their codes. It only grows: who has seen a code finds its string.
#[derive(Debug, Default)]
pub(crate) struct Codebook {
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    strings: Vec<Arc<str>>,
    codes: HashMap<Arc<str>, u16>,
}

impl Codebook {
    /// All strings so far, by code.
    pub(crate) fn strings(&self) -> StringViewArray {
        StringViewArray::from_iter_values(self.entries.read().strings.iter())
    }

    /// The code of a string; a new one, if it has none yet.
    ///
    /// # Errors
    /// XX000 when 65,536 strings have codes already.
    pub(crate) fn code_of(&self, string: &str) -> Result<u16> {
        if let Some(code) = self.entries.read().codes.get(string) {
            return Ok(*code);
        }
        let mut entries = self.entries.write();
        if let Some(code) = entries.codes.get(string) {
            return Ok(*code);
        }
        let code = u16::try_from(entries.strings.len())
            .map_err(|_| ErrorReport::internal("a column has too many strings for codes"))?;
        let string: Arc<str> = string.into();
        entries.strings.push(Arc::clone(&string));
        entries.codes.insert(string, code);
        Ok(code)
    }
}

/// The codes of a chunk's strings.
#[derive(Debug)]
pub(super) struct ChunkCodes {
    codebook: Arc<Codebook>,
    /// By the chunk's own codes, if it is coded.
    by_code: Option<Vec<u16>>,
}

impl ChunkCodes {
    /// # Errors
    /// Those of [`Codebook::code_of`].
    pub(super) fn new(codebook: &Arc<Codebook>, chunk: &Chunk) -> Result<Self> {
        let by_code = match chunk.values() {
            Values::Coded { dictionary, .. } => {
                let codes = dictionary.iter().map(|s| codebook.code_of(s.unwrap_or_default()));
                Some(codes.collect::<Result<_>>()?)
            }
            _ => None,
        };
        Ok(Self { codebook: Arc::clone(codebook), by_code })
    }

    /// Of the rows of a range.
    ///
    /// # Errors
    /// Those of [`Codebook::code_of`].
    pub(super) fn slice(&self, chunk: &Chunk, range: &Range<usize>) -> Result<UInt16Array> {
        let (Values::Coded { codes, .. }, Some(by_code)) = (chunk.values(), &self.by_code) else {
            return self.interned(&chunk.slice(range.clone()));
        };
        let code = |code: &u8| by_code.get(usize::from(*code)).copied().unwrap_or_default();
        let codes = codes.get(range.clone()).unwrap_or_default().iter().map(code);
        let nulls = chunk.nulls().map(|nulls| nulls.slice(range.start, range.len()));
        Ok(UInt16Array::new(codes.collect(), nulls))
    }

    /// Of the rows at these positions of the chunk.
    ///
    /// # Errors
    /// Those of [`Codebook::code_of`].
    pub(super) fn take(&self, chunk: &Chunk, positions: &[u32]) -> Result<UInt16Array> {
        let (Values::Coded { codes, .. }, Some(by_code)) = (chunk.values(), &self.by_code) else {
            return self.interned(&chunk.take(0..chunk.rows(), positions));
        };
        let code = |at: &u32| {
            let code = codes.get(*at as usize).copied().unwrap_or_default();
            by_code.get(usize::from(code)).copied().unwrap_or_default()
        };
        let nulls = chunk.nulls().map(|nulls| {
            positions.iter().map(|at| nulls.is_valid(*at as usize)).collect::<Vec<_>>().into()
        });
        Ok(UInt16Array::new(positions.iter().map(code).collect(), nulls))
    }

    fn interned(&self, strings: &dyn Array) -> Result<UInt16Array> {
        let strings = strings
            .as_string_view_opt()
            .ok_or_else(|| ErrorReport::internal("codes are asked for what are no strings"))?;
        let code = |string: Option<&str>| string.map(|s| self.codebook.code_of(s)).transpose();
        let codes = strings.iter().map(code).collect::<Result<Vec<_>>>()?;
        Ok(UInt16Array::from(codes))
    }
}
