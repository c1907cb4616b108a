//! What a transaction relied on must still be so when it commits. Who writes a table and who alters
//! it wait for each other, but a block's snapshot may be older than its locks; of two transactions
//! that do not go together, the second to commit fails and may run again.

use std::{collections::BTreeSet, sync::Arc};

use kestrel_planner::catalog::{Catalog, CatalogChange, TableDef};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::engine::Moves;

/// 40001 if `newest`, what others have committed, breaks one of these:
///
/// - rows were written under rules at least as strict as the table's are now (`base`: the
///   snapshot the transaction began with);
/// - tables whose rows were `checked` for a new rule have got no other rows; those that have only been
///   written anew, as `moves` tells, are no others, nor are those that the transaction saw when it began,
///   and has since removed itself;
/// - roles, their settings and default privileges that are changed are as they were in `base`: the
///   changes have all of them in them, and would undo what others have done meanwhile.
pub(super) fn check_still_so<'a>(
    changes: impl IntoIterator<Item = &'a CatalogChange>,
    base: &Catalog,
    checked: &[Arc<TableDef>],
    newest: &Catalog,
    moves: &Moves,
) -> Result<()> {
    for change in changes {
        check_role(change, base, newest)?;
        let (CatalogChange::AddSegments { table, .. }
        | CatalogChange::CountShardRows { table, .. }) = change
        else {
            continue;
        };
        if let (Some(then), Some(now)) = (base.table_by_id(*table), newest.table_by_id(*table))
            && (!Arc::ptr_eq(then, now) && is_stricter(now, then)
                || takes_other_rows(*table, base, newest))
        {
            return Err(conflict(now, "altered"));
        }
    }
    for table in checked {
        let then = base.table_by_id(table.id).into_iter().flat_map(|then| &then.segments);
        let known = table.segments.iter().chain(then);
        let known: BTreeSet<_> = known.map(|s| (s.datanode, s.id)).collect();
        let Some(now) = newest.table_by_id(table.id) else { continue };
        let present = now.segments.iter().map(|s| (s.datanode, s.id));
        let new: Vec<_> = present.filter(|key| !known.contains(key)).collect();
        if !moves.come_from(&new, &known) {
            return Err(conflict(now, "written"));
        }
    }
    Ok(())
}

/// Whether these tables have in `newest`, what others have committed, the segments and delete vectors of
/// `base`: who puts others in the place of all of them cannot commit otherwise.
///
/// # Errors
/// 40001
pub(super) fn check_same_rows(
    tables: impl IntoIterator<Item = u64>,
    base: &Catalog,
    newest: &Catalog,
) -> Result<()> {
    let rows = |table: &TableDef| -> BTreeSet<_> {
        table.segments.iter().map(|s| (s.datanode, s.id, s.vector_id())).collect()
    };
    for id in tables {
        if let (Some(then), Some(now)) = (base.table_by_id(id), newest.table_by_id(id))
            && !Arc::ptr_eq(then, now)
            && rows(then) != rows(now)
        {
            return Err(conflict(now, "written"));
        }
    }
    Ok(())
}

fn check_role(change: &CatalogChange, base: &Catalog, newest: &Catalog) -> Result<()> {
    let is_same = match change {
        CatalogChange::AlterRole(role) => {
            base.role_by_id(role.id).is_none()
                || base.role_by_id(role.id) == newest.role_by_id(role.id)
        }
        CatalogChange::SetRoleSettings(settings) => {
            base.role_settings.get(&settings.id) == newest.role_settings.get(&settings.id)
        }
        CatalogChange::SetDefaultAcl(default) => {
            base.default_acls.get(&default.id) == newest.default_acls.get(&default.id)
        }
        _ => true,
    };
    if is_same {
        return Ok(());
    }
    Err(concurrent_update("A role was changed by another transaction meanwhile.".into()))
}

