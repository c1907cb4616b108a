//! What the system views show in tests: a small schema, and something of all else.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use kestrel_planner::advice::{Advice, Delivery, Finding, KINDS, Object};
use kestrel_planner::catalog::{
    Catalog, CatalogChange, CheckDef, ColumnDef, DATABASE_OID, DatanodeDef, DefaultAclDef,
    DeleteVector, Distribution, ExtendedStatistics, KeyDef, NamedRelation, ObjectKind,
    PartitionBound, PartitionOf, PartitionStrategy, PartitionedBy, RoleDef, RoleSettings,
    SchemaDef, Segment, SequenceDef, SqlType, TableDef, ViewColumn, ViewDef, ViewRelation,
    default_acl,
};
use kestrel_planner::statistics::{
    ColumnStatistics, CommonValue, TableStatistics, Value as StatisticsValue,
};
use kestrel_proto::{DatanodeId, PreparedTransaction, QueryId, TransactionId};
use uuid::Uuid;

use super::{CursorFacts, PreparedFacts, SessionFacts, SettingFacts, SystemViewContext, lazy};
use crate::{
    advice::Remembered,
    auto_analyze::AutoAnalysis,
    engine::{
        CopyError, LoadFacts, LockFacts, LockMode, LockTag, RedistributionFacts,
        RedistributionPhase,
    },
    query::{QueryRecord, QueryState},
    server::{Activity, ActivityState},
    shards::InDoubt,
};

/// The schema of `testdata/schema.sql`, on two datanodes.
fn catalog() -> Catalog {
    let datanode = |id: u32| DatanodeDef {
        id,
        name: format!("dn{}", id + 1),
        uuid: id.to_string(),
        address: "local".into(),
        shard_kind: "columnar".into(),
    };
    let id_sequence = SequenceDef {
        id: 16385,
        owned_by: Some((16386, 1)),
        ..SequenceDef::new("public", "t_id_seq", SqlType::BigInt)
    };
    let changes = [
        CatalogChange::SetDatanodes {
            datanodes: vec![datanode(0), datanode(1)],
            bucket_map_version: 1,
        },
        CatalogChange::CreateSchema(SchemaDef { id: 16384, name: "sales".into() }),
        CatalogChange::CreateSequence(id_sequence),
        CatalogChange::CreateTable(table_t()),
        CatalogChange::CreateTable(table_order()),
        CatalogChange::AddSegments {
            table: 16386,
            segments: vec![segment(0, 1, 60), segment(1, 2, 40)],
        },
        CatalogChange::AddSegments {
            table: 16390,
            segments: vec![segment(0, 3, 5), segment(1, 4, 5)],
        },
        CatalogChange::AlterRole(monitor()),
        CatalogChange::SetDefaultAcl(DefaultAclDef {
            id: 16399,
            role: 10,
            schema: Some(2200),
            kind: ObjectKind::Table,
            acl: default_acl(ObjectKind::Table, 10),
        }),
        CatalogChange::SetRoleSettings(RoleSettings {
            id: 10,
            everywhere: [("search_path".into(), "public".into())].into(),
            in_database: Default::default(),
        }),
    ];
    Catalog::empty().apply(&changes).unwrap()
}

fn table_t() -> TableDef {
    let types = [
        ("id", SqlType::BigInt),
        ("a", SqlType::Integer),
        ("b", SqlType::Numeric(15, 2)),
        ("c", SqlType::Varchar(Some(10))),
        ("d", SqlType::Char(3)),
        ("e", SqlType::TimestampTz),
        ("f", SqlType::Text),
    ];
    let default = |name| match name {
        "id" => Some("nextval('t_id_seq'::regclass)".to_string()),
        "a" => Some("3".to_string()),
        _ => None,
    };
    let columns = types.iter().zip(1..).map(|((name, sql_type), id)| ColumnDef {
        id,
        name: (*name).into(),
        sql_type: *sql_type,
        not_null: id <= 2,
        default: default(*name),
        identity: None,
    });
    let (name, distribution) = (("public", "t"), Distribution::Hash(vec![1]));
    TableDef {
        primary_key: Some(KeyDef { name: "t_pkey".into(), id: 16387, columns: vec![1] }),
        unique_keys: vec![KeyDef { name: "t_a_id_key".into(), id: 16388, columns: vec![2, 1] }],
        ..TableDef::new(16386, name, columns.collect(), distribution)
    }
}

fn table_order() -> TableDef {
    let column = |id, name: &str, sql_type| ColumnDef {
        id,
        name: name.into(),
        sql_type,
        not_null: false,
        default: None,
        identity: None,
    };
    let columns = vec![column(1, "k", SqlType::Integer), column(2, "Value", SqlType::Double)];
    TableDef::new(16390, ("sales", "Order"), columns, Distribution::Replicated)
}

