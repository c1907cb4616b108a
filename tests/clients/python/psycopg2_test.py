"""psycopg2: the simple protocol, values written into the statement."""

import io
import threading
from functools import partial

import psycopg2
import psycopg2.extras
import psycopg2.pool
from psycopg2 import errorcodes

from shop import EVERY_TYPE, ITEMS, SCHEMA, SLOW, URL, run

psycopg2.extras.register_uuid()


def fails(cursor, sql, sqlstate):
    try:
        cursor.execute(sql)
    except psycopg2.Error as error:
        assert error.pgcode == sqlstate, (sql, error.pgcode, error)
        return error
    raise AssertionError(f"no error: {sql}")


def browses(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner) = current_user "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s ORDER BY 2",
            ("shop",),
        )
        assert cursor.fetchall() == [
            ("shop", "cheap", "v", True),
            ("shop", "every_type", "r", True),
            ("shop", "every_type_pkey", "i", True),
            ("shop", "item", "r", True),
            ("shop", "item_name_key", "i", True),
            ("shop", "item_pkey", "i", True),
            ("shop", "item_sold", "i", True),
        ]
        cursor.execute(
            "SELECT conname, contype, conkey, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = 'shop.item'::regclass ORDER BY 1"
        )
        constraints = cursor.fetchall()
        assert constraints[:2] == [
            ("item_name_key", "u", [1, 2], "UNIQUE (id, name)"),
            ("item_pkey", "p", [1], "PRIMARY KEY (id)"),
        ], constraints
        assert constraints[2][:3] == ("item_price_check", "c", [3]), constraints


def keeps_every_type(connection):
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO shop.every_type VALUES ({', '.join(['%s'] * 18)})", EVERY_TYPE
        )
        cursor.execute("SELECT * FROM shop.every_type ORDER BY id")
        rows = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in cursor]
        assert rows == EVERY_TYPE, rows
        psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO shop.item VALUES %s",
            [(i, f"bulk {i}", i, None) for i in range(100, 400)],
        )
        cursor.execute("SELECT count(*), sum(price) FROM shop.item WHERE id >= 100")
        assert cursor.fetchone() == (300, sum(range(100, 400)))


def streams(connection):
    """A named cursor is DECLARE and FETCH; WITH HOLD outlives its transaction."""
    connection.autocommit = False
    with connection.cursor("items") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT id FROM shop.item WHERE id >= 100 ORDER BY id")
        assert [row[0] for row in cursor] == list(range(100, 400))
    with connection.cursor("there and back", scrollable=True) as cursor:
        cursor.execute("SELECT id FROM shop.item ORDER BY id")
        assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
        cursor.scroll(0, mode="absolute")
        assert cursor.fetchone() == (1,)
    held = connection.cursor("held", withhold=True)
    held.execute("SELECT id FROM shop.item ORDER BY id")
    connection.commit()
    assert held.fetchmany(2) == [(1,), (2,)]
    held.close()
    connection.commit()
    connection.autocommit = True


def copies(connection):
    with connection.cursor() as cursor:
        cursor.copy_expert(
            "COPY shop.item (id, name) FROM STDIN (FORMAT csv, HEADER)",
            io.StringIO('id,name\n20,"a, b"\n21,c\n'),
        )
        out = io.StringIO()
        cursor.copy_expert(
            "COPY (SELECT id, name FROM shop.item WHERE id IN (20, 21) ORDER BY id) TO STDOUT (FORMAT csv)",
            out,
        )
        assert out.getvalue() == '20,"a, b"\n21,c\n', out.getvalue()
        out = io.StringIO()
        cursor.execute("SET search_path = shop")
        cursor.copy_to(out, "item", columns=("id", "sold"))
        assert len(out.getvalue().splitlines()) == 305
        try:
            cursor.copy_expert(
                "COPY shop.item (id, name, price) FROM STDIN", io.StringIO("30\tx\tdear\n")
            )
            raise AssertionError("no error")
        except psycopg2.Error as error:
            assert error.pgcode == errorcodes.INVALID_TEXT_REPRESENTATION, error
            assert (
                'COPY item, line 1, column price: "dear"' in error.diag.context
            ), error.diag.context
        cursor.execute("RESET search_path")


