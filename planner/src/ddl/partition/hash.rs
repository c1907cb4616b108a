//! Bounds of partitions by hash (`check_new_partition_bound`, partitioning/partbounds.c).

use kestrel_proto::{ErrorReport, Result};

use super::bound::{invalid, unlike_key};
use crate::catalog::PartitionBound;

/// What a partition takes of the hashes; ordered as PostgreSQL orders them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remainder {
    pub(super) modulus: u32,
    pub(super) remainder: u32,
}

/// Errors: 42P16 for numbers that do not go together.
pub(super) fn bound(modulus: u32, remainder: u32) -> Result<PartitionBound> {
    if modulus == 0 {
        let message = "modulus for hash partition must be an integer value greater than zero";
        return Err(unlike_key(message.into()));
    }
    if remainder >= modulus {
        let message = "remainder for hash partition must be less than modulus";
        return Err(unlike_key(message.into()));
    }
    Ok(PartitionBound::Hash { modulus, remainder })
}

/// Errors: 42P17 if a modulus is no factor of the next larger one.
pub(super) fn check_modulus<'a>(
    new: Remainder,
    taken: impl Iterator<Item = (&'a str, Remainder)>,
) -> Result<()> {
    let mut taken: Vec<_> = taken.collect();
    taken.sort_by_key(|(_, taken)| *taken);
    let after = taken.partition_point(|(_, taken)| *taken <= new);
    if let Some((name, before)) = after.checked_sub(1).and_then(|at| taken.get(at))
        && !new.modulus.is_multiple_of(before.modulus)
    {
        return Err(no_factor(format!(
            "The new modulus {} is not divisible by {}, the modulus of existing partition \
             \"{name}\".",
            new.modulus, before.modulus
        )));
    }
    if let Some((name, next)) = taken.get(after)
        && !next.modulus.is_multiple_of(new.modulus)
    {
        return Err(no_factor(format!(
            "The new modulus {} is not a factor of {}, the modulus of existing partition \
             \"{name}\".",
            new.modulus, next.modulus
        )));
    }
    Ok(())
}

fn no_factor(detail: String) -> ErrorReport {
    let message = "every hash partition modulus must be a factor of the next larger modulus";
    invalid(message.into()).detail(detail)
}

/// The partition that takes some of the same hashes, the least ones; one modulus of the two is a multiple
/// of the other.
pub(super) fn overlapped<'a>(
    new: Remainder,
    taken: impl Iterator<Item = (&'a str, Remainder)>,
) -> Option<&'a str> {
    let first = |taken: Remainder| {
        let (small, large) = if new.modulus <= taken.modulus { (new, taken) } else { (taken, new) };
        (large.remainder % small.modulus == small.remainder).then_some(large.remainder)
    };
    let common = taken.filter_map(|(name, taken)| Some((first(taken)?, name)));
    common.min_by_key(|(first, _)| *first).map(|(_, name)| name)
}
