//! Bounds: what a clause says, and that no two of a table's partitions take the same rows.

use std::cmp::Ordering;

use datafusion::common::ScalarValue;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    BoundValues,
    hash::{self, Remainder},
};
use crate::{
    catalog::{
        BoundValue, ColumnDef, PartitionBound, PartitionStrategy, RangeEnd, TableDef, ends_text,
    },
    parse::{BoundClause, WrittenBound, WrittenEnd},
    partition::value_text,
};

/// The bound that a clause gives a partition of `parent`.
pub(super) fn of_clause(
    clause: &BoundClause,
    parent: &TableDef,
    values: BoundValues<'_>,
) -> Result<PartitionBound> {
    let strategy = parent.partitioned_by.as_ref().map(|by| by.strategy);
    let columns = parent.partition_columns();
    let bound = match (&clause.bound, strategy) {
        (WrittenBound::Default, Some(PartitionStrategy::Hash)) => return Err(no_default()),
        (WrittenBound::Default, _) => PartitionBound::Default,
        (WrittenBound::Hash { modulus, remainder }, Some(PartitionStrategy::Hash)) => {
            hash::bound(*modulus, *remainder)?
        }
        (WrittenBound::List(list), Some(PartitionStrategy::List)) => {
            list_bound(list, &columns, values)?
        }
        (WrittenBound::Range { from, to }, Some(PartitionStrategy::Range)) => {
            for (ends, word) in [(from, "FROM"), (to, "TO")] {
                if ends.len() != columns.len() {
                    let message =
                        format!("{word} must specify exactly one value per partitioning column");
                    return Err(unlike_key(message));
                }
            }
            let (from, to) = (ends(from, &columns, values)?, ends(to, &columns, values)?);
            PartitionBound::Range { from, to }
        }
        (_, strategy) => {
            let kind = match strategy {
                Some(PartitionStrategy::List) => "list",
                Some(PartitionStrategy::Hash) => "hash",
                Some(PartitionStrategy::Range) | None => "range",
            };
            let message = format!("invalid bound specification for a {kind} partition");
            return Err(unlike_key(message).position(clause.position));
        }
    };
    Ok(bound)
}

/// 42P16: there is no row that the remainders leave.
pub(super) fn no_default() -> ErrorReport {
    unlike_key("a hash-partitioned table may not have a default partition".into())
}

/// 42P16: a bound of another form than the partition key's.
pub(super) fn unlike_key(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message)
}

/// Of the values of a list, each once.
pub(super) fn list_bound(
    list: &[String],
    columns: &[&ColumnDef],
    values: BoundValues<'_>,
) -> Result<PartitionBound> {
    let column = columns.first().ok_or_else(|| ErrorReport::internal("a list without a key"))?;
    let mut bound: Vec<Option<BoundValue>> = Vec::with_capacity(list.len());
    for text in list {
        let value = bound_value(values(text, column.sql_type)?, column)?;
        if !bound.contains(&value) {
            bound.push(value);
        }
    }
    Ok(PartitionBound::List(bound))
}

/// `None`: NULL
pub(super) fn bound_value(value: ScalarValue, column: &ColumnDef) -> Result<Option<BoundValue>> {
    if value.is_null() {
        return Ok(None);
    }
    let text = value_text(&value, column.sql_type)?;
    BoundValue::new(&value, text).map(Some)
}

fn ends(
    written: &[WrittenEnd],
    columns: &[&ColumnDef],
    values: BoundValues<'_>,
) -> Result<Vec<RangeEnd>> {
    let mut ends: Vec<RangeEnd> = Vec::with_capacity(written.len());
    for (end, column) in written.iter().zip(columns) {
        let end = match end {
            WrittenEnd::MinValue => RangeEnd::MinValue,
            WrittenEnd::MaxValue => RangeEnd::MaxValue,
            WrittenEnd::Value(text) => {
                let value = bound_value(values(text, column.sql_type)?, column)?;
                RangeEnd::Value(
                    value.ok_or_else(|| invalid("cannot specify NULL in range bound".into()))?,
                )
            }
        };
        let word = match ends.last() {
            Some(RangeEnd::MinValue) if end != RangeEnd::MinValue => Some("MINVALUE"),
            Some(RangeEnd::MaxValue) if end != RangeEnd::MaxValue => Some("MAXVALUE"),
            _ => None,
        };
        if let Some(word) = word {
            let message = format!("every bound following {word} must also be {word}");
            return Err(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message));
        }
        ends.push(end);
    }
    Ok(ends)
}