/// Is it below another table now, or within other bounds, or does a default partition, itself or one
/// above it, take what other partitions leave, and have these changed?
fn takes_other_rows(partition: u64, base: &Catalog, newest: &Catalog) -> bool {
    let bounds = |catalog: &Catalog| -> Vec<_> {
        let above = catalog.partition_ancestors(partition);
        let beside = above.iter().filter(|table| table.is_default_partition());
        let beside = beside.flat_map(|table| table.parent_id());
        let beside: Vec<_> = beside.flat_map(|parent| catalog.partitions_of(parent)).collect();
        let all = above.iter().chain(&beside);
        all.map(|table| (table.id, table.partition_of.clone())).collect()
    };
    bounds(base) != bounds(newest)
}

/// May a row that was right for `then`, and where it is, be wrong for `now`?
fn is_stricter(now: &TableDef, then: &TableDef) -> bool {
    let column = now.columns.iter().any(|column| match then.column_by_id(column.id) {
        Some(old) => column.not_null && !old.not_null,
        // Rows without the column have what was its default, if that is one value.
        None => {
            (column.not_null || column.default.is_some())
                && !now.missing_values.contains_key(&column.id)
        }
    });
    let check = now.checks.iter().any(|check| then.checks.iter().all(|old| old.id != check.id));
    let key = now.unique_sets().any(|key| then.unique_sets().all(|old| old.id != key.id));
    let is_moved = now.distribution != then.distribution;
    column || check || key || is_moved || now.partition_of != then.partition_of
}

/// Rows that a transaction deleted are in a file that is gone.
pub(super) fn removed_meanwhile(table: &TableDef) -> ErrorReport {
    conflict(table, "emptied")
}

fn conflict(table: &TableDef, what: &str) -> ErrorReport {
    let name = &table.name;
    concurrent_update(format!("Table \"{name}\" was {what} by another transaction meanwhile."))
}

fn concurrent_update(detail: String) -> ErrorReport {
    let message = "could not serialize access due to concurrent update";
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, message)
        .detail(detail)
        .hint("Run the transaction again.")
}

#[cfg(test)]
mod tests {
    use kestrel_planner::{
        catalog::{Catalog, CatalogChange, DeleteVector, Membership, RoleDef, Segment},
        ddl,
        parse::{StatementKind, parse},
    };

    use super::*;

    fn after(catalog: &Catalog, sql: &str) -> Catalog {
        let statement = parse(sql).unwrap().remove(0);
        let StatementKind::Ddl(statement) = statement.kind else { panic!("no DDL: {sql}") };
        let plan = ddl::plan(&statement, catalog, &["public".into()]).unwrap();
        catalog.apply(&plan.changes).unwrap()
    }

    #[test]
    fn what_others_did_to_a_role_is_not_undone() {
        let role = |member_of: &[u64]| RoleDef {
            member_of: member_of
                .iter()
                .map(|role| Membership { role: *role, grantor: 10, admin: false })
                .collect(),
            ..RoleDef::new(20_000, "ann")
        };
        let base = Catalog::empty().apply(&[CatalogChange::CreateRole(role(&[]))]).unwrap();
        let newest = base.apply(&[CatalogChange::AlterRole(role(&[4200]))]).unwrap();
        let changes = [CatalogChange::AlterRole(role(&[3373]))];
        assert!(check_still_so(&changes, &base, &[], &base, &Moves::default()).is_ok());
        assert!(check_still_so(&changes, &base, &[], &newest, &Moves::default()).is_err());
        assert!(
            check_still_so(&changes, &Catalog::empty(), &[], &newest, &Moves::default()).is_ok()
        );
    }

    fn segment(id: u64, vector_id: Option<u64>) -> Segment {
        let vector =
            |id| DeleteVector { id, file: format!("v{id}"), length: 1, rows: 1, checksum: 0 };
        Segment {
            datanode: 0,
            id,
            kind: 0,
            file: format!("f{id}"),
            offset: 0,
            length: 1,
            rows: 9,
            bytes: 9,
            zone_summary: Vec::new(),
            deletes: vector_id.map(vector),
            checksum: 0,
        }
    }

