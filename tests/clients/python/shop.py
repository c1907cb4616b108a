"""What the Python clients' scripts share: the data of shop.sql, values of every type, a slow query.

A script takes the server's URL, asserts what it sees, and prints `ok` at its end. Nothing in it is
Kestrel's own, so PostgreSQL 15 must pass it, too.
"""

import datetime as dt
import pathlib
import sys
import traceback
import uuid
from decimal import Decimal

URL = sys.argv[1]
SCHEMA = (pathlib.Path(__file__).parent.parent / "shop.sql").read_text()

ITEMS = [
    (1, "apple", Decimal("0.50"), dt.date(2024, 1, 31)),
    (2, "bread", Decimal("3.25"), None),
    (3, "wine", Decimal("12.00"), dt.date(2024, 2, 29)),
]

# A value of each column of shop.every_type.
EVERY_TYPE = [
    (
        1,
        True,
        -32768,
        2147483647,
        -9223372036854775808,
        1.5,
        -2.25e-300,
        Decimal("-123456789012345.67890"),
        'it\'s a "text" \\ with\nlines, ü and 🦅',
        "ten chars!",
        "five!",
        b"\x00\x01\xff\\'",
        dt.date(1999, 12, 31),
        dt.time(23, 59, 59, 999999),
        dt.datetime(2024, 2, 29, 12, 34, 56, 789012),
        dt.datetime(2024, 2, 29, 12, 34, 56, tzinfo=dt.timezone.utc),
        dt.timedelta(days=3, hours=4, microseconds=5),
        uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    ),
    (2,) + (None,) * 17,
]

# Runs for minutes everywhere; made of nothing that a server might not have.
SLOW = (
    "WITH d AS (SELECT * FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) d(n)) "
    "SELECT count(*) FROM d a, d b, d c, d d, d e, d f, d g, d h, d i, d j "
    "WHERE a.n + b.n + c.n + d.n + e.n + f.n + g.n + h.n + i.n + j.n = 45"
)


def run(*parts):
    """Runs each part: a name and what to call. All are tried; one that fails ends in exit status 1."""
    failed = False
    for name, call in parts:
        try:
            call()
            print(name)
        except Exception:
            failed = True
            print(f"{name} FAILED\n{traceback.format_exc()}")
    if failed:
        sys.exit(1)
    print("ok")
