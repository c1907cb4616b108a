//! Which joins may change places: the properties of pairs of operators.
//!
//! Tables 2 and 3 of G. Moerkotte, P. Fender, M. Eich, "On the Correct and Complete Enumeration of the
//! Core Search Space", SIGMOD 2013. Their conditions on predicates that reject NULLs are tested, too.

use super::{Operator, Predicates, RelationSet};

/// A join with what its predicates say of NULLs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined<'a> {
    pub operator: Operator,
    pub predicates: &'a Predicates,
}

impl Joined<'_> {
    fn rejects_nulls(self, relations: RelationSet) -> bool {
        self.predicates.rejects_nulls.overlaps(relations)
    }
}

/// `(e1 a e2) b e3 = e1 a (e2 b e3)`, where `b` is about `e2` and `e3`.
pub(super) fn associative(a: Joined<'_>, b: Joined<'_>, e2: RelationSet) -> bool {
    use Operator::*;
    match (a.operator, b.operator) {
        (Inner, Inner | Semi | Anti | Left) => true,
        (Left, Left) => b.rejects_nulls(e2),
        (Full, Left) => b.rejects_nulls(e2),
        (Full, Full) => a.rejects_nulls(e2) && b.rejects_nulls(e2),
        (Inner, Full) | (Semi | Anti, _) => false,
        (Left, Inner | Semi | Anti | Full) | (Full, Inner | Semi | Anti) => false,
    }
}

/// `(e1 a e2) b e3 = (e1 b e3) a e2`, where `b` is about `e1` and `e3`.
pub(super) fn left_asscom(a: Joined<'_>, b: Joined<'_>, e1: RelationSet) -> bool {
    use Operator::*;
    match (a.operator, b.operator) {
        (Inner | Semi | Anti | Left, Inner | Semi | Anti | Left) => true,
        (Left, Full) => a.rejects_nulls(e1),
        (Full, Left) => b.rejects_nulls(e1),
        (Full, Full) => a.rejects_nulls(e1) && b.rejects_nulls(e1),
        (Inner | Semi | Anti, Full) | (Full, Inner | Semi | Anti) => false,
    }
}

/// `e1 a (e2 b e3) = e2 b (e1 a e3)`, where both are about `e3`.
pub(super) fn right_asscom(a: Joined<'_>, b: Joined<'_>, e3: RelationSet) -> bool {
    use Operator::*;
    match (a.operator, b.operator) {
        (Inner, Inner) => true,
        (Full, Full) => a.rejects_nulls(e3) && b.rejects_nulls(e3),
        (Inner | Left | Full | Semi | Anti, _) => false,
    }
}
