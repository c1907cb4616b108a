"""DataFusion and datafusion-distributed: binaries of this directory."""

from engines.engine import Command, Setup
from engines.line_engine import LineEngine
from harness.arguments import ROOT
from harness.errors import Failure


class RustEngine(LineEngine):
    binary: str
    flags: list[str] = []

    def __init__(self, name: str, setup: Setup):
        super().__init__(name, setup)
        self.path = setup.options.rust_bin / self.binary
        if not self.path.is_file():
            manifest = ROOT.joinpath("Cargo.toml")
            build = f"cargo build --release --manifest-path {manifest} --bin {self.binary}"
            raise Failure(f"there is no {self.path}: {build} (about 25 minutes on two cores, once)")

    def command(self) -> Command:
        data, limits = self.setup.data, self.setup.limits
        command: Command = [self.path, "--data", data.parquet, "--queries", data.queries]
        command += ["--threads", str(limits.threads), *self.flags]
        if limits.engine_bytes:
            command += ["--memory", str(limits.engine_bytes)]
        return command


class OnParquet(RustEngine):
    binary = "datafusion-engine"
    flags = ["--source", "parquet"]

    def settings(self) -> str:
        return f"{self.setup.limits.threads} partitions, Parquet is read anew by every query"


class InMemory(RustEngine):
    binary = "datafusion-engine"
    flags = ["--source", "memory"]

    def settings(self) -> str:
        return f"{self.setup.limits.threads} partitions, all rows as Arrow in memory"


class Distributed(RustEngine):
    binary = "distributed-engine"

    def command(self) -> Command:
        return [*super().command(), "--workers", str(self.setup.options.datanodes)]

    def settings(self) -> str:
        workers = self.setup.options.datanodes
        return f"{workers} workers, gRPC on loopback, its defaults, Parquet is read anew by every query"
