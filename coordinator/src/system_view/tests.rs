//! The system views over a small schema.

use arrow::{
    array::RecordBatch,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use kestrel_planner::bind::SessionFunctions;

use super::{
    test_context::{context, context_of, furnished, partitioned},
    *,
};

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

/// What takes long, and how far it is.
#[test]
fn progress_is_told() {
    let cases: &[(&str, &[&str])] = &[
        (
            "kestrel.load_progress session_pid, user_name, schema_name, table_name, source, \
             bytes_done, bytes_total, rows, rejected",
            &["43|anna|public|t|files|1000|4000|10|2"],
        ),
        (
            "kestrel.redistribution_progress session_pid, user_name, schema_name, table_name, \
             distribution, phase, rounds, rows_done, rows_total",
            &["43|anna|public|t|DISTRIBUTED RANDOMLY|catching up|2|10|12"],
        ),
        (
            "pg_catalog.pg_stat_progress_copy pid, datname, relid, command, type, \
             bytes_processed, bytes_total, tuples_processed, tuples_excluded",
            &["43|kestrel|16386|COPY FROM|FILE|1000|4000|10|1"],
        ),
    ];
    check(&context(), cases);
}

/// Of tables that are replicated, and of one that is gone, nothing is told.
#[test]
fn skew_and_advice_are_told() {
    let cases: &[(&str, &[&str])] = &[
        (
            "kestrel.advice sqlstate, severity, kind, schema_name, object_name, hint, count",
            &[
                "01K01|WARNING|storage_skew|public|t|ALTER TABLE public.t SET DISTRIBUTED BY (id);|2",
            ],
        ),
        (
            "kestrel.table_skew table_name, coefficient, idle_fraction, max_datanode",
            &["t|28.284271247461902|0.16666666666666663|dn1"],
        ),
        (
            "gp_toolkit.gp_skew_coefficients skcoid, skcnamespace, skcrelname, skccoeff",
            &["16386|public|t|28.284271247461902"],
        ),
        (
            "gp_toolkit.gp_skew_idle_fractions sifoid, sifnamespace, sifrelname, siffraction",
            &["16386|public|t|0.16666666666666663"],
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
                "bloated|~|1|1|0|~|0|2|{1,0}|0.5",
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
            &["t|t|7|1", "Order|f|2|0", "bloated|f|2|0", "checked|f|2|0"],
        ),
        (
            "pg_catalog.pg_stat_user_tables relname, n_mod_since_analyze, analyze_count",
            &["t|20|1", "Order|5|0", "bloated|1|0", "checked|0|0"],
        ),
        (
            "gp_toolkit.gp_bloat_diag bdirelname, bdirelpages, bdiexppages, bdidiag",
            &["bloated|100|10.0|moderate amount of bloat suspected"],
        ),
    ];
    check(&context_of(furnished()), cases);
}
