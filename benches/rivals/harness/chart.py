"""The results as a picture: a bar per engine for the geometric means, and bars for each query."""

import math
from typing import Any
from xml.sax.saxutils import escape

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7",
           "#F0E442", "#999999", "#000000"]
WIDTH, MARGIN, LABELS = 1000, 20, 220
BAR, GAP = 18, 6
PLOT_HEIGHT = 260
FONT = "font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#222'"


def draw(document: dict[str, Any], kind: str) -> str:
    """An SVG file."""
    engines = document["engines"]
    means, top = draw_means(engines, kind, 50)
    bars, bottom = draw_queries(engines, kind, top + 40)
    title = f"TPC-H at scale {document['scale']}, {kind}, {document['threads']} processors: milliseconds"
    number = len(document["mean_of_queries"][kind])
    over = f"geometric mean of {number} queries (and beside {document['baseline']})"
    height = bottom + MARGIN
    return "\n".join([
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' {FONT}>",
        f"<rect width='{WIDTH}' height='{height:.0f}' fill='white'/>",
        text(MARGIN, 24, title, "font-size='16' font-weight='bold'"),
        text(MARGIN, 42, over),
        *means,
        *bars,
        "</svg>",
        "",
    ])


def draw_means(engines: list[dict[str, Any]], kind: str, top: float) -> tuple[list[str], float]:
    """The means, from zero, with their values; also the legend. And where they end."""
    measured = [engine[kind]["geometric_mean_ms"] or 0 for engine in engines]
    unit = (WIDTH - LABELS - 170) / (max(measured) or 1)
    parts = []
    for number, (engine, mean) in enumerate(zip(engines, measured)):
        y = top + number * (BAR + GAP)
        said = f"{mean:.1f} (×{engine[kind]['ratio']:.2f})" if mean else "no query that all engines answer"
        parts.append(rectangle(LABELS, y, mean * unit, BAR, number, f"{engine['name']}: {said}"))
        name = f"{engine['name']} {engine['version'].split()[0]}"
        parts.append(text(LABELS - 8, y + 13, name, "text-anchor='end'"))
        parts.append(text(LABELS + mean * unit + 8, y + 13, said))
    return parts, top + len(engines) * (BAR + GAP)


def draw_queries(engines: list[dict[str, Any]], kind: str, top: float) -> tuple[list[str], float]:
    """Medians of each query on a logarithmic axis. And where they end."""
    queries = sorted({query for engine in engines for query in engine[kind]["queries"]})
    medians = [q["median_ms"] for engine in engines for q in engine[kind]["queries"].values()]
    if not medians:
        return [], top
    low, high = math.floor(math.log10(min(medians))), math.ceil(math.log10(max(medians)))
    high = max(high, low + 1)
    left, bottom = 60, top + PLOT_HEIGHT

    def height(ms: float) -> float:
        return (math.log10(ms) - low) / (high - low) * PLOT_HEIGHT

    parts = []
    for power in range(low, high + 1):
        y = bottom - height(10**power)
        parts.append(f"<path d='M{left} {y:.1f}H{WIDTH - MARGIN}' stroke='#ddd'/>")
        parts.append(text(left - 8, y + 4, f"{10**power:g}", "text-anchor='end'"))
    room = (WIDTH - MARGIN - left) / len(queries)
    bar = room * 0.84 / len(engines)
    for place, query in enumerate(queries):
        x = left + place * room + room * 0.08
        parts.append(text(x + room * 0.42, bottom + 16, str(query), "text-anchor='middle'"))
        for number, engine in enumerate(engines):
            found = engine[kind]["queries"].get(query)
            if found and query not in engine["failed"]:
                ms = found["median_ms"]
                said = f"query {query}, {engine['name']}: {ms:.1f} ms"
                at = (x + number * bar, bottom - height(ms), bar * 0.92, height(ms))
                parts.append(rectangle(*at, number, said))
    return parts, bottom + 24


def rectangle(x: float, y: float, width: float, height: float, colour: int, said: str) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}'"
    return f"<rect {place} fill='{COLOURS[colour % len(COLOURS)]}'><title>{escape(said)}</title></rect>"


def text(x: float, y: float, content: str, style: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(content)}</text>"
