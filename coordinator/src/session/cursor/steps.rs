//! Where a FETCH has to go (PostgreSQL's `DoPortalRunFetch` in pquery.c).

use kestrel_planner::parse::{FETCH_ALL, Fetch, FetchDirection};

use super::rows::Place;

/// All rows there are.
pub(super) const ALL: u64 = u64::MAX;

/// What a FETCH does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// First, without giving rows.
    pub(super) skipped: Vec<Step>,
    /// Then.
    pub(super) last: Last,
}

/// One movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Before the first row.
    Rewind,
    /// So many rows on, or behind the last one.
    Forward(u64),
    /// So many rows back, or before the first one.
    Backward(u64),
}

/// The end of a FETCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// The rows of this movement are given, or counted.
    Go(Step),
    /// MOVE says that it went over so many rows.
    Say(u64),
}

/// The steps of a FETCH or MOVE of a cursor that stands here.
pub(super) fn steps(fetch: &Fetch, place: Place) -> Steps {
    let count = if fetch.count == FETCH_ALL { ALL } else { fetch.count.unsigned_abs() };
    match (fetch.direction, fetch.count.signum()) {
        (FetchDirection::Absolute, 1) => absolute(count, place),
        // To the end, and back from there.
        (FetchDirection::Absolute, -1) => {
            let back = (count > 1).then(|| Step::Backward(count - 1));
            let skipped = std::iter::once(Step::Forward(ALL)).chain(back).collect();
            Steps { skipped, last: Last::Go(Step::Backward(1)) }
        }
        (FetchDirection::Absolute, _) => {
            Steps { skipped: vec![Step::Rewind], last: Last::Go(Step::Forward(0)) }
        }
        (FetchDirection::Relative, 1) => {
            let skipped = (count > 1).then(|| Step::Forward(count - 1)).into_iter().collect();
            Steps { skipped, last: Last::Go(Step::Forward(1)) }
        }
        (FetchDirection::Relative, -1) => {
            let skipped = (count > 1).then(|| Step::Backward(count - 1)).into_iter().collect();
            Steps { skipped, last: Last::Go(Step::Backward(1)) }
        }
        (FetchDirection::Relative | FetchDirection::Forward, 0) => {
            here(fetch, place, Step::Forward(0))
        }
        (FetchDirection::Backward, 0) => here(fetch, place, Step::Backward(0)),
        (FetchDirection::Forward, -1) | (FetchDirection::Backward, 1) => {
            backward(fetch, place, count)
        }
        (FetchDirection::Forward | FetchDirection::Backward | FetchDirection::Relative, _) => {
            Steps { skipped: Vec::new(), last: Last::Go(Step::Forward(count)) }
        }
    }
}

/// The row of this number, reached from the first row or from here, whichever is nearer.
fn absolute(count: u64, place: Place) -> Steps {
    let last = Last::Go(Step::Forward(1));
    let skipped = if count - 1 <= place.at / 2 {
        let forward = (count > 1).then(|| Step::Forward(count - 1));
        std::iter::once(Step::Rewind).chain(forward).collect()
    } else {
        let here = place.at + u64::from(place.is_past_end);
        if count <= here {
            vec![Step::Backward(here - count + 1)]
        } else if count > here + 1 {
            vec![Step::Forward(count - here - 1)]
        } else {
            Vec::new()
        }
    };
    Steps { skipped, last }
}

/// The row that the cursor stands on, once more.
fn here(fetch: &Fetch, place: Place, otherwise: Step) -> Steps {
    let is_on_row = place.at > 0 && !place.is_past_end;
    if fetch.only_moves {
        return Steps { skipped: Vec::new(), last: Last::Say(u64::from(is_on_row)) };
    }
    if is_on_row {
        return Steps { skipped: vec![Step::Backward(1)], last: Last::Go(Step::Forward(1)) };
    }
    Steps { skipped: Vec::new(), last: Last::Go(otherwise) }
}

fn backward(fetch: &Fetch, place: Place, count: u64) -> Steps {
    if fetch.only_moves && count == ALL {
        let passed = if place.is_past_end { place.at } else { place.at.saturating_sub(1) };
        return Steps { skipped: vec![Step::Rewind], last: Last::Say(passed) };
    }
    Steps { skipped: Vec::new(), last: Last::Go(Step::Backward(count)) }
}

#[cfg(test)]
mod tests {
    use kestrel_planner::parse::{StatementKind, parse};

    use super::*;

    #[test]
    fn steps_are_postgresqls() {
        use Step::{Backward, Forward, Rewind};
        let on = |at| Place { at, is_past_end: false };
        let past = |at| Place { at, is_past_end: true };
        let go = |skipped: &[Step], last| Steps { skipped: skipped.to_vec(), last: Last::Go(last) };
        let say = |skipped: &[Step], n| Steps { skipped: skipped.to_vec(), last: Last::Say(n) };
        let cases = [
            ("FETCH c", on(0), go(&[], Forward(1))),
            ("FETCH PRIOR c", on(3), go(&[], Backward(1))),
            ("FETCH FIRST c", on(0), go(&[Rewind], Forward(1))),
            ("FETCH LAST c", on(2), go(&[Forward(ALL)], Backward(1))),
            ("FETCH ABSOLUTE -3 c", on(2), go(&[Forward(ALL), Backward(2)], Backward(1))),
            ("FETCH ABSOLUTE 0 c", on(2), go(&[Rewind], Forward(0))),
            ("FETCH ABSOLUTE 3 c", on(0), go(&[Forward(2)], Forward(1))),
            ("FETCH ABSOLUTE 3 c", on(2), go(&[], Forward(1))),
            ("FETCH ABSOLUTE 3 c", on(10), go(&[Rewind, Forward(2)], Forward(1))),
            ("FETCH ABSOLUTE 9 c", on(10), go(&[Backward(2)], Forward(1))),
            ("FETCH ABSOLUTE 10 c", past(10), go(&[Backward(2)], Forward(1))),
            ("FETCH ABSOLUTE 11 c", past(10), go(&[Backward(1)], Forward(1))),
            ("FETCH ABSOLUTE 12 c", past(10), go(&[], Forward(1))),
            ("FETCH RELATIVE 3 c", on(2), go(&[Forward(2)], Forward(1))),
            ("FETCH RELATIVE -3 c", on(5), go(&[Backward(2)], Backward(1))),
            ("FETCH RELATIVE 0 c", on(5), go(&[Backward(1)], Forward(1))),
            ("FETCH 0 c", past(5), go(&[], Forward(0))),
            ("FETCH BACKWARD 0 c", on(0), go(&[], Backward(0))),
            ("FETCH FORWARD -2 c", on(5), go(&[], Backward(2))),
            ("FETCH BACKWARD -2 c", on(5), go(&[], Forward(2))),
            ("FETCH ALL c", on(5), go(&[], Forward(ALL))),
            ("FETCH BACKWARD ALL c", on(5), go(&[], Backward(ALL))),
            ("MOVE BACKWARD ALL c", on(5), say(&[Rewind], 4)),
            ("MOVE BACKWARD ALL c", past(5), say(&[Rewind], 5)),
            ("MOVE 0 c", on(5), say(&[], 1)),
            ("MOVE 0 c", on(0), say(&[], 0)),
        ];
        for (sql, place, expected) in cases {
            let StatementKind::Fetch(fetch) = parse(sql).unwrap().remove(0).kind else {
                panic!("{sql}");
            };
            assert_eq!(steps(&fetch, place), expected, "{sql} at {place:?}");
        }
    }
}
