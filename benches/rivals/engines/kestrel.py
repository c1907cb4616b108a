"""Kestrel: `kestrel up` on a directory that `kestrel tpch load` has filled, the usual keys."""

import hashlib
import subprocess
from pathlib import Path

from engines.engine import Command, Setup
from engines.wire_engine import WireEngine, free_port
from harness.errors import Failure


class Kestrel(WireEngine):
    flags: list[str] = []

    def __init__(self, name: str, setup: Setup):
        super().__init__(name, setup)
        label = name.partition(":")[2]
        self.set = [setting for setting in setup.options.settings if setting.label == label]
        found = [binary.path for binary in setup.options.kestrels if binary.label == label]
        self.binary = found[0]
        if not self.binary.is_file():
            hint = "cargo build --release, or --kestrel PATH"
            raise Failure(f"there is no Kestrel at {self.binary}: {hint}")

    def identity(self) -> str:
        """Files of one build are not always another's: each loads its own."""
        with open(self.binary, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{digest} {self.setup.options.datanodes}"

    def load(self) -> None:
        self.start()
        scale = self.setup.data.scale
        command: Command = [self.binary, "tpch", "load", "--scale", scale, "--url", self.url]
        loaded = subprocess.run(command, capture_output=True, text=True)
        if loaded.returncode != 0:
            raise Failure(f"{self.name} could not load: {loaded.stderr.strip()}")

    def start(self) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.url = f"postgres://kestrel@{address}/kestrel"
        up: Command = [self.binary, "up", "--data", self.stored(), "--listen", address]
        up += ["--datanodes", str(self.setup.options.datanodes), *self.flags, *self.memory()]
        self.spawn(up, {"KESTREL_LOG": "warn"})
        self.connect(self.url)
        for setting in self.set:
            self.query(f"SET {setting.name} = '{setting.value}'")
        version = subprocess.run([self.binary, "--version"], capture_output=True, text=True)
        self.version = version.stdout.removeprefix("kestrel").strip()

    def memory(self) -> list[str]:
        limits = self.setup.limits
        given = {"--memory-limit": limits.engine_bytes, "--cache-size": limits.cache_bytes}
        return [word for flag, size in given.items() if size for word in (flag, f"{size >> 20}MB")]

    def settings(self) -> str:
        given = [f"{setting.name}={setting.value}" for setting in self.set]
        flags = " ".join([*self.flags, *self.memory(), *given])
        return f"{self.setup.options.datanodes} datanodes {flags}".strip()

    def stored(self) -> Path:
        return self.directory / "cluster"


class KestrelProcesses(Kestrel):
    flags = ["--processes"]
