"""Where the variation of a result comes from, and what remedies change: the study of ``relgraph stability``, whole.

    python -m benchmarks.stability.study --data-root DIR

GCNs with the default settings. ``part`` is a section of the study. Sources: so many runs in which one source of
randomness varies, or all of them; ``share`` is the disagreement over that of all together, ``variance_share`` the
variance of the accuracy over that of all together. Remedies: disagreement, its ratio to that of plain retraining,
accuracy and what is gained over plain models of the same runs; ``inference_encoders``, and ``trainings`` of a version.
Representations: similarity of two runs' spaces, calibrated to 1 for equal and 0 for unrelated ones, and ``spearman``,
the rank correlation of dissimilarity with the disagreement of the two runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

import relgraph as rg
from benchmarks.common import columns, node_problem
from benchmarks.study import Row, Study


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Rows of the three sections that need models."""
    problem = node_problem(cell["dataset"], options.data_root)
    sections = rg.stability(
        problem.data, cell["encoder"], options.seeds, split=cell["split"], epochs=options.epochs or None,
        sources=options.seeds, remedies=True,
    ).to_dict()["sections"]  # fmt: skip
    for part, build in (("sources", sources), ("remedies", remedies)):
        for name, row in build(sections[part]["models"][cell["encoder"]]):
            yield {"part": part, "what": sections[part]["titles"][name]} | row
    for block in sections["representations"]["blocks"]:
        for one in block["figures"]:
            row = {"part": "representations", "what": f"{one['measure']}, {one['space']}", "pairs": block["pairs"]}
            row |= columns("score", one["score"], worst=False)
            if one["spearman"]:
                row |= columns("spearman", {"mean": one["spearman"]["value"], **one["spearman"]}, worst=False)
            yield row


def sources(found: Any) -> Iterator[tuple[str, Row]]:
    """A row for every source of variation."""
    for name, one in found["sources"].items():
        row: Row = {"runs": one["runs"], "test_accuracy": one["accuracy"], "std": one["std"]}
        row |= columns("disagreement", one["disagreement"], worst=False) | {"share": one.get("disagreement_share")}
        yield name, row | columns("variance_share", one.get("variance_share"), worst=False)


def remedies(found: Any) -> Iterator[tuple[str, Row]]:
    """A row for every remedy."""
    for name, one in found["remedies"].items():
        row: Row = {
            one["of"]: one["accuracy"]["n"],
            "inference_encoders": one["encoders"],
            "trainings": one["trainings"],
        }
        for key in ("disagreement", "ratio", "accuracy", "gain"):
            row |= columns("test_accuracy" if key == "accuracy" else key, one[key], worst=False)
        yield name, row


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed"), "split": ("public", "random"), "encoder": ("gcn",)},
    settings={"seeds": 25, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
