//! What becomes of the rows that an INSERT … ON CONFLICT proposes, one after another (PostgreSQL's
//! `ExecInsert` and `ExecOnConflictUpdate`, executor/nodeModifyTable.c).

use std::collections::HashSet;

use kestrel_proto::{ErrorReport, Result, SqlState};

/// Whether a proposed row meets one of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It meets none.
    None,
    /// It meets one for which the WHERE of DO UPDATE does not hold.
    Kept,
    /// It meets one.
    Met,
}

/// What becomes of a proposed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is written.
    Insert,
    /// The row that it meets is changed.
    Update,
    /// It is left out.
    Nothing,
}

/// Decides it. `leaders`: by key, for each proposed row the first one with the same values in it;
/// `None` where one is NULL, which meets nothing.
///
/// # Errors
/// 21000: DO UPDATE would change a row that the statement has written or changed.
pub(super) fn decide(
    existing: &[Existing],
    leaders: &[Vec<Option<usize>>],
    updates: bool,
) -> Result<Vec<Fate>> {
    // By key, which values of it the statement has written or changed.
    let mut touched = vec![HashSet::new(); leaders.len()];
    let mut fates = Vec::with_capacity(existing.len());
    for (row, existing) in existing.iter().enumerate() {
        let keys = leaders.iter().map(|of_key| of_key.get(row).copied().flatten());
        let is_touched = keys
            .clone()
            .zip(&touched)
            .any(|(key, touched)| key.is_some_and(|k| touched.contains(&k)));
        if is_touched && updates {
            return Err(second_time());
        }
        let fate = match existing {
            Existing::Met if updates => Fate::Update,
            Existing::None if !is_touched => Fate::Insert,
            Existing::None | Existing::Kept | Existing::Met => Fate::Nothing,
        };
        if fate != Fate::Nothing {
            keys.zip(&mut touched).for_each(|(key, touched)| touched.extend(key));
        }
        fates.push(fate);
    }
    Ok(fates)
}

fn second_time() -> ErrorReport {
    let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
    ErrorReport::new(SqlState::CARDINALITY_VIOLATION, message).hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate \
         constrained values.",
    )
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::{Existing::*, Fate::*, *};

    /// Letters of fates: Insert, Update, Nothing; `!` for an error.
    fn decided(existing: &[Existing], leaders: &[Vec<Option<usize>>], updates: bool) -> String {
        let letter = |fate: &Fate| match fate {
            Insert => 'i',
            Update => 'u',
            Nothing => '-',
        };
        match decide(existing, leaders, updates) {
            Ok(fates) => fates.iter().map(letter).collect(),
            Err(error) => {
                assert_eq!(error.sqlstate, SqlState::CARDINALITY_VIOLATION);
                "!".into()
            }
        }
    }

    #[test]
    fn the_first_of_equal_rows_counts() {
        let none = [Existing::None; 5];
        let key = vec![Some(0), Some(0), Some(2), Option::None, Option::None];
        assert_eq!(decided(&none, from_ref(&key), false), "i-iii");
        assert_eq!(decided(&none, from_ref(&key), true), "!");
        // There are no keys.
        assert_eq!(decided(&none, &[], false), "iiiii");
        // What one key leaves out does not take the other's value.
        let first = vec![Some(0), Some(0), Some(2), Some(3), Some(4)];
        let second = vec![Some(0), Some(1), Some(1), Some(3), Some(0)];
        assert_eq!(decided(&none, &[first, second], false), "i-ii-");
    }

    #[test]
    fn a_row_that_is_met_is_changed_once() {
        let different = vec![Some(0), Some(1), Some(2)];
        let all = [Met, Existing::None, Kept];
        assert_eq!(decided(&all, from_ref(&different), true), "ui-");
        assert_eq!(decided(&all, from_ref(&different), false), "-i-");
        let same = vec![Some(0), Some(0)];
        assert_eq!(decided(&[Met, Met], from_ref(&same), false), "--");
        assert_eq!(decided(&[Met, Met], from_ref(&same), true), "!");
        // WHERE is not asked about a row that has been changed.
        assert_eq!(decided(&[Met, Kept], from_ref(&same), true), "!");
        assert_eq!(decided(&[Kept, Met], from_ref(&same), true), "-u");
    }
}
