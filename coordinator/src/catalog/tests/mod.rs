//! The durable catalog, against its own rules.

mod segments;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, thread};

use chrono::{DateTime, Utc};
use kestrel_planner::{
    catalog::{
        AccessDef, Catalog, CatalogChange, ColumnDef, DatanodeDef, DecisionDef, DefaultAclDef,
        DeleteVector, Distribution, KeyDef, NamedRelation, ObjectKind, ReplacedVector,
        RewrittenSegment, RoleDef, RoleSettings, SchemaDef, Segment, SequenceDef, SequenceState,
        ShardRows, SqlType, TableDef, Verifier, ViewColumn, ViewDef, ViewRelation, default_acl,
    },
    statistics::{ShardStatistics, TableStatistics},
};
use kestrel_proto::SqlState;

use super::{CatalogHandle, CatalogStore, format::CATALOG_FILE};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap()
}

fn table(id: u64, name: &str) -> TableDef {
    let column = |id, name: &str, sql_type| ColumnDef {
        id,
        name: name.into(),
        sql_type,
        not_null: id == 1,
        default: (id == 1).then(|| "nextval('t_id_seq'::regclass)".into()),
        identity: None,
    };
    let columns = vec![
        column(1, "id", SqlType::BigInt),
        column(2, "price \"x\"", SqlType::Numeric(15, 2)),
        column(3, "comment", SqlType::Varchar(Some(44))),
    ];
    TableDef {
        primary_key: Some(KeyDef { name: format!("{name}_pkey"), id: id + 1, columns: vec![1] }),
        ..TableDef::new(id, ("public", name), columns, Distribution::Hash(vec![1]))
    }
}

fn segment(datanode: u32, id: u64) -> Segment {
    Segment {
        datanode,
        id,
        kind: 1,
        file: format!("segments/{id}.parquet"),
        offset: 0,
        length: 4096,
        rows: id,
        bytes: 10 * id,
        zone_summary: vec![0, 255, 7],
        checksum: u32::MAX,
        deletes: None,
    }
}

fn sequence(id: u64, max_value: i64, owned_by: Option<(u64, u32)>) -> SequenceDef {
    let name = format!("s{id}");
    let new = SequenceDef::new("public", &name, SqlType::BigInt);
    SequenceDef { id, max_value, owned_by, ..new }
}

fn datanode(id: u32) -> DatanodeDef {
    DatanodeDef {
        id,
        name: format!("dn{}", id + 1),
        uuid: format!("uuid-{id}"),
        address: "local".into(),
        shard_kind: "columnar".into(),
    }
}

fn with_segment(table: TableDef, segment: Segment) -> TableDef {
    TableDef { segments: vec![Arc::new(segment)], ..table }
}

fn add(table: u64, segments: impl IntoIterator<Item = Segment>) -> CatalogChange {
    CatalogChange::AddSegments { table, segments: segments.into_iter().collect() }
}

fn replace(table: u64, vectors: Vec<ReplacedVector>) -> CatalogChange {
    CatalogChange::ReplaceVectors { table, vectors }
}

/// Datanode and id of each segment that goes, and the id of its vector.
fn rewrite(
    table: u64,
    old: impl IntoIterator<Item = (u32, u64, Option<u64>)>,
    new: impl IntoIterator<Item = Segment>,
) -> CatalogChange {
    let rewritten = |(datanode, segment, vector)| RewrittenSegment { datanode, segment, vector };
    let rewritten = old.into_iter().map(rewritten).collect();
    CatalogChange::ReplaceSegments { table, rewritten, segments: new.into_iter().collect() }
}

/// A vector whose id is the number of its rows.
fn vector(datanode: u32, segment: u64, before: Option<u64>, rows: u64) -> ReplacedVector {
    let file = format!("segments/{segment}-{rows}.deletes");
    let after = DeleteVector { id: rows, file, length: 60, rows, checksum: u32::MAX };
    ReplacedVector { datanode, segment, before, after }
}

