"""What an engine may use: processors and memory, given by the kernel where that is permitted."""

import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    threads: int
    memory_bytes: int | None
    cache_bytes: int | None
    query_seconds: float

    @property
    def engine_bytes(self) -> int | None:
        """What an engine is told that it may use: less than the kernel lets it, for not all is counted."""
        return None if self.memory_bytes is None else self.memory_bytes * 4 // 5


@dataclass
class Confinement:
    """How each engine's processes are kept within the limits."""

    processors: list[int]
    memory_bytes: int | None = None
    # A control group of ours, with one for each engine in it.
    group: "ControlGroup | None" = None
    by_systemd: bool = False
    # What a reader of the results must know.
    note: str = ""
    made: list[Path] = field(default_factory=list)

    def prefix(self, name: str) -> list[str]:
        """What starts a command within the limits. The process stays the same one."""
        bound = ["taskset", "--cpu-list", ",".join(map(str, self.processors))]
        if self.by_systemd:
            scope = ["systemd-run", "--scope", "--quiet", "--collect"]
            scope += [] if os.getuid() == 0 else ["--user"]
            return [*scope, "-p", f"MemoryMax={self.memory_bytes}", "-p", "MemorySwapMax=0", "--", *bound]
        if self.group:
            enter = f'echo $$ > "{self.engine_group(name)}/cgroup.procs" && exec "$@"'
            return ["sh", "-c", enter, "sh", *bound]
        return bound

    def engine_group(self, name: str) -> Path:
        assert self.group is not None and self.memory_bytes is not None
        group = self.group.path / name.replace(":", "-")
        if group not in self.made:
            group.mkdir(exist_ok=True)
            self.group.limit(group, self.memory_bytes)
            self.made.append(group)
        return group

    def close(self) -> None:
        groups = [*self.made, *([self.group.path] if self.group else [])]
        for group in groups:
            with suppress(OSError):
                group.rmdir()


@dataclass(frozen=True)
class ControlGroup:
    path: Path
    version: int

    def limit(self, group: Path, memory_bytes: int) -> None:
        """Keeps the processes of a group below this one within the bytes, without swap.

        Raises:
            OSError: not permitted.
        """
        if self.version == 2:
            (group / "memory.max").write_text(str(memory_bytes))
            with suppress(OSError):
                (group / "memory.swap.max").write_text("0")
        else:
            (group / "memory.limit_in_bytes").write_text(str(memory_bytes))
            # Of memory and swap together.
            with suppress(OSError):
                (group / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))


def confine(limits: Limits) -> Confinement:
    """The strictest confinement that this machine permits; what it does not is in the note."""
    processors = sorted(os.sched_getaffinity(0))[: limits.threads]
    confinement = Confinement(processors, limits.memory_bytes)
    if len(processors) < limits.threads:
        confinement.note = f"{limits.threads} threads on {len(processors)} processors; "
    if limits.memory_bytes is None:
        confinement.note += "memory is not limited"
    elif Path("/run/systemd/system").is_dir() and shutil.which("systemd-run"):
        confinement.by_systemd = True
        confinement.note += "memory is limited by systemd-run"
    else:
        try:
            confinement.group = own_group()
            confinement.note += "memory is limited by a control group"
        except OSError as error:
            confinement.note += (
                "MEMORY IS NOT LIMITED BY THE KERNEL (no systemd, and no control group: "
                f"{error}); engines are only told what they may use"
            )
    if confinement.note:
        print(confinement.note, file=sys.stderr)
    return confinement


def own_group() -> ControlGroup:
    """A control group below that of this process, whose groups can limit memory.

    Raises:
        OSError: not permitted.
    """
    # Lines are number:controllers:path; version 2 has no controllers.
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    name = f"kestrel-rivals-{os.getpid()}"
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            group = CGROUPS / "memory" / path.lstrip("/") / name
            group.mkdir()
            return ControlGroup(group, version=1)
    path = next((path for _, controllers, path in lines if not controllers), None)
    if path is None:
        raise OSError("no control groups")
    return ControlGroup(group_of_version_2(CGROUPS / path.lstrip("/"), name), version=2)


def group_of_version_2(parent: Path, name: str) -> Path:
    """Raises OSError: not permitted."""
    if "memory" not in (parent / "cgroup.controllers").read_text().split():
        raise OSError(f"{parent} has no memory controller")
    # Fails with EBUSY where the group has processes and is not the root: then only systemd can.
    (parent / "cgroup.subtree_control").write_text("+memory")
    group = parent / name
    group.mkdir()
    try:
        (group / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        group.rmdir()
        raise
    return group
