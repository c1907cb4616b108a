//! A sequence: how it counts (PostgreSQL's `nextval_internal` and `init_params`,
//! commands/sequence.c).

use kestrel_proto::{ErrorReport, Result, SqlState};
use serde::{Deserialize, Serialize};

use super::{
    Catalog, SqlType,
    snapshot::{conflict, gone},
};

/// A sequence. Where it stands is a [`SequenceState`], which is not part of a catalog version: it
/// survives rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceDef {
    /// OID.
    pub id: u64,
    /// The schema it is in.
    pub schema_name: String,
    /// Its name.
    pub name: String,
    /// smallint, integer or bigint.
    #[serde(default = "bigint")]
    pub data_type: SqlType,
    /// The first value.
    #[serde(default = "one")]
    pub start: i64,
    /// From one value to the next; not 0.
    #[serde(default = "one")]
    pub increment: i64,
    /// The smallest value.
    #[serde(default = "one")]
    pub min_value: i64,
    /// The largest value.
    pub max_value: i64,
    /// What CACHE says. No session keeps values for itself, so it changes nothing.
    #[serde(default = "one")]
    pub cache: i64,
    /// After the last value comes the first one again.
    #[serde(default)]
    pub cycle: bool,
    /// The table and column id that own it: it goes with them.
    pub owned_by: Option<(u64, u32)>,
}

fn one() -> i64 {
    1
}

fn bigint() -> SqlType {
    SqlType::BigInt
}

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceState {
    /// The value that was given last; the first to give, if none was.
    pub last_value: i64,
    /// Was it given?
    pub is_called: bool,
}

impl SequenceDef {
    /// A sequence that counts up from 1, as CREATE SEQUENCE makes it.
    pub fn new(schema_name: &str, name: &str, data_type: SqlType) -> Self {
        Self {
            id: 0,
            schema_name: schema_name.into(),
            name: name.into(),
            data_type,
            start: 1,
            increment: 1,
            min_value: 1,
            max_value: largest(data_type),
            cache: 1,
            cycle: false,
            owned_by: None,
        }
    }

    /// Before the first value.
    pub fn initial_state(&self) -> SequenceState {
        SequenceState { last_value: self.start, is_called: false }
    }

    /// The next value, and where the sequence stands then.
    ///
    /// Errors: 2200H when there is none.
    pub fn next(&self, state: SequenceState) -> Result<SequenceState> {
        let given = |last_value| Ok(SequenceState { last_value, is_called: true });
        if !state.is_called {
            return given(state.last_value);
        }
        let next = state.last_value.checked_add(self.increment);
        match next.filter(|next| (self.min_value..=self.max_value).contains(next)) {
            Some(next) => given(next),
            None if self.cycle && self.increment > 0 => given(self.min_value),
            None if self.cycle => given(self.max_value),
            None => Err(self.exhausted()),
        }
    }

    /// The next `count` values, and where the sequence stands then.
    ///
    /// Errors: 2200H when there are not so many.
    pub fn take(&self, state: SequenceState, count: u64) -> Result<(Vec<i64>, SequenceState)> {
        let mut state = state;
        let mut values = Vec::new();
        for _ in 0..count {
            state = self.next(state)?;
            values.push(state.last_value);
        }
        Ok((values, state))
    }

    /// The state after up to `count` values more, and how many those are.
    pub fn ahead(&self, state: SequenceState, count: u64) -> (SequenceState, u64) {
        let mut ahead = state;
        for done in 0..count {
            match self.next(ahead) {
                Ok(next) => ahead = next,
                Err(_) => return (ahead, done),
            }
        }
        (ahead, count)
    }

    /// What `setval` sets.
    ///
    /// Errors: 22003 for a value that the sequence does not have.
    pub fn set(&self, value: i64, is_called: bool) -> Result<SequenceState> {
        if (self.min_value..=self.max_value).contains(&value) {
            return Ok(SequenceState { last_value: value, is_called });
        }
        let message = format!(
            "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
            self.name, self.min_value, self.max_value
        );
        Err(ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
    }

    /// Whether a sequence that stands here can have become this one.
    ///
    /// Errors: 22023 when it stands outside of its bounds.
    pub fn check_holds(&self, state: SequenceState) -> Result<()> {
        let value = state.last_value;
        let message = if value < self.min_value {
            format!("RESTART value ({value}) cannot be less than MINVALUE ({})", self.min_value)
        } else if value > self.max_value {
            format!("RESTART value ({value}) cannot be greater than MAXVALUE ({})", self.max_value)
        } else {
            return Ok(());
        };
        Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message))
    }

    fn exhausted(&self) -> ErrorReport {
        let (end, value) = match self.increment > 0 {
            true => ("maximum", self.max_value),
            false => ("minimum", self.min_value),
        };
        let message =
            format!("nextval: reached {end} value of sequence \"{}\" ({value})", self.name);
        ErrorReport::new(SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED, message)
    }
}

