"""Documents of ``relgraph upgrade --json`` and ``relgraph drift --json`` in a few lines, from their values alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 10
"""Rows that moved, of which the furthest are shown."""


def upgrade_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of an upgrade: the map, what is expected of each way to go on, notes, verdict and gate.

    Example:
        >>> expected = {"anchors": {"convert": {"fidelity": {"value": 0.95, "low": 0.9, "high": 0.98}}}}
        >>> found = {"verdict": "convert", "reason": "it agrees", "method": "kl", "num_anchors": 200}
        >>> for line in upgrade_lines({**found, "expected": expected, "notes": []}):
        ...     print(*line, sep=": ")
        map: kl, fitted on 200 anchors
        convert, anchors: fidelity 0.950 [0.900, 0.980]
        verdict: convert: it agrees
    """
    table = document.get("table")
    about = document if table is None else table
    anchors = about["num_anchors" if table is None else "anchors"]
    found = [("map", f"{about['method']}, fitted on {anchors:,} anchors")]
    if table is None:
        for group, ways in document["expected"].items():
            rows = group if group == "anchors" else f"{group} rows"
            for way, one in ways.items():
                shown = [f"{name} {_interval(value)}" for name, value in one.items() if value is not None]
                found.append((f"{way}, {rows}", ", ".join(shown) or "unknown"))
    else:
        source, target = table["widths"]
        found.insert(0, ("into", f"{table['target']}, {target} wide; {table['common']:,} ids in common"))
        found.insert(0, ("rows", f"{table['rows']:,} of {table['source']}, {source} wide"))
        found += [(name, _interval(figure, "mean")) for name, figure in table["figures"].items()]
    notes = [("note", note) for note in about["notes"]]
    found += [*notes, ("verdict", f"{document['verdict']}: {document['reason']}")]
    if document.get("gate") is None:
        return found
    from relgraph.report.upgrade import gate_text  # not above: the command's help imports no numbers

    return [*found, ("gate", gate_text(document["gate"]))]


def drift_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a drift: compared and moved rows, those that moved furthest, and the typical row.

    Example:
        >>> moved = [{"id": 7, "movement": 9.04, "p": 0.001, "q": 0.01}]
        >>> found = {"rows": 1000, "level": 0.05, "moved": 1, "overall": 1.5, "seeds": [0.9, 1.1], "notes": []}
        >>> for line in drift_lines({**found, "moved_rows": moved}):
        ...     print(*line, sep=": ")
        rows: 1,000 compared, null of 2 seeds
        moved: 1 (0.1%) at a false discovery rate of 0.05
        furthest: 7 (9.0)
        typical row: 1.50 of the movement by another seed, which is 0.90 to 1.10 for single seeds
    """
    count, rows, seeds = document["moved"], document["rows"], document["seeds"]
    shown = [f"{row['id']} ({row['movement']:.1f})" for row in document["moved_rows"][:SHOWN]]
    furthest = ", ".join(shown) + (", ..." if count > len(shown) else "")
    between = f"{min(seeds):.2f} to {max(seeds):.2f}"
    return [
        ("rows", f"{rows:,} compared, null of {len(seeds)} seeds"),
        ("moved", f"{count:,} ({count / rows:.1%}) at a false discovery rate of {document['level']:g}"),
        *([("furthest", furthest)] if count else []),
        (
            "typical row",
            f"{document['overall']:.2f} of the movement by another seed, which is {between} for single seeds",
        ),
        *(("note", note) for note in document["notes"]),
    ]


def print_lines(lines: Sequence[tuple[str, str]], shown: Any, least: int = 0) -> None:
    """Print names and values in two columns, the first at least so wide."""
    width = max(least, *(len(name) + 2 for name, _ in lines))
    for name, value in lines:
        shown.print(f"{name:<{width}}{value}", markup=False)


def _interval(one: Mapping[str, float], value: str = "value") -> str:
    return f"{one[value]:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
