"""The runs: every engine warm, then one engine at a time, all of them in each round."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from engines.engine import Engine
from harness import answers
from harness.answers import Answer
from harness.data import Data
from harness.errors import QueryFailed
from harness.usage import PeakMemory


@dataclass
class Record:
    """What was measured of one engine."""

    engine: Engine
    hot_ms: dict[int, list[float]] = field(default_factory=dict)
    cold_ms: dict[int, list[float]] = field(default_factory=dict)
    # Queries without an answer, and why: they are not run again.
    failed: dict[int, str] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    # Answers that changed from one run to the next.
    unsteady: dict[int, str] = field(default_factory=dict)
    memory: PeakMemory = field(default_factory=PeakMemory)
    disk_bytes: int = 0


def run_hot(records: list[Record], data: Data, queries: tuple[int, ...], rounds: int, rows: Path) -> None:
    """A warm-up, whose answers are kept, and the rounds. Engines that are not at work are idle."""
    for record in records:
        say(f"warming {record.engine.name}")
        warm(record, queries, rows / record.engine.name.replace(":", "-"))
        record.disk_bytes = record.engine.disk_bytes()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        # Another one begins each time: what the first one finds is nobody's fixed lot.
        start = number % len(records)
        for record in records[start:] + records[:start]:
            turn(record, queries)


def warm(record: Record, queries: tuple[int, ...], rows: Path) -> None:
    rows.mkdir(parents=True, exist_ok=True)
    with record.memory.watch(pid(record.engine)):
        for query in queries:
            file = rows / f"q{query:02}.rows"
            file.unlink(missing_ok=True)
            try:
                record.engine.run(query, file)
                record.answers[query] = answers.read(file)
            except QueryFailed as failure:
                record.failed[query] = str(failure)
                say(f"{record.engine.name}, query {query}: {failure}")


def turn(record: Record, queries: tuple[int, ...]) -> None:
    with record.memory.watch(pid(record.engine)):
        for query in queries:
            run_once(record, query, record.hot_ms)


def run_cold(records: list[Record], queries: tuple[int, ...], rounds: int) -> None:
    """Each query is the first one after a start, and reads its rows from the disk."""
    for record in records:
        record.engine.stop()
    for number in range(rounds):
        for record in records:
            say(f"cold round {number + 1} of {rounds}: {record.engine.name}")
            for query in queries:
                if query in record.failed:
                    continue
                record.engine.forget_files()
                record.engine.start()
                with record.memory.watch(pid(record.engine)):
                    run_once(record, query, record.cold_ms)
                record.engine.stop()


def run_once(record: Record, query: int, times: dict[int, list[float]]) -> None:
    if query in record.failed:
        return
    try:
        run = record.engine.run(query, None)
    except QueryFailed as failure:
        record.failed[query] = str(failure)
        say(f"{record.engine.name}, query {query}: {failure}")
        return
    times.setdefault(query, []).append(run.ms)
    first = len(record.answers[query].rows)
    if run.rows != first:
        record.unsteady[query] = f"{run.rows} rows, and {first} the first time"


def disagreements(records: list[Record], data: Data, stored: Path | None) -> list[str]:
    """What is wrong: answers that differ from bench-data's, where it has any, or from the first engine's."""
    wrong = []
    for record in records:
        name = record.engine.name
        wrong += [f"{name}, query {query}: {what}" for query, what in record.unsteady.items()]
        for query, answer in record.answers.items():
            source, expected = expectation(records, query, stored)
            found = answers.difference(data.query(query), expected, answer)
            if found:
                wrong.append(f"{name}, query {query}: not the answer of {source}: {found}")
    return wrong


def expectation(records: list[Record], query: int, stored: Path | None) -> tuple[str, Answer]:
    if stored:
        return "bench-data", answers.read_stored(stored / f"q{query:02}.csv")
    first = next(record for record in records if query in record.answers)
    return first.engine.name, first.answers[query]


def pid(engine: Engine) -> int | None:
    return engine.process.pid if engine.process else None


def say(text: str) -> None:
    print(text, file=sys.stderr)
