"""asyncpg: the extended protocol, everything in binary."""

import asyncio
import datetime as dt
import io
from decimal import Decimal

import asyncpg

from shop import EVERY_TYPE, ITEMS, SCHEMA, SLOW, URL, run


async def browses(connection):
    rows = await connection.fetch(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a "
        "WHERE a.attrelid = $1::text::regclass AND a.attnum > $2 ORDER BY a.attnum",
        "shop.item",
        0,
    )
    assert [tuple(row) for row in rows] == [
        ("id", "bigint", True),
        ("name", "character varying(40)", True),
        ("price", "numeric(10,2)", False),
        ("sold", "date", False),
    ], rows
    rows = await connection.fetch(
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY($1::text[]) ORDER BY 1",
        ["shop", "public", "missing"],
    )
    assert [row["nspname"] for row in rows] == ["public", "shop"], rows


async def keeps_every_type(connection):
    insert = f"INSERT INTO shop.every_type VALUES ({', '.join(f'${i}' for i in range(1, 19))})"
    await connection.executemany(insert, EVERY_TYPE)
    statement = await connection.prepare("SELECT * FROM shop.every_type ORDER BY id")
    rows = [tuple(row) for row in await statement.fetch()]
    assert [repr(row[7]) for row in rows] == [repr(Decimal("-123456789012345.67890")), "None"], rows
    assert rows == EVERY_TYPE, rows
    types = [attribute.type.name for attribute in statement.get_attributes()]
    assert (
        types
        == (
            "int4 bool int2 int4 int8 float4 float8 numeric text varchar bpchar bytea date time "
            "timestamp timestamptz interval uuid"
        ).split()
    ), types
    statement = await connection.prepare(insert)
    types = [parameter.name for parameter in statement.get_parameters()]
    assert (
        types
        == (
            "int4 bool int2 int4 int8 float4 float8 numeric text varchar bpchar bytea date time "
            "timestamp timestamptz interval uuid"
        ).split()
    ), types
    for value, cast in (
        (Decimal("0.00001"), "numeric"),
        (float("inf"), "float8"),
        (dt.timedelta(days=-40, seconds=1), "interval"),
        (b"", "bytea"),
        ("", "text"),
    ):
        got = await connection.fetchval(f"SELECT $1::{cast}", value)
        # Without a declared scale a numeric shows ten digits there.
        assert repr(got) == repr(value) or (cast, got) == ("numeric", value), (cast, value, got)
    # Types of parameters that nothing but their neighbours tell.
    got = await connection.fetchrow(
        "SELECT id + $1, name || $2, price * $3 FROM shop.item WHERE sold > $4 AND id = $5",
        1,
        "!",
        Decimal(2),
        dt.date(2024, 1, 1),
        1,
    )
    assert tuple(got) == (2, "apple!", Decimal("1.00")), got


async def streams(connection):
    async with connection.transaction():
        rows = [
            tuple(row)
            async for row in connection.cursor("SELECT * FROM shop.item ORDER BY id", prefetch=2)
        ]
        assert rows == ITEMS, rows
        cursor = await connection.cursor("SELECT id FROM shop.item WHERE id > $1 ORDER BY id", 0)
        assert (await cursor.fetchrow())["id"] == 1
        assert [row["id"] for row in await cursor.fetch(10)] == [2, 3]


async def copies(connection):
    await connection.copy_records_to_table(
        "item",
        schema_name="shop",
        columns=("id", "name", "price"),
        records=[(i, f"copied {i}", Decimal(i) / 4) for i in range(100, 200)],
    )
    out = io.BytesIO()
    await connection.copy_from_query(
        "SELECT id, price FROM shop.item WHERE id >= $1 ORDER BY id", 198, output=out, format="csv"
    )
    assert out.getvalue() == b"198,49.50\n199,49.75\n", out.getvalue()
    out = io.BytesIO()
    await connection.copy_from_table("item", schema_name="shop", output=out, format="binary")
    assert out.getvalue().startswith(b"PGCOPY\n\xff\r\n\0"), out.getvalue()[:20]


async def reports_errors(connection):
    for sql, kind in (
        ("SELECT * FROM shop.missing", asyncpg.UndefinedTableError),
        ("SELECT 1 / (id - 1) FROM shop.item", asyncpg.DivisionByZeroError),
        ("INSERT INTO shop.item VALUES (1, 'again', 1, NULL)", asyncpg.UniqueViolationError),
        ("SELECT 'x'::int", asyncpg.InvalidTextRepresentationError),
    ):
        try:
            await connection.fetch(sql)
            raise AssertionError(f"no error: {sql}")
        except kind:
            pass
    try:
        await connection.fetchval("SELECT $1::int", "text")
        raise AssertionError("no error")
    except asyncpg.DataError:
        pass
    # A plan of before a change of the table is made again, or refused as PostgreSQL does.
    statement = await connection.prepare("SELECT * FROM shop.item WHERE id = $1")
    await statement.fetch(1)
    await connection.execute("ALTER TABLE shop.item ADD COLUMN more int")
    try:
        await statement.fetch(1)
        raise AssertionError("no error")
    except asyncpg.InvalidCachedStatementError:
        pass
    assert len(await connection.fetchrow("SELECT * FROM shop.item WHERE id = $1", 1)) == 5


async def cancels(connection):
    try:
        await asyncio.wait_for(connection.fetch(SLOW), 0.5)
        raise AssertionError("not cancelled")
    except asyncio.TimeoutError:
        pass
    assert await connection.fetchval("SELECT 1") == 1


async def keeps_transactions(connection):
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
    try:
        await connection.execute("INSERT INTO shop.item VALUES (60, 'never', 1, NULL)")
        raise AssertionError("it wrote")
    except asyncpg.ReadOnlySQLTransactionError:
        await transaction.rollback()


async def nests_transactions(connection):
    async with connection.transaction():
        await connection.execute("INSERT INTO shop.item VALUES (61, 'kept', 1, NULL)")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO shop.item VALUES (62, 'undone', 1, NULL)")
                raise KeyError
        except KeyError:
            pass
    assert await connection.fetchval("SELECT count(*) FROM shop.item WHERE id IN (61, 62)") == 1


async def pools(connection):
    """On release: SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"""
    async with asyncpg.create_pool(URL, min_size=1, max_size=3) as pool:
        async with pool.acquire() as one:
            await one.execute("SET search_path = shop")
            pid = one.get_server_pid()
        async with pool.acquire() as one:
            assert one.get_server_pid() == pid
            assert await one.fetchval("SHOW search_path") == '"$user", public'
        names = await asyncio.gather(
            *(pool.fetchval("SELECT name FROM shop.item WHERE id = $1", i) for i in (1, 2, 3))
        )
        assert names == ["apple", "bread", "wine"], names


def main():
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(URL))
    loop.run_until_complete(connection.execute(SCHEMA))
    loop.run_until_complete(connection.execute("SET TIME ZONE 'UTC'"))
    parts = (
        browses,
        keeps_every_type,
        streams,
        copies,
        cancels,
        keeps_transactions,
        pools,
        nests_transactions,
        reports_errors,
    )
    run(
        *(
            (part.__name__, lambda part=part: loop.run_until_complete(part(connection)))
            for part in parts
        )
    )
    loop.run_until_complete(connection.close())


main()
