"""Predictions that differ between two disjoint teams of runs: single models, consensus models, ensembles.

    python -m benchmarks.stability.consensus --data-root DIR

A team is so many seeds of one encoder, trained with the settings of Kipf and Welling (2017); teams share no seed.
``gcn-sage`` compares teams of GCNs with teams of GraphSAGEs. Disagreement is the share of test nodes that two teams
predict differently, mean over pairs of teams; intervals resample teams. On ogbn-arxiv runs are those of
``benchmarks.ogb.run``, and four more. The arms of a team of one seed are a new
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
from relgraph.problems import Problem
from relgraph.stitching import Run
from relgraph.stitching.consensus_head import default_rows
from relgraph.studies.teams import (
    LATER,
    ArmFigures,
    Team,
    accuracies_of,
    consensus_outputs,
    decided,
    ensemble_outputs,
    kept_accuracies,
    kept_heads,
    later_runs,
    team_disagreements,
)
from relgraph.studies.teams import teams_of as split
from relgraph.training import TrainSettings, fit_many

Array = NDArray[Any]
FEW, MANY = 128, 32768
MOST_TEAMS = 10
SEEDS = {"sage": 25, "photo": 10, "gat": 10, "ogbn-arxiv": 8}  # where fewer are trained than elsewhere
LONG = ("photo", "gat")  # whose training is long: runs are kept in the cache
ARXIV = "ogbn-arxiv"


@lru_cache(maxsize=2)
def trained(problem: Problem, encoder: str, seeds: range, epochs: int, device: str) -> list[Run]:
    """Runs of all seeds, trained side by side, or read from the cache where training is long."""
    if problem.name == ARXIV:
        return trained_runs(
            problem, encoder, seeds, argparse.Namespace(epochs=min(epochs, 100), device=device), settings=None
        )
    if problem.name in LONG or encoder in LONG:
        return trained_runs(problem, encoder, seeds, argparse.Namespace(epochs=epochs, device=device))
    settings = TrainSettings.for_data(problem, encoder, "kipf-welling", **({"epochs": epochs} if epochs else {}))
    found = fit_many(problem, encoder, seeds, settings=settings)
    for run in found:
        run.model.requires_grad_(False)
    return [Run.of(problem, run) for run in found]


def team_outputs(team: Team) -> Iterator[tuple[str, list[Tensor]]]:
    """The arms: outputs for all rows of each model that is served, one or the members."""
    problem, count = team[0].problem, len(team[0].z)
    members = [run.head(run.z) for run in team]
    yield "plain", members
    draw = torch.Generator().manual_seed(0)
    yield "first-128", [consensus_outputs(team, torch.randperm(count, generator=draw)[:FEW], 1)]
    every = torch.arange(count)
    yield "first", [consensus_outputs(team, default_rows(count), 1)]
    yield "consensus", [consensus_outputs(team, default_rows(count))]
    if count > MANY:
        yield f"consensus-{MANY}", [consensus_outputs(team, torch.randperm(count, generator=draw)[:MANY])]
    unseen = every[~torch.isin(every, problem.test)]
    yield "no-test-rows", [consensus_outputs(team, unseen[default_rows(len(unseen))])]
    yield "ensemble", [ensemble_outputs(team)]


def summary(found: dict[str, Array], right: dict[str, Array], pairs: Array, names: Sequence[str]) -> Iterator[Row]:
    """One row for every arm, from disagreements ``(T, T)`` and accuracies ``(T,)``."""
    best = found["ensemble"][pairs].mean() if "ensemble" in found else None
    for arm, matrix in found.items():
        figures = ArmFigures.of(matrix, right[arm], pairs, (found["plain"], right["plain"]), names)
        row: Row = {"arm": arm, "teams": len(names)}
        row |= columns("disagreement", figures.disagreement, worst=False)
        row |= columns("ratio", figures.ratio, worst=False)
        row |= {"of_ensemble": matrix[pairs].mean() / best if best else None}
        row |= columns("test_accuracy", figures.accuracy, worst=False)
        yield row | columns("gain", figures.gain, worst=False)


def teams_of(kinds: Sequence[str], size: int, problem: Problem, options: argparse.Namespace) -> list[Team]:
    """Disjoint teams of every encoder, equally many of each."""
    found, count = [], min(options.seeds, *(SEEDS.get(name, options.seeds) for name in (problem.name, *kinds)))
    for kind in kinds:
        runs = trained(problem, kind, range(count), options.epochs, options.device)
        found += split(runs, size)[: MOST_TEAMS if size > 1 else count]
    return found


def single(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Row]:
    """Rows of the arms of one seed: plain, and the old head kept."""
    problem, size = runs[0].problem, len(runs)
    each, first = np.array(names), 0 if len(set(names)) == 1 else size // 2
    pairs = later_runs(size, [first + step for step in LATER])
    if first:
        pairs &= each[:, None] != each[None, :]
    records = [decided(problem, [run.head(run.z)]) for run in runs]
    y = problem.y[problem.test].numpy()
    own, plain = accuracies_of(records, y), team_disagreements(records)
    draw = torch.Generator().manual_seed(0)
    count = len(runs[0].z)
    found, right = {"plain": plain}, {"plain": own}
    for arm, rows in (("kept-128", torch.randperm(count, generator=draw)[:FEW]), ("kept", default_rows(count))):
        found[arm], matrix = kept_heads(runs, pairs, rows)
        right[arm] = kept_accuracies(own, matrix, pairs)
    yield from summary(found, right, pairs, names)


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Rows of all arms for teams of one size."""
    kinds, size = cell["team"].split("-"), cell["size"]
    features = "spectral" if cell["dataset"] == ARXIV else None
    problem = node_problem(cell["dataset"], options.data_root, 0, features)
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
        found[arm], right[arm] = team_disagreements(records), accuracies_of(records, y)
    yield from summary(found, right, pairs, names)


def exists(cell: Row) -> bool:
    """Teams of ten of GCNs where training is short; other encoders on two graphs; four GCNs on ogbn-arxiv."""
    dataset, encoders, size = cell["dataset"], cell["team"], cell["size"]
    if dataset == ARXIV or size == 4:
        return dataset == ARXIV and encoders == "gcn" and size in (1, 4)
    if encoders == "gcn":
        return size < 10 or dataset != "photo"
    return dataset in ("cora", "citeseer") and size < 10


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "pubmed", "photo", ARXIV),
        "team": ("gcn", "sage", "gcn-sage", "gat"),
        "size": (1, 2, 4, 5, 10),
    },
    settings={"seeds": 50, "epochs": 200},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