/// 42P17
pub(super) fn invalid(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

/// The bounds of a table's partitions.
#[derive(Default)]
pub(super) struct Taken(Vec<(String, Decoded)>);

enum Decoded {
    Range { from: Vec<End>, to: Vec<End> },
    List(Vec<Option<ScalarValue>>),
    Hash(Remainder),
    Default,
}

enum End {
    MinValue,
    Value(ScalarValue),
    MaxValue,
}

impl Taken {
    /// Those of these partitions.
    pub(super) fn by<'a>(partitions: impl IntoIterator<Item = &'a TableDef>) -> Result<Self> {
        let mut taken = Vec::new();
        for table in partitions {
            if let Some(of) = &table.partition_of {
                taken.push((table.name.clone(), Decoded::of(&of.bound)?));
            }
        }
        Ok(Self(taken))
    }

    /// Takes the bound for a new partition.
    ///
    /// Errors: 42P17: it is empty, or another has some of it.
    pub(super) fn take(&mut self, name: &str, bound: &PartitionBound) -> Result<()> {
        let decoded = Decoded::of(bound)?;
        if let (Decoded::Range { from, to }, PartitionBound::Range { from: low, to: high }) =
            (&decoded, bound)
            && compare(from, to).is_ge()
        {
            let message = format!("empty range bound specified for partition \"{name}\"");
            return Err(invalid(message).detail(format!(
                "Specified lower bound {} is greater than or equal to upper bound {}.",
                ends_text(low),
                ends_text(high)
            )));
        }
        if let Decoded::Hash(new) = decoded {
            hash::check_modulus(new, self.remainders())?;
        }
        if let Some(other) = self.overlapped(&decoded) {
            return Err(invalid(match decoded {
                Decoded::Default => format!(
                    "partition \"{name}\" conflicts with existing default partition \"{other}\""
                ),
                Decoded::Range { .. } | Decoded::List(_) | Decoded::Hash(_) => {
                    format!("partition \"{name}\" would overlap partition \"{other}\"")
                }
            }));
        }
        self.0.push((name.to_string(), decoded));
        Ok(())
    }

    /// Of a table that is partitioned by hash: names and bounds.
    fn remainders(&self) -> impl Iterator<Item = (&str, Remainder)> {
        self.0.iter().filter_map(|(name, taken)| match taken {
            Decoded::Hash(taken) => Some((name.as_str(), *taken)),
            Decoded::Range { .. } | Decoded::List(_) | Decoded::Default => None,
        })
    }

    /// The partition that has some of a bound; of several ranges the lowest.
    fn overlapped(&self, new: &Decoded) -> Option<&str> {
        if let Decoded::Hash(new) = new {
            return hash::overlapped(*new, self.remainders());
        }
        let mut found: Option<(&str, Option<&[End]>)> = None;
        for (name, taken) in &self.0 {
            let begins = match (new, taken) {
                (Decoded::Default, Decoded::Default) => None,
                (Decoded::List(new), Decoded::List(taken))
                    if new.iter().any(|value| taken.contains(value)) =>
                {
                    None
                }
                (Decoded::Range { from, to }, Decoded::Range { from: low, to: high })
                    if compare(from, high).is_lt() && compare(low, to).is_lt() =>
                {
                    Some(low.as_slice())
                }
                _ => continue,
            };
            let is_lower = match (begins, found) {
                (Some(new), Some((_, Some(known)))) => compare(new, known).is_lt(),
                (_, found) => found.is_none(),
            };
            if is_lower {
                found = Some((name, begins));
            }
        }
        found.map(|(name, _)| name)
    }
}

impl Decoded {
    fn of(bound: &PartitionBound) -> Result<Self> {
        let ends = |ends: &[RangeEnd]| {
            let end = |end: &RangeEnd| {
                Ok(match end {
                    RangeEnd::MinValue => End::MinValue,
                    RangeEnd::Value(value) => End::Value(value.decoded()?),
                    RangeEnd::MaxValue => End::MaxValue,
                })
            };
            ends.iter().map(end).collect::<Result<Vec<_>>>()
        };
        Ok(match bound {
            PartitionBound::Range { from, to } => Self::Range { from: ends(from)?, to: ends(to)? },
            PartitionBound::List(values) => {
                let values = values.iter().map(|v| v.as_ref().map(BoundValue::decoded).transpose());
                Self::List(values.collect::<Result<_>>()?)
            }
            PartitionBound::Hash { modulus, remainder } => {
                Self::Hash(Remainder { modulus: *modulus, remainder: *remainder })
            }
            PartitionBound::Default => Self::Default,
        })
    }
}

fn compare(a: &[End], b: &[End]) -> Ordering {
    let rank = |end: &End| match end {
        End::MinValue => 0,
        End::Value(_) => 1,
        End::MaxValue => 2,
    };
    for (a, b) in a.iter().zip(b) {
        let ordering = match (a, b) {
            (End::Value(a), End::Value(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (a, b) => rank(a).cmp(&rank(b)),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}
