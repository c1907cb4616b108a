"""The engines. A new one is a module beside this file and a line in the list."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import Failure

if TYPE_CHECKING:
    from engines.engine import Engine, Setup


@dataclass(frozen=True)
class Entry:
    """An engine that can be named. Its class is imported when it is, since it needs packages."""

    name: str
    # module:class in this package; empty when it cannot be compared.
    location: str
    summary: str
    requirements: str | None = None
    # Whether there may be several builds of it (--kestrel).
    has_binaries: bool = False


ENGINES = [
    Entry("kestrel", "kestrel:Kestrel", "datanodes in one process", has_binaries=True),
    Entry("kestrel-processes", "kestrel:KestrelProcesses", "a process per datanode", has_binaries=True),
    Entry("duckdb", "duckdb:DuckDB", "a database file of its own"),
    Entry("datafusion-parquet", "datafusion:OnParquet", "on the Parquet files"),
    Entry("datafusion-memory", "datafusion:InMemory", "the same rows in memory (MemTable)"),
    Entry("datafusion-distributed", "datafusion:Distributed", "a worker per datanode, on the Parquet files"),
    Entry("postgresql", "postgresql:PostgreSQL", "version 15, primary keys"),
    Entry("spark", "spark:Spark", "local mode, on the Parquet files", "requirements-spark.txt"),
    Entry("ballista", "", "cannot be compared: PyPI has its version 54.1.0 as source only"),
]


def find(name: str) -> Entry:
    """
    Raises:
        Failure: there is none of this name, or it cannot be compared.
    """
    for entry in ENGINES:
        if entry.name == name.partition(":")[0]:
            if not entry.location:
                raise Failure(f"{entry.name} {entry.summary}")
            return entry
    raise Failure(f"there is no engine '{name}'; there are {', '.join(e.name for e in ENGINES)}")


def make(name: str, setup: "Setup") -> "Engine":
    module, class_name = find(name).location.split(":")
    return getattr(importlib.import_module(f"engines.{module}"), class_name)(name, setup)
