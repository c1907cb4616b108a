//! Why a table's rows lie unevenly.

use super::{
    super::{TableState, finding::column_names, finding::percent},
    spread::Spread,
};
use crate::catalog::Distribution;

/// With fewer values for each datanode a key is one of few values.
const FEW_VALUES: f64 = 8.0;

/// The cause.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Cause {
    /// Rows whose key is NULL are all in one bucket.
    Nulls { part: f64 },
    /// So are those of the key's most frequent value.
    HotValue { value: String, part: f64 },
    /// The key has so few values that they cannot be dealt out evenly.
    FewValues { distinct: f64 },
    /// So many values, none of them frequent, have come into the same buckets by chance.
    Unlucky { distinct: f64 },
    /// The table has no key: its rows are where they were made.
    Writers,
    /// The key was never analyzed.
    Unknown,
}

impl Cause {
    pub(in super::super) fn of(state: &TableState) -> Self {
        if state.table.distribution == Distribution::Random {
            return Self::Writers;
        }
        let Some(spread) = Spread::of(state, state.key()) else { return Self::Unknown };
        let nodes = state.shards.len() as f64;
        // A value with half a datanode's share, and of few values with twice its own.
        let is_hot = |part: f64| part > (0.5 / nodes).max(2.0 / spread.distinct.max(1.0));
        let frequent = spread.heaviest.as_ref().map_or(0.0, |(_, part)| *part);
        if spread.nulls > 0.5 / nodes && spread.nulls >= frequent {
            return Self::Nulls { part: spread.nulls };
        }
        match spread.heaviest {
            Some((value, part)) if is_hot(part) => Self::HotValue { value, part },
            _ if spread.distinct < FEW_VALUES * nodes => {
                Self::FewValues { distinct: spread.distinct }
            }
            _ => Self::Unlucky { distinct: spread.distinct },
        }
    }

    /// For the DETAIL.
    pub(super) fn sentence(&self, state: &TableState) -> String {
        let key = column_names(&state.table, state.key().iter().copied());
        match self {
            Self::Nulls { part } => {
                format!("Cause: {key} is NULL in {} of the rows.", percent(*part))
            }
            Self::HotValue { value, part } => {
                format!("Cause: {key} is {value} in {} of the rows.", percent(*part))
            }
            Self::FewValues { distinct } => {
                let nodes = state.shards.len();
                format!("Cause: {key} has only {distinct:.0} values for {nodes} datanodes.")
            }
            Self::Unlucky { distinct } => format!(
                "Cause: chance: the {distinct:.0} values of {key} fall unevenly into the buckets."
            ),
            Self::Writers => {
                "Cause: the table has no distribution key, and its rows are where they \
                              were written."
                    .into()
            }
            Self::Unknown => format!("Cause: unknown, because {key} was never analyzed."),
        }
    }
}
