"""Predictions that differ between two disjoint teams of runs: single models, consensus models, ensembles.

    python -m benchmarks.stability.consensus --data-root DIR

A team is so many seeds of one encoder, trained with the settings of Kipf and Welling (2017); teams share no seed.
``gcn-sage`` compares teams of GCNs with teams of GraphSAGEs. Disagreement is the share of test nodes that two teams
predict differently, mean over pairs of teams; intervals resample teams. The arms of a team of one seed are a new
training (plain), and the old head kept on the encoder of a later run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common import columns, node_problem, trained_runs
from benchmarks.study import Row, Study
from relgraph.anchors import AnchorSet, PublishedHead, mean_head, publish
from relgraph.maps import fit_map
from relgraph.problems import Problem
from relgraph.stitching import Run
from relgraph.stitching.bootstrap import pair_figure, run_figure
from relgraph.stitching.consensus_head import default_rows, fit_consensus
from relgraph.training import TrainSettings, fit_many

Team = Sequence[Run]
Array = NDArray[Any]
FEW = 128
LATER = (1, 2)  # how many seeds after its owner a kept head is served
MOST_TEAMS = 10
SEEDS = {"sage": 25, "photo": 10, "gat": 10}
LONG = ("photo", "gat")  # whose training is long: runs are kept in the cache


@lru_cache(maxsize=2)
def trained(problem: Problem, encoder: str, seeds: range, epochs: int, device: str) -> list[Run]:
    """Runs of all seeds, trained side by side, or read from the cache where training is long."""
    if problem.name in LONG or encoder in LONG:
        return trained_runs(problem, encoder, seeds, argparse.Namespace(epochs=epochs, device=device))
    settings = TrainSettings.for_data(problem, encoder, "kipf-welling", **({"epochs": epochs} if epochs else {}))
    found = fit_many(problem, encoder, seeds, settings=settings)
    for run in found:
        run.model.requires_grad_(False)
    return [Run.of(problem, run) for run in found]


def pieces(team: Team, rows: Tensor) -> tuple[list[AnchorSet], PublishedHead]:
    """The spaces of a team with these rows as anchors, and the mean of its heads."""
    spaces = [AnchorSet.from_rows(run.z, rows) for run in team]
    return spaces, mean_head([publish(run.head, space) for run, space in zip(team, spaces, strict=True)])


def consensus(team: Team, rows: Tensor, among: int | None = None) -> Tensor:
    """Outputs for all rows of the consensus, with the closest of the first encoders."""
    spaces, head = pieces(team, rows)
    found = fit_consensus(spaces[:among], head)
    return found.head(team[found.encoder].z)


def team_outputs(team: Team) -> Iterator[tuple[str, list[Tensor]]]:
    """The arms: outputs for all rows of each model that is served, one or the members."""
    problem, count = team[0].problem, len(team[0].z)
    members = [run.head(run.z) for run in team]
    yield "plain", members
    draw = torch.Generator().manual_seed(0)
    yield "first-128", [consensus(team, torch.randperm(count, generator=draw)[:FEW], 1)]
    every = torch.arange(count)
    yield "first", [consensus(team, default_rows(count), 1)]
    yield "consensus", [consensus(team, default_rows(count))]
    unseen = every[~torch.isin(every, problem.test)]
    yield "no-test-rows", [consensus(team, unseen[default_rows(len(unseen))])]
    yield "ensemble", [torch.stack(members).mean(dim=0)]


def decided(problem: Problem, outputs: Sequence[Tensor]) -> Array:
    """Predictions for the test nodes, ``(M, n)``."""
    return np.stack([problem.task.record(one[problem.test]) for one in outputs])


def disagreement(ones: Array, others: Array) -> float:
    """Share of nodes on which two models differ, mean over the members of two teams."""
    return float(np.mean([(one != other).mean() for one in ones for other in others]))


def summary(found: dict[str, Array], right: dict[str, Array], pairs: Array, names: Sequence[str]) -> Iterator[Row]:
    """One row for every arm, from disagreements ``(T, T)`` and accuracies ``(T,)``."""
    plain, base = found["plain"], found["plain"][pairs].mean()
    best = found["ensemble"][pairs].mean() if "ensemble" in found else None
    for arm, matrix in found.items():
        mean = matrix[pairs].mean()
        ratio = mean / base if base else float("nan")
        # The interval of a ratio of two means over the same teams, to first order.
        linear = ratio + (matrix - ratio * plain) / (base or 1)
        row: Row = {"arm": arm, "teams": len(names)}
        row |= columns("disagreement", pair_figure(matrix, pairs, names), worst=False)
        row |= columns("ratio", pair_figure(linear, pairs, names), worst=False)
        row |= {"of_ensemble": mean / best if best else None}
        row |= columns("test_accuracy", run_figure(right[arm], names), worst=False)
        yield row | columns("gain", run_figure(right[arm] - right["plain"], names), worst=False)


def teams_of(kinds: Sequence[str], size: int, problem: Problem, options: argparse.Namespace) -> list[Team]:
    """Disjoint teams of every encoder, equally many of each."""
    found, count = [], min(options.seeds, *(SEEDS.get(name, options.seeds) for name in (problem.name, *kinds)))
    for kind in kinds:
        runs = trained(problem, kind, range(count), options.epochs, options.device)
        found += [runs[i : i + size] for i in range(0, count - size + 1, size)][: MOST_TEAMS if size > 1 else count]
    return found


def kept(runs: Sequence[Run], pairs: Array, rows: Tensor) -> tuple[Array, Array]:
    """Disagreement of each head with itself on a later encoder, ``(R, R)``, and accuracy there."""
    problem = runs[0].problem
    y = problem.y[problem.test].numpy()
    own = [decided(problem, [run.head(run.z)])[0] for run in runs]
    spaces = [AnchorSet.from_rows(run.z, rows) for run in runs]
    heads = [publish(run.head, space) for run, space in zip(runs, spaces, strict=True)]
    differs, right = np.full(pairs.shape, np.nan), np.full(pairs.shape, np.nan)
    for i, j in zip(*pairs.nonzero(), strict=True):
        found = decided(problem, [fit_map(spaces[j], heads[i])[0](runs[j].z)])[0]
        differs[i, j], right[i, j] = (found != own[i]).mean(), (found == y).mean()
    return differs, right


def single(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Row]:
    """Rows of the arms of one seed: plain, and the old head kept."""
    problem, size = runs[0].problem, len(runs)
    ahead, each = (np.arange(size)[None, :] - np.arange(size)[:, None]) % size, np.array(names)
    if len(set(names)) == 1:
        pairs = np.isin(ahead, LATER) & (ahead > 0)
    else:
        half = size // 2
        pairs = (each[:, None] != each[None, :]) & np.isin(ahead, [half + step for step in LATER])
    records = [decided(problem, [run.head(run.z)]) for run in runs]
    y = problem.y[problem.test].numpy()
    own = np.array([(record[0] == y).mean() for record in records])
    plain = np.array([[disagreement(one, other) for other in records] for one in records])
    draw = torch.Generator().manual_seed(0)
    count = len(runs[0].z)
    found, right = {"plain": plain}, {"plain": own}
    for arm, rows in (("kept-128", torch.randperm(count, generator=draw)[:FEW]), ("kept", default_rows(count))):
        found[arm], matrix = kept(runs, pairs, rows)
        # What every run gains over the owners of the heads that it serves; unknown of a run that serves none.
        served = np.where(pairs.any(axis=0), pairs.sum(axis=0), np.nan)
        right[arm] = own + np.nansum(matrix - own[:, None], axis=0) / served
    yield from summary(found, right, pairs, names)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Rows of all arms for teams of one size."""
    problem, kinds, size = node_problem(cell["dataset"], options.data_root), cell["team"].split("-"), cell["size"]
    teams = teams_of(kinds, size, problem, options)
    names = [team[0].encoder for team in teams]
    if size == 1:
        yield from single([team[0] for team in teams], names)
        return
    y = problem.y[problem.test].numpy()
    outputs = [{arm: decided(problem, found) for arm, found in team_outputs(team)} for team in teams]
    each = np.array(names)
    pairs = each[:, None] != each[None, :] if len(kinds) > 1 else ~np.eye(len(teams), dtype=bool)
    found, right = {}, {}
    for arm in outputs[0]:
        records = [one[arm] for one in outputs]
        found[arm] = np.array([[disagreement(one, other) for other in records] for one in records])
        right[arm] = np.array([(one == y).mean() for one in records])
    yield from summary(found, right, pairs, names)


def exists(cell: Row) -> bool:
    """Teams of ten of GCNs where training is short; other encoders on two graphs."""
    dataset, encoders, size = cell["dataset"], cell["team"], cell["size"]
    if encoders == "gcn":
        return size < 10 or dataset != "photo"
    return dataset in ("cora", "citeseer") and size < 10


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo"),
        "team": ("gcn", "sage", "gcn-sage", "gat"),
        "size": (1, 2, 5, 10),
    },
    settings={"seeds": 50, "epochs": 200},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
