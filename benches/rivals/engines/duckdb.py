"""DuckDB: its Python package, on a database file of its own."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from engines.engine import Command
from engines.line_engine import SERVE, LineEngine
from harness.errors import Failure


class DuckDB(LineEngine):
    def command(self) -> Command:
        limits = self.setup.limits
        given = {"--threads": limits.threads, "--memory": limits.engine_bytes}
        flags = [word for flag, value in given.items() if value for word in (flag, str(value))]
        queries = self.setup.data.queries
        return [sys.executable, SERVE / "on_duckdb.py", self.stored(), "--queries", queries, *flags]

    def identity(self) -> str:
        return importlib.metadata.version("duckdb")

    def load(self) -> None:
        command = [*self.command(), "--load", self.setup.data.parquet]
        if subprocess.run(command).returncode != 0:
            raise Failure(f"{self.name} could not load")

    def stored(self) -> Path:
        return self.directory / "tpch.duckdb"

    def settings(self) -> str:
        return f"{self.setup.limits.threads} threads, no keys or indexes"
