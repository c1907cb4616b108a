"""Which answers are the same.

    cd benches/rivals && python3 -m unittest
"""

import unittest

from harness.answers import Answer, Order, difference, order_of

PLAIN = "select a, b from t"
ORDERED = "select a, b from t order by a desc;"
LIMITED = "select a, b from t order by a limit 3;"


def answer(*rows: tuple[str | None, ...], floating: tuple[bool, ...] = (False, False)) -> Answer:
    return Answer(("a", "b"), floating, rows)


FLOATS = (False, True)
HALF = answer(("1", "0.5"), floating=FLOATS)

SAME = [
    ("any order", PLAIN, answer(("1", "x"), ("2", "y")), answer(("2", "y"), ("1", "x"))),
    ("order of ties", ORDERED, answer(("2", "x"), ("2", "y")), answer(("2", "y"), ("2", "x"))),
    ("numbers are not text", ORDERED, answer(("10", "x"), ("9", "y")), answer(("10", "x"), ("9", "y"))),
    ("NULL", PLAIN, answer((None, "x")), answer((None, "x"))),
    ("floating-point", PLAIN, HALF, answer(("1", "0.50000000000000011"), floating=FLOATS)),
    ("floating-point and a decimal", PLAIN, HALF, answer(("1", "0.5000"))),
    ("a digit less", PLAIN, answer(("1", "25.5751546")), answer(("1", "25.575154"))),
    (
        "tie at LIMIT", LIMITED,
        answer(("1", "x"), ("2", "y"), ("2", "z")), answer(("1", "x"), ("2", "y"), ("2", "w")),
    ),
]

DIFFERENT = [
    ("a row more", PLAIN, answer(("1", "x")), answer(("1", "x"), ("1", "x"))),
    (
        "how often", PLAIN,
        answer(("1", "x"), ("1", "x"), ("2", "x")), answer(("1", "x"), ("2", "x"), ("2", "x")),
    ),
    ("ORDER BY", ORDERED, answer(("2", "x"), ("1", "y")), answer(("1", "y"), ("2", "x"))),
    ("NULL and zero", PLAIN, answer((None, "x")), answer(("0", "x"))),
    ("text", PLAIN, answer(("1", "x")), answer(("1", "X"))),
    ("the last decimal", PLAIN, answer(("1", "0.10")), answer(("1", "0.11"))),
    ("an integer", PLAIN, answer(("1", "86")), answer(("1", "86.5"))),
    ("a unit of the coarser scale", PLAIN, answer(("1", "0.10")), answer(("1", "0.1100"))),
    ("floating-point", PLAIN, HALF, answer(("1", "0.50001"), floating=FLOATS)),
    ("floating-point and a decimal", PLAIN, HALF, answer(("1", "0.5010"))),
    (
        "no tie at LIMIT", LIMITED,
        answer(("1", "x"), ("2", "y"), ("3", "z")), answer(("1", "x"), ("2", "y"), ("3", "w")),
    ),
    ("columns", PLAIN, answer(("1", "x")), Answer(("a",), (False,), (("1",),))),
]


class Answers(unittest.TestCase):
    def test_same(self) -> None:
        for name, query, expected, actual in SAME:
            with self.subTest(name):
                self.assertIsNone(difference(query, expected, actual))

    def test_different(self) -> None:
        for name, query, expected, actual in DIFFERENT:
            with self.subTest(name):
                self.assertIsNotNone(difference(query, expected, actual))

    def test_order_by(self) -> None:
        query = "select (select b from t order by c) from t\norder by\n    a desc,\n    b\nlimit 10;\n"
        self.assertEqual(order_of(query), Order((("a", True), ("b", False)), 10))
        inner = "select a from t where b = (select b from t order by b)"
        self.assertEqual(order_of(inner), Order((), None))
