"""psqlODBC through pyodbc: the catalog functions of ODBC, parameters, cursors by DECLARE/FETCH."""

import datetime as dt
import threading
import time
from decimal import Decimal
from functools import partial
from urllib.parse import urlparse

import pyodbc

from shop import ITEMS, SCHEMA, SLOW, URL, run

SERVER = urlparse(URL)
DRIVER = (
    f"Driver=PostgreSQL Unicode;Server={SERVER.hostname};Port={SERVER.port};"
    f"Uid={SERVER.username};Database={SERVER.path[1:]};"
)


def browses(connection):
    cursor = connection.cursor()
    tables = [
        (row.table_schem, row.table_name, row.table_type) for row in cursor.tables(schema="shop")
    ]
    assert sorted(tables) == [
        ("shop", "cheap", "VIEW"),
        ("shop", "every_type", "TABLE"),
        ("shop", "item", "TABLE"),
    ], tables
    columns = [
        (r.column_name, r.type_name, r.column_size, r.decimal_digits, r.nullable)
        for r in cursor.columns(table="item", schema="shop")
    ]
    assert columns == [
        ("id", "int8", 19, 0, 0),
        ("name", "varchar", 40, None, 0),
        ("price", "numeric", 10, 2, 1),
        ("sold", "date", 10, None, 1),
    ], columns
    keys = [
        (row.column_name, row.key_seq, row.pk_name)
        for row in cursor.primaryKeys(table="item", schema="shop")
    ]
    assert keys == [("id", 1, "item_pkey")], keys
    indexes = {
        row.index_name for row in cursor.statistics(table="item", schema="shop") if row.index_name
    }
    assert indexes == {"item_pkey", "item_name_key", "item_sold"}, indexes
    assert cursor.foreignKeys(table="item", schema="shop").fetchall() == []
    assert len(cursor.getTypeInfo().fetchall()) > 10
    assert connection.getinfo(pyodbc.SQL_DBMS_NAME) == "PostgreSQL"
    assert connection.getinfo(pyodbc.SQL_DBMS_VER).startswith("15.")


def keeps_values(connection):
    cursor = connection.cursor()
    assert [tuple(row) for row in cursor.execute("SELECT * FROM shop.item ORDER BY id")] == ITEMS
    row = (
        7,
        True,
        -5,
        1 << 30,
        -(1 << 62),
        1.5,
        2.25,
        Decimal("1.50000"),
        "text ü",
        "varchar",
        "char ",
        b"\x00\x01",
        dt.date(2024, 2, 29),
        dt.time(1, 2, 3),
        dt.datetime(2024, 2, 29, 1, 2, 3, 4000),
    )
    columns = "id, a_boolean, a_smallint, a_integer, a_bigint, a_real, a_double, a_numeric, a_text, a_varchar, a_char, a_bytea, a_date, a_time, a_timestamp"
    cursor.execute(
        f"INSERT INTO shop.every_type ({columns}) VALUES ({', '.join('?' * len(row))})", row
    )
    got = tuple(cursor.execute(f"SELECT {columns} FROM shop.every_type WHERE id = ?", 7).fetchone())
    # The driver's booleans are text unless its BoolsAsChar is off.
    assert (got[0], got[1] in ("1", True)) + got[2:] == (7, True) + row[2:], got
    connection.commit()


def streams():
    """UseDeclareFetch: the way of Tableau."""
    with pyodbc.connect(DRIVER + "UseDeclareFetch=1;Fetch=100;") as connection:
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO shop.item (id, name) VALUES (?, ?)",
            [(i, f"n{i}") for i in range(1000, 1350)],
        )
        connection.commit()
        rows = cursor.execute("SELECT id FROM shop.item WHERE id >= ? ORDER BY id", 1000).fetchall()
        assert [row[0] for row in rows] == list(range(1000, 1350))
        connection.rollback()


def reports_errors(connection):
    cursor = connection.cursor()
    for sql, state in (
        ("SELECT * FROM shop.missing", "42P01"),
        ("SELECT missing FROM shop.item", "42703"),
        ("SELECT 1 / 0", "22012"),
        ("INSERT INTO shop.item VALUES (1, 'again', 1, NULL)", "23505"),
    ):
        try:
            cursor.execute(sql).fetchall()
            raise AssertionError(f"no error: {sql}")
        except pyodbc.Error as error:
            # ODBC 3's names for two of them.
            assert error.args[0] in (state, "42S02", "42S22"), (sql, error)
        connection.rollback()


def undoes_statements():
    """Protocol 7.4-2: a failed statement is undone by itself, with a savepoint."""
    with pyodbc.connect(DRIVER + "Protocol=7.4-2;") as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO shop.item (id, name) VALUES (500, 'kept')")
        try:
            cursor.execute("SELECT 1 / 0").fetchall()
        except pyodbc.Error:
            pass
        assert cursor.execute("SELECT count(*) FROM shop.item WHERE id = 500").fetchone()[0] == 1
        connection.rollback()


def cancels(connection):
    cursor = connection.cursor()
    threading.Timer(0.5, cursor.cancel).start()
    start = time.monotonic()
    try:
        cursor.execute(SLOW).fetchall()
        raise AssertionError("not cancelled")
    except pyodbc.Error as error:
        assert time.monotonic() - start < 30, error
    connection.rollback()


def main():
    with pyodbc.connect(DRIVER, autocommit=True) as connection:
        for statement in SCHEMA.split(";\n"):
            if statement.strip():
                connection.execute(statement)
    with pyodbc.connect(DRIVER) as connection:
        parts = (browses, keeps_values, reports_errors, cancels)
        run(
            *((part.__name__, partial(part, connection)) for part in parts),
            ("streams", streams),
            ("undoes_statements", undoes_statements),
        )


main()
