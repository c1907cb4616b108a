"""What was measured, as numbers: medians, spreads, ratios, geometric means; as JSON and as a table."""

import datetime
import os
import platform
import statistics
from pathlib import Path
from typing import Any

from harness.arguments import Options
from harness.rounds import Record

Times = dict[int, list[float]]


def summarize(
    options: Options, records: list[Record], machine: dict[str, Any], note: str, wrong: list[str]
) -> dict[str, Any]:
    """The document that is written as JSON; times are in milliseconds, sizes in bytes."""
    baseline = next(record for record in records if record.engine.name == options.baseline)
    return {
        "benchmark": "TPC-H",
        "scale": options.scale,
        "date": datetime.date.today().isoformat(),
        "machine": machine,
        "threads": options.threads,
        "rounds": options.rounds,
        "cold_rounds": options.cold_rounds,
        "memory_bytes": options.memory_bytes,
        "note": note,
        "baseline": options.baseline,
        "answers_differ": wrong,
        "mean_of_queries": {
            "hot": common(records, "hot_ms", options.queries),
            "cold": common(records, "cold_ms", options.queries),
        },
        "engines": [summarize_engine(options, record, baseline, records) for record in records],
    }


def summarize_engine(
    options: Options, record: Record, baseline: Record, records: list[Record]
) -> dict[str, Any]:
    engine = record.engine
    return {
        "name": engine.name,
        "version": engine.version,
        "settings": engine.settings(),
        "disk_bytes": record.disk_bytes,
        "peak_memory_bytes": record.memory.peak_bytes,
        "hot": times(record.hot_ms, baseline.hot_ms, common(records, "hot_ms", options.queries)),
        "cold": times(record.cold_ms, baseline.cold_ms, common(records, "cold_ms", options.queries)),
        "failed": record.failed,
    }


def times(own: Times, baseline: Times, mean_of: list[int]) -> dict[str, Any]:
    queries = {}
    for query, runs in own.items():
        median = statistics.median(runs)
        against = statistics.median(baseline[query]) if query in baseline else None
        queries[query] = {
            "median_ms": round(median, 3),
            "min_ms": round(min(runs), 3),
            "max_ms": round(max(runs), 3),
            "runs_ms": [round(ms, 3) for ms in runs],
            "ratio": round(median / against, 3) if against else None,
        }
    if not mean_of:
        return {"queries": queries, "geometric_mean_ms": None, "total_ms": None, "ratio": None}
    mean = geometric_mean(own, mean_of)
    return {
        "queries": queries,
        "geometric_mean_ms": round(mean, 3),
        "total_ms": round(sum(statistics.median(own[query]) for query in mean_of), 3),
        "ratio": round(mean / geometric_mean(baseline, mean_of), 3),
    }


def common(records: list[Record], kind: str, queries: tuple[int, ...]) -> list[int]:
    """The queries that every engine has answered: means are over these."""
    return [q for q in queries if all(q in getattr(r, kind) and q not in r.failed for r in records)]


def geometric_mean(measured: Times, queries: list[int]) -> float:
    return statistics.geometric_mean(statistics.median(measured[query]) for query in queries)


def describe_machine() -> dict[str, Any]:
    """What it is, and how busy it is now."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.machine(),
        "processors": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "load_average_before": os.getloadavg()[0],
    }


def table(document: dict[str, Any], kind: str) -> str:
    """A line for each query: median, least and most milliseconds, and the ratio to the baseline."""
    measured = document["engines"]
    queries = sorted({query for engine in measured for query in engine[kind]["queries"]} | failures(measured))
    lines = [["query", *(engine["name"] for engine in measured)]]
    for query in queries:
        lines.append([f"q{query:02}", *(cell(engine, kind, query) for engine in measured)])
    mean_of = document["mean_of_queries"][kind]
    means = [engine[kind] for engine in measured]
    if mean_of:
        shown = [f"{mean['geometric_mean_ms']:.1f} ×{mean['ratio']:.2f}" for mean in means]
        lines.append([f"mean of {len(mean_of)}", *shown])
        lines.append(["sum", *(f"{m['total_ms']:.0f}" for m in means)])
    lines.append(["disk MiB", *(f"{engine['disk_bytes'] / 2**20:.0f}" for engine in measured)])
    lines.append(["peak MiB", *(f"{engine['peak_memory_bytes'] / 2**20:.0f}" for engine in measured)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in lines)


def failures(measured: list[dict[str, Any]]) -> set[int]:
    return {query for engine in measured for query in engine["failed"]}


def cell(engine: dict[str, Any], kind: str, query: int) -> str:
    found = engine[kind]["queries"].get(query)
    if query in engine["failed"] or not found:
        return "failed" if query in engine["failed"] else "-"
    ratio = f"×{found['ratio']:.2f}" if found["ratio"] else "×-"
    return f"{found['median_ms']:.1f} ({found['min_ms']:.1f}..{found['max_ms']:.1f}) {ratio}"
