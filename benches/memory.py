#!/usr/bin/env python3
"""How much memory Kestrel takes for the 22 queries of TPC-H, beside what it was told it may take.

    benches/memory.py --scale 10 --memory-limit 2GiB --data /tmp/kestrel-memory

Starts `kestrel up` on the directory, loads TPC-H there if it is not, and runs the queries one after
the other. Printed are the peak of resident memory during each query (`VmHWM`, reset before it;
the sum over all processes of the cluster), milliseconds, rows, and a checksum of the rows, by which
two runs are compared. Of a load, the peak as well. Ends with 1 if a query fails, or a peak is more
than 15 % above the limit. Linux, Python's standard library only.
"""

import argparse
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ALLOWED = 1.15
UNITS = {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


class QueryFailed(Exception):
    """The server's error."""


class Client:
    """PostgreSQL's protocol, as far as a query needs it; without a password."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        words = b"user\0kestrel\0database\0kestrel\0\0"
        self.socket.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
        self.until_ready()

    def until_ready(self) -> list[bytes]:
        """The rows of an answer."""
        rows, error = [], None
        while True:
            head = self.file.read(5)
            if len(head) < 5:
                if error:
                    raise QueryFailed(error)
                raise ConnectionError("the server has gone")
            kind, length = head[:1], struct.unpack("!i", head[1:])[0]
            body = self.file.read(length - 4)
            if kind == b"D":
                rows.append(body)
            elif kind == b"E":
                fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
                error = f"{fields.get(b'C')}: {fields.get(b'M')} {fields.get(b'D', '')}"
            elif kind == b"Z":
                break
        if error:
            raise QueryFailed(error)
        return rows

    def query(self, sql: str) -> list[bytes]:
        text = sql.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", 4 + len(text)) + text)
        return self.until_ready()


class Cluster:
    """`kestrel up`, and its processes."""

    def __init__(self, options: argparse.Namespace):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgres://kestrel@127.0.0.1:{self.port}/kestrel"
        command = [options.kestrel, "up", "--data", options.data]
        command += ["--listen", f"127.0.0.1:{self.port}", "--datanodes", str(options.datanodes)]
        command += ["--memory-limit", options.memory_limit, *options.flag]
        environment = {**os.environ, "KESTREL_LOG": "warn"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)

    def connect(self) -> Client:
        deadline = time.monotonic() + 120
        while True:
            try:
                return Client(self.port)
            except (OSError, QueryFailed) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"memory.py: kestrel does not start: {error}") from error
                time.sleep(0.1)

    def processes(self) -> list[int]:
        """The process that was started and all that it has started."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                queue += [int(child) for child in read(task).split()]
        return found

    def reset_peak(self) -> None:
        for pid in self.processes():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError as error:
                raise SystemExit(f"memory.py: the peak cannot be reset: {error}") from error

    def kib(self, field: str) -> int:
        """A field of /proc/…/status, of all processes."""
        lines = [line for pid in self.processes() for line in read(f"/proc/{pid}/status").splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith(field + ":"))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        # The process has just ended.
        return ""


def size(text: str) -> int:
    """Bytes of `2GiB`."""
    digits = text.rstrip("KkMmGgIiBb ")
    unit = text[len(digits) :].strip().upper()
    return int(float(digits) * UNITS.get(unit, 1))


def is_loaded(client: Client) -> bool:
    try:
        return bool(client.query("SELECT 1 FROM lineitem LIMIT 1"))
    except QueryFailed:
        return False


def measure(cluster: Cluster, client: Client, number: int, sql: str) -> tuple[int, bool]:
    """Runs a query: the peak in MiB, and whether it was answered."""
    cluster.reset_peak()
    began = time.perf_counter()
    try:
        rows = client.query(sql)
        digest = hashlib.sha256(b"\n".join(rows)).hexdigest()[:12]
        result = f"{len(rows):6} rows  {digest}"
    except QueryFailed as error:
        rows, result = None, f"failed: {error}"
    ms = (time.perf_counter() - began) * 1000
    peak, now = cluster.kib("VmHWM") >> 10, cluster.kib("VmRSS") >> 10
    print(f"{number:4} {peak:8} {now:8} {ms:10.0f}  {result}", flush=True)
    return peak, rows is not None


def run(cluster: Cluster, options: argparse.Namespace) -> bool:
    limit = size(options.memory_limit) >> 20
    client = cluster.connect()
    peaks, answered = [], True
    if not is_loaded(client):
        command = [options.kestrel, "tpch", "load", "--scale", options.scale, "--url", cluster.url]
        if subprocess.run(command).returncode != 0:
            print(f"the load failed; peak {cluster.kib('VmHWM') >> 10} MiB")
            return False
        peaks.append(cluster.kib("VmHWM") >> 10)
        print(f"load: peak {peaks[0]} MiB")
    printed = subprocess.run(
        [options.kestrel, "tpch", "queries", "--json"], check=True, capture_output=True, text=True
    )
    queries = [query["sql"] for query in json.loads(printed.stdout)]
    print(f"limit {limit} MiB\n   Q peak MiB  now MiB         ms")
    for _ in range(options.rounds):
        for number in options.queries or range(1, len(queries) + 1):
            try:
                peak, is_answered = measure(cluster, client, number, queries[number - 1])
            except ConnectionError as error:
                print(f"{number:4} {error}: exit status {cluster.process.poll()}")
                return False
            peaks.append(peak)
            answered &= is_answered
    print(f"peak {max(peaks)} MiB, {max(peaks) / limit:.2f} of the limit; all answered: {answered}")
    return answered and max(peaks) <= limit * ALLOWED


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Kestrel's memory during TPC-H.")
    parser.add_argument("--kestrel", default=str(root / "target/release/kestrel"))
    parser.add_argument("--data", required=True, help="the cluster's directory, kept")
    parser.add_argument("--scale", default="10", help="loaded if the directory is new")
    parser.add_argument("--memory-limit", default="2GiB")
    parser.add_argument("--datanodes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--queries", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--flag", action="append", default=[], help="one more for `kestrel up`")
    options = parser.parse_args()
    cluster = Cluster(options)
    try:
        return 0 if run(cluster, options) else 1
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
