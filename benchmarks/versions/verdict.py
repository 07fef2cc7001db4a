"""Whether the verdict of ``relgraph.upgrade`` is right: what it expects, and what comes of every way to go on.

    python -m benchmarks.versions.verdict --data-root DIR

The runs are those of ``benchmarks.versions.run``. Each cell is a graph, an encoder, two releases, a method and a number
of random anchors. The consumer can go on in three ways: with the converted head, with the old model on the later graph
(``keep``; where features were made anew, with stale embeddings, and the mean of the neighbors' for new nodes), and with
a linear head trained on the old release's labels. ``labels`` says whether it has labels: the old release's training
labels, and its validation labels to measure on, which choose the penalty of that head as well. Accuracies are those on
all test nodes, ``regret`` is what the chosen way is behind the best one. ``by_half`` is the share of random halves of
the test nodes whose best way is the best of all: how often a verdict that knew half of the true labels would be right,
which bounds what one without them can reach. Expected retention is compared with the true one: with labels relative to
the retrained head, without to the old answers, but on new nodes where these are stored ones to the retrained head.
``retention_half`` is the retention on one random half of the test nodes, an expectation by half of the true labels.
Fidelity is the agreement with the old model on the old release.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

import relgraph as rg
from benchmarks.study import Row, Study
from benchmarks.versions.graphs import WAYS, YEARS, Release, old_test
from benchmarks.versions.run import Upgrade, upgrades
from relgraph.stitching import Run
from relgraph.training.linear_probe import measurable_head

WAYS_ON = ("convert", "keep", "retrain")
HALVES = 200


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """A row for each pair of runs, for the consumer with labels and the one without."""
    for number, pair in enumerate(upgrades(options, cell)):
        for labels in (1, 0):
            yield {"run": number, "labels": labels} | judged(pair, cell, labels=bool(labels))


def judged(pair: Upgrade, cell: Row, *, labels: bool) -> Row:
    """What was expected, what came of it, and the verdict."""
    problem, before = pair.new.problem, pair.old.problem
    rows = pair.random(cell["anchors"], pair.after.seed)
    space, head = pair.pieces(rows)
    kept = pair.kept if cell["graph"] != "arxiv-anew" else pair.before.head(pair.from_neighbors(pair.before.z))
    more: dict[str, Any] = {}
    new_head = retrained(pair.old, pair.after)
    if labels:
        y = torch.full((pair.new.num_nodes,), -1)
        known = torch.cat([before.train, before.validation])
        y[known] = before.y[known]
        more = {"y": y, "train": before.train, "retrained": (new_head[0](pair.after.z), new_head[1])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = rg.upgrade(
            space,
            head,
            pair.after.z,
            old=torch.arange(pair.old.num_nodes),
            kept=kept,
            edge_index=problem.data.edge_index,
            method=cell["method"],
            **more,
        )
    answers = {"convert": found.head(pair.after.z), "keep": kept, "retrain": new_head[0](pair.after.z)}
    old, new = old_test(pair.old, pair.new)
    groups = {"old": old, "new": new, "all": torch.cat([old, new])}
    right = {way: outputs.argmax(dim=1) == problem.y for way, outputs in answers.items()}
    accuracy = {
        way: {group: float(one[numbers].float().mean()) for group, numbers in groups.items()}
        for way, one in right.items()
    }
    then = pair.then.argmax(dim=1)
    row: Row = {"verdict": found.verdict}
    row |= {f"agreement_{way}": value for way, value in found.agreement.items()}
    for group in ("old", "new"):
        numbers = groups[group]
        one = found.expected[group]["convert"]
        other = "keep" if not labels and (group == "old" or cell["graph"] != "arxiv-anew") else "retrain"
        both = torch.stack([right["convert"][numbers], right[other][numbers]]).double()
        differs = answers["convert"].argmax(dim=1)[numbers] != answers[other].argmax(dim=1)[numbers]
        row |= {f"{group}_differ": float(differs.float().mean())}
        row |= {f"{group}_retention_half": ratio(both[:, some_half(both.size(1))])}
        pairs = [("retention", one.retention, ratio(both))]
        if group == "old" and not labels:
            same = answers["convert"].argmax(dim=1)[numbers] == then[numbers]
            pairs.append(("fidelity", one.fidelity, float(same.float().mean())))
        for name, expected, true in pairs:
            assert expected is not None
            row |= {f"{group}_{name}": true, f"{group}_{name}_expected": expected.value}
            row |= {f"{group}_{name}_low": expected.low, f"{group}_{name}_high": expected.high}
    ways = WAYS_ON if labels else WAYS_ON[:2]
    values = {way: accuracy[way]["all"] for way in ways}
    chosen = values.get(found.verdict, accuracy["retrain"]["all"])
    row |= {way: accuracy[way]["all"] for way in WAYS_ON}
    return row | {
        "regret": max(values.values()) - chosen,
        "by_half": by_half([right[way] for way in ways], groups["all"]),
    }


@lru_cache(maxsize=4)
def retrained(old: Release, after: Run) -> tuple[nn.Module, Tensor]:
    """The head that ``rg.upgrade`` trains on the old release's labels, and what it predicts for the measured rows.

    It is the same for every method and number of anchors, and takes most of the time: it is trained once.
    """
    problem = old.problem
    check = problem.validation.sort().values
    return measurable_head(after.z, problem.y, problem.train, check, problem.num_outputs)


def ratio(right: Tensor) -> float:
    """Accuracy of the first way over that of the second; ``right`` is ``(2, n)``."""
    first, second = right.mean(dim=1).tolist()
    return float(first / second)


def some_half(count: int, seed: int = 0) -> Tensor:
    """A random half of so many rows."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: count // 2]


def by_half(right: Sequence[Tensor], rows: Tensor) -> float:
    """Share of random halves of the rows on which the way of highest accuracy is that on all rows; ties count."""
    each = torch.stack([one[rows] for one in right]).double()
    total = each.sum(1)
    best = total == total.max()
    halves = (some_half(len(rows), seed) for seed in range(HALVES))
    return float(torch.stack([best[each[:, half].sum(1).argmax()] for half in halves]).double().mean())


def exists(cell: Row) -> bool:
    """Steps of one and two releases of ogbn-arxiv; more anchors than the embeddings are wide (GraphSAGE's: 128)."""
    step, count = cell["new"] - cell["old"], cell["anchors"]
    if cell["encoder"] == "sage" and count == 128:
        return False
    if cell["graph"] in WAYS:
        return cell["cut"] == 0 and step in (1, 2) and count != 256
    return (cell["old"], cell["new"]) == (0, 1) and count <= 512


STUDY = Study(
    __file__,
    measure,
    {
        "graph": ("cora", "citeseer", "pubmed", "photo", *WAYS),
        "cut": (0, 1),
        "encoder": ("gcn", "sage"),
        "old": tuple(range(len(YEARS) - 1)),
        "new": tuple(range(1, len(YEARS))),
        "method": ("kl", "ridge"),
        "anchors": (128, 256, 512, 2048),
    },
    settings={"seeds": 2, "epochs": 0},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
