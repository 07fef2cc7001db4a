"""How similar the spaces of runs are, and which measure of it tells how far their predictions disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors import AnchorSet
from relgraph.maps import fit_map
from relgraph.measures.agreement import MATCHED_COSINE
from relgraph.measures.base import Measure, some_rows
from relgraph.measures.compare import calibrated, resolve_measures
from relgraph.problems import Problem
from relgraph.similarity import relative
from relgraph.stitching.bootstrap import Bools, pair_figure
from relgraph.studies.correlation import pair_correlation
from relgraph.studies.material import Material
from relgraph.studies.predictions import grouped_disagreement
from relgraph.studies.runs import Floats

MEASURES = ("cka", "procrustes", "mutual-knn")
"""The default: of a few milliseconds for a pair, and of three kinds."""
ROWS = 400
ANCHORS = 128
PAIRS, FEWEST_PAIRS = 120, 20
DRAWS = 5
SIMILARITIES = ("cosine", "whitened")
ALIGNED = frozenset({"rotation", "translation", "scaling"})
"""What alignment changes; a measure that is invariant to all of it is left out there."""

MEANINGS = {
    "absolute": "embeddings as they are",
    "aligned": "those of the first run, rotated, scaled and shifted onto the second by Procrustes on the anchors",
    "relative-cosine": "cosines with the anchors",
    "relative-whitened": "dot products with the anchors after whitening",
}


@dataclass(frozen=True, eq=False)
class Embedded:
    """What a run makes of the sampled rows: embeddings ``(n, F)``, and relative representations ``(n, K)`` by name."""

    rows: Tensor
    anchors: Tensor
    relative: dict[str, Tensor]

    @classmethod
    def of(cls, z: Tensor, rows: Tensor, anchors: Tensor) -> Embedded:
        """From the embeddings of all rows ``(N, F)``."""
        own, others = (z[part.to(z.device)].detach().cpu() for part in (rows, anchors))
        return cls(own, others, {name: relative(own, others, name) for name in SIMILARITIES})

    def aligned(self, other: Embedded) -> Tensor:
        """The rows in the coordinates of another run, by Procrustes on the anchors."""
        ids = torch.arange(len(self.anchors))
        spaces = [AnchorSet(ids, one.anchors, one.anchors.mean(dim=0)) for one in (self, other)]
        with torch.no_grad():
            found: Tensor = fit_map(spaces[0], spaces[1], "procrustes")[0](self.rows)
        return found


def representations_section(material: Material) -> dict[str, Any]:
    """Similarity of the spaces of pairs of runs, within every model and between every two.

    Of each model, and of every two, pairs of runs are drawn; of the test rows some, and anchors among the other rows.
    All draws are the same at every call, and use no labels. A value is compared with its mean over permutations of the
    rows of one run (``null``), and ``score`` is 1 for equal spaces and 0 on average for unrelated rows
    (:class:`relgraph.measures.compare.Score`). ``spearman`` is the rank correlation of *dissimilarity* with the
    disagreement of the pair's predictions on all test rows: positive where less similar spaces disagree more.
    """
    problem, runs = material.problem, material.runs
    assert problem is not None
    rows, anchors = sampled_rows(problem)
    embedded = [Embedded.of(problem.embed(model), rows, anchors) for model in material.models]
    measures = resolve_measures(material.measures or MEASURES, outputs=False)
    disagreement, names = grouped_disagreement(runs.classes)[0], np.asarray(runs.models)
    blocks = list(combinations_with_replacement(runs.names, 2))
    most = max(FEWEST_PAIRS, PAIRS // len(blocks))
    found = []
    for number, (first, second) in enumerate(blocks):
        here = np.flatnonzero((names == first) | (names == second))
        all_pairs = np.triu((names[here][:, None] == first) & (names[here][None, :] == second), 1)
        pairs = sampled_pairs(all_pairs, most, seed=number)
        block: dict[str, Any] = {
            "first": first,
            "second": second,
            "pairs": int(pairs.sum()),
            "of": int(all_pairs.sum()),
        }
        local = disagreement[np.ix_(here, here)]
        matrices = pair_values([embedded[place] for place in here], pairs, measures)
        block["figures"] = [
            {"space": space, "measure": measure.name} | _figures(measure, values, local, names[here].tolist())
            for (space, measure), values in matrices.items()
        ]
        found.append(block)
    about = {"rows": len(rows), "of_rows": problem.test.numel(), "anchors": len(anchors), "spaces": MEANINGS}
    return about | {"blocks": found}


def why_not(material: Material) -> str | None:
    """Why spaces of the runs are not compared; ``None`` if they are."""
    if not material.models and not material.whole:
        return "Representations need models: only predictions were given."
    if material.problem is None or not material.models:
        return f"Representations are not compared: {material.whole}."
    if len(sampled_rows(material.problem)[1]) < 2:
        return "Representations are not compared: there are no two rows beside the test rows, for anchors."
    return None


def sampled_rows(problem: Problem) -> tuple[Tensor, Tensor]:
    """Test rows that spaces are compared on, and anchors among the rows that may become one and are not compared on."""
    generator = torch.Generator().manual_seed(0)
    test, candidates = problem.test.cpu(), problem.candidates.cpu()
    rows = test[some_rows(len(test), ROWS, generator)]
    rest = candidates[~torch.isin(candidates, rows)]
    return rows, rest[some_rows(len(rest), ANCHORS, generator)]


def sampled_pairs(pairs: Bools, most: int, *, seed: int = 0) -> Bools:
    """At most so many of some pairs ``(R, R)``, drawn at random.

    Example:
        >>> int(sampled_pairs(np.triu(np.ones((9, 9), dtype=bool), 1), 20).sum())
        20
    """
    places = np.argwhere(pairs)
    if len(places) > most:
        places = np.random.default_rng(seed).permutation(places)[:most]
    found = np.zeros_like(pairs)
    found[places[:, 0], places[:, 1]] = True
    return found


def pair_values(
    runs: Sequence[Embedded], pairs: Bools, measures: Sequence[Measure]
) -> dict[tuple[str, Measure], dict[str, Floats]]:
    """Matrices ``(R, R)`` of ``value``, ``null`` and ``score`` over some pairs, NaN elsewhere, by space and measure."""
    found: dict[tuple[str, Measure], dict[str, Floats]] = {}
    for i, j in np.argwhere(pairs).tolist():
        first, second = runs[i], runs[j]
        spaces = {"absolute": (first.rows, second.rows), "aligned": (first.aligned(second), second.rows)}
        spaces |= {f"relative-{name}": (first.relative[name], second.relative[name]) for name in SIMILARITIES}
        for space, (x, y) in spaces.items():
            for measure in (MATCHED_COSINE, *measures):
                if not _applies(measure, space, x, y):
                    continue
                matrices = found.setdefault(
                    (space, measure), {name: np.full(pairs.shape, np.nan) for name in ("value", "null", "score")}
                )
                for name, number in _measured(measure, x, y).items():
                    matrices[name][i, j] = number
    return found


def _applies(measure: Measure, space: str, x: Tensor, y: Tensor) -> bool:
    if measure is MATCHED_COSINE:
        return x.size(1) == y.size(1)
    return space != "aligned" or not measure.invariances >= ALIGNED


def _measured(measure: Measure, x: Tensor, y: Tensor) -> dict[str, float]:
    statistic, generator = measure.function(x, y, torch.Generator().manual_seed(0)), torch.Generator().manual_seed(0)
    known = statistic.null
    null = float(np.mean([statistic.draw(generator) for _ in range(DRAWS)])) if known is None else known.mean
    return {"value": statistic.value, "null": null, "score": calibrated(measure, statistic.value, null)}


def _figures(measure: Measure, values: dict[str, Floats], disagreement: Floats, models: list[str]) -> dict[str, Any]:
    defined, higher = ~np.isnan(values["value"]), measure.direction == "higher"
    return {
        "direction": measure.direction,
        "value": pair_figure(values["value"], defined, models, lower_is_worse=higher),
        "null": float(values["null"][defined].mean()),
        "score": pair_figure(values["score"], defined, models),
        "spearman": pair_correlation(-values["value"] if higher else values["value"], disagreement, defined, models),
    }