/// The largest value of an integer type.
pub fn largest(data_type: SqlType) -> i64 {
    match data_type {
        SqlType::SmallInt => i16::MAX.into(),
        SqlType::Integer => i32::MAX.into(),
        _ => i64::MAX,
    }
}

/// The smallest value of an integer type.
pub fn smallest(data_type: SqlType) -> i64 {
    -largest(data_type) - 1
}

impl Catalog {
    /// The sequence of this schema and name.
    pub fn sequence(&self, schema: &str, name: &str) -> Option<&SequenceDef> {
        self.sequences.get(&(schema.to_string(), name.to_string()))
    }

    /// The sequence of this id.
    pub fn sequence_by_id(&self, id: u64) -> Option<&SequenceDef> {
        self.sequences.values().find(|s| s.id == id)
    }

    /// The sequence that a column owns.
    pub fn owned_sequence(&self, table: u64, column: u32) -> Option<&SequenceDef> {
        self.sequences.values().find(|s| s.owned_by == Some((table, column)))
    }

    pub(super) fn create_sequence(&mut self, sequence: &SequenceDef) -> Result<(), ErrorReport> {
        let key = self.free_name(&sequence.schema_name, &sequence.name)?;
        self.take_oid(sequence.id);
        self.sequences.insert(key, sequence.clone());
        Ok(())
    }

    pub(super) fn drop_sequence(&mut self, id: u64) -> Result<(), ErrorReport> {
        let found = self.sequence_by_id(id).ok_or_else(|| gone("sequence", &id.to_string()))?;
        let key = (found.schema_name.clone(), found.name.clone());
        self.sequences.remove(&key);
        self.forget(id);
        Ok(())
    }

    pub(super) fn alter_sequence(
        &mut self,
        before: &SequenceDef,
        after: &SequenceDef,
    ) -> Result<(), ErrorReport> {
        if self.sequence_by_id(before.id) != Some(before) {
            return Err(conflict(format!("sequence \"{}\" was changed meanwhile", before.name)));
        }
        self.sequences.remove(&(before.schema_name.clone(), before.name.clone()));
        let key = self.free_name(&after.schema_name, &after.name)?;
        self.sequences.insert(key, after.clone());
        self.rename_in_defaults(before, after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sequence: &SequenceDef, expected: &[Result<i64, &str>]) {
        let mut state = sequence.initial_state();
        for expected in expected {
            match (sequence.next(state), expected) {
                (Ok(next), Ok(value)) => {
                    assert_eq!(next.last_value, *value);
                    state = next;
                }
                (Err(error), Err(message)) => assert_eq!(error.message, *message),
                (next, expected) => panic!("{next:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn values_as_postgresql_15_gives_them() {
        let up = SequenceDef::new("public", "s", SqlType::BigInt);
        let up = SequenceDef { max_value: 5, increment: 2, ..up };
        let end = "nextval: reached maximum value of sequence \"s\" (5)";
        check(&up, &[Ok(1), Ok(3), Ok(5), Err(end), Err(end)]);
        check(&SequenceDef { cycle: true, ..up.clone() }, &[Ok(1), Ok(3), Ok(5), Ok(1), Ok(3)]);
        let down = SequenceDef { increment: -3, min_value: -4, max_value: 3, start: 2, ..up };
        let end = "nextval: reached minimum value of sequence \"s\" (-4)";
        check(&down, &[Ok(2), Ok(-1), Ok(-4), Err(end)]);
        check(&SequenceDef { cycle: true, ..down }, &[Ok(2), Ok(-1), Ok(-4), Ok(3), Ok(0)]);
    }

    #[test]
    fn the_ends_of_bigint_do_not_overflow() {
        let last =
            SequenceDef { start: i64::MAX, ..SequenceDef::new("public", "s", SqlType::BigInt) };
        let end = "nextval: reached maximum value of sequence \"s\" (9223372036854775807)";
        check(&last, &[Ok(i64::MAX), Err(end)]);
        assert_eq!(last.ahead(last.initial_state(), 32).1, 1);
    }
}