/// A cluster's life: one commit per line.
fn life() -> Vec<Vec<CatalogChange>> {
    use CatalogChange::*;
    vec![
        vec![SetDatanodes { datanodes: (0..3).map(datanode).collect(), bucket_map_version: 1 }],
        vec![CreateSchema(SchemaDef { id: 16384, name: "sales".into() })],
        vec![CreateSequence(sequence(16385, 10, Some((16386, 1)))), CreateTable(table(16386, "t"))],
        vec![add(16386, [segment(0, 1), segment(1, 1 << 63)])],
        vec![add(16386, [segment(2, 3)]), add(16386, [segment(0, 4)])],
        vec![replace(16386, vec![vector(2, 3, None, 3), vector(0, 4, None, 2)])],
        vec![rewrite(16386, [(0, 1, None), (0, 4, Some(2))], [segment(0, 7)])],
        vec![CreateTable(with_segment(table(16390, "u"), segment(1, 5)))],
        vec![RemoveAllSegments { table: 16386 }, add(16386, [segment(0, 6)])],
        vec![DropTable(16390), DropSchema("sales".into())],
        vec![CreateSequence(sequence(16400, i64::MAX, None)), CreateTable(table(16395, "u"))],
        vec![DropTable(16386)],
        vec![
            CreateView(view(16398, "v", 16395)),
            SetComment { object: 16398, column: 0, text: Some("a view".into()) },
            SetComment { object: 16395, column: 2, text: Some("a price".into()) },
        ],
        vec![AlterTable {
            before: Box::new(table(16395, "u")),
            after: Box::new(TableDef { last_column_id: 7, ..table(16395, "w") }),
        }],
        vec![RenameSchema { from: "public".into(), to: "private".into() }],
        vec![DropView(16398), SetComment { object: 16395, column: 2, text: None }],
        vec![CreateView(ViewDef { schema_name: "private".into(), ..view(16399, "x", 16395) })],
        vec![CreateRole(RoleDef::new(16397, "a")), CreateRole(RoleDef::new(16398, "b"))],
        vec![AlterRole(RoleDef {
            verifier: Some(Verifier::new("SCRAM-SHA-256$…")),
            ..RoleDef::new(16397, "c")
        })],
        vec![DropRole(16398)],
        vec![
            CountShardRows { table: 16395, datanode: 2, rows: 7, bytes: 70, updated: 1 },
            CountShardRows { table: 16395, datanode: 0, rows: 3, bytes: 30, updated: 1 },
            CountShardRows { table: 16395, datanode: 2, rows: -9, bytes: -20, updated: 1 },
            Decide(DecisionDef { transaction: 1 << 63, epoch: 2, datanodes: vec![0, 2] }),
            Decide(DecisionDef { transaction: 6, epoch: 1, datanodes: vec![1] }),
        ],
        vec![
            Forget(6),
            SetShardRows { table: 16395, shard_rows: ShardRows { datanode: 1, rows: 5, bytes: 6 } },
        ],
        vec![SetOwner { object: 16395, owner: 16397 }, analyzed(16395, 7), analyzed(7, 1)],
        vec![
            SetAccess {
                before: Box::new(AccessDef::owned_by(16395, 16397)),
                after: Box::new(AccessDef {
                    acl: Some(default_acl(ObjectKind::Table, 16397)),
                    columns: [(2, default_acl(ObjectKind::Table, 16397))].into(),
                    ..AccessDef::owned_by(16395, 16397)
                }),
            },
            SetDefaultAcl(DefaultAclDef {
                id: 16399,
                role: 16397,
                schema: None,
                kind: ObjectKind::Table,
                acl: vec![],
            }),
            SetRoleSettings(RoleSettings {
                id: 16397,
                everywhere: [("work_mem".into(), "1GB".into())].into(),
                in_database: Default::default(),
            }),
        ],
        vec![DropDefaultAcl(16399), SetOwner { object: 16395, owner: 10 }],
    ]
}

