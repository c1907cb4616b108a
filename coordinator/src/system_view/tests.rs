//! The system views over a small schema.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::RecordBatch,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{DateTime, Utc};
use kestrel_planner::bind::SessionFunctions;
use kestrel_planner::catalog::{
    Catalog, CatalogChange, CheckDef, ColumnDef, DATABASE_OID, DatanodeDef, DefaultAclDef,
    Distribution, ExtendedStatistics, KeyDef, NamedRelation, ObjectKind, PartitionBound,
    PartitionOf, PartitionStrategy, PartitionedBy, RoleDef, RoleSettings, SchemaDef, Segment,
    SequenceDef, SqlType, TableDef, ViewColumn, ViewDef, ViewRelation, default_acl,
};
use kestrel_planner::statistics::{
    ColumnStatistics, CommonValue, TableStatistics, Value as StatisticsValue,
};
use kestrel_proto::{DatanodeId, PreparedTransaction, QueryId, TransactionId};
use uuid::Uuid;

use super::*;
use crate::{
    auto_analyze::AutoAnalysis,
    engine::{CopyError, LoadFacts, LockFacts, LockMode, LockTag},
    query::{QueryRecord, QueryState},
    server::{Activity, ActivityState},
    shards::InDoubt,
};

/// The schema of `testdata/schema.sql`, on two datanodes.
pub(super) fn catalog() -> Catalog {
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
    TableDef {
        id: 16386,
        schema_name: "public".into(),
        name: "t".into(),
        columns: columns.collect(),
        distribution: Distribution::Hash(vec![1]),
        primary_key: Some(KeyDef { name: "t_pkey".into(), id: 16387, columns: vec![1] }),
        unique_keys: vec![KeyDef { name: "t_a_id_key".into(), id: 16388, columns: vec![2, 1] }],
        segments: vec![],
        indexes: vec![],
        checks: vec![],
        last_column_id: 0,
        missing_values: Default::default(),
        extended_statistics: Vec::new(),
        changed_rows: 0,
        on_commit: Default::default(),
        storage: Default::default(),
        shard_rows: vec![],
        partitioned_by: None,
        partition_of: None,
        shard_names: Default::default(),
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
    TableDef {
        id: 16390,
        schema_name: "sales".into(),
        name: "Order".into(),
        columns: vec![column(1, "k", SqlType::Integer), column(2, "Value", SqlType::Double)],
        distribution: Distribution::Replicated,
        primary_key: None,
        unique_keys: vec![],
        segments: vec![],
        indexes: vec![],
        checks: vec![],
        last_column_id: 0,
        missing_values: Default::default(),
        extended_statistics: Vec::new(),
        changed_rows: 0,
        on_commit: Default::default(),
        storage: Default::default(),
        shard_rows: vec![],
        partitioned_by: None,
        partition_of: None,
        shard_names: Default::default(),
    }
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

/// `pg_monitor`, which may make others members of one of its roles.
fn monitor() -> RoleDef {
    let all = RoleDef::predefined();
    let mut monitor = all.into_iter().find(|role| role.name == "pg_monitor").unwrap();
    monitor.member_of.first_mut().unwrap().admin = true;
    monitor
}

/// The same with something of every kind: a view, comments, a CHECK constraint.
fn furnished() -> Catalog {
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
fn partitioned() -> [CatalogChange; 2] {
    let key = PartitionedBy { strategy: PartitionStrategy::List, columns: vec![1] };
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

fn context_of(catalog: Catalog) -> Arc<SystemViewContext> {
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

#[test]
fn a_function_is_the_same_however_often_a_statement_names_it() {
    let [one, other] = [context(), context()].map(functions::SystemFunctions);
    for name in functions::function_names() {
        let function = one.function(name);
        assert_eq!(function.as_ref().map(|function| function.name()), Some(name));
        assert_eq!(function, one.function(name), "{name}");
        assert_ne!(function, other.function(name), "{name}");
    }
    assert_eq!(one.function("VERSION"), None);
}

/// The rows as psql prints them, NULL as `~`.
pub(super) fn text(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("~");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|c| (c.data_type(), ArrayFormatter::try_new(c, &options).unwrap()))
        .collect();
    let cell = |data_type: &DataType, text: String| match data_type {
        DataType::Boolean if text != "~" => text[..1].to_string(),
        DataType::List(_) if text != "~" => {
            format!("{{{}}}", text.trim_matches(['[', ']']).replace(", ", ","))
        }
        _ => text,
    };
    let row = |r| columns.iter().map(|(t, c)| cell(t, c.value(r).to_string())).collect();
    (0..batch.num_rows()).map(row).collect()
}

#[test]
fn every_view_has_rows_of_its_types() {
    let context = context_of(furnished().apply(&partitioned()).unwrap());
    for view in system_views() {
        let batch = view.batch(&context).unwrap();
        assert_eq!(batch.schema(), view.arrow_schema());
        assert_eq!(batch.num_rows() == 0, view.is_always_empty(), "{}", view.name());
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let nulls = if field.is_nullable() { 0 } else { column.null_count() };
            assert_eq!(nulls, 0, "{}.{}", view.name(), field.name());
        }
    }
    for (schema, name, _) in SYSTEM_VIEWS {
        assert!(system_view(schema, name).is_some(), "{schema}.{name} has no columns");
    }
}

#[test]
fn views_tell_what_is() {
    let cases: &[(&str, &[&str])] = &[
        (
            "kestrel.datanodes name, address, state, shard_kind, buckets, rows, bytes",
            &["dn1|local|up|columnar|2048|65|6500", "dn2|local|down|columnar|2048|45|4500"],
        ),
        (
            "kestrel.transactions_in_doubt transaction_id, coordinator_epoch, datanode, age_ms, \
             outcome",
            &["77|3|dn2|2000|commit"],
        ),
        (
            "kestrel.copy_errors schema_name, relname, filename, linenum, errmsg, rawdata",
            &["public|t|<stdin>|7|missing data for column \"b\"|x"],
        ),
        (
            "kestrel.load_progress session_pid, user_name, schema_name, table_name, source, \
             bytes_done, bytes_total, rows, rejected",
            &["43|anna|public|t|files|1000|4000|10|2"],
        ),
        (
            "pg_catalog.pg_stat_progress_copy pid, datname, relid, command, type, \
             bytes_processed, bytes_total, tuples_processed, tuples_excluded",
            &["43|kestrel|16386|COPY FROM|FILE|1000|4000|10|1"],
        ),
        (
            "kestrel.table_distributions schema_name, table_name, distribution, key_columns",
            &["public|t|hash|id", "sales|Order|replicated|~"],
        ),
        (
            "kestrel.table_placement table_name, datanode, rows, bytes",
            &["t|dn1|60|6000", "t|dn2|40|4000", "Order|dn1|5|500", "Order|dn2|5|500"],
        ),
        (
            "kestrel.queries session_pid, user_name, application_name, state, duration_ms, query",
            &["43|anna||running|1500|SELECT 1"],
        ),
        (
            "kestrel.queries query_id, rows, rows_moved, bytes_moved",
            &["00000000-0000-0000-0000-000000000000|3|2|16"],
        ),
        (
            "pg_catalog.gp_distribution_policy localoid, policytype, numsegments, distkey",
            &["16386|p|2|{1}", "16390|r|2|{}"],
        ),
        (
            "pg_catalog.pg_stat_user_tables schemaname, relname, n_live_tup",
            &["public|t|100", "sales|Order|5"],
        ),
        (
            "gp_toolkit.gp_stats_missing smischema, smitable, smisize, smicols, smirecs",
            &["public|t|f|7|0", "sales|Order|f|2|0"],
        ),
        ("pg_catalog.pg_cursors name, is_holdable, is_scrollable", &["c|f|t"]),
        (
            "pg_catalog.pg_prepared_statements name, parameter_types, from_sql, generic_plans",
            &["p|{numeric,text}|t|0"],
        ),
        ("pg_catalog.pg_sequence seqrelid, seqtypid, seqmax", &["16385|20|9223372036854775807"]),
        ("pg_catalog.pg_user usename, useconfig", &["kestrel|{search_path=public}"]),
        (
            "pg_catalog.pg_stat_activity datname, pid, usename, wait_event, state, query",
            &["kestrel|42|kestrel|object|active|SELECT 1"],
        ),
        (
            "pg_catalog.pg_locks locktype, database, relation, classid, objid, objsubid, pid, \
             mode, granted",
            &["relation|5|16386|~|~|~|41|ShareLock|t", "object|5|~|1262|5|0|42|ExclusiveLock|f"],
        ),
    ];
    check(&context(), cases);
}

/// What the standard's views tell of constraints, and of what views read.
#[test]
fn constraints_and_dependencies_are_told() {
    let cases: &[(&str, &[&str])] = &[
        (
            "information_schema.table_constraints table_name, constraint_name, constraint_type, \
             nulls_distinct",
            &[
                "t|t_pkey|PRIMARY KEY|~",
                "t|t_a_id_key|UNIQUE|YES",
                "t|2200_16386_1_not_null|CHECK|~",
                "t|2200_16386_2_not_null|CHECK|~",
                "checked|positive|CHECK|~",
            ],
        ),
        (
            "information_schema.check_constraints constraint_name, check_clause",
            &[
                "2200_16386_1_not_null|id IS NOT NULL",
                "2200_16386_2_not_null|a IS NOT NULL",
                "positive|((k > 0))",
            ],
        ),
        (
            "information_schema.key_column_usage constraint_name, column_name, ordinal_position",
            &["t_pkey|id|1", "t_a_id_key|a|1", "t_a_id_key|id|2"],
        ),
        (
            "information_schema.constraint_column_usage constraint_name, column_name",
            &["t_pkey|id", "t_a_id_key|a", "t_a_id_key|id", "positive|k"],
        ),
        (
            "information_schema.constraint_table_usage constraint_name, table_name",
            &["t_pkey|t", "t_a_id_key|t"],
        ),
        ("information_schema.view_column_usage view_name, table_name, column_name", &["v|t|a"]),
        (
            "pg_catalog.pg_stat_user_indexes relid, indexrelname, idx_scan",
            &["16386|t_pkey|0", "16386|t_a_id_key|0"],
        ),
    ];
    check(&context_of(furnished()), cases);
}

/// `view column, column…` and the rows in these columns.
fn check(context: &SystemViewContext, cases: &[(&str, &[&str])]) {
    for (view, expected) in cases {
        let (name, columns) = view.split_once(' ').unwrap();
        let (schema, name) = name.split_once('.').unwrap();
        let batch = system_view(schema, name).unwrap().batch(context).unwrap();
        let indices: Vec<_> =
            columns.split(", ").map(|c| batch.schema().index_of(c).unwrap()).collect();
        let found: Vec<_> =
            text(&batch.project(&indices).unwrap()).iter().map(|r| r.join("|")).collect();
        assert_eq!(found, *expected, "{view}");
    }
}

#[test]
fn statistics_are_shown() {
    let cases: &[(&str, &[&str])] = &[
        (
            "kestrel.table_statistics table_name, rows, live_rows, changed_rows, health, \
             age_seconds, analyzed_columns, columns, shard_rows, idle_fraction",
            &[
                "t|80|100|20|80|10|1|7|{60,40}|0.16666666666666663",
                "Order|~|5|5|0|~|0|2|{5,5}|0.0",
                "checked|~|0|0|0|~|0|2|{0,0}|0.0",
            ],
        ),
        (
            "pg_catalog.pg_statistic_ext oid, stxrelid, stxname, stxkeys, stxkind",
            &["16405|16401|both|{1,2}|{d,f}"],
        ),
        (
            "pg_catalog.pg_stats_ext tablename, statistics_name, attnames, n_distinct",
            &["checked|both|{k,Value}|~"],
        ),
        (
            "kestrel.auto_analyze_history table_name, duration_ms, changed_rows, outcome, error",
            &["t|12|51|analyzed|~"],
        ),
        (
            "pg_catalog.pg_stats tablename, attname, null_frac, avg_width, n_distinct, \
             most_common_vals, most_common_freqs, histogram_bounds",
            &["t|id|0.0|4|-0.7625|{7}|{0.25}|{1,50,99}"],
        ),
        (
            "gp_toolkit.gp_stats_missing smitable, smisize, smicols, smirecs",
            &["t|t|7|1", "Order|f|2|0", "checked|f|2|0"],
        ),
        (
            "pg_catalog.pg_stat_user_tables relname, n_mod_since_analyze, analyze_count",
            &["t|20|1", "Order|5|0", "checked|0|0"],
        ),
    ];
    check(&context_of(furnished()), cases);
}
