"""How often the verdict is right, and whether what it expects comes true: figures over the cells of the verdict.

    python -m benchmarks.versions.summary

Reads the rows of ``benchmarks.versions.verdict``. Constants of the verdict (``ALLOWANCES``, ``ALLOWANCE_OF_CHANGE``,
``STANDARD_ERRORS``, ``MIN_RETENTION``) were set, and the agreement with the neighbors was chosen as the judge without
labels, with the test accuracies of some cells in view: small graphs in the cut 0, and ogbn-arxiv from 2012 to 2014 with
folded features. These cells are ``seen``; what is claimed is that of the others, ``held-out``.

``right``: share of cells in which no way that the consumer has is more accurate than the chosen one; ``close``: in
which none is more than a point ahead; ``regret``: mean accuracy lost to the best way, by the verdict and by always
choosing the same way; ``by_half``: how often the way that is best on a random half of the test nodes is the best one.
``spearman``: rank correlation of expected and true retention (and fidelity) over cells; ``retention_by_half``: that of
the retention on half of the test nodes. ``covered``: share of cells whose 90 % interval holds the true value; ``bias``:
true less expected, mean; ``error``: the mean of its size.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.study import Row, Study, read_rows
from benchmarks.versions.graphs import WAYS
from benchmarks.versions.verdict import WAYS_ON

CELLS = Path(__file__).with_name("verdict.csv")
CLOSE = 0.01


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures over the cells of some graphs."""
    graphs = {"small": ("cora", "citeseer", "pubmed", "photo"), "all": None}.get(cell["graphs"], (cell["graphs"],))
    rows = [
        row
        for row in read_rows(CELLS)
        if row["labels"] == int(cell["consumer"] == "labels")
        and (graphs is None or row["graph"] in graphs)
        and seen(row) == (cell["cells"] == "seen")
    ]
    if not rows:
        return
    ways = WAYS_ON if cell["consumer"] == "labels" else WAYS_ON[:2]
    accuracy = np.array([[row[way] for way in ways] for row in rows])
    regret = np.array([row["regret"] for row in rows])
    found: Row = {"count": len(rows), "right": float((regret <= 1e-9).mean()), "close": float((regret <= CLOSE).mean())}
    found |= {"regret": float(regret.mean())}
    if known := [row["by_half"] for row in rows if row.get("by_half") is not None]:
        found["by_half"] = float(np.mean(known))
    for column, way in enumerate(ways):
        lost = accuracy.max(axis=1) - accuracy[:, column]
        found |= {f"right_{way}": float((lost <= 1e-9).mean()), f"regret_{way}": float(lost.mean())}
    for name in ("old_retention", "new_retention", "old_fidelity"):
        found |= calibrated(rows, name)
        found |= by_half(rows, name)
    pooled = [
        {"both_retention" + end: row[f"{group}_retention{end}"] for end in ("", "_expected", "_low", "_high")}
        for row in rows
        for group in ("old", "new")
    ]
    yield found | calibrated(pooled, "both_retention")


def seen(row: Row) -> bool:
    """Whether constants were set with this cell in view."""
    if row["graph"] in WAYS:
        return (row["graph"], row["old"], row["new"]) == ("arxiv-folded", 0, 1)
    return bool(row["cut"] == 0)


def by_half(rows: list[Row], name: str) -> Row:
    """Rank correlation of the true values with those on half of the test nodes; nothing if there are none."""
    from scipy.stats import spearmanr

    known = [(row[name], row[f"{name}_half"]) for row in rows if row.get(f"{name}_half") is not None]
    return {f"{name}_by_half": float(spearmanr(*zip(*known, strict=True)).statistic)} if len(known) > 2 else {}


def calibrated(rows: list[Row], name: str) -> Row:
    """Rank correlation of expected and true values, coverage and bias; nothing if there are no values."""
    from scipy.stats import spearmanr

    values = [[row.get(name + end) for end in ("", "_expected", "_low", "_high")] for row in rows]
    known = np.array([one for one in values if None not in one], dtype=float)
    if len(known) < 3:
        return {}
    true, expected, low, high = known.T
    return {
        f"{name}_spearman": float(spearmanr(expected, true).statistic),
        f"{name}_covered": float(((low <= true) & (true <= high)).mean()),
        f"{name}_bias": float((true - expected).mean()),
        f"{name}_error": float(np.abs(true - expected).mean()),
    }


STUDY = Study(
    __file__,
    measure,
    {"cells": ("held-out", "seen"), "graphs": ("small", *WAYS, "all"), "consumer": ("labels", "no-labels")},
    needs_data=False,
)

if __name__ == "__main__":
    STUDY.main()