def reports_errors(connection):
    with connection.cursor() as cursor:
        error = fails(cursor, "SELECT missing FROM shop.item", errorcodes.UNDEFINED_COLUMN)
        assert error.diag.message_primary == 'column "missing" does not exist'
        assert "LINE 1: SELECT missing" in str(error), error
        error = fails(cursor, "SELECT nam FROM shop.item", errorcodes.UNDEFINED_COLUMN)
        assert (
            error.diag.message_hint == 'Perhaps you meant to reference the column "item.name".'
        ), error.diag.message_hint
        error = fails(
            cursor, "INSERT INTO shop.item VALUES (1, 'x', 1, NULL)", errorcodes.UNIQUE_VIOLATION
        )
        assert error.diag.constraint_name == "item_pkey", error.diag.constraint_name
        assert (
            error.diag.message_detail == "Key (id)=(1) already exists."
        ), error.diag.message_detail
        error = fails(
            cursor, "INSERT INTO shop.item (id) VALUES (90)", errorcodes.NOT_NULL_VIOLATION
        )
        assert (error.diag.schema_name, error.diag.table_name, error.diag.column_name) == (
            "shop",
            "item",
            "name",
        )
        fails(cursor, "SELECT * FROM shop.item GROUP BY id + 1", errorcodes.GROUPING_ERROR)
        fails(cursor, "SELECT 1; SELECT 1 / 0", errorcodes.DIVISION_BY_ZERO)
    connection.notices.clear()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS shop.nothing")
    assert connection.notices == [
        'NOTICE:  table "nothing" does not exist, skipping\n'
    ], connection.notices


def cancels(connection):
    threading.Timer(0.5, connection.cancel).start()
    with connection.cursor() as cursor:
        fails(cursor, SLOW, errorcodes.QUERY_CANCELED)
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def keeps_transactions(connection):
    with psycopg2.connect(URL) as other, other.cursor() as cursor:
        cursor.execute("INSERT INTO shop.item VALUES (50, 'never', 1, NULL)")
        other.rollback()
        fails(cursor, "SELECT * FROM shop.missing", errorcodes.UNDEFINED_TABLE)
        fails(cursor, "SELECT 1", errorcodes.IN_FAILED_SQL_TRANSACTION)
        other.rollback()
        cursor.execute("SELECT count(*) FROM shop.item WHERE id = 50")
        assert cursor.fetchone() == (0,)
        other.rollback()
        other.set_session(isolation_level="REPEATABLE READ", readonly=True)
        fails(
            cursor,
            "INSERT INTO shop.item VALUES (50, 'never', 1, NULL)",
            errorcodes.READ_ONLY_SQL_TRANSACTION,
        )
        other.rollback()


def pools(connection):
    """A connection comes back from its pool as new: psycopg2 sends RESET ALL or DISCARD ALL."""
    pool = psycopg2.pool.SimpleConnectionPool(1, 2, URL)
    one = pool.getconn()
    with one.cursor() as cursor:
        cursor.execute("SET search_path = shop")
        cursor.execute("SELECT count(*) FROM cheap")
    one.reset()
    with one.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ('"$user", public',)
    pool.putconn(one)
    pool.closeall()


def terminates(connection):
    """Superset stops a query like this."""
    other = psycopg2.connect(URL)
    pid = other.get_backend_pid()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s", (str(pid),)
        )
        assert cursor.fetchall() == [(True,)]
    try:
        other.cursor().execute("SELECT 1")
        raise AssertionError("it lives")
    except psycopg2.OperationalError:
        assert other.closed


def main():
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    connection.cursor().execute(SCHEMA)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM shop.item ORDER BY id")
        assert cursor.fetchall() == ITEMS
        cursor.execute("SET TIME ZONE 'UTC'")
    parts = (
        browses,
        keeps_every_type,
        streams,
        copies,
        reports_errors,
        cancels,
        keeps_transactions,
        pools,
        terminates,
    )
    run(*((part.__name__, partial(part, connection)) for part in parts))


main()
