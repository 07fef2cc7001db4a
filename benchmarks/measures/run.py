"""Which measure of two spaces predicts how often two models disagree, and how well their heads can be exchanged.

    python -m benchmarks.measures.run --data-root DIR

GCN, GraphSAGE and GAT, ten seeds each: 435 pairs of runs. Each measure is computed on the embeddings of the same 500
test nodes (measures of outputs: on the logits), and its rank correlation over pairs is taken with the agreement of the
two models on all test nodes, and with fidelity and retention of the heads exchanged by the default map on 128 anchors,
mean of both directions. Signs are such that positive means: what is more similar agrees more.

Rows ``all`` are over all pairs; rows ``seeds`` are the mean over encoders of the correlation over pairs of seeds of one
encoder. Intervals resample runs within encoders, pairs of a run with itself left out.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks.common import Anchors, matrices, node_problem, trained_runs
from benchmarks.study import Row, Study
from relgraph.measures import compare
from relgraph.registry import MEASURES
from relgraph.stitching import Run, metrics
from relgraph.stitching.bootstrap import LEVEL

ENCODERS = ("gcn", "sage", "gat")
METHOD = "kl"
ANCHORS = 128
DRAWS = 1000
NULL_DRAWS = 9  # the mean of a null is all that is used of it
TARGETS = ("agreement", "fidelity", "retention")


@lru_cache(maxsize=2)
def runs_and_targets(
    dataset: str, root: str, seeds: int, epochs: int, device: str
) -> tuple[list[Run], dict[str, np.ndarray]]:
    """Trained runs, and what measures are to predict, for every pair of them ``(R, R)``."""
    problem = node_problem(dataset, root)
    options = argparse.Namespace(epochs=epochs, device=device)
    runs = trained_runs(problem, ENCODERS, range(seeds), options)
    own = np.stack([run.record(problem.test) for run in runs])
    found = matrices(METHOD, runs, anchors=Anchors.draw(problem, ANCHORS, seeds=range(len(runs))), decisive=False)
    both = {name: (found[name] + found[name].T) / 2 for name in ("fidelity", "retention")}
    return runs, {"agreement": metrics.agreement_matrix(problem.task, own)} | both


def similarities(name: str, runs: list[Run], count: int) -> dict[str, np.ndarray]:
    """Values and calibrated scores of a measure for every pair of runs ``(R, R)``, larger for more similar ones."""
    measure, problem = MEASURES.resolve(name), runs[0].problem
    order = torch.randperm(problem.test.numel(), generator=torch.Generator().manual_seed(0))
    rows, outputs = problem.test[order[:count].sort().values], measure.kind == "outputs"
    tables = [problem.read(run.head, run.z, rows) if outputs else run.z[rows] for run in runs]
    sign = 1 if measure.direction == "higher" else -1
    found = {kind: np.full((len(runs),) * 2, np.nan) for kind in ("value", "score")}
    for i, j in itertools.combinations(range(len(runs)), 2):
        directions = ((i, j),) if measure.symmetric else ((i, j), (j, i))
        each = [compare(tables[a], tables[b], [name], outputs=outputs, permutations=NULL_DRAWS)[name]
                for a, b in directions]  # fmt: skip
        found["value"][i, j] = found["value"][j, i] = sign * np.mean([one.value for one in each])
        found["score"][i, j] = found["score"][j, i] = np.mean([one.score for one in each])
    return found


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Rank correlation of pairs that count several times."""
    repeated = np.repeat(np.arange(len(x)), weights)
    if len(repeated) < 3:
        return float("nan")
    a, b = rankdata(x[repeated]), rankdata(y[repeated])
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")


def correlations(x: np.ndarray, y: np.ndarray, encoders: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Rank correlations over pairs of runs, each of which is drawn so many times."""
    upper = np.triu_indices(len(x), 1)
    weights = (counts[:, None] * counts[None, :])[upper]
    found = {"all": spearman(x[upper], y[upper], weights)}
    inner = []
    for name in ENCODERS:
        same = (encoders[upper[0]] == name) & (encoders[upper[1]] == name)
        inner.append(spearman(x[upper][same], y[upper][same], weights[same]))
    return found | {"seeds": float(np.mean(inner))}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Correlations with intervals, one row for each group of pairs and target."""
    runs, targets = runs_and_targets(cell["dataset"], options.data_root, options.seeds, options.epochs, options.device)
    encoders = np.array([run.encoder for run in runs])
    similar = similarities(cell["measure"], runs, options.rows)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS):
        counts = np.zeros(len(runs), dtype=int)
        for name in ENCODERS:
            rows = np.flatnonzero(encoders == name)
            counts[rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)))
        draws.append(counts)
    for target in TARGETS:
        found = {
            kind: correlations(x, targets[target], encoders, np.ones(len(runs), int)) for kind, x in similar.items()
        }
        drawn = [correlations(similar["value"], targets[target], encoders, counts) for counts in draws]
        for pairs in ("all", "seeds"):
            ends = np.nanquantile([one[pairs] for one in drawn], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            yield {
                "target": target,
                "pairs": pairs,
                "spearman": found["value"][pairs],
                "spearman_low": float(ends[0]),
                "spearman_high": float(ends[1]),
                "calibrated": found["score"][pairs],
            }


def exists(cell: Row) -> bool:
    """The share of equal decisions is one of the targets, on more nodes."""
    return cell["measure"] != "disagreement"


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer"), "measure": tuple(MEASURES)},
    settings={"seeds": 10, "epochs": 200, "rows": 500},
    exists=exists,
)

if __name__ == "__main__":
    STUDY.main()
