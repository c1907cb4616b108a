"""Whether engines give the same answer.

Rows are compared as sorted multisets, after each engine's own order has been checked against ORDER BY:
so rows that tie may come in any order. Numbers are equal when their values are, with two exceptions. Where
one of them is floating-point, a relative difference of 1e-9 is none. Decimals of which the other has more
digits (avg and division: PostgreSQL gives 16 significant digits or more, DataFusion four more than the
operand has) may differ by less than a unit in their last place.
"""

import csv
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cmp_to_key
from pathlib import Path

RELATIVE = Decimal("1e-9")
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
ORDER_BY = re.compile(r"order by\s+([^()]*?)(?:\s+limit\s+(\d+))?\s*;?\s*$")

Value = str | None
Row = tuple[Value, ...]


@dataclass(frozen=True)
class Answer:
    columns: tuple[str, ...]
    # Which columns are floating-point.
    floating: tuple[bool, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Order:
    """ORDER BY of a query: columns and whether they descend; LIMIT, if it has one."""

    keys: tuple[tuple[str, bool], ...]
    limit: int | None


def read(file: Path) -> Answer:
    """What engines write (`engines/line_engine.py`)."""
    with open(file) as lines:
        head = json.loads(next(lines))
        rows = tuple(trimmed(json.loads(line)) for line in lines)
    return Answer(tuple(head["columns"]), tuple(head["floating"]), rows)


def read_stored(file: Path) -> Answer:
    """bench-data's CSV: an empty field is NULL (no answer of TPC-H has an empty text)."""
    with open(file, newline="") as lines:
        head, *rows = csv.reader(lines)
    # A line with nothing on it is one NULL.
    values = tuple(trimmed([field or None for field in row or [""]]) for row in rows)
    return Answer(tuple(head), (False,) * len(head), values)


def trimmed(row: list[Value]) -> Row:
    """char(n) is padded in some engines."""
    return tuple(None if value is None else value.rstrip(" ") for value in row)


def order_of(query: str) -> Order:
    found = ORDER_BY.search(query.lower())
    if not found:
        return Order((), None)
    words = [key.split() for key in found[1].split(",")]
    keys = tuple((key[0], key[-1] == "desc") for key in words)
    return Order(keys, int(found[2]) if found[2] else None)


def difference(query: str, expected: Answer, actual: Answer) -> str | None:
    """What is wrong with `actual`; nothing when it is the same answer."""
    if len(actual.columns) != len(expected.columns):
        return f"{len(actual.columns)} columns instead of {len(expected.columns)}"
    if len(actual.rows) != len(expected.rows):
        return f"{len(actual.rows)} rows instead of {len(expected.rows)}"
    order = order_of(query)
    out_of_order = misplaced(order, actual)
    if out_of_order is not None:
        return f"row {out_of_order + 1} is not where ORDER BY has it: {actual.rows[out_of_order]}"
    floating = tuple(zip(expected.floating, actual.floating))
    exact = exact_columns(floating, expected, actual)
    key = sort_key(exact)
    pairs = zip(sorted(settled(order, expected), key=key), sorted(settled(order, actual), key=key))
    for right, row in pairs:
        if not all(map(equal, right, row, floating)):
            return f"{row} instead of {right}"
    return None


def misplaced(order: Order, answer: Answer) -> int | None:
    """The first row that must not come after the one before it."""
    for number in range(1, len(answer.rows)):
        before, after = order_values(order, answer, number - 1), order_values(order, answer, number)
        for (_, descends), one, other in zip(order.keys, before, after):
            if one is None or other is None:
                break
            compared = compare(other, one) if descends else compare(one, other)
            if compared > 0:
                return number
            if compared < 0:
                break
    return None


def order_values(order: Order, answer: Answer, number: int) -> Row:
    row = answer.rows[number]
    return tuple(row[answer.columns.index(column)] for column, _ in order.keys)


def settled(order: Order, answer: Answer) -> list[Row]:
    """Without the rows that tie before LIMIT with the last one: others may stand in their place."""
    rows = list(answer.rows)
    if order.limit is None or len(rows) < order.limit or not order.keys:
        return rows
    keys = [order_values(order, answer, number) for number in range(len(rows))]
    if keys.count(keys[-1]) == 1:
        return rows
    return [row for row, key in zip(rows, keys) if key != keys[-1]]


def exact_columns(floating: tuple[tuple[bool, bool], ...], *answers: Answer) -> list[int]:
    """The columns whose texts are the same in both if their values are: good to sort by."""
    found = []
    for column, either in enumerate(floating):
        values = [row[column] for answer in answers for row in answer.rows]
        scales = {scale(value) for value in values if value is not None and NUMBER.fullmatch(value)}
        if not any(either) and len(scales) <= 1:
            found.append(column)
    return found


def sort_key(exact: list[int]):
    """By the exact columns first, which tell most rows apart, then by the others' values."""

    def order(row: Row, other: Row) -> int:
        others = [column for column in range(len(row)) if column not in exact]
        for column in [*exact, *others]:
            one, two = row[column], other[column]
            if one is None or two is None:
                compared = (one is None) - (two is None)
            else:
                compared = compare(one, two)
            if compared:
                return compared
        return 0

    return cmp_to_key(order)


def compare(one: str, other: str) -> int:
    """Numbers by value, text by its bytes."""
    if NUMBER.fullmatch(one) and NUMBER.fullmatch(other):
        a, b = Decimal(one), Decimal(other)
        return (a > b) - (a < b)
    c, d = one.encode(), other.encode()
    return (c > d) - (c < d)


def equal(expected: Value, actual: Value, floating: tuple[bool, bool]) -> bool:
    """`floating` says it of both."""
    if expected == actual or expected is None or actual is None:
        return expected == actual
    if not NUMBER.fullmatch(expected) or not NUMBER.fullmatch(actual):
        return False
    one, other = Decimal(expected), Decimal(actual)
    # Integers are exact, and how many digits a floating-point number shows means nothing.
    numbers = zip((expected, actual), floating)
    scales = [scale(number) for number, floats in numbers if not floats and scale(number)]
    tolerance = RELATIVE * max(abs(one), abs(other)) if any(floating) else Decimal(0)
    if scales and (any(floating) or len(set(scales)) > 1):
        tolerance += Decimal(10) ** -min(scales)
    # Less than a unit: a truncated value and the exact one.
    return one == other or abs(one - other) < tolerance


def scale(number: str) -> int:
    """Digits after the point."""
    return len(number.partition(".")[2])