fn segment(datanode: u32, id: u64, rows: u64) -> Segment {
    Segment {
        datanode,
        id,
        kind: 1,
        file: format!("{id}.parquet"),
        offset: 0,
        length: 100 * rows,
        rows,
        bytes: 1000 * rows,
        zone_summary: vec![],
        deletes: None,
        checksum: 0,
    }
}

/// Of ten rows nine are deleted.
fn bloated() -> Segment {
    let deletes = DeleteVector { id: 1, file: "5.deletes".into(), length: 1, rows: 9, checksum: 0 };
    Segment { length: 100 * 8192, deletes: Some(deletes), ..segment(0, 5, 10) }
}

/// `pg_monitor`, which may make others members of one of its roles.
fn monitor() -> RoleDef {
    let all = RoleDef::predefined();
    let mut monitor = all.into_iter().find(|role| role.name == "pg_monitor").unwrap();
    monitor.member_of.first_mut().unwrap().admin = true;
    monitor
}

/// The same with something of every kind: a view, comments, a CHECK constraint.
pub(super) fn furnished() -> Catalog {
    let query = "SELECT a FROM t".to_string();
    let column = |id, name: &str, is_used| ViewColumn { id, name: name.into(), is_used };
    let changes = [
        CatalogChange::CreateView(ViewDef {
            id: 16400,
            schema_name: "public".into(),
            name: "v".into(),
            columns: vec![ColumnDef { id: 1, default: None, ..table_t().columns.remove(1) }],
            query,
            search_path: vec!["public".into()],
            relations: vec![ViewRelation {
                named: NamedRelation { schema: None, name: "t".into(), id: 16386 },
                columns: vec![column(1, "id", false), column(2, "a", true)],
            }],
        }),
        CatalogChange::CreateTable(TableDef {
            id: 16401,
            schema_name: "sales".into(),
            name: "checked".into(),
            checks: vec![CheckDef {
                name: "positive".into(),
                id: 16402,
                condition: "k > 0".into(),
                columns: vec![1],
            }],
            extended_statistics: vec![ExtendedStatistics {
                name: "both".into(),
                id: 16405,
                columns: vec![1, 2],
                distinct: true,
                dependencies: true,
            }],
            ..table_order()
        }),
        CatalogChange::SetComment { object: 16386, column: 0, text: Some("of t".into()) },
        CatalogChange::SetComment { object: DATABASE_OID, column: 0, text: Some("all".into()) },
        CatalogChange::SetStatistics(Box::new(statistics_of_t())),
        CatalogChange::CreateTable(TableDef {
            id: 16406,
            name: "bloated".into(),
            distribution: Distribution::Random,
            ..table_order()
        }),
        CatalogChange::AddSegments { table: 16406, segments: vec![bloated()] },
    ];
    catalog().apply(&changes).unwrap()
}

/// 80 rows were there, of the 100 that it has now.
fn statistics_of_t() -> TableStatistics {
    let common = CommonValue { value: StatisticsValue::Integer(7), frequency: 0.25 };
    let id = ColumnStatistics {
        rows: 80,
        average_width: 4.0,
        distinct: 61.0,
        common: vec![common],
        histogram: [1, 50, 99].map(StatisticsValue::Integer).to_vec(),
        ..Default::default()
    };
    TableStatistics {
        table: 16386,
        rows: 80,
        changed_rows: 80,
        analyzed_at_us: Some(1_699_999_990_000_000),
        analyze_count: 1,
        columns: [(1, Arc::new(id))].into(),
        ..Default::default()
    }
}

/// A partitioned table, and its partition.
pub(super) fn partitioned() -> [CatalogChange; 2] {
    let key = PartitionedBy { strategy: PartitionStrategy::List, columns: vec![1], template: None };
    let rest = PartitionOf { parent: 16403, bound: PartitionBound::Default };
    let table = |id, name: &str| TableDef { id, name: name.into(), ..table_order() };
    [
        TableDef { partitioned_by: Some(key), ..table(16403, "parts") },
        TableDef { partition_of: Some(rest), ..table(16404, "rest") },
    ]
    .map(CatalogChange::CreateTable)
}

pub(super) fn context() -> Arc<SystemViewContext> {
    context_of(catalog())
}

fn setting(name: &str, value: &str) -> SettingFacts {
    SettingFacts {
        name: name.into(),
        value: value.into(),
        setting: value.into(),
        reset_value: value.into(),
        boot_value: value.into(),
        ..SettingFacts::default()
    }
}

fn session() -> SessionFacts {
    SessionFacts {
        backend_pid: 42,
        user: "kestrel".into(),
        session_user: "kestrel".into(),
        database: "kestrel".into(),
        application_name: "psql".into(),
        search_path: vec!["public".into()],
        server_version: "15.0 (Kestrel 0.1.0)".into(),
        query: "SELECT 1".into(),
        ..SessionFacts::default()
    }
}

