"""psycopg 3: the extended protocol, text and binary."""

import threading
from functools import partial

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from shop import EVERY_TYPE, ITEMS, SCHEMA, SLOW, URL, run


def browses(connection):
    """The catalogs, with parameters."""
    tables = connection.execute(
        "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = %s ORDER BY 1",
        ("shop",),
    ).fetchall()
    assert tables == [
        ("cheap", "VIEW"),
        ("every_type", "BASE TABLE"),
        ("item", "BASE TABLE"),
    ], tables
    columns = connection.execute(
        "SELECT column_name, data_type, is_nullable, numeric_precision FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        ("shop", "item"),
    ).fetchall()
    assert columns == [
        ("id", "bigint", "NO", 64),
        ("name", "character varying", "NO", None),
        ("price", "numeric", "YES", 10),
        ("sold", "date", "YES", None),
    ], columns
    comment = "SELECT obj_description(%s::regclass, 'pg_class'), col_description(%s::regclass, 3)"
    assert connection.execute(comment, ("shop.item", "shop.item")).fetchone() == (
        "what is for sale",
        "in euros",
    )


def keeps_every_type(connection):
    """Values go there and come back, in both formats."""
    placeholders = ", ".join(["%s"] * 18)
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO shop.every_type VALUES ({placeholders})", EVERY_TYPE)
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            cursor.execute("SELECT * FROM shop.every_type ORDER BY id")
            rows = cursor.fetchall()
            assert rows == EVERY_TYPE, (binary, rows)
            for column, value in zip(cursor.description, EVERY_TYPE[0]):
                # An untyped NULL parameter, and a value compared with its column.
                cursor.execute(
                    f"SELECT id FROM shop.every_type WHERE {column.name} = %b "
                    f"AND coalesce(%b, {column.name}) = {column.name}",
                    (value, None),
                )
                assert cursor.fetchall() == [(1,)], (binary, column.name)
    typmods = [
        (c.name, c.type_code, c.precision, c.scale, c.display_size)
        for c in cursor_of_item(connection)
    ]
    assert typmods == [
        ("id", 20, None, None, None),
        ("name", 1043, None, None, 40),
        ("price", 1700, 10, 2, None),
        ("sold", 1082, None, None, None),
    ], typmods


def cursor_of_item(connection):
    return connection.execute("SELECT * FROM shop.item").description


def streams(connection):
    """A server-side cursor reads in pieces; so does stream()."""
    with connection.transaction():
        with connection.cursor(name="items") as cursor:
            cursor.itersize = 2
            cursor.execute("SELECT * FROM shop.item ORDER BY id")
            assert list(cursor) == ITEMS
        with connection.cursor(name="there and back", scrollable=True) as cursor:
            cursor.execute("SELECT id FROM shop.item ORDER BY id")
            assert cursor.fetchmany(2) == [(1,), (2,)]
            cursor.scroll(-1)
            assert cursor.fetchone() == (2,)
    with connection.cursor() as cursor:
        assert [
            row[0]
            for row in cursor.stream("SELECT id FROM shop.item WHERE id > %s ORDER BY id", (1,))
        ] == [2, 3]
    with connection.cursor(row_factory=dict_row) as cursor:
        assert cursor.execute("SELECT id, name FROM shop.cheap ORDER BY id").fetchone() == {
            "id": 1,
            "name": "apple",
        }


def copies(connection):
    """COPY as text and as binary, both ways."""
    # psycopg writes char(n) as text: their binary forms are the same.
    names = (
        "int4 bool int2 int4 int8 float4 float8 numeric text varchar text bytea date time "
        "timestamp timestamptz interval uuid"
    )
    for form in ("TEXT", "BINARY"):
        connection.execute("CREATE TABLE shop.copied AS SELECT * FROM shop.every_type WHERE id = 0")
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY shop.copied FROM STDIN (FORMAT {form})") as copy:
                if form == "BINARY":
                    copy.set_types(names.split())
                for row in EVERY_TYPE:
                    copy.write_row(row)
            with cursor.copy(
                f"COPY (SELECT * FROM shop.copied ORDER BY id) TO STDOUT (FORMAT {form})"
            ) as copy:
                copy.set_types(names.split())
                rows = list(copy.rows())
                assert rows == EVERY_TYPE, (form, rows)
        connection.execute("DROP TABLE shop.copied")


