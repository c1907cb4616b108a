"""PostgreSQL 15: a server of its own, primary keys, ANALYZE, memory for two processors."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from psycopg import pq

from engines.engine import Command, Setup
from engines.wire_engine import WireEngine, free_port
from harness.data import TABLES, TPCH
from harness.errors import Failure

VERSION = "15"
BATCH_ROWS = 1 << 16
# What it is set up for when --memory does not say.
MEMORY_BYTES = 4 << 30


class PostgreSQL(WireEngine):
    def __init__(self, name: str, setup: Setup):
        super().__init__(name, setup)
        self.programs = setup.options.postgres_bin or Path(f"/usr/lib/postgresql/{VERSION}/bin")
        if not (self.programs / "initdb").exists():
            hint = f"apt-get install postgresql-{VERSION}, or --postgres-bin DIRECTORY"
            raise Failure(f"PostgreSQL is not in {self.programs}: {hint}")
        self.user = unprivileged()

    def identity(self) -> str:
        return VERSION

    def load(self) -> None:
        self.stored().mkdir(mode=0o700)
        if self.user:
            os.chown(self.stored(), self.user.pw_uid, self.user.pw_gid)
        initdb: Command = ["initdb", "-D", self.stored(), "-U", "postgres", "--locale=C", "--encoding=UTF8"]
        made = subprocess.run(self.as_user(initdb), capture_output=True, text=True)
        if made.returncode != 0:
            hint = "the directories above must let the user in that runs it (--work)"
            raise Failure(f"initdb: {made.stderr.strip()} ({hint})")
        self.start()
        self.query("SET statement_timeout = 0")
        for statement in create_statements():
            self.query(statement)
        for table in TABLES:
            self.copy(table)
        self.query("VACUUM ANALYZE")
        self.query("CHECKPOINT")

    def start(self) -> None:
        port = free_port()
        words = [word for setting in self.configuration() for word in ("-c", setting)]
        sockets = ["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]
        self.spawn(self.as_user(["postgres", "-D", self.stored(), "-p", str(port), *sockets, *words]))
        self.connect(f"postgres://postgres@127.0.0.1:{port}/postgres")
        self.version = (self.query("SHOW server_version")[0] or "").split()[0]

    def as_user(self, command: Command) -> Command:
        """It refuses to be run by root."""
        program: Command = [self.programs / command[0], *command[1:]]
        if not self.user:
            return program
        ids = [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        return ["setpriv", *ids, "--", *program]

    def configuration(self) -> list[str]:
        limits = self.setup.limits
        memory = limits.engine_bytes or MEMORY_BYTES
        return [
            f"shared_buffers={memory // 4 >> 20}MB",
            f"effective_cache_size={memory * 3 // 4 >> 20}MB",
            f"work_mem={memory // 16 >> 20}MB",
            "maintenance_work_mem=512MB",
            f"max_parallel_workers_per_gather={limits.threads}",
            f"max_parallel_workers={limits.threads}",
            "random_page_cost=1.1",
            "max_wal_size=8GB",
        ]

    def settings(self) -> str:
        return "primary keys; " + ", ".join(self.configuration())

    def copy(self, table: str) -> None:
        """The Parquet file's rows, as CSV."""
        assert self.connection
        copy = self.connection.exec_(f"COPY {table} FROM STDIN (FORMAT csv)".encode())
        if copy.status != pq.ExecStatus.COPY_IN:
            raise Failure(f"{self.name}: {copy.error_message.decode().strip()}")
        file = pyarrow.parquet.ParquetFile(self.setup.data.parquet / f"{table}.parquet")
        for batch in file.iter_batches(BATCH_ROWS):
            self.connection.put_copy_data(as_csv(batch))
        self.connection.put_copy_end()
        while result := self.connection.get_result():
            if result.status != pq.ExecStatus.COMMAND_OK:
                raise Failure(f"{self.name}: {result.error_message.decode().strip()}")

    def stored(self) -> Path:
        return self.directory / "cluster"

    def disk_bytes(self) -> int:
        """Tables and indexes, not the log of their loading."""
        return int(self.query("SELECT pg_database_size(current_database())")[0] or 0)


def as_csv(batch: pa.RecordBatch) -> memoryview:
    out = pa.BufferOutputStream()
    texts = [column.cast(pa.string()) for column in batch.columns]
    options = pyarrow.csv.WriteOptions(include_header=False)
    pyarrow.csv.write_csv(pa.RecordBatch.from_arrays(texts, batch.schema.names), out, options)
    return memoryview(out.getvalue())


def create_statements() -> list[str]:
    """Kestrel's schema without what only Kestrel has."""
    schema = re.sub(r"--.*", "", (TPCH / "schema.sql").read_text())
    schema = re.sub(r"\) DISTRIBUTED [^;]*;", ");", schema)
    return [statement.strip() for statement in schema.split(";") if statement.strip()]


def unprivileged() -> pwd.struct_passwd | None:
    """As whom it runs when we are root."""
    if os.getuid() != 0:
        return None
    if not shutil.which("setpriv"):
        raise Failure("root needs setpriv (util-linux) to run PostgreSQL, or run this as somebody else")
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failure("root cannot run PostgreSQL, and there is no user 'postgres'")
