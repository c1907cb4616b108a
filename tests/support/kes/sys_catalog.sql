-- The system catalogs under KingbaseES's names, beside PostgreSQL's: as in its oracle and mysql
-- modes. Needs allow_system_table_mods.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.relname, 'sys_' || substr(c.relname, 4) AS sys_name FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
            AND c.relname LIKE 'pg\_%' AND c.relname NOT LIKE 'pg\_toast%'
    LOOP
        EXECUTE format('CREATE VIEW pg_catalog.%I AS SELECT * FROM pg_catalog.%I',
            found.sys_name, found.relname);
    END LOOP;
    FOR found IN
        SELECT p.oid, p.proname, 'sys_' || substr(p.proname, 4) AS sys_name
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname LIKE 'pg\_%'
            AND p.prokind = 'f' AND p.prolang = 12 AND NOT 'internal'::regtype = ANY (p.proargtypes)
    LOOP
        INSERT INTO pg_catalog.pg_proc
        SELECT (SELECT max(oid)::bigint + 1 FROM pg_catalog.pg_proc)::oid, found.sys_name,
            pronamespace, proowner, prolang, procost, prorows, provariadic, prosupport, prokind,
            prosecdef, proleakproof, proisstrict, proretset, provolatile, proparallel, pronargs,
            pronargdefaults, prorettype, proargtypes, proallargtypes, proargmodes, proargnames,
            proargdefaults, protrftypes, prosrc, probin, prosqlbody, proconfig, proacl
        FROM pg_catalog.pg_proc WHERE oid = found.oid;
    END LOOP;
END $$;
