-- Prints pg15-more-buckets.txt. Run on an empty PostgreSQL 15 database of encoding UTF8:
--
--   psql -X -q -At -d scratch -f more-buckets.sql > pg15-more-buckets.txt

\set ON_ERROR_STOP on
SET TimeZone = 'UTC';
SET client_min_messages = warning;

CREATE TABLE cases (id serial, types text[], vals text[]);

-- The bucket of a key: the remainder that a partition of a hash-partitioned table with key columns
-- of these types would have to have.
CREATE FUNCTION bucket(types text[], vals text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    columns text;
    arguments text;
    answer int;
BEGIN
    SELECT string_agg(format('k%s %s', i, t), ', ' ORDER BY i)
        INTO columns FROM unnest(types) WITH ORDINALITY AS u(t, i);
    SELECT string_agg(format('CAST(%L AS %s)', v, t), ', ' ORDER BY i)
        INTO arguments FROM unnest(types, vals) WITH ORDINALITY AS u(t, v, i);
    EXECUTE format('CREATE TABLE parent (%s) PARTITION BY HASH (%s)', columns,
        (SELECT string_agg('k' || i, ', ' ORDER BY i) FROM generate_series(1, cardinality(types)) i));
    EXECUTE format('SELECT r FROM generate_series(0, 4095) r
        WHERE satisfies_hash_partition(''parent''::regclass, 4096, r, %s)', arguments) INTO STRICT answer;
    DROP TABLE parent;
    RETURN answer;
END $$;

-- Single columns.
INSERT INTO cases (types, vals) SELECT ARRAY[t], ARRAY[v] FROM (VALUES
    ('bigint', '4294967295'), ('bigint', '4294967296'), ('bigint', '-4294967296'),
    ('bigint', '-4294967297'), ('bigint', '2147483648'), ('bigint', '-2147483649'),
    ('real', '0.1'), ('real', '3.4e38'), ('real', '-Infinity'), ('real', NULL),
    ('double precision', '0.1'), ('double precision', '1e-300'),
    ('double precision', '-Infinity'), ('double precision', NULL),
    ('date', '0001-01-01'), ('date', '1999-12-31'), ('date', '9999-12-31'),
    ('date', '-infinity'), ('date', NULL),
    ('time', '00:00:00.000001'), ('time', '24:00:00'), ('time', NULL),
    ('timestamp', '0001-01-01 00:00:00'), ('timestamp', '1999-12-31 23:59:59.999999'),
    ('timestamp', '9999-12-31 23:59:59.999999'),
    ('timestamp', 'infinity'), ('timestamp', '-infinity'), ('timestamp', NULL),
    ('timestamp with time zone', '1999-12-31 23:59:59.999999+00'),
    ('timestamp with time zone', '2024-02-29 23:30:00-07:30'),
    ('timestamp with time zone', 'infinity'), ('timestamp with time zone', '-infinity'),
    ('interval', '-1 day'), ('interval', '-1 microsecond'), ('interval', '1 month -30 days'),
    ('interval', '-1 year -2 months +3 days -04:05:06.789'), ('interval', '100 years'),
    ('interval', '178000000 years'), ('interval', '-178000000 years'), ('interval', NULL),
    ('uuid', 'ffffffff-ffff-ffff-ffff-ffffffffffff'), ('uuid', NULL),
    ('uuid', '123e4567-e89b-12d3-a456-426614174000'), ('bytea', NULL),
    ('text', 'abc '), ('text', ' '), ('text', 'ä'), ('text', '🦅🦅🦅🦅'),
    ('character(10)', ''), ('character(10)', ' abc'), ('character(10)', 'äöü'),
    ('character(10)', NULL), ('character varying', 'abc  '),
    ('numeric', '9999'), ('numeric', '9999.9999'), ('numeric', '10000.0001'),
    ('numeric', '100000000.00000001'), ('numeric', '0.1'), ('numeric', '0.01'),
    ('numeric', '0.001'), ('numeric', '0.00001'), ('numeric', '0.00010001'), ('numeric', '10'),
    ('numeric', '100'), ('numeric', '1000'), ('numeric', '100000'), ('numeric', '18446744073709551615'),
    ('numeric', '18446744073709551616'), ('numeric', '-9223372036854775808'),
    ('numeric(38,0)', '99999999999999999999999999999999999999'),
    ('numeric(38,0)', '-10000000000000000000000000000000000000'),
    ('numeric(38,37)', '9.9999999999999999999999999999999999999'),
    ('numeric(38,38)', '0.00000000000000000000000000000000000001'),
    ('numeric(38,10)', '1234567890123456789012345678.0123456789'),
    ('numeric(38,10)', '-0.0000000001'), ('numeric(38,10)', '42'), ('numeric(38,10)', NULL),
    ('numeric(5,-2)', '12300'), ('numeric(9,3)', '123456.789'), ('numeric(7,1)', '-123456.7')
) AS v(t, v);

-- Every length of text and bytea from nothing to beyond three blocks of the hash.
INSERT INTO cases (types, vals)
    SELECT ARRAY['text'], ARRAY[left(repeat('abcdefghijklmnopqrstuvwxyz0123456789', 2), n)]
    FROM generate_series(0, 40) n;
INSERT INTO cases (types, vals)
    SELECT ARRAY['bytea'], ARRAY['\x' || string_agg(lpad(to_hex((i * 37 + 128) % 256), 2, '0'), '' ORDER BY i)]
    FROM generate_series(1, 26) n, generate_series(1, n) i GROUP BY n ORDER BY n;

-- Numerics of every number of decimal digits, at several positions of the point.
INSERT INTO cases (types, vals)
    SELECT ARRAY['numeric'], ARRAY[trim_scale((left('90817263540091827364500000012345678901', digits)::numeric
                                    * (0.1::numeric ^ scale))::numeric(38, 20))::text]
    FROM generate_series(1, 18) digits, generate_series(0, 7) scale;

-- Several columns.
INSERT INTO cases (types, vals) VALUES
    (ARRAY['smallint', 'integer', 'bigint'], ARRAY['1', '2', '3']),
    (ARRAY['bigint', 'integer', 'smallint'], ARRAY['1', '2', '3']),
    (ARRAY['bigint', 'bigint', 'bigint'], ARRAY['3', '2', '1']),
    (ARRAY['integer', 'integer'], ARRAY[NULL, '7']),
    (ARRAY['integer', 'integer'], ARRAY['7', NULL]),
    (ARRAY['text', 'uuid'], ARRAY['Kestrel', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']),
    (ARRAY['boolean', 'date', 'time'], ARRAY['true', '1995-06-17', '12:00:00']),
    (ARRAY['timestamp', 'interval'], ARRAY['1995-06-17 12:34:56', '1 year 2 mons 3 days']),
    (ARRAY['real', 'numeric(10,2)', 'character(5)', 'bytea'], ARRAY['0.5', '12.30', 'ab', '\xdeadbeef']),
    (ARRAY['real', 'numeric(10,2)', 'character(5)', 'bytea'], ARRAY[NULL, '12.30', NULL, '\xdeadbeef']),
    (ARRAY['timestamp with time zone', 'double precision'], ARRAY['1995-06-17 12:34:56+02', '-0']),
    (ARRAY['bigint', 'text', 'bigint', 'text', 'bigint'], ARRAY['1', 'a', '2', 'b', '3']);

SELECT '# Printed by PostgreSQL ' || current_setting('server_version_num')::int / 10000 || '.'
    || current_setting('server_version_num')::int % 10000 || ' from more-buckets.sql. \N is NULL; several key columns are comma-separated.';
SELECT '# types|values|bucket';
SELECT array_to_string(types, ',') || '|' || array_to_string(vals, ',', '\N') || '|' || bucket(types, vals)
    FROM cases ORDER BY id;