def reports_errors(connection):
    """SQLSTATE, message, position and constraint; the connection goes on."""
    for sql, kind in (
        ("SELECT * FROM shop.missing", errors.UndefinedTable),
        ("SELECT missing FROM shop.item", errors.UndefinedColumn),
        ("SELECT 1 / (id - %s) FROM shop.item", errors.DivisionByZero),
        ("SELEC 1", errors.SyntaxError),
        ("INSERT INTO shop.item VALUES (1, 'again', 1, NULL)", errors.UniqueViolation),
        ("INSERT INTO shop.item VALUES (9, NULL, 1, NULL)", errors.NotNullViolation),
        ("INSERT INTO shop.item VALUES (9, 'free', -1, NULL)", errors.CheckViolation),
        (
            "INSERT INTO shop.item (id, name) VALUES (9, repeat('x', 41))",
            errors.StringDataRightTruncation,
        ),
        ("SELECT 'x'::int", errors.InvalidTextRepresentation),
        ("SELECT missing(1)", errors.UndefinedFunction),
        ("SELECT 2147483647 + 1", errors.NumericValueOutOfRange),
    ):
        try:
            connection.execute(sql, (1,) if "%s" in sql else None).fetchall()
            raise AssertionError(f"no error: {sql}")
        except kind as error:
            if kind is errors.UndefinedColumn:
                assert error.diag.statement_position == "8", error.diag.statement_position
            if kind is errors.CheckViolation:
                assert error.diag.constraint_name == "item_price_check", error.diag.constraint_name
    assert connection.execute("SELECT 1").fetchone() == (1,)


def cancels(connection):
    threading.Timer(0.5, connection.cancel_safe).start()
    try:
        connection.execute(SLOW)
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        pass
    connection.execute("SET statement_timeout = '300ms'")
    try:
        connection.execute(SLOW)
        raise AssertionError("not timed out")
    except errors.QueryCanceled as error:
        assert "statement timeout" in str(error), error
    connection.execute("RESET statement_timeout")


def keeps_transactions(connection):
    with psycopg.connect(URL) as other:
        other.execute("INSERT INTO shop.item VALUES (10, 'never', 1, NULL)")
        assert other.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        assert connection.execute("SELECT count(*) FROM shop.item").fetchone() == (3,)
        other.rollback()
        try:
            other.execute("SELECT * FROM shop.missing")
        except errors.UndefinedTable:
            pass
        assert other.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        try:
            other.execute("SELECT 1")
            raise AssertionError("no error")
        except errors.InFailedSqlTransaction:
            other.rollback()
        other.read_only = True
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert other.execute("SELECT count(*) FROM shop.item").fetchone() == (3,)
        try:
            other.execute("INSERT INTO shop.item VALUES (10, 'never', 1, NULL)")
            raise AssertionError("it wrote")
        except errors.ReadOnlySqlTransaction:
            other.rollback()


def nests_transactions(connection):
    """A block in a block is a savepoint."""
    with connection.transaction():
        connection.execute("INSERT INTO shop.item VALUES (11, 'kept', 1, NULL)")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO shop.item VALUES (12, 'undone', 1, NULL)")
                raise KeyError
        except KeyError:
            pass
    assert connection.execute("SELECT id FROM shop.item WHERE id > 10").fetchall() == [(11,)]


def pipelines(connection):
    """Many statements are on their way at once."""
    with connection.pipeline():
        cursors = [
            connection.execute("SELECT name FROM shop.item WHERE id = %s", (i,)) for i in (1, 2, 3)
        ]
        assert [cursor.fetchone()[0] for cursor in cursors] == ["apple", "bread", "wine"]


def prepares(connection):
    """After five executions psycopg names the statement."""
    for i in range(12):
        row = connection.execute(
            "SELECT name FROM shop.item WHERE id = %s", (i % 3 + 1,)
        ).fetchone()
        assert row == (ITEMS[i % 3][1],)
    names = connection.execute("SELECT count(*) > 0 FROM pg_prepared_statements").fetchone()
    assert names == (True,)
    connection.execute("DISCARD ALL")


def main():
    with psycopg.connect(URL, autocommit=True, application_name="shop") as connection:
        connection.execute(SCHEMA)
        assert connection.info.parameter_status("application_name") == "shop"
        assert connection.info.server_version >= 150000
        connection.execute("SET TIME ZONE 'UTC'")
        parts = (
            browses,
            keeps_every_type,
            streams,
            copies,
            reports_errors,
            cancels,
            keeps_transactions,
            pipelines,
            prepares,
            nests_transactions,
        )
        run(*((part.__name__, partial(part, connection)) for part in parts))


main()
