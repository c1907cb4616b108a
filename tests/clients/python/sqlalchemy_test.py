"""SQLAlchemy: reflection, types, and a session of its ORM, over psycopg 3 and psycopg2."""

import datetime as dt
from decimal import Decimal
from functools import partial

import sqlalchemy as sa
from sqlalchemy import orm

from shop import ITEMS, SCHEMA, URL, run


def reflects(engine):
    """What an application or a BI tool asks before it shows a table."""
    inspector = sa.inspect(engine)
    assert {"public", "shop"} <= set(inspector.get_schema_names())
    assert inspector.default_schema_name == "public"
    assert sorted(inspector.get_table_names("shop")) == ["every_type", "item"]
    assert inspector.get_view_names("shop") == ["cheap"]
    assert inspector.get_materialized_view_names("shop") == []
    assert inspector.has_table("item", "shop") and not inspector.has_table("missing", "shop")
    columns = {c["name"]: c for c in inspector.get_columns("item", "shop")}
    assert list(columns) == ["id", "name", "price", "sold"], columns
    assert isinstance(columns["id"]["type"], sa.BigInteger)
    assert columns["name"]["type"].length == 40 and not columns["name"]["nullable"]
    price = columns["price"]
    assert (price["type"].precision, price["type"].scale) == (10, 2), price
    assert (price["comment"], price["default"]) == ("in euros", "0"), price
    key = inspector.get_pk_constraint("item", "shop")
    assert (key["name"], key["constrained_columns"]) == ("item_pkey", ["id"]), key
    assert inspector.get_foreign_keys("item", "shop") == []
    (unique,) = inspector.get_unique_constraints("item", "shop")
    assert (unique["name"], unique["column_names"]) == ("item_name_key", ["id", "name"]), unique
    (check,) = inspector.get_check_constraints("item", "shop")
    assert check["name"] == "item_price_check" and "price >=" in check["sqltext"], check
    indexes = {
        i["name"]: (i["column_names"], i["unique"]) for i in inspector.get_indexes("item", "shop")
    }
    assert indexes == {
        "item_name_key": (["id", "name"], True),
        "item_sold": (["sold"], False),
    }, indexes
    assert inspector.get_table_comment("item", "shop") == {"text": "what is for sale"}
    assert "price" in inspector.get_view_definition("cheap", "shop")
    assert inspector.get_enums() == [] and inspector.get_sequence_names("shop") == []
    types = [type(c["type"]).__name__ for c in inspector.get_columns("every_type", "shop")]
    assert (
        types
        == (
            "INTEGER BOOLEAN SMALLINT INTEGER BIGINT REAL DOUBLE_PRECISION NUMERIC TEXT VARCHAR CHAR "
            "BYTEA DATE TIME TIMESTAMP TIMESTAMP INTERVAL UUID"
        ).split()
    ), types


def maps_tables(engine):
    metadata = sa.MetaData()
    metadata.reflect(engine, schema="shop", views=True)
    item = metadata.tables["shop.item"]
    with engine.connect() as connection:
        query = (
            sa.select(item).where(item.c.sold >= dt.date(2024, 1, 1)).order_by(item.c.price.desc())
        )
        assert [row.name for row in connection.execute(query)] == ["wine", "apple"]
        month = sa.func.date_trunc("month", item.c.sold)
        query = (
            sa.select(month.label("month"), sa.func.sum(item.c.price))
            .group_by(month)
            .order_by("month")
        )
        assert [row[1] for row in connection.execute(query)] == [
            Decimal("0.50"),
            Decimal("12.00"),
            Decimal("3.25"),
        ]
        streamed = connection.execution_options(yield_per=2).execute(
            sa.select(item).order_by(item.c.id)
        )
        assert [tuple(row) for row in streamed] == ITEMS


def creates_tables(engine):
    """DDL as SQLAlchemy writes it, rows by the ORM's unit of work."""

    class Base(orm.DeclarativeBase):
        pass

    class Note(Base):
        __tablename__ = "note"
        __table_args__ = {"schema": "shop", "comment": "what people wrote"}
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
        text: orm.Mapped[str] = orm.mapped_column(sa.String(50))
        at: orm.Mapped[dt.datetime | None]

    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all(
            [Note(id=i, text=f"note {i}", at=dt.datetime(2024, 1, i)) for i in range(1, 6)]
        )
        session.commit()
        notes = session.scalars(
            sa.select(Note).where(Note.text.like("note%")).order_by(Note.id)
        ).all()
        assert [note.at.day for note in notes] == [1, 2, 3, 4, 5]
        session.expunge_all()
        session.add(Note(id=1, text="again"))
        try:
            session.commit()
            raise AssertionError("no error")
        except sa.exc.IntegrityError:
            session.rollback()
        assert session.scalar(sa.select(sa.func.count()).select_from(Note)) == 5
    Base.metadata.drop_all(engine)


def resets(engine):
    """A connection that a failed statement left comes back clean from the pool."""
    for _ in range(3):
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT * FROM shop.missing"))
            raise AssertionError("no error")
        except sa.exc.ProgrammingError as error:
            assert 'relation "shop.missing" does not exist' in str(error), error
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


def main():
    parts = []
    for driver in ("psycopg", "psycopg2"):
        engine = sa.create_engine(
            URL.replace("postgres://", f"postgresql+{driver}://"), pool_pre_ping=True
        )
        with engine.begin() as connection:
            connection.exec_driver_sql(SCHEMA)
        for part in (reflects, maps_tables, creates_tables, resets):
            parts.append((f"{driver} {part.__name__}", partial(part, engine)))
    run(*parts)


main()
