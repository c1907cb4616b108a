-- After sys_catalog.sql: takes PostgreSQL's names away from the views and functions that a shard is
-- asked for, as in versions of KingbaseES that have `sys_` names only. The tables (pg_class, …)
-- keep both names: PostgreSQL itself reads them.
DO $$
DECLARE
    views text[] := ARRAY[
        'pg_prepared_xacts', 'pg_stat_activity', 'pg_stat_replication', 'pg_locks',
        'pg_replication_slots', 'pg_stat_database', 'pg_stat_user_tables', 'pg_settings'
    ];
    functions text[] := ARRAY[
        'pg_export_snapshot', 'pg_is_in_recovery', 'pg_current_wal_lsn', 'pg_wal_lsn_diff',
        'pg_last_wal_replay_lsn', 'pg_cancel_backend', 'pg_terminate_backend', 'pg_backend_pid',
        'pg_relation_size', 'pg_table_size', 'pg_total_relation_size', 'pg_database_size'
    ];
    name text;
    found regprocedure;
BEGIN
    FOREACH name IN ARRAY views LOOP
        EXECUTE format('ALTER VIEW pg_catalog.%I RENAME TO %I', name, 'hidden_' || name);
    END LOOP;
    FOR found, name IN
        SELECT oid::regprocedure, proname FROM pg_catalog.pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (functions)
    LOOP
        EXECUTE format('ALTER FUNCTION %s RENAME TO %I', found, 'hidden_' || name);
    END LOOP;
END $$;
