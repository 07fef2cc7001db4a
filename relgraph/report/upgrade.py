"""The report of ``relgraph upgrade``, built from its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relgraph.provenance import versions
from relgraph.report.document import Cell, Column, Estimate, Report, Section, Table

VERDICTS = {
    "convert": "Use the converted head or table.",
    "keep": "Go on with the old answers.",
    "retrain": "Train a new head.",
}
VALUES = {
    "fidelity": "share of rows with the answer of the old head",
    "retention": "accuracy relative to that of the old head, by whose own probabilities it is never the worse one; "
    "where neighbors judge, to that of the old model's answers on the later graph; with labels to train on, to that of "
    "a retrained head",
    "accuracy": "share of correct answers, from labels",
}


def upgrade_report(document: Mapping[str, Any], *, command: str = "", warnings: Sequence[str] = ()) -> Report:
    """The report of an upgrade.

    Args:
        document: As of :meth:`relgraph.versions.Upgrade.to_dict`, or the JSON of ``relgraph upgrade``, which may be
            that of two tables.
        command: What regenerates it.
        warnings: Of the library.

    Example:
        >>> expected = {"anchors": {"convert": {"fidelity": {"value": 0.95, "low": 0.9, "high": 0.98}}}}
        >>> found = {"verdict": "convert", "reason": "it agrees", "method": "kl", "num_anchors": 200}
        >>> report = upgrade_report({**found, "expected": expected, "distances": {}, "notes": []})
        >>> report.summary[0], report.tables[0].rows[0][3].value
        ('Verdict: convert. Use the converted head or table.', 0.95)
    """
    verdict, reason = document["verdict"], document["reason"]
    table, asked = document.get("table"), document.get("gate")
    gate = [] if asked is None else [f"Gate: {gate_text(asked)}."]
    return Report(
        title="Upgrade to a new version",
        summary=[f"Verdict: {verdict}. {VERDICTS[verdict]}", f"Reason: {reason}.", *gate],
        sections=_head(document) if table is None else _table(table),
        warnings=list(warnings),
        command=command,
        versions=versions("torch", "numpy", "relgraph"),
    )


def gate_text(gate: Mapping[str, Any]) -> str:
    """What a gate, ``--min-fidelity``, asked for, and whether the upgrade passed it.

    Example:
        >>> gate_text({"figure": "expected fidelity", "least": 0.9, "value": 0.95, "passed": True, "failure": None})
        'passed: the expected fidelity is 0.950, and must be at least 0.9'
        >>> gate_text({"passed": False, "failure": "the verdict must be 'convert'"})
        "not passed: the verdict must be 'convert'"
    """
    if not gate["passed"]:
        return f"not passed: {gate['failure']}"
    return f"passed: the {gate['figure']} is {gate['value']:.3f}, and must be at least {gate['least']:g}"


def _head(document: Mapping[str, Any]) -> list[Section]:
    """Of a head: what is expected of each way to go on, for each group of rows."""
    anchors, counts = document["num_anchors"], {"anchors": document["num_anchors"], **document.get("num_rows", {})}
    columns = [
        Column("rows", "rows", "old rows are those that the old version has"),
        Column("way", "way", "the converted head, the old answers, or a new head"),
        Column("count", "how many", "rows of the group"),
        *(Column(name, name, meaning, "%", 1) for name, meaning in VALUES.items()),
    ]
    rows: list[list[Cell]] = [
        [group, way, counts.get(group), *(_estimate(one.get(name)) for name in VALUES)]
        for group, ways in document["expected"].items()
        for way, one in ways.items()
    ]
    note = (
        f"In brackets: 90 % intervals. What no label tells was calibrated on {anchors:,} anchors, each answered by a "
        "map that was fitted without it."
    )
    facts = [("map", f"{document['method']}, fitted on {anchors:,} anchors")]
    if distances := document["distances"]:
        names = {"rows": "old rows from one another"}
        shown = ", ".join(f"{value:.2f} ({names.get(group, f'{group} rows')})" for group, value in distances.items())
        unit = f"1 is the mean distance of {next(iter(distances))} rows to the center"
        facts.append(("distance to the nearest anchor", f"{shown}; {unit}"))
    if agreement := document.get("agreement"):
        shown = ", ".join(f"{value:.3f} ({way})" for way, value in agreement.items())
        facts.append(("agreement with the neighbors' answers", f"{shown}; 1 is always, 0 as often as by chance"))
    return [
        Section("What to expect", tables=[Table("expected", "Every way to go on", columns, rows, note)]),
        Section("How it was converted", text=_sentences(document["notes"]), facts=facts),
    ]


def _table(table: Mapping[str, Any]) -> list[Section]:
    """Of a table: the figures on held-out rows, and anchors that do not fit."""
    columns = [Column("measure", "measure"), Column("value", "value", "mean over the rows that were measured on")]
    rows = [[name, Estimate(one["mean"], one["low"], one["high"])] for name, one in table["figures"].items()]
    note = f"In brackets: 95 % intervals. Measured on {table['held_out']}, searched among {table['searched']:,} rows."
    source, target = table["widths"]
    facts = [
        ("rows", f"{table['rows']:,} of {table['source']}, {source} wide"),
        ("into", f"{table['target']}, {target} wide; {table['common']:,} ids in common"),
        ("map", f"{table['method']}, fitted on {table['anchors']:,} anchors"),
        ("serving", table["serving"]),
        ("anchors whose rows do not fit", ", ".join(table["suspicious"]) or "none"),
    ]
    return [
        Section(
            "What to expect", tables=[Table("figures", "Translated rows beside the true ones", columns, rows, note)]
        ),
        Section("How it was translated", text=_sentences(table["notes"]), facts=facts),
    ]


def _sentences(notes: Sequence[str]) -> list[str]:
    return [f"Note: {note}." for note in notes]


def _estimate(one: Mapping[str, float] | None) -> Estimate | None:
    return None if one is None else Estimate(one["value"], one["low"], one["high"])
