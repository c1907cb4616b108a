"""An engine that is a server and speaks PostgreSQL's protocol: libpq is the client."""

import json
import socket
import time
from pathlib import Path

from psycopg import pq
from psycopg.pq import abc

from engines.engine import Engine, Run
from harness.errors import Failure, QueryFailed

START_SECONDS = 120
# The types float4 and float8.
FLOATING = {700, 701}


class WireEngine(Engine):
    """Subclasses start the server and call `connect`."""

    connection: abc.PGconn | None = None

    def connect(self, url: str) -> None:
        """Waits until the server lets us in."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            connection = pq.PGconn.connect(url.encode())
            if connection.status == pq.ConnStatus.OK:
                break
            if self.process is None or self.process.poll() is not None:
                raise self.died("does not start")
            if time.monotonic() > deadline:
                raise self.died(f"lets nobody in: {connection.error_message.decode().strip()}")
            time.sleep(0.05)
        self.connection = connection
        self.query(f"SET statement_timeout = {self.setup.limits.query_seconds * 1000:.0f}")

    def run(self, number: int, rows: Path | None) -> Run:
        assert self.connection
        text = self.setup.data.query(number).encode()
        begin = time.perf_counter()
        result = self.connection.exec_(text)
        ms = (time.perf_counter() - begin) * 1000
        if result.status != pq.ExecStatus.TUPLES_OK:
            failed = QueryFailed(result.error_message.decode().strip())
            if self.connection.status != pq.ConnStatus.OK:
                # The next query gets a new server, or nobody does.
                self.stop()
                self.start()
            raise failed
        if rows:
            write_rows(result, rows)
        count = result.ntuples
        result.clear()
        return Run(ms, count)

    def query(self, sql: str) -> list[str | None]:
        """The first column of a statement's result.

        Raises:
            Failure: the statement fails.
        """
        assert self.connection
        result = self.connection.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise Failure(f"{self.name}: {result.error_message.decode().strip()} ({sql})")
        return [text(result.get_value(row, 0)) for row in range(result.ntuples)]

    def stop(self) -> None:
        if self.connection:
            self.connection.finish()
            self.connection = None
        super().stop()


def write_rows(result: abc.PGresult, file: Path) -> None:
    """As engines of ours write them (`line_engine`)."""
    columns = range(result.nfields)
    names = [text(result.fname(column)) for column in columns]
    floating = [result.ftype(column) in FLOATING for column in columns]
    with open(file, "w") as out:
        out.write(json.dumps({"columns": names, "floating": floating}) + "\n")
        for row in range(result.ntuples):
            values = [text(result.get_value(row, column)) for column in columns]
            out.write(json.dumps(values) + "\n")


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
