#!/usr/bin/env python3
"""Rows per second of `SELECT * FROM lineitem` through libpq, Kestrel beside PostgreSQL.

    pip install 'psycopg[binary]'
    benches/rivals/delivery.py --kestrel URL --postgres URL [--rounds 5] [--pid PID]

Both must be running. Kestrel has TPC-H loaded (`kestrel tpch load`); PostgreSQL gets the table from
Kestrel if it has none. Each round asks both in turn, in text and in binary, and takes the whole result
with one PQexecParams: no Python runs per row, and the client keeps its memory from round to round, so
that its page faults are not what is measured. Prints medians and ratios, the milliseconds until the
first row (single-row mode), and with `--pid`, the server's process, by how many MiB its memory grew
while rows streamed.
"""

import argparse
import os
import statistics
import sys
import threading
import time

import psycopg
from psycopg import pq

# glibc's: what is freed stays in the heap.
KEEPING = {"MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_THRESHOLD_": str(1 << 40)}
QUERY = b"SELECT * FROM lineitem"
FORMATS = {"text": pq.Format.TEXT, "binary": pq.Format.BINARY}

TABLE = """CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL,
    l_linenumber int NOT NULL, l_quantity numeric(15,2) NOT NULL,
    l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
    l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL)"""


def copy_table(kestrel: str, postgres: str) -> None:
    """Gives PostgreSQL Kestrel's lineitem, if it has none."""
    with psycopg.connect(kestrel) as source, psycopg.connect(postgres) as target:
        if target.execute("SELECT to_regclass('lineitem')").fetchone()[0] is not None:
            return
        target.execute(TABLE)
        with source.cursor().copy("COPY lineitem TO STDOUT") as out:
            with target.cursor().copy("COPY lineitem FROM STDIN") as into:
                for block in out:
                    into.write(block)
        target.commit()
        target.autocommit = True
        target.execute("VACUUM ANALYZE lineitem")


def connect(url: str) -> pq.PGconn:
    connection = pq.PGconn.connect(url.encode())
    if connection.status != pq.ConnStatus.OK:
        raise SystemExit(connection.error_message.decode())
    return connection


def rows_per_second(connection: pq.PGconn, wire: pq.Format) -> tuple[float, int]:
    """(rows per second, rows) of one whole result."""
    begin = time.perf_counter()
    result = connection.exec_params(QUERY, [], result_format=wire)
    seconds = time.perf_counter() - begin
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise SystemExit(result.error_message.decode())
    rows = result.ntuples
    result.clear()
    return rows / seconds, rows


def first_row_ms(connection: pq.PGconn, wire: pq.Format) -> float:
    """Milliseconds until the first row is there; the rest is cancelled."""
    begin = time.perf_counter()
    connection.send_query_params(QUERY, [], result_format=wire)
    connection.set_single_row_mode()
    first = connection.get_result()
    elapsed = (time.perf_counter() - begin) * 1000
    assert first is not None and first.status == pq.ExecStatus.SINGLE_TUPLE, first
    connection.get_cancel().cancel()
    while connection.get_result() is not None:
        pass
    return elapsed


class Memory:
    """The most resident memory of a process while the block runs, beyond what it had before."""

    def __init__(self, pid: int | None):
        self.pid, self.done, self.most = pid, threading.Event(), 0

    def resident(self) -> int:
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    def watch(self) -> None:
        while not self.done.wait(0.02):
            self.most = max(self.most, self.resident())

    def __enter__(self) -> "Memory":
        if self.pid:
            self.before = self.most = self.resident()
            self.thread = threading.Thread(target=self.watch)
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            self.done.set()
            self.thread.join()

    @property
    def growth_mib(self) -> float:
        return (self.most - self.before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kestrel", required=True)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pid", type=int)
    arguments = parser.parse_args()

    copy_table(arguments.kestrel, arguments.postgres)
    servers = {"kestrel": connect(arguments.kestrel), "postgres": connect(arguments.postgres)}
    speeds = {(server, wire): [] for server in servers for wire in FORMATS}
    for round_number in range(arguments.rounds + 1):
        for wire in FORMATS:
            counts = set()
            for server, connection in servers.items():
                speed, rows = rows_per_second(connection, FORMATS[wire])
                counts.add(rows)
                # The first round warms both.
                if round_number:
                    speeds[server, wire].append(speed)
            assert len(counts) == 1, counts

    print(f"{counts.pop():,} rows, median of {arguments.rounds} (lowest to highest), rows per second")
    for wire in FORMATS:
        ours, theirs = speeds["kestrel", wire], speeds["postgres", wire]
        ratio = statistics.median(ours) / statistics.median(theirs)
        span = lambda s: f"{statistics.median(s):,.0f} ({min(s):,.0f} to {max(s):,.0f})"
        print(f"{wire}: kestrel {span(ours)}, postgres {span(theirs)}, ratio {ratio:.2f}")
    for wire in FORMATS:
        times = [first_row_ms(servers["kestrel"], FORMATS[wire]) for _ in range(5)]
        print(f"{wire}: first row after {statistics.median(times):.0f} ms (most {max(times):.0f})")
    if arguments.pid:
        with Memory(arguments.pid) as memory:
            rows_per_second(servers["kestrel"], FORMATS["text"])
        print(f"memory grew by {memory.growth_mib:.0f} MiB over one result")


if __name__ == "__main__":
    # Read when a process begins.
    if not KEEPING.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEPING)
    main()
