"""Whether a few runs tell on which rows further runs will answer otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from relgraph.studies.predictions import class_counts
from relgraph.studies.rows import auc, row_entropy, row_margin
from relgraph.studies.runs import Array, PredictionRuns

FIT = 10
FEWEST = 4
"""Runs of a model of which two tell about the others."""

SIGNS = {"degree": -1.0, "core_number": -1.0, "homophily": -1.0, "distance": 1.0}
"""The direction in which rows are expected to be less stable, fixed beforehand."""


def predict_flips(runs: PredictionRuns, model: str, fit: int = FIT) -> dict[str, Any] | None:
    """Area under the ROC curve of scores for rows whose answer changes in runs that the scores do not know.

    The runs of a model are cut into blocks of ``fit`` runs in their order (of half of them if there are fewer than
    twice as many). Of each block the scores are the entropy of its answers and, with logits, one minus its mean
    margin (:func:`row_margin`); properties of the rows stand beside these, degree, core number and homophily with
    their sign changed. They are judged by all other runs, in two ways:

    * ``any``: rows on which the other runs do not all agree;
    * ``each``: every row in every other run, whose answer is not the block's most frequent one.

    Args:
        runs: The runs.
        model: The model.
        fit: Runs of a block.

    Returns:
        ``fit`` and ``rest``, numbers of runs; ``blocks``; and for ``any`` and ``each``, by score, the mean over
        blocks with the lowest and highest. ``None`` for fewer than four runs, a score is ``None`` where nothing
        flips.

    Example:
        >>> stable, flipping = [0] * 30, [0, 1] * 15
        >>> runs = PredictionRuns.of(np.array([stable, flipping]).T)
        >>> predict_flips(runs, "model")["any"]["entropy"]["mean"]
        1.0
    """
    places = runs.rows_of(model)
    if len(places) < FEWEST:
        return None
    size = min(fit, len(places) // 2)
    blocks = [places[start : start + size] for start in range(0, len(places) - size + 1, size)]
    properties = {name: SIGNS.get(name, 1.0) * values for name, values in runs.properties.items()}
    total = class_counts(runs.classes[places], runs.num_classes)
    found: dict[str, dict[str, list[float]]] = {"any": {}, "each": {}}
    names = ["entropy", *(["margin"] if runs.logits is not None else []), *properties]
    for block in blocks:
        counts = class_counts(runs.classes[block], runs.num_classes)
        scores = {"entropy": row_entropy(counts)}
        if runs.logits is not None:
            scores["margin"] = 1 - row_margin(runs.logits[block])
        for name, score in (scores | properties).items():
            for kind, value in zip(found, _judged(score, counts, total - counts), strict=True):
                if value is not None:
                    found[kind].setdefault(name, []).append(value)
    about: dict[str, Any] = {"fit": size, "rest": len(places) - size, "blocks": len(blocks)}
    return about | {kind: {name: _summary(values.get(name)) for name in names} for kind, values in found.items()}


def _judged(score: Array, counts: Array, rest: Array) -> tuple[float | None, float | None]:
    runs = int(rest[0].sum())
    some = auc(rest.max(axis=1) < runs, score)
    same = rest[np.arange(len(rest)), counts.argmax(axis=1)]
    both = np.concatenate([np.ones(len(rest), dtype=bool), np.zeros(len(rest), dtype=bool)])
    return some, auc(both, np.tile(score, 2), np.concatenate([runs - same, same]))


def _summary(values: list[float] | None) -> dict[str, Any] | None:
    if not values:
        return None
    return {"mean": float(np.mean(values)), "lowest": min(values), "highest": max(values), "n": len(values)}