/// Without columns, as the log has it.
fn analyzed(table: u64, rows: u64) -> CatalogChange {
    let shards = vec![ShardStatistics { datanode: 0, rows, bytes: 2 * rows }];
    let known = TableStatistics { table, rows, shards, ..Default::default() };
    CatalogChange::SetStatistics(Box::new(known))
}

fn view(id: u64, name: &str, of: u64) -> ViewDef {
    ViewDef {
        id,
        schema_name: "public".into(),
        name: name.into(),
        columns: table(of, name).columns,
        query: "SELECT * FROM u".into(),
        search_path: vec!["public".into()],
        relations: vec![ViewRelation {
            named: NamedRelation { schema: None, name: "u".into(), id: of },
            columns: vec![ViewColumn { id: 1, name: "id".into(), is_used: true }],
        }],
    }
}

fn check_equal(found: &Catalog, expected: &Catalog) {
    assert_eq!(found, expected, "version {}", expected.version);
}

#[test]
fn reopening_shows_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Arc::new(Catalog::empty());
    let mut cluster_id = None;
    let mut last_transaction = 0;
    for (opened, changes) in life().into_iter().enumerate() {
        let store = CatalogStore::open(dir.path()).unwrap();
        check_equal(&store.snapshot(), &expected);
        assert_eq!(store.epoch(), opened as u64 + 1);
        assert_eq!(*cluster_id.get_or_insert(store.cluster_id()), store.cluster_id());
        for _ in 0..2 {
            let transaction = store.next_transaction_id().0;
            assert!(transaction > last_transaction);
            last_transaction = transaction;
        }
        expected = store.commit(Some(opened as u64), changes, now()).unwrap();
        check_equal(&store.snapshot(), &expected);
    }
    check_equal(&CatalogStore::open(dir.path()).unwrap().snapshot(), &expected);
    assert_eq!(expected.next_oid, 16401, "OIDs of dropped objects are not used again");
}

#[test]
fn log_replayed_from_empty_is_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    let mut versions = vec![store.snapshot()];
    for changes in life() {
        versions.push(store.commit(None, changes, now()).unwrap());
    }
    drop(store);
    let store = CatalogStore::open(dir.path()).unwrap();
    for start in &versions {
        let mut replayed = Catalog::clone(start);
        for entry in store.changes_since(start.version).unwrap() {
            assert_eq!(entry.committed_at, now());
            replayed = replayed.apply(&entry.changes).unwrap();
            assert_eq!(replayed.version, entry.version);
            check_equal(&replayed, &versions[entry.version as usize]);
        }
        check_equal(&replayed, &store.snapshot());
    }
}

#[test]
fn a_catalog_without_roles_gets_the_first_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    let nonce = store.mock_nonce().0;
    drop(store);
    assert_eq!(CatalogStore::open(dir.path()).unwrap().mock_nonce().0, nonce, "it stays");
    sqlite(
        dir.path(),
        "DROP TABLE roles; DROP TABLE security; DROP TABLE sequence_values; \
         ALTER TABLE sequences ADD COLUMN last_value INTEGER NOT NULL DEFAULT 0; \
         DROP TABLE access; DROP TABLE default_acls; DROP TABLE role_settings; \
         DROP TABLE decisions; DROP TABLE statistics; \
         ALTER TABLE segments DROP COLUMN deletes; \
         ALTER TABLE segments ADD COLUMN delete_vector INTEGER NOT NULL DEFAULT 0; \
         PRAGMA user_version = 2",
    );
    let store = CatalogStore::open(dir.path()).unwrap();
    check_equal(&store.snapshot(), &Catalog::empty());
    assert_ne!(store.mock_nonce().0, nonce);
    for file in [CATALOG_FILE, "catalog.db-wal"] {
        let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    store.commit(None, vec![CatalogChange::CreateRole(RoleDef::new(16384, "a"))], now()).unwrap();
}

