"""The command line."""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

import engines
from harness.errors import Failure

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT.parent.parent
UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


@dataclass(frozen=True)
class Binary:
    """One build of Kestrel; several of them are compared with each other."""

    label: str
    path: Path


@dataclass(frozen=True)
class Setting:
    """Of the sessions with one Kestrel."""

    label: str
    name: str
    value: str


@dataclass(frozen=True)
class Options:
    scale: str
    rounds: int
    cold_rounds: int
    engines: tuple[str, ...]
    baseline: str
    queries: tuple[int, ...]
    kestrels: tuple[Binary, ...]
    settings: tuple[Setting, ...]
    datanodes: int
    threads: int
    memory_bytes: int | None
    cache_bytes: int | None
    query_seconds: float
    postgres_bin: Path | None
    rust_bin: Path
    work: Path
    output: Path
    reload: bool


def size(text: str) -> int:
    """Bytes of `4GiB`, `4GB` (the same, as in PostgreSQL) or `512MB`."""
    found = re.fullmatch(r"(\d+)\s*([kKMGT])i?B", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 4GiB")
    return int(found[1]) * UNITS[found[2].upper() + "B"]


def numbers(text: str) -> tuple[int, ...]:
    """`1,6,10-12` as numbers of queries."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise argparse.ArgumentTypeError(f"'{part}' is no number of a query")
        found.extend(range(int(first), int(last or first) + 1))
    if not all(1 <= number <= 22 for number in found):
        raise argparse.ArgumentTypeError("queries are numbered from 1 to 22")
    return tuple(sorted(set(found)))


def scale(text: str) -> str:
    """A positive number, as short as it can be written: it names directories."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no scale such as 0.01 or 1")
    return f"{value:g}"


def parser() -> argparse.ArgumentParser:
    make = argparse.ArgumentParser(
        prog="benches/rivals/run.py",
        description="Kestrel beside other engines: the 22 queries of TPC-H.",
        epilog="engines: " + "; ".join(f"{e.name}: {e.summary}" for e in engines.ENGINES),
    )
    add = make.add_argument
    add("--scale", type=scale, default="1", help="of TPC-H: 1 is about 1 GB [%(default)s]")
    add("--rounds", type=int, default=5, help="hot runs of each query [%(default)s]")
    add("--cold", type=int, nargs="?", const=1, default=0, metavar="ROUNDS", dest="cold_rounds",
        help="also measure the first query after a start, data not in the page cache, so often")
    add("--engines", default="kestrel,duckdb", help="which, with commas [%(default)s]")
    add("--baseline", help="the engine that is 1.00 [duckdb, or else the first]")
    add("--queries", type=numbers, default=tuple(range(1, 23)), help="only these, such as 1,6,10-12")
    add("--kestrel", action="append", default=[], metavar="[LABEL=]PATH",
        help="the binary; several of them are compared [$CARGO_TARGET_DIR/release/kestrel]")
    add("--set", action="append", default=[], metavar="[LABEL:]NAME=VALUE", dest="settings",
        help="a setting of the sessions with that Kestrel, such as off:kestrel.enable_join_order=off")
    add("--datanodes", type=int, default=2, help="of Kestrel, and workers of others [%(default)s]")
    add("--threads", type=int, default=2, help="and processors of each engine [%(default)s]")
    add("--memory", type=size, dest="memory_bytes", metavar="SIZE", help="of each engine, such as 4GiB")
    add("--cache-size", type=size, dest="cache_bytes", metavar="SIZE", help="of Kestrel, such as 12GiB")
    add("--query-timeout", type=float, default=300, dest="query_seconds", metavar="SECONDS",
        help="a query that takes longer has no result [%(default)s]")
    add("--postgres-bin", type=Path, help="PostgreSQL 15's programs [/usr/lib/postgresql/15/bin]")
    add("--rust-bin", type=Path, help="this directory's binaries [$CARGO_TARGET_DIR/release]")
    add("--work", type=Path, default=default_work(), help="rows, databases, environment [%(default)s]")
    add("--output", type=Path, help="where the results go [WORK/results]")
    add("--reload", action="store_true", help="load the engines anew")
    return make


def parse(arguments: list[str]) -> Options:
    command_line = parser()
    given = command_line.parse_args(arguments)
    try:
        return options(given)
    except Failure as failure:
        command_line.error(str(failure))


def options(given: argparse.Namespace) -> Options:
    """
    Raises:
        Failure: what is given does not fit together.
    """
    if min(given.rounds, given.datanodes, given.threads) < 1 or given.cold_rounds < 0:
        raise Failure("--rounds, --datanodes, --threads and --cold count from 1")
    kestrels = binaries(given.kestrel)
    names = expand(given.engines, kestrels)
    baseline = given.baseline or ("duckdb" if "duckdb" in names else names[0])
    if baseline not in names:
        raise Failure(f"--baseline {baseline} is not among {', '.join(names)}")
    fields = vars(given) | {
        "engines": names, "kestrels": kestrels, "baseline": baseline,
        "settings": settings(given.settings, kestrels),
        "rust_bin": given.rust_bin or release(ROOT), "work": given.work.absolute(),
        "output": (given.output or given.work / "results").absolute(),
    }
    return Options(**{field: fields[field] for field in Options.__dataclass_fields__})


def binaries(given: list[str]) -> tuple[Binary, ...]:
    """Labels are needed only to tell several apart."""
    if not given:
        return (Binary("", release(PROJECT) / "kestrel"),)
    found = []
    for number, text in enumerate(given, 1):
        label, equals, path = text.rpartition("=")
        default = "" if len(given) == 1 else str(number)
        found.append(Binary(label if equals else default, Path(path).absolute()))
    labels = [binary.label for binary in found]
    if len(set(labels)) < len(labels) or not all(re.fullmatch(r"[\w.-]*", x) for x in labels):
        raise Failure("--kestrel LABEL=PATH: labels are different words")
    return tuple(found)


def settings(given: list[str], kestrels: tuple[Binary, ...]) -> tuple[Setting, ...]:
    found = []
    for text in given:
        named = re.fullmatch(r"(?:([\w.-]*):)?([\w.]+)=(.*)", text)
        if not named or (named[1] or "") not in [binary.label for binary in kestrels]:
            raise Failure("--set LABEL:NAME=VALUE: the label is one of --kestrel")
        found.append(Setting(named[1] or "", named[2], named[3]))
    return tuple(found)


def expand(text: str, kestrels: tuple[Binary, ...]) -> tuple[str, ...]:
    """`kestrel` is one engine for each binary: `kestrel:before`, `kestrel:after`."""
    names: list[str] = []
    for name in filter(None, text.split(",")):
        entry = engines.find(name)
        labels = [binary.label for binary in kestrels] if entry.has_binaries else [""]
        names.extend(f"{name}:{label}" if label else name for label in labels)
    if not names:
        raise Failure("--engines: name at least one")
    return tuple(dict.fromkeys(names))


def requirements(given: Options) -> list[Path]:
    """The files with the packages that these engines need."""
    files = [entry.requirements for name in given.engines if (entry := engines.find(name))]
    return [ROOT / file for file in dict.fromkeys(["requirements.txt", *filter(None, files)])]


def release(workspace: Path) -> Path:
    """Where cargo puts the workspace's release builds."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or workspace / "target").absolute() / "release"


def default_work() -> Path:
    """A cache. Root's is where the user that runs PostgreSQL gets to."""
    if os.getuid() == 0:
        return Path("/var/tmp/kestrel-rivals")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "kestrel" / "rivals-work"
