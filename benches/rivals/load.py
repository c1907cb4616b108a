#!/usr/bin/env python3
"""How long lineitem takes to load from CSV, beside DuckDB's COPY; and what VACUUM gives back.

    benches/rivals/load.py --scale 1 --rounds 5

In each round, on the same file and with the same number of threads: DuckDB's COPY into a table of a
new database file, Kestrel's COPY from the file (`kestrel.copy_directories`), and from STDIN (what
`\\copy` does). Tables have no keys. Prints medians, and how many times DuckDB's they are, with the
least and the greatest of the rounds. Then: the size and the time of a scan of a fresh table of the
rows that a DELETE of every second order leaves, and of the deleted-from table before and after VACUUM.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness import arguments, environment
from harness.errors import Failure

TABLE = """CREATE TABLE {} (l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber integer,
    l_quantity numeric(15,2), l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2),
    l_returnflag text, l_linestatus text, l_shipdate date, l_commitdate date, l_receiptdate date,
    l_shipinstruct text, l_shipmode text, l_comment text)"""
SCAN = """SELECT count(*), sum(l_quantity), sum(l_extendedprice), min(l_shipdate), max(l_commitdate),
    min(l_shipmode), max(l_comment), sum(l_partkey), sum(l_suppkey), sum(l_tax) FROM {}"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--datanodes", type=int, default=2)
    parser.add_argument("--kestrel", type=Path, default=arguments.release(arguments.PROJECT) / "kestrel")
    parser.add_argument("--work", type=Path, default=arguments.default_work())
    return parser.parse_args()


def csv_of(work: Path, scale: str) -> Path:
    """lineitem as CSV, made once."""
    import duckdb
    from harness import data

    file = work / f"scale-{scale}" / "csv" / "lineitem.csv"
    if not file.exists():
        parquet = data.prepare(scale, work / f"scale-{scale}").parquet / "lineitem.parquet"
        file.parent.mkdir(exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        duckdb.sql(f"COPY (FROM '{parquet}') TO '{unfinished}' (FORMAT csv, HEADER false)")
        unfinished.rename(file)
    return file


class Kestrel:
    def __init__(self, options: argparse.Namespace, directory: Path):
        shutil.rmtree(directory, ignore_errors=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [options.kestrel, "up", "--data", directory, "--listen", f"127.0.0.1:{port}"]
        command += ["--datanodes", str(options.datanodes)]
        env = {**os.environ, "KESTREL_LOG": "warn"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
        self.connection = self.connect(f"postgres://kestrel@127.0.0.1:{port}/kestrel")

    def connect(self, url: str):
        import psycopg

        for _ in range(600):
            try:
                return psycopg.connect(url, autocommit=True)
            except psycopg.OperationalError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise Failure("kestrel does not start")

    def run(self, sql: str):
        return self.connection.execute(sql)

    def copy_from_stdin(self, table: str, file: Path) -> None:
        with open(file, "rb") as rows, self.connection.cursor() as cursor:
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
                while piece := rows.read(1 << 18):
                    copy.write(piece)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def load_duckdb(file: Path, directory: Path, threads: int) -> float:
    import duckdb

    database = directory / "load.duckdb"
    database.unlink(missing_ok=True)
    with duckdb.connect(database, config={"threads": threads}) as connection:
        connection.execute(TABLE.format("lineitem"))
        took = timed(lambda: connection.execute(f"COPY lineitem FROM '{file}' (FORMAT csv, HEADER false)"))
    database.unlink()
    return took


def loads(kestrel: Kestrel, file: Path, directory: Path, options: argparse.Namespace) -> None:
    kestrel.run(f"SET kestrel.copy_directories = '{file.parent}'")
    kinds = ["DuckDB, COPY", "Kestrel, COPY from the file", "Kestrel, COPY from STDIN"]
    times = {kind: [] for kind in kinds}
    # The first round fills the page cache.
    for round in range(options.rounds + 1):
        found = {kinds[0]: load_duckdb(file, directory, options.threads)}
        for kind in kinds[1:]:
            kestrel.run(TABLE.format("lineitem") + " DISTRIBUTED BY (l_orderkey)")
            if kind == kinds[1]:
                work = lambda: kestrel.run(f"COPY lineitem FROM '{file}' (FORMAT csv)")
            else:
                work = lambda: kestrel.copy_from_stdin("lineitem", file)
            found[kind] = timed(work)
            kestrel.run("DROP TABLE lineitem")
        for kind, took in found.items() if round else []:
            times[kind].append(took)
    for kind in kinds:
        ratios = [took / of for took, of in zip(times[kind], times[kinds[0]])]
        print(
            f"{kind:28} {statistics.median(times[kind]):6.2f} s  {statistics.median(ratios):.2f} times DuckDB's "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def vacuum(kestrel: Kestrel, file: Path, options: argparse.Namespace) -> None:
    for table in ["worn", "fresh"]:
        kestrel.run(TABLE.format(table) + " DISTRIBUTED BY (l_orderkey)")
    kestrel.run(f"COPY worn FROM '{file}' (FORMAT csv)")
    kestrel.run("DELETE FROM worn WHERE l_orderkey % 2 = 0")
    kestrel.run("INSERT INTO fresh SELECT * FROM worn")
    fresh = print_state(kestrel, "fresh", "a fresh load", options)
    print_state(kestrel, "worn", "after DELETE", options, fresh)
    print(f"VACUUM took {timed(lambda: kestrel.run('VACUUM worn')):.2f} s")
    print_state(kestrel, "worn", "after VACUUM", options, fresh)


def print_state(kestrel: Kestrel, table: str, what: str, options: argparse.Namespace, fresh=None):
    size = kestrel.run(f"SELECT pg_total_relation_size('{table}')").fetchone()[0]
    scan = lambda: kestrel.run(SCAN.format(table)).fetchall()
    scan()
    took = statistics.median(timed(scan) for _ in range(4 * options.rounds + 1))
    beside = f"  {size / fresh[0]:.2f} and {took / fresh[1]:.2f} times a fresh load's" if fresh else ""
    print(f"{what:14} {size / 1e6:8.1f} MB  scan {took * 1000:6.1f} ms{beside}")
    return size, took


def main() -> int:
    options = parse()
    environment.enter(options.work / "venv", [Path(__file__).with_name("requirements.txt")])
    file = csv_of(options.work.absolute(), options.scale)
    directory = options.work.absolute() / f"scale-{options.scale}" / "load"
    directory.mkdir(exist_ok=True)
    kestrel = Kestrel(options, directory / "kestrel")
    try:
        loads(kestrel, file, directory, options)
        vacuum(kestrel, file, options)
    finally:
        kestrel.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"load.py: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
