-- Takes away from a database of PostgreSQL 15 what KingbaseES, whose lineage is PostgreSQL 12, does
-- not have: functions that came later get another name. What is syntax is refused by the shim
-- (kes_shim.rs); what is neither (settings, columns of system views) cannot be hidden.
DO $$
DECLARE
    later text[] := ARRAY[
        -- PostgreSQL 13
        'gen_random_uuid', 'gcd', 'lcm', 'min_scale', 'trim_scale', 'normalize', 'is_normalized',
        'pg_current_xact_id', 'pg_current_xact_id_if_assigned', 'pg_current_snapshot',
        'pg_snapshot_xip', 'pg_snapshot_xmax', 'pg_snapshot_xmin', 'pg_visible_in_snapshot',
        'pg_xact_status', 'jsonb_set_lax', 'jsonb_path_exists_tz', 'jsonb_path_match_tz',
        'jsonb_path_query_tz', 'jsonb_path_query_array_tz', 'jsonb_path_query_first_tz',
        'pg_get_shmem_allocations', 'pg_stat_get_slru', 'pg_stat_reset_slru',
        -- PostgreSQL 14
        'bit_count', 'bit_xor', 'date_bin', 'range_agg', 'trim_array', 'string_to_table', 'unistr',
        'pg_column_compression', 'pg_get_wal_replay_pause_state', 'pg_stat_get_wal',
        'pg_get_backend_memory_contexts', 'pg_log_backend_memory_contexts',
        'pg_stat_get_replication_slot', 'pg_xact_commit_timestamp_origin',
        -- PostgreSQL 15
        'regexp_count', 'regexp_instr', 'regexp_like', 'regexp_substr', 'pg_backup_start',
        'pg_backup_stop', 'has_parameter_privilege', 'pg_settings_get_flags',
        'pg_database_collation_actual_version', 'pg_ls_logicalsnapdir', 'pg_ls_logicalmapdir'
    ];
    found regprocedure;
    name text;
BEGIN
    FOR found, name IN
        SELECT oid::regprocedure, proname FROM pg_catalog.pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (later)
    LOOP
        EXECUTE format('ALTER ROUTINE %s RENAME TO %I', found, 'pg15_' || name);
    END LOOP;
END $$;
