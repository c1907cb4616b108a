"""Spark: local mode, on the Parquet files; the session and its JVM stay between queries."""

import os
import shutil
import sys

from engines.engine import Command, Setup
from engines.line_engine import SERVE, LineEngine
from harness.errors import Failure

DRIVER_BYTES = 4 << 30


class Spark(LineEngine):
    def __init__(self, name: str, setup: Setup):
        super().__init__(name, setup)
        if not shutil.which("java") and "JAVA_HOME" not in os.environ:
            hint = "apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
            raise Failure(f"Spark needs Java 17 or 21: {hint}")

    def command(self) -> Command:
        data, limits = self.setup.data, self.setup.limits
        flags = ["--threads", str(limits.threads), "--memory", str(limits.engine_bytes or DRIVER_BYTES)]
        return [sys.executable, SERVE / "on_spark.py", data.parquet, "--queries", data.queries, *flags]

    def settings(self) -> str:
        threads = self.setup.limits.threads
        return f"local[{threads}], {threads} shuffle partitions, Parquet is read anew by every query"
