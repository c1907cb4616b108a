"""TPC-H: the rows, once for all engines, and the queries."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.arguments import PROJECT
from harness.errors import Failure

TPCH = PROJECT / "bench-data" / "tpch"
TABLES = ["region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem"]


@dataclass(frozen=True)
class Data:
    scale: str
    # A file TABLE.parquet for each table: decimals as decimal(15,2), text without padding.
    parquet: Path
    # The texts qNN.sql.
    queries: Path

    def query(self, number: int) -> str:
        return query_file(self.queries, number).read_text()


def query_file(queries: Path, number: int) -> Path:
    return queries / f"q{number:02}.sql"


def prepare(scale: str, directory: Path) -> Data:
    """Makes the rows, unless they are there.

    tpchgen is also what `kestrel tpch load` has, in the same version: the rows are the same.
    """
    parquet = directory / "parquet"
    if not parquet.exists():
        print(f"making TPC-H at scale {scale}", file=sys.stderr)
        unfinished = directory / "parquet.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        program = Path(sys.executable).with_name("tpchgen-cli")
        made = subprocess.run([program, "parquet", "-q", "-s", scale, "-o", unfinished])
        if made.returncode != 0:
            raise Failure("tpchgen-cli could not make the rows")
        unfinished.rename(parquet)
    return Data(scale, parquet, TPCH / "queries")


def stored_answers(scale: str) -> Path | None:
    """The answers of bench-data, PostgreSQL's, if it has those of this scale."""
    answers = TPCH / "answers" / f"sf{scale}"
    return answers if answers.is_dir() else None
