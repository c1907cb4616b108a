"""An engine in a process of ours that takes a line per query and answers with a line of JSON.

    us      the process
            {"version": "1.2.3"}                      when it takes queries
    run 5   {"ms": 12.5, "rows": 4}
    run 5 FILE                                        the rows go to the file, after the time is taken
            {"error": "out of memory"}                when there is no answer

The end of its input ends it. A file of rows is lines of JSON: `{"columns": […], "floating": […]}`, then
a list of texts and nulls for each row. `serve/protocol.py` and `src/serve.rs` are the other side.
"""

import json
import os
import select
import subprocess
import time
from abc import abstractmethod
from pathlib import Path

from engines.engine import Command, Engine, Run
from harness.errors import QueryFailed

SERVE = Path(__file__).resolve().parent.parent / "serve"
# Some read all rows into memory first.
START_SECONDS = 1800


class LineEngine(Engine):
    @abstractmethod
    def command(self) -> Command:
        """What serves queries."""

    def start(self) -> None:
        self.pending = b""
        self.spawn(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.read_line(START_SECONDS)
        if line is None:
            self.kill()
            raise self.died("does not start")
        self.version = json.loads(line)["version"]

    def run(self, number: int, rows: Path | None) -> Run:
        if self.process is None:
            self.start()
        request = f"run {number} {rows}\n" if rows else f"run {number}\n"
        assert self.process and self.process.stdin
        try:
            self.process.stdin.write(request.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return self.give_up("the engine has died")
        seconds = self.setup.limits.query_seconds
        line = self.read_line(seconds)
        if line is None:
            gone = self.process.poll() is not None
            return self.give_up("the engine has died" if gone else f"more than {seconds:g} s")
        answer = json.loads(line)
        if "error" in answer:
            raise QueryFailed(answer["error"])
        return Run(answer["ms"], answer["rows"])

    def read_line(self, seconds: float) -> bytes | None:
        """The next line; nothing when the process ends, or does not write one in this time."""
        assert self.process and self.process.stdout
        output, deadline = self.process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self.pending:
            left = max(deadline - time.monotonic(), 0)
            readable, _, _ = select.select([output], [], [], left)
            more = os.read(output, 1 << 16) if readable else b""
            if not more:
                return None
            self.pending += more
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def give_up(self, why: str) -> Run:
        """The next query gets a new process."""
        self.kill()
        raise QueryFailed(why)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