fn auto_analysis(started_at: DateTime<Utc>) -> AutoAnalysis {
    AutoAnalysis {
        schema: "public".into(),
        table: "t".into(),
        started_at,
        duration_ms: 12,
        changed_rows: 51,
        error: None,
    }
}

fn remembered(table: u64, at: DateTime<Utc>) -> Remembered {
    let object = Object { schema: "public".into(), name: "t".into(), tables: vec![table] };
    let finding = Finding {
        object,
        at_most: Delivery::Warning,
        message: "table \"t\" is skewed".into(),
        detail: "It is.".into(),
        hint: Some("ALTER TABLE public.t SET DISTRIBUTED BY (id);".into()),
    };
    let advice = Advice { kind: &KINDS[0], finding };
    let (first_seen_at, last_seen_at) = (at, at);
    Remembered { advice, delivery: Delivery::Warning, count: 2, first_seen_at, last_seen_at }
}

pub(super) fn context_of(catalog: Catalog) -> Arc<SystemViewContext> {
    let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let mut context = SystemViewContext::new(Arc::new(catalog), session(), now);
    let settings = vec![setting("server_version_num", "150000"), setting("TimeZone", "UTC")];
    context.settings = lazy(move || settings);
    context.datanode_states = lazy(|| BTreeMap::from([(1, "down")]));
    let in_doubt = InDoubt {
        datanode: DatanodeId(1),
        prepared: PreparedTransaction {
            transaction: TransactionId(77),
            epoch: 3,
            age: Duration::from_secs(2),
        },
        is_decided: true,
    };
    context.in_doubt = lazy(move || vec![in_doubt]);
    let activity = Activity {
        process_id: 42,
        user: "kestrel".into(),
        application_name: "psql".into(),
        peer: ([127, 0, 0, 1], 5).into(),
        backend_start: now,
        xact_start: None,
        query_start: None,
        state_change: now,
        state: ActivityState::Active,
        query: "SELECT 1".into(),
    };
    context.activities = lazy(move || vec![activity]);
    let lock =
        |tag, process_id, mode, waiting_since| LockFacts { tag, process_id, mode, waiting_since };
    let locks = vec![
        lock(LockTag::Table(16386), 41, LockMode::Share, None),
        lock(LockTag::Ddl, 42, LockMode::Exclusive, Some(now)),
    ];
    context.locks = lazy(move || locks);
    context.cursors.push(CursorFacts {
        name: "c".into(),
        statement: "DECLARE c CURSOR FOR SELECT 1".into(),
        is_holdable: false,
        is_binary: false,
        is_scrollable: true,
        created_at: now,
    });
    let prepared = PreparedFacts {
        name: "p".into(),
        statement: "PREPARE p AS SELECT $1 + 1.5, $2".into(),
        prepared_at: now,
        parameter_types: vec![SqlType::Numeric(38, 10), SqlType::Text],
        from_sql: true,
    };
    context.prepared_statements = lazy(move || vec![prepared]);
    let query = QueryRecord {
        id: QueryId(Uuid::nil()),
        session_pid: 43,
        user: "anna".into(),
        state: QueryState::Running,
        started_at: now - chrono::Duration::milliseconds(1500),
        started: Instant::now(),
        duration_ms: None,
        rows: 3,
        rows_moved: 2,
        bytes_moved: 16,
        text: "SELECT 1".into(),
    };
    context.queries = lazy(move || vec![query]);
    context.auto_analyses = lazy(move || vec![auto_analysis(now)]);
    // The second table is gone.
    context.advice = lazy(move || vec![remembered(16386, now), remembered(9, now)]);
    add_loads(&mut context, now);
    Arc::new(context)
}

/// What COPY loads, and has left out.
fn add_loads(context: &mut SystemViewContext, now: DateTime<chrono::Utc>) {
    let load = LoadFacts {
        session_pid: 43,
        user: "anna".into(),
        table_id: 16386,
        table: "t".into(),
        schema: "public".into(),
        is_from_files: true,
        bytes_total: Some(4000),
        bytes: 1000,
        rows: 10,
        rejected: 2,
        excluded: 1,
        started_at: now,
    };
    context.loads = lazy(move || vec![load]);
    let moved = RedistributionFacts {
        session_pid: 43,
        user: "anna".into(),
        schema: "public".into(),
        table: "t".into(),
        distribution: "DISTRIBUTED RANDOMLY".into(),
        phase: RedistributionPhase::CatchingUp,
        rounds: 2,
        rows_total: 12,
        rows: 10,
        started_at: now,
    };
    context.redistributions = lazy(move || vec![moved]);
    let error = move |table_id| CopyError {
        table_id,
        at: now,
        file: "<stdin>".into(),
        line: 7,
        message: "missing data for column \"b\"".into(),
        text: "x".into(),
    };
    // The second table is gone.
    context.copy_errors = lazy(move || vec![error(16386), error(9)]);
}