/// A crash leaves the write-ahead log cut anywhere: what is whole in it is the state.
#[test]
fn torn_write_shows_only_whole_commits() {
    let dir = tempfile::tempdir().unwrap();
    let wal = format!("{CATALOG_FILE}-wal");
    let store = CatalogStore::open(dir.path()).unwrap();
    let wal_bytes = || fs::metadata(dir.path().join(&wal)).unwrap().len();
    let mut versions = vec![(wal_bytes(), store.snapshot())];
    for changes in life() {
        let snapshot = store.commit(None, changes, now()).unwrap();
        versions.push((wal_bytes(), snapshot));
    }
    let log = fs::read(dir.path().join(&wal)).unwrap();
    let mut cuts = vec![];
    for pair in versions.windows(2) {
        let (from, to) = (pair[0].0, pair[1].0);
        cuts.extend([from, from + 1, (from + to) / 2, to - 1, to]);
    }
    for cut in cuts {
        let crashed = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join(CATALOG_FILE), crashed.path().join(CATALOG_FILE)).unwrap();
        fs::write(crashed.path().join(&wal), &log[..cut as usize]).unwrap();
        let found = CatalogStore::open(crashed.path()).unwrap();
        let expected = versions.iter().rev().find(|(bytes, _)| *bytes <= cut).unwrap();
        check_equal(&found.snapshot(), &expected.1);
        assert_eq!(found.epoch(), 2);
        // And it goes on from there.
        found.commit(None, vec![CatalogChange::CreateTable(table(20000, "later"))], now()).unwrap();
    }
}

#[test]
fn commits_that_do_not_fit_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    let create = || vec![CatalogChange::CreateTable(table(16384, "t"))];
    let before = store.commit(Some(0), create(), now()).unwrap();
    let cases = [
        (Some(0), vec![CatalogChange::CreateTable(table(16390, "u"))]),
        (Some(2), vec![]),
        (None, create()),
        (None, vec![add(16384, [segment(0, 1)]), CatalogChange::DropTable(99)]),
    ];
    for (expected_version, changes) in cases {
        let error = store.commit(expected_version, changes, now()).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::SERIALIZATION_FAILURE);
        assert!(Arc::ptr_eq(&store.snapshot(), &before));
    }
    assert_eq!(store.changes_since(0).unwrap().len(), 1);
    let same = store.commit(Some(1), vec![], now()).unwrap();
    assert!(Arc::ptr_eq(&same, &before), "no changes make no version");
}

