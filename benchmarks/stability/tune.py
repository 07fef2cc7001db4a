"""Constants of the consensus, chosen on Cora's validation nodes with seeds that train for nothing else.

    python -m benchmarks.stability.tune --data-root DIR

Five teams of ten GCNs, seeds 200 to 249. The criterion of ``consensus`` is disagreement of disjoint teams on the
validation nodes, which uses no labels; accuracy there means little, since training stopped at the epoch that is best on
them. The criterion of ``consensus_embeddings`` is the share of the ten nearest neighbors (cosine) that two teams have
in common.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import columns, node_problem
from benchmarks.stability.consensus import trained
from benchmarks.study import Row, Study
from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.maps import MatchedAnchors, consensus_embeddings
from relgraph.maps.divergence import kl
from relgraph.measures.neighbors import neighbors
from relgraph.stitching.bootstrap import pair_figure
from relgraph.stitching.consensus_head import divergence
from relgraph.studies.teams import Team, team_pieces

FIRST_SEED, SIZE, NEAREST = 200, 10, 10
CONSENSUS = ("rows", "encoder", "mean", "inverse_temperature", "prior_strength")
CHOICES = (
    "plain", "ensemble", "ensemble/probability",
    "all/first/log/2/-", "all/closest/log/2/-", "512/first/log/2/-", "512/closest/log/2/-", "128/first/log/2/-",
    "128/closest/log/2/-", "all/closest/probability/2/-", "all/closest/log/1/-", "all/closest/log/4/-",
    "all/closest/log/2/10",
    "embeddings/one", "embeddings/ridge", "embeddings/procrustes", "embeddings/orthogonal",
)  # fmt: skip


def average(outputs: list[Tensor], kind: str = "log") -> Tensor:
    """The mean of logits, or the logarithm of the mean of probabilities."""
    stacked = torch.stack(outputs)
    return stacked.mean(dim=0) if kind == "log" else stacked.softmax(dim=2).mean(dim=0).log()


def averaged(team: Team, spaces: list[AnchorSet], kind: str) -> PublishedHead:
    """The mean of the team's heads on the anchors."""
    outputs = average([publish(run.head, space).outputs for run, space in zip(team, spaces, strict=True)], kind)
    return PublishedHead(spaces[0].ids, outputs, outputs.mean(dim=0), mean_from="anchors")


def fitted(team: Team, number: str, which: str, kind: str, inverse: str, prior: str) -> Tensor:
    """Outputs for all rows of a team's consensus by one choice of constants."""
    count = len(team[0].z)
    draw = torch.Generator().manual_seed(0)
    rows = torch.arange(count) if number == "all" else torch.randperm(count, generator=draw)[: int(number)]
    spaces, head = team_pieces(team, rows)
    if kind != "log":
        head = averaged(team, spaces, kind)
    strength, best, outputs = None if prior == "-" else float(prior), float("inf"), torch.empty(0)
    for run, space in list(zip(team, spaces, strict=True))[: 1 if which == "first" else None]:
        matched = MatchedAnchors.match(space, head)
        module = kl(matched, prior_strength=strength, inverse_temperature=float(inverse))
        found = divergence(module(space.embeddings), head.outputs, "multiclass")
        if found < best:
            best, outputs = found, module(run.z)
    return outputs


def record(choice: str, team: Team) -> np.ndarray:
    """What a team says of each validation node: classes ``(M, n)`` of its models, or nearest rows ``(M, n, k)``."""
    problem, (kind, *further) = team[0].problem, choice.split("/")
    rows = problem.validation
    if kind == "embeddings":
        spaces = [run.z for run in team]
        one = further[0] == "one"
        tables = spaces if one else [consensus_embeddings(spaces, method=further[0]).embeddings]
        near = [neighbors(z[rows], z, NEAREST, exclude=rows, backend="torch").rows.numpy() for z in tables]
        return np.stack(near)
    members = [run.head(run.z) for run in team]
    if kind == "plain":
        outputs = members
    else:
        outputs = [average(members, *further) if kind == "ensemble" else fitted(team, kind, *further)]
    return np.stack([problem.task.record(one[rows]) for one in outputs])


def difference(ones: np.ndarray, others: np.ndarray) -> float:
    """Share of nodes of different classes, or of neighbors that are not shared, mean over models of two teams."""
    if ones.ndim == 2:
        return float(np.mean([one != other for one in ones for other in others]))
    shared = [(one[:, :, None] == other[:, None, :]).any(2).mean() for one in ones for other in others]
    return 1 - float(np.mean(shared))


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """The difference of disjoint teams by one choice."""
    problem = node_problem("cora", options.data_root)
    runs = trained(problem, "gcn", range(FIRST_SEED, FIRST_SEED + options.seeds), options.epochs, options.device)
    size = min(SIZE, len(runs) // 2)
    teams = [runs[i : i + size] for i in range(0, len(runs) - size + 1, size)]
    records = [record(cell["choice"], team) for team in teams]
    matrix = np.array([[difference(one, other) for other in records] for one in records])
    figure = pair_figure(matrix, ~np.eye(len(teams), dtype=bool), ["gcn"] * len(teams))
    named = cell["choice"].split("/")
    row: Row = dict(zip(CONSENSUS, named, strict=True)) if len(named) == len(CONSENSUS) else {}
    yield row | {"teams": len(teams)} | columns("difference", figure, worst=False)


STUDY = Study(__file__, measure, {"choice": CHOICES}, settings={"seeds": 50, "epochs": 200})

if __name__ == "__main__":
    STUDY.main()
