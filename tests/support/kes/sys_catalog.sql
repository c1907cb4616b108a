-- The system catalogs under KingbaseES's names, beside PostgreSQL's: as in its oracle and mysql
-- modes. They are found in schema sys_catalog, and, as pg_catalog is always searched, without a
-- schema. Needs allow_system_table_mods.
CREATE SCHEMA sys_catalog;
GRANT USAGE ON SCHEMA sys_catalog TO PUBLIC;
DO $$
DECLARE
    found record;
    place text;
BEGIN
    FOR found IN
        SELECT c.relname, 'sys_' || substr(c.relname, 4) AS sys_name FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
            AND c.relname LIKE 'pg\_%' AND c.relname NOT LIKE 'pg\_toast%'
    LOOP
        FOREACH place IN ARRAY ARRAY['pg_catalog', 'sys_catalog'] LOOP
            EXECUTE format('CREATE VIEW %I.%I AS SELECT * FROM pg_catalog.%I',
                place, found.sys_name, found.relname);
            EXECUTE format('GRANT SELECT ON %I.%I TO PUBLIC', place, found.sys_name);
        END LOOP;
    END LOOP;
    FOR found IN
        SELECT p.oid, 'sys_' || substr(p.proname, 4) AS sys_name, n.oid AS place
        FROM pg_catalog.pg_proc p, pg_catalog.pg_namespace n
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname LIKE 'pg\_%'
            AND p.prokind = 'f' AND p.prolang IN (12, 14) AND NOT 'internal'::regtype = ANY (p.proargtypes)
            AND n.nspname IN ('pg_catalog', 'sys_catalog')
    LOOP
        INSERT INTO pg_catalog.pg_proc
        SELECT (SELECT max(oid)::bigint + 1 FROM pg_catalog.pg_proc)::oid, found.sys_name,
            found.place, proowner, prolang, procost, prorows, provariadic, prosupport, prokind,
            prosecdef, proleakproof, proisstrict, proretset, provolatile, proparallel, pronargs,
            pronargdefaults, prorettype, proargtypes, proallargtypes, proargmodes, proargnames,
            proargdefaults, protrftypes, prosrc, probin, prosqlbody, proconfig, proacl
        FROM pg_catalog.pg_proc WHERE oid = found.oid;
    END LOOP;
END $$;
