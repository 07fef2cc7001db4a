"""Graphs in versions: releases of ogbn-arxiv by year, and graphs with given features grown from 60 % of their nodes.

Nodes are ordered by the release that adds them, so that the nodes of every release are the first ones of the next, and
keep their ids. A node is a training, validation or test node in all releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch_geometric.data import Data

import relgraph as rg
from benchmarks.common import node_problem
from relgraph.datasets.structural_features import SpectralBasis, spectral
from relgraph.io import cache_folder
from relgraph.problems import Problem, make_problem
from relgraph.stitching import Run
from relgraph.training import TrainSettings, fit_many

YEARS = (2012, 2014, 2016, 2018, 2020)
SHARES = (0.6, 0.2, 0.2)  # of the papers of every year: training, validation, test
FIRST = 0.6
MASKS = ("train_mask", "val_mask", "test_mask")
WAYS = {"arxiv-anew": "anew", "arxiv-folded": "folded"}


@dataclass(frozen=True)
class Release:
    """A version of a graph.

    Args:
        number: Of the release, from 0.
        name: Of the release.
        problem: The graph with its labels and the roles of its nodes.
    """

    number: int
    name: str
    problem: Problem

    @property
    def num_nodes(self) -> int:
        """Number of nodes, which are the first nodes of the next release."""
        return int(self.problem.data.num_nodes)


@lru_cache(maxsize=2)
def releases(graph: str, root: str, cut: int = 0) -> tuple[Release, ...]:
    """All releases of ``"arxiv-anew"`` or ``"arxiv-folded"``, or the two of another dataset in a random cut."""
    found = _by_year(root, WAYS[graph]) if graph in WAYS else _grown(graph, root, cut)
    return tuple(Release(number, name, make_problem(data)) for number, (name, data) in enumerate(found))


def _by_year(root: str, way: str) -> Iterator[tuple[str, Data]]:
    """ogbn-arxiv to the end of each year, features made anew for each, or new nodes folded into the first basis."""
    whole = rg.load_dataset("ogbn-arxiv", root, features="spectral")
    order = whole.node_year.sort(stable=True).indices
    years, draws = whole.node_year[order], torch.rand(len(order), generator=torch.Generator().manual_seed(0))
    place = torch.empty_like(order).index_put_((order,), torch.arange(len(order)))
    edges = place[whole.edge_index]
    train, known = SHARES[0], SHARES[0] + SHARES[1]
    roles = (draws < train, (draws >= train) & (draws < known), draws >= known)
    basis: SpectralBasis | None = None
    for year in YEARS:
        count = int((years <= year).sum())
        inside = edges[:, (edges < count).all(dim=0)]
        if way == "folded":
            basis = SpectralBasis.fit(inside, count) if basis is None else basis.grow(inside, count)
            x = basis.features(inside)
        else:
            x = spectral(inside, count)
        masks = dict(zip(MASKS, (role[:count] for role in roles), strict=True))
        yield str(year), Data(x=x, edge_index=inside, y=whole.y[order[:count]], node_id=order[:count], **masks)


def _grown(name: str, root: str, cut: int) -> Iterator[tuple[str, Data]]:
    """60 % of the nodes, the training and validation nodes among them, and the whole graph."""
    problem = node_problem(name, root)
    whole, count = problem.data, int(problem.data.num_nodes)
    labeled = torch.cat([problem.train, problem.validation])
    others = torch.ones(count, dtype=torch.bool).index_fill_(0, labeled, False).nonzero().view(-1)
    others = others[torch.randperm(len(others), generator=torch.Generator().manual_seed(cut))]
    order = torch.cat([labeled, others])
    place = torch.empty_like(order).index_put_((order,), torch.arange(count))
    edges = place[whole.edge_index]
    # A test node is one of the public split; where the split was drawn, all others are.
    masks = {mask: torch.zeros(count, dtype=torch.bool) for mask in MASKS}
    for mask, rows in zip(MASKS, (problem.train, problem.validation, problem.test), strict=True):
        masks[mask][place[rows]] = True
    for label, part in (("60 %", round(FIRST * count)), ("all", count)):
        inside = edges[:, (edges < part).all(dim=0)]
        here = {mask: rows[:part] for mask, rows in masks.items()}
        yield (
            label,
            Data(x=whole.x[order[:part]], edge_index=inside, y=whole.y[order[:part]], node_id=order[:part], **here),
        )


def trained(release: Release, encoder: str, seeds: tuple[int, ...], epochs: int = 0) -> list[Run]:
    """Runs of a release; of ogbn-arxiv with the settings of large graphs, else with the defaults (``epochs`` of 0)."""
    return list(_trained(release, encoder, seeds, epochs))


@lru_cache(maxsize=64)
def _trained(release: Release, encoder: str, seeds: tuple[int, ...], epochs: int) -> tuple[Run, ...]:
    problem = release.problem
    large, limit = problem.train.numel() > 5_000, {"epochs": epochs} if epochs else {}
    settings = TrainSettings.large(encoder, **limit) if large else TrainSettings.for_data(problem, encoder, **limit)
    found = fit_many(
        problem, encoder, seeds, settings=settings, cache=cache_folder() / "runs", backend="sparse" if large else "auto"
    )
    for run in found:
        run.model.requires_grad_(False)
    return tuple(Run.of(problem, run) for run in found)


def old_test(old: Release, new: Release) -> tuple[Tensor, Tensor]:
    """Test nodes of a release that an earlier one has, and those that it has not, ``(n,)`` each."""
    test = new.problem.test
    return test[test < old.num_nodes], test[test >= old.num_nodes]
