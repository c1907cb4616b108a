//! Conditions on strings that are held as codes: decided once for each distinct string.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, StringViewArray, new_null_array},
    datatypes::DataType,
};
use datafusion::error::Result;

use super::{
    super::chunk::{Chunk, Values},
    integers::{Verdict, part},
    rows::{Passing, RowExpr},
    selection::Selection,
};
use crate::runtime_filter::KeySet;

/// Which codes pass. NULL never does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CodeTest {
    None,
    All,
    /// From the first to the last.
    Within(u8, u8),
    /// All but this.
    Except(u8),
    Table(Box<[bool; 256]>),
}

impl CodeTest {
    /// The codes of the strings for which `expr`, over that column alone, is true. `None`: it has to
    /// be decided row by row, since the column is not coded, NULL would pass, or the expression
    /// fails for a string, which no row that is alive need have.
    pub(super) fn of_expr(expr: &RowExpr, chunk: &Chunk) -> Option<Self> {
        let Values::Coded { dictionary, .. } = chunk.values() else { return None };
        if chunk.nulls().is_some_and(|nulls| nulls.null_count() > 0) {
            let null = new_null_array(&DataType::Utf8View, 1);
            if passing(expr, null, 1)?.contains(&true) {
                return None;
            }
        }
        let strings: ArrayRef = Arc::new(dictionary.clone());
        Some(Self::of(&passing(expr, strings, dictionary.len())?))
    }

    /// The codes of the strings that are among a join's keys; `None`: the keys are no strings.
    ///
    /// # Errors
    /// XX000 from hashing.
    pub(super) fn of_keys(keys: &KeySet, dictionary: &StringViewArray) -> Result<Option<Self>> {
        let strings: ArrayRef = Arc::new(dictionary.clone());
        let selected = keys.select(&strings)?;
        Ok(selected.map(|selected| Self::of(&selected.iter().collect::<Vec<_>>())))
    }

    /// Whether each code passes; those that are not there do not.
    fn of(passing: &[bool]) -> Self {
        let count = passing.iter().filter(|passes| **passes).count();
        let first = passing.iter().position(|passes| *passes);
        let last = passing.iter().rposition(|passes| *passes);
        let code = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
        let (Some(first), Some(last)) = (first, last) else { return Self::None };
        if count == passing.len() {
            return Self::All;
        }
        if last - first + 1 == count {
            return Self::Within(code(first), code(last));
        }
        if count + 1 == passing.len()
            && let Some(other) = passing.iter().position(|passes| !passes)
        {
            return Self::Except(code(other));
        }
        let mut table = [false; 256];
        for (entry, passes) in table.iter_mut().zip(passing) {
            *entry = *passes;
        }
        Self::Table(Box::new(table))
    }

    /// What is known beforehand.
    pub(super) fn verdict(&self, has_nulls: bool) -> Verdict {
        match self {
            Self::None => Verdict::None,
            Self::All if !has_nulls => Verdict::All,
            Self::All | Self::Within(..) | Self::Except(_) | Self::Table(_) => Verdict::Some,
        }
    }

    /// Keeps the rows of `zone` whose codes pass; NULLs are the caller's.
    pub(super) fn keep(&self, values: &Values, zone: &Range<usize>, selection: &mut Selection) {
        let Values::Coded { codes, .. } = values else { return };
        let codes = part(codes, zone);
        match self {
            Self::None => selection.clear(),
            Self::All => (),
            Self::Within(first, last) if first == last => {
                selection.keep(codes, |code| code == *first);
            }
            Self::Within(first, last) => {
                selection.keep(codes, |code| (code >= *first) & (code <= *last));
            }
            Self::Except(other) => selection.keep(codes, |code| code != *other),
            Self::Table(table) => selection.keep(codes, |code| table[usize::from(code)]),
        }
    }
}

/// For which of these strings an expression is true; `None`: it fails.
fn passing(expr: &RowExpr, strings: ArrayRef, rows: usize) -> Option<Vec<bool>> {
    match expr.passes(vec![strings], rows).ok()? {
        Passing::All => Some(vec![true; rows]),
        Passing::None => Some(vec![false; rows]),
        Passing::Rows(bits) => Some(bits.iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_compared_as_cheaply_as_they_can_be() {
        let table = |codes: &[usize]| {
            let mut table = Box::new([false; 256]);
            codes.iter().for_each(|code| table[*code] = true);
            CodeTest::Table(table)
        };
        for (passing, expected) in [
            ("", CodeTest::None),
            ("000", CodeTest::None),
            ("111", CodeTest::All),
            ("010", CodeTest::Within(1, 1)),
            ("0110", CodeTest::Within(1, 2)),
            ("101", CodeTest::Except(1)),
            ("1101", CodeTest::Except(2)),
            ("10100", table(&[0, 2])),
        ] {
            let passing: Vec<_> = passing.chars().map(|c| c == '1').collect();
            assert_eq!(CodeTest::of(&passing), expected);
        }
    }
}
