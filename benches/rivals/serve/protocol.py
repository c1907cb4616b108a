"""The line protocol of `engines/line_engine.py`, for engines with a Python package."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Callable

import pyarrow as pa


def serve(version: str, queries: Path, answer: Callable[[str], pa.Table]) -> None:
    """Answers until the input ends. `answer` runs a query, without a semicolon, to its whole result."""
    # What packages print must not get between the lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"version": version}), file=out)
    for line in sys.stdin:
        _, number, *file = line.split(maxsplit=2)
        text = (queries / f"q{int(number):02}.sql").read_text().rstrip().rstrip(";")
        try:
            begin = time.perf_counter()
            table = answer(text)
            ms = (time.perf_counter() - begin) * 1000
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=out)
            continue
        if file:
            write_rows(table, Path(file[0].rstrip("\n")))
        print(json.dumps({"ms": ms, "rows": table.num_rows}), file=out)


def write_rows(table: pa.Table, file: Path) -> None:
    floating = [pa.types.is_floating(field.type) for field in table.schema]
    texts = [column.cast(pa.string()).to_pylist() for column in table.columns]
    with open(file, "w") as out:
        out.write(json.dumps({"columns": table.column_names, "floating": floating}) + "\n")
        for row in zip(*texts):
            out.write(json.dumps(row) + "\n")