    #[test]
    fn rows_that_the_transaction_has_removed_are_no_others() {
        let created = after(&Catalog::empty(), "CREATE TABLE t (a int) DISTRIBUTED BY (a)");
        let id = created.table("public", "t").unwrap().id;
        let with = |catalog: &Catalog, segments: Vec<Segment>| {
            catalog.apply(&[CatalogChange::AddSegments { table: id, segments }]).unwrap()
        };
        let table = |catalog: &Catalog| Arc::clone(catalog.table_by_id(id).unwrap());
        let base = with(&created, vec![segment(1, None), segment(2, None)]);
        let worn = with(&created, vec![segment(1, None), segment(2, Some(5))]);
        let written = with(&base, vec![segment(3, None)]);
        // It has emptied the table; moved its rows; and seen them as they were.
        let moved = table(&with(&created, vec![segment(8, None)]));
        for checked in [table(&created), moved, table(&base)] {
            for (newest, fits) in [(&base, true), (&worn, true), (&written, false)] {
                let checked = [Arc::clone(&checked)];
                let found = check_still_so(&[], &base, &checked, newest, &Moves::default());
                assert_eq!(found.is_ok(), fits, "{checked:?}");
            }
        }
        for (newest, same) in [(&base, true), (&worn, false), (&written, false)] {
            assert_eq!(check_same_rows([id, 7], &base, newest).is_ok(), same);
        }
        let renamed = after(&base, "ALTER TABLE t RENAME TO u");
        assert_eq!(check_same_rows([id], &base, &renamed), Ok(()));
        assert_eq!(check_same_rows([id], &Catalog::empty(), &written), Ok(()));
    }

    #[test]
    fn rows_do_not_get_into_partitions_that_take_others_now() {
        let mut base = Catalog::empty();
        for sql in [
            "CREATE TABLE p (a int) DISTRIBUTED BY (a) PARTITION BY LIST (a)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE rest PARTITION OF p DEFAULT",
        ] {
            base = after(&base, sql);
        }
        let added = after(&base, "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)");
        let detached = after(&base, "ALTER TABLE p DETACH PARTITION p1");
        for (table, newest, fits) in [
            ("p1", &added, true),
            ("rest", &added, false),
            ("rest", &base, true),
            ("p1", &detached, false),
        ] {
            let table = base.table("public", table).unwrap();
            let changes = [CatalogChange::AddSegments { table: table.id, segments: vec![] }];
            assert_eq!(
                check_still_so(&changes, &base, &[], newest, &Moves::default()).is_ok(),
                fits,
                "{}",
                table.name
            );
        }
    }

    #[test]
    fn rows_of_old_rules_do_not_get_into_stricter_tables() {
        let base = after(
            &Catalog::empty(),
            "CREATE TABLE t (a int PRIMARY KEY, b int, c varchar(3)) DISTRIBUTED BY (a)",
        );
        let id = base.table("public", "t").unwrap().id;
        let changes = [CatalogChange::AddSegments { table: id, segments: vec![] }];
        let cases = [
            ("ALTER TABLE t ALTER b SET NOT NULL", false),
            ("ALTER TABLE t ADD CHECK (b > 0)", false),
            ("ALTER TABLE t ADD UNIQUE (a, b)", false),
            ("CREATE UNIQUE INDEX ON t (a, c)", false),
            ("ALTER TABLE t ADD d int NOT NULL", false),
            ("ALTER TABLE t ADD d int", true),
            ("ALTER TABLE t DROP b", true),
            ("ALTER TABLE t RENAME b TO x", true),
            ("ALTER TABLE t RENAME TO u", true),
            ("ALTER TABLE t ALTER c TYPE text", true),
            ("ALTER TABLE t ALTER b SET DEFAULT 7", true),
            ("CREATE INDEX ON t (b)", true),
            ("ALTER TABLE t SET DISTRIBUTED REPLICATED", false),
        ];
        for (sql, fits) in cases {
            let newest = after(&base, sql);
            assert_eq!(
                check_still_so(&changes, &base, &[], &newest, &Moves::default()).is_ok(),
                fits,
                "{sql}"
            );
        }
    }
}