#[test]
fn commits_of_many_threads_all_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    store.commit(None, vec![CatalogChange::CreateTable(table(16384, "t"))], now()).unwrap();
    let counting = sequence(16390, i64::MAX, None);
    let create = CatalogChange::CreateSequence(counting.clone());
    store.commit(None, vec![create], now()).unwrap();
    let mut values: Vec<i64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4u32)
            .map(|datanode| {
                let (store, counting) = (&store, &counting);
                scope.spawn(move || {
                    let mut values = vec![];
                    for id in 0..10 {
                        let changes = || vec![add(16384, [segment(datanode, id)])];
                        if datanode == 0 {
                            // Optimistic: tries again until nobody was faster.
                            while store
                                .commit(Some(store.snapshot().version), changes(), now())
                                .is_err()
                            {}
                        } else {
                            store.commit(None, changes(), now()).unwrap();
                        }
                        values.extend(store.next_values(counting, 3).unwrap());
                    }
                    values
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    values.sort_unstable();
    assert_eq!(values, (1..=120).collect::<Vec<_>>(), "every sequence value once");
    let snapshot = store.snapshot();
    assert_eq!(snapshot.version, 42);
    for datanode in 0..4 {
        let ids = snapshot.segments().filter(|s| s.datanode == datanode).map(|s| s.id);
        assert_eq!(ids.collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }
    let versions = store.changes_since(2).unwrap().into_iter().map(|e| e.version);
    assert_eq!(versions.collect::<Vec<_>>(), (3..=42).collect::<Vec<_>>());
    drop(store);
    check_equal(&CatalogStore::open(dir.path()).unwrap().snapshot(), &snapshot);
}

#[test]
fn sequence_values_are_given_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    let owned = sequence(16385, 10, Some((16386, 1)));
    let create = CatalogChange::CreateSequence(owned.clone());
    let changes = vec![CatalogChange::CreateTable(table(16386, "t")), create];
    store.commit(None, changes, now()).unwrap();
    assert_eq!(store.next_values(&owned, 1).unwrap(), [1]);
    assert_eq!(store.next_values(&owned, 4).unwrap(), [2, 3, 4, 5]);
    // Other commits, and a restart, do not touch the values.
    store.commit(None, vec![add(16386, [segment(0, 1)])], now()).unwrap();
    drop(store);
    let store = CatalogStore::open(dir.path()).unwrap();
    assert_eq!(store.next_values(&owned, 4).unwrap(), [6, 7, 8, 9]);
    let error = store.next_values(&owned, 2).unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "2200H");
    assert_eq!(error.message, "nextval: reached maximum value of sequence \"s16385\" (10)");
    assert_eq!(store.next_values(&owned, 1).unwrap(), [10]);
    assert!(store.next_values(&owned, u64::MAX).is_err());
    // Its table takes it along.
    store.commit(None, vec![CatalogChange::DropTable(16386)], now()).unwrap();
    let error = store.next_values(&owned, 1).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::UNDEFINED_TABLE);
}

#[test]
fn a_crash_skips_values_and_gives_none_twice() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = CatalogStore::open(dir.path()).unwrap();
    let counting = sequence(16384, i64::MAX, None);
    store.commit(None, vec![CatalogChange::CreateSequence(counting.clone())], now()).unwrap();
    // As PostgreSQL 15 counts in log_cnt.
    let standing = |store: &CatalogStore| {
        let standing = store.sequence_standing(&counting).unwrap();
        (standing.state.last_value, standing.leased, standing.state.is_called)
    };
    assert_eq!(standing(&store), (1, 0, false));
    for (value, leased) in (1..6).zip((0..=32).rev()) {
        assert_eq!(store.next_values(&counting, 1).unwrap(), [value]);
        assert_eq!(standing(&store), (value, leased, true));
    }
    // What is on disk while the store is open is what a crash leaves.
    for file in ["catalog.db", "catalog.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let crashed = CatalogStore::open(copy.path()).unwrap();
    assert_eq!(crashed.next_values(&counting, 1).unwrap(), [34]);
    let state = SequenceState { last_value: 7, is_called: false };
    store.set_sequence(&counting, state).unwrap();
    assert_eq!(standing(&store), (7, 0, false));
    assert_eq!(store.next_values(&counting, 2).unwrap(), [7, 8]);
    // Another way to count goes on from the last value.
    let by_ten = SequenceDef { increment: 10, ..counting.clone() };
    let alter = CatalogChange::AlterSequence { before: counting.clone(), after: by_ten.clone() };
    store.commit(None, vec![alter], now()).unwrap();
    assert_eq!(store.next_values(&by_ten, 2).unwrap(), [18, 28]);
    let restart = CatalogChange::SetSequence { id: 16384, state };
    store.commit(None, vec![restart], now()).unwrap();
    drop(store);
    let store = CatalogStore::open(dir.path()).unwrap();
    assert_eq!(store.next_values(&by_ten, 2).unwrap(), [7, 17]);
}

#[test]
fn temporary_schemas_are_gone_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    let name = "pg_temp_7".to_string();
    let temporary = TableDef { schema_name: name.clone(), ..table(16385, "t") };
    let changes = vec![
        CatalogChange::CreateSchema(SchemaDef { id: 16384, name }),
        CatalogChange::CreateTable(temporary),
        CatalogChange::CreateTable(table(16388, "t")),
        add(16385, [segment(0, 1)]),
        add(16388, [segment(0, 2)]),
    ];
    store.commit(None, changes, now()).unwrap();
    drop(store);
    let snapshot = CatalogStore::open(dir.path()).unwrap().snapshot();
    assert_eq!(snapshot.schemas.keys().collect::<Vec<_>>(), ["public"]);
    assert_eq!(snapshot.segments().map(|s| s.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn unfit_directories_are_refused() {
    type Setup = fn(&Path);
    let cases: &[(Setup, SqlState, &str)] = &[
        (
            |dir| fs::write(dir.join("notes.txt"), "mine").unwrap(),
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "is not empty (\"notes.txt\") and has no catalog",
        ),
        (
            |dir| fs::write(dir.join(CATALOG_FILE), "x".repeat(5000)).unwrap(),
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "holds a file catalog.db that is not Kestrel's",
        ),
        (
            |dir| sqlite(dir, "CREATE TABLE somebody_elses (a)"),
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "holds a file catalog.db that is not Kestrel's",
        ),
        (
            |dir| {
                drop(CatalogStore::open(dir).unwrap());
                sqlite(dir, "PRAGMA user_version = 99");
            },
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "was written by a newer Kestrel (catalog format 99; this one reads up to ",
        ),
        (
            |dir| {
                drop(CatalogStore::open(dir).unwrap());
                sqlite(dir, "UPDATE cluster SET bucket_map = x'00'");
            },
            SqlState::DATA_CORRUPTED,
            "the catalog's bucket map is damaged",
        ),
        (
            |dir| {
                fs::remove_dir(dir).unwrap();
                fs::write(dir, "a file").unwrap();
            },
            SqlState::IO_ERROR,
            "could not create directory",
        ),
    ];
    for (setup, sqlstate, message) in cases {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        fs::create_dir(&dir).unwrap();
        setup(&dir);
        // Twice: a refusal leaves nothing behind that the next one stumbles over.
        for _ in 0..2 {
            let error = CatalogStore::open(&dir).unwrap_err();
            assert_eq!(error.sqlstate, *sqlstate, "{error}");
            assert!(error.message.contains(message), "{error}");
        }
    }
}

fn sqlite(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join(CATALOG_FILE)).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let nested = dir.path().join("a/b");
    let store = CatalogStore::open(&nested).unwrap();
    let error = CatalogStore::open(&nested).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    let owner = format!("is in use by process {}", std::process::id());
    assert!(error.message.contains(&owner), "{error}");
    drop(store);
    assert_eq!(CatalogStore::open(&nested).unwrap().epoch(), 2, "the refused open is no epoch");
}

#[test]
fn snapshots_share_what_did_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(dir.path()).unwrap();
    let tables = (0..1000u64).map(|i| {
        let segments = (0..10).map(|id| Arc::new(segment(0, id))).collect();
        CatalogChange::CreateTable(TableDef { segments, ..table(16384 + 2 * i, &format!("t{i}")) })
    });
    let before = store.commit(None, tables.collect(), now()).unwrap();
    let after = store.commit(None, vec![add(16384, [segment(1, 77)])], now()).unwrap();
    for (key, table) in &before.tables {
        assert_eq!(Arc::ptr_eq(table, &after.tables[key]), table.name != "t0");
    }
    let (old, new) = (before.table("public", "t0").unwrap(), after.table("public", "t0").unwrap());
    assert_eq!((old.segments.len(), new.segments.len()), (10, 11));
    assert!(old.segments.iter().zip(&new.segments).all(|(o, n)| Arc::ptr_eq(o, n)));
}

#[tokio::test]
async fn the_handle_does_the_same_from_async_code() {
    let dir = tempfile::tempdir().unwrap();
    let handle = CatalogHandle::open(dir.path().into()).await.unwrap();
    let counting = sequence(16384, 5, None);
    let create = CatalogChange::CreateSequence(counting.clone());
    let committed = handle.commit(Some(0), vec![create], now()).await.unwrap();
    assert!(Arc::ptr_eq(&committed, &handle.clone().snapshot()));
    assert_eq!(handle.next_values(counting, 2).await.unwrap(), [1, 2]);
    assert_eq!(handle.changes_since(0).await.unwrap().len(), 1);
    assert_eq!(handle.epoch(), 1);
    assert!(CatalogHandle::open(dir.path().into()).await.is_err());
}
