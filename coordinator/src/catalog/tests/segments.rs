//! Changes of a table's segments, and which of them do not go together.

use super::*;

#[test]
fn vectors_take_the_place_of_those_that_were_grown() {
    let base = Catalog::empty();
    let table = TableDef {
        segments: vec![Arc::new(segment(0, 5)), Arc::new(segment(1, 5))],
        ..table(16386, "t")
    };
    let base = base.apply(&[CatalogChange::CreateTable(table)]).unwrap();
    let first = base.apply(&[replace(16386, vec![vector(0, 5, None, 2)])]).unwrap();
    let live = |catalog: &Catalog| catalog.segments().map(|s| s.live_rows()).collect::<Vec<_>>();
    assert_eq!((live(&base), live(&first)), (vec![5, 5], vec![3, 5]));
    assert_eq!(first.table("public", "t").unwrap().size().0, 8);
    // A segment without rows goes.
    let second = first.apply(&[replace(16386, vec![vector(0, 5, Some(2), 5)])]).unwrap();
    assert_eq!(live(&second), [5]);
    for (on, conflicting) in [
        (&first, vector(0, 5, None, 3)),
        (&first, vector(0, 5, Some(7), 3)),
        (&base, vector(0, 5, Some(2), 3)),
        (&second, vector(0, 5, Some(2), 3)),
        (&base, vector(2, 5, None, 3)),
    ] {
        let error = on.apply(&[replace(16386, vec![conflicting])]).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::SERIALIZATION_FAILURE);
    }
}

#[test]
fn segments_take_the_place_of_those_that_were_read() {
    let table = TableDef {
        segments: [3, 4, 5, 6].map(|id| Arc::new(segment(0, id))).into(),
        ..table(16386, "t")
    };
    let base = Catalog::empty().apply(&[CatalogChange::CreateTable(table)]).unwrap();
    let base = base.apply(&[replace(16386, vec![vector(0, 5, None, 2)])]).unwrap();
    let ids = |catalog: &Catalog| catalog.segments().map(|s| s.id).collect::<Vec<_>>();
    for (old, new, expected) in [
        (vec![(0, 3, None), (0, 5, Some(2))], vec![12], vec![12, 4, 6]),
        (vec![(0, 5, Some(2))], vec![12, 13], vec![3, 4, 12, 6, 13]),
        (vec![(0, 4, None), (0, 6, None)], vec![12, 13], vec![3, 12, 5, 13]),
    ] {
        let new = new.into_iter().map(|id| segment(0, id));
        let after = base.apply(&[rewrite(16386, old, new)]).unwrap();
        assert_eq!(ids(&after), expected);
    }
    for old in [(0, 5, None), (0, 5, Some(3)), (0, 3, Some(2)), (1, 3, None), (0, 9, None)] {
        let error = base.apply(&[rewrite(16386, [old], [segment(0, 12)])]).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::SERIALIZATION_FAILURE, "{old:?}");
    }
}
