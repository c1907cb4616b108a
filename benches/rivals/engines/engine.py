"""What every engine does: load the rows once, start, answer queries, stop."""

import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from harness.arguments import Options
from harness.data import Data
from harness.errors import Failure
from harness.limits import Confinement, Limits
from harness.usage import disk_bytes, forget

STOP_SECONDS = 60

Command = list[str | Path]


@dataclass(frozen=True)
class Setup:
    """What engines are made with."""

    options: Options
    data: Data
    limits: Limits
    confinement: Confinement
    # A directory for each engine goes in here.
    directory: Path


@dataclass(frozen=True)
class Run:
    """One run of a query: until its whole result is in the client's memory, in the client's form."""

    ms: float
    rows: int


class Engine(ABC):
    """An engine in one configuration, with a directory and a process of its own."""

    def __init__(self, name: str, setup: Setup):
        self.name = name
        self.setup = setup
        self.directory = setup.directory / name.replace(":", "-")
        self.process: subprocess.Popen[bytes] | None = None

    # What a report says of it; known when it has started.
    version = "?"

    @abstractmethod
    def start(self) -> None:
        """Starts it, and comes back when it takes queries."""

    @abstractmethod
    def run(self, number: int, rows: Path | None) -> Run:
        """Runs a query; its rows go into the file, if there is one, when the time has been taken.

        Raises:
            QueryFailed: it has no answer.
        """

    def settings(self) -> str:
        """What a reader of the results must know of how it was set up."""
        return ""

    def identity(self) -> str:
        """What was loaded, and by what: the rows are loaded anew when it changes."""
        return ""

    def load(self) -> None:
        """Loads the rows into the empty directory; not called where they stay in the Parquet files."""

    def stored(self) -> Path:
        """The files that hold the rows."""
        return self.setup.data.parquet

    def disk_bytes(self) -> int:
        return disk_bytes(self.stored())

    def forget_files(self) -> None:
        forget(self.stored())

    def prepare(self) -> None:
        """Loads the rows, unless that has been done."""
        if self.stored() == self.setup.data.parquet:
            return
        loaded, identity = self.directory / "loaded.json", {"identity": self.identity()}
        is_loaded = loaded.exists() and json.loads(loaded.read_text()) == identity
        if is_loaded and not self.setup.options.reload:
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        print(f"loading {self.name}", file=sys.stderr)
        try:
            self.load()
        finally:
            self.stop()
        loaded.write_text(json.dumps(identity))

    def spawn(
        self,
        command: Command,
        environment: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> None:
        """Starts the engine's process within the limits. What it says goes to `log`, but for pipes."""
        prefix = self.setup.confinement.prefix(self.name)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *command],
                env=os.environ | (environment or {}),
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
            )

    @property
    def log(self) -> Path:
        """Beside the directory, so that it is there before the directory and not on its bill."""
        return self.setup.directory / f"{self.directory.name}.log"

    def stop(self) -> None:
        """Stops it; nothing happens when it does not run."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def died(self, what: str) -> Failure:
        lines = self.log.read_text(errors="replace").splitlines()[-5:]
        return Failure("\n  ".join([f"{self.name} {what}; the end of {self.log}:", *lines]))
