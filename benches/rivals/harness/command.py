"""The command, once it runs where its packages are."""

import json
import sys
from pathlib import Path

import engines
from engines.engine import Engine, Setup
from harness import chart, data, limits, results, rounds
from harness.arguments import Options

# Above it, what is measured is not the engines alone.
IDLE_LOAD = 0.5


def run(options: Options) -> int:
    """The exit status: 1 when engines do not agree on an answer."""
    directory = options.work / f"scale-{options.scale}"
    directory.mkdir(parents=True, exist_ok=True)
    bounds = limits.Limits(
        options.threads, options.memory_bytes, options.cache_bytes, options.query_seconds
    )
    machine = results.describe_machine()
    if machine["load_average_before"] > IDLE_LOAD:
        rounds.say(f"THIS MACHINE IS BUSY: its load average is {machine['load_average_before']:.1f}")
    rows = data.prepare(options.scale, directory)
    confinement = limits.confine(bounds)
    setup = Setup(options, rows, bounds, confinement, directory)
    try:
        # All of them first: one that lacks something says so before hours of measuring.
        found = [engines.make(name, setup) for name in options.engines]
        records = measure(options, rows, found)
    finally:
        confinement.close()
    stored = data.stored_answers(options.scale)
    wrong = rounds.disagreements(records, rows, stored)
    document = results.summarize(options, records, machine, confinement.note, wrong)
    write(options.output, document)
    show(options.output, document)
    return 1 if wrong else 0


def measure(options: Options, rows: data.Data, found: list[Engine]) -> list[rounds.Record]:
    records = [rounds.Record(engine) for engine in found]
    try:
        for engine in found:
            engine.prepare()
        for engine in found:
            rounds.say(f"starting {engine.name}")
            engine.start()
        rounds.run_hot(records, rows, options.queries, options.rounds, options.output / "rows")
        if options.cold_rounds:
            rounds.run_cold(records, options.queries, options.cold_rounds)
    finally:
        for engine in found:
            engine.stop()
    return records


def kinds(document: dict) -> list[str]:
    return ["hot", "cold"] if document["cold_rounds"] else ["hot"]


def write(output: Path, document: dict) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    for kind in kinds(document):
        (output / f"{kind}.svg").write_text(chart.draw(document, kind))


def show(output: Path, document: dict) -> None:
    for kind in kinds(document):
        what = f"ms, median (least..most) ×{document['baseline']}"
        print(f"\nTPC-H at scale {document['scale']}, {kind}: {what}")
        print(results.table(document, kind))
    for engine in document["engines"]:
        print(f"{engine['name']} {engine['version']}: {engine['settings']}")
        for query, why in engine["failed"].items():
            print(f"  query {query} failed: {why}")
    print(f"{document['note']}\nresults are in {output}")
    wrong = document["answers_differ"]
    for what in wrong:
        print(f"WRONG: {what}", file=sys.stderr)
    failures = sum(len(engine["failed"]) for engine in document["engines"])
    agreed = f"the answers agree; {failures} failed" if failures else "all answers agree"
    print("the engines do not agree" if wrong else agreed, flush=True)
