"""What the runs of one model say about each row: answers, their entropy, and where they are unstable."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from relgraph.stitching.bootstrap import pair_figure, run_figure
from relgraph.studies.predictions import class_counts, grouped_disagreement, row_disagreement
from relgraph.studies.runs import Array, Floats, Ints, PredictionRuns

EDGES: Mapping[str, tuple[float, ...]] = {
    "degree": (0, 1, 2, 3, 5, 10, 20, 50, 100),
    "core_number": (0, 1, 2, 3, 4, 5, 10, 20),
    "homophily": (0, 0.2, 0.4, 0.6, 0.8, 1),
    "distance": (0, 1, 2, 3, 4, 5),
}
"""Lower ends of the groups that rows are put in by a property; the last group has no upper end."""
TOP = 20


def row_table(runs: PredictionRuns, model: str) -> dict[str, Array]:
    r"""What the runs of a model say about each row, ``(n,)`` each, by name.

    * ``id``, and with labels ``label``, -1 where unknown;
    * ``answer``: the most frequent class, ties by the lowest, and ``second``, -1 if all runs agree;
    * ``agreeing`` and ``second_agreeing``: the runs that give these;
    * ``entropy``: of the classes over runs, :math:`-\sum_c q_c \log q_c` in nats with ``q`` the shares of runs;
    * ``disagreement``: share of pairs of runs that differ (:func:`row_disagreement`);
    * with labels ``right``: share of runs that are right, NaN where unknown;
    * with logits ``margin``: mean over runs of the largest probability minus the second largest;
    * properties of the rows.

    Example:
        >>> table = row_table(PredictionRuns.of([[0, 1], [0, 2], [0, 2]]), "model")
        >>> table["answer"].tolist(), table["second"].tolist(), table["agreeing"].tolist()
        ([0, 2], [-1, 1], [3, 2])
    """
    places = runs.rows_of(model)
    counts = class_counts(runs.classes[places], runs.num_classes)
    rows = np.arange(len(counts))
    answer = counts.argmax(axis=1)
    others = counts.copy()
    others[rows, answer] = 0
    second = np.where(others.any(axis=1), others.argmax(axis=1), -1)
    found: dict[str, Array] = {"id": runs.ids}
    if runs.y is not None:
        found["label"] = runs.y
    found |= {
        "answer": answer,
        "agreeing": counts[rows, answer],
        "second": second,
        "second_agreeing": others.max(axis=1),
        "entropy": row_entropy(counts),
        "disagreement": row_disagreement(counts),
    }
    if runs.y is not None:
        found["right"] = np.where(runs.y >= 0, counts[rows, runs.y] / len(places), np.nan)
    if runs.logits is not None:
        found["margin"] = row_margin(runs.logits[places])
    return found | dict(runs.properties)


def row_entropy(counts: Ints) -> Floats:
    """Entropy in nats of the classes that runs predict, ``(n,)``, from counts ``(n, C)``.

    Example:
        >>> row_entropy(np.array([[2, 0], [1, 1]])).round(4)
        array([0.    , 0.6931])
    """
    from scipy.special import entr

    found: Floats = entr(counts / counts.sum(axis=1, keepdims=True)).sum(axis=1)
    return found


def row_margin(logits: Array) -> Floats:
    """Largest minus second largest probability, mean over runs, ``(n,)``, of outputs ``(R, n, C)``.

    Example:
        >>> row_margin(np.array([[[0.0, 0.0], [0.0, 100.0]]])).round(4)
        array([0., 1.])
    """
    from scipy.special import softmax

    total = np.zeros(logits.shape[1])
    for run in logits:
        top = np.partition(softmax(run.astype(np.float64), axis=1), -2, axis=1)[:, -2:]
        total += top[:, 1] - top[:, 0]
    return total / len(logits)


def groups_of(values: Floats, edges: tuple[float, ...]) -> tuple[Ints, list[str]]:
    """The group of every row by a property, and the names of the groups.

    Rows without a value, and those that no path reaches, have groups of their own at the end.

    Example:
        >>> groups_of(np.array([0.0, 7.0, np.inf, np.nan]), (0, 1, 5))
        (array([0, 2, 3, 4]), ['0', '1-4', '5 or more', 'unreachable', 'undefined'])
    """
    found = np.clip(np.searchsorted(edges, np.nan_to_num(values, posinf=0.0), side="right") - 1, 0, None)
    found = np.where(np.isnan(values), len(edges) + 1, np.where(np.isposinf(values), len(edges), found))
    whole = all(float(edge).is_integer() for edge in edges) and max(edges) > 1
    return found, [*_names(edges, whole), "unreachable", "undefined"]


def by_group(runs: PredictionRuns, model: str, groups: Ints, names: list[str]) -> list[dict[str, Any]]:
    """Disagreement and accuracy of a model's runs on groups of rows; empty groups are left out.

    Args:
        runs: The runs.
        model: The model.
        groups: Group of every row, ``(n,)``.
        names: Names of the groups.
    """
    places = runs.rows_of(model)
    matrices = grouped_disagreement(runs.classes[places], groups, len(names))
    pairs = np.triu(np.ones((len(places), len(places)), dtype=bool), 1)
    right = None if runs.y is None else runs.classes[places] == runs.y
    found = []
    for number, name in enumerate(names):
        rows = groups == number
        if not rows.any():
            continue
        row: dict[str, Any] = {"group": name, "rows": int(rows.sum())}
        row["disagreement"] = pair_figure(matrices[number], pairs, [model] * len(places), lower_is_worse=False)
        if right is not None and runs.y is not None:
            known = rows & (runs.y >= 0)
            shares = right[:, known].mean(axis=1, dtype=np.float64) if known.any() else np.full(len(places), np.nan)
            row["accuracy"] = run_figure(shares, [model] * len(places))
        found.append(row)
    return found


def strata(runs: PredictionRuns, model: str) -> dict[str, list[dict[str, Any]]]:
    """:func:`by_group` by the class (true where labels are there, else the most frequent answer) and every property."""
    if runs.y is None:
        classes, kind = class_counts(runs.classes[runs.rows_of(model)], runs.num_classes).argmax(axis=1), "answer"
    else:
        classes, kind = np.where(runs.y < 0, runs.num_classes, runs.y), "class"
    named = [*map(str, range(runs.num_classes)), "undefined"]
    found = {kind: by_group(runs, model, classes, named)}
    for name, values in runs.properties.items():
        found[name] = by_group(runs, model, *groups_of(values, EDGES.get(name) or _quartiles(values)))
    return found


def calibration(table: Mapping[str, Array], runs: int) -> dict[str, Any] | None:
    """How the number of agreeing runs tells whether the most frequent answer is right; ``None`` without labels.

    Args:
        table: Of :func:`row_table`.
        runs: Number of runs.

    Returns:
        ``unanimous`` and ``other``: number of labeled rows on which all runs agree, or not, and the accuracy of the
        most frequent answer there. ``by_agreeing``: the same by the number of agreeing runs. ``auc``: the area under
        the ROC curve of that number as a score for being right; ``None`` if all or no answers are right.
    """
    if "label" not in table or not (table["label"] >= 0).any():
        return None
    known = table["label"] >= 0
    agreeing, right = table["agreeing"][known], (table["answer"] == table["label"])[known]

    def part(rows: Array) -> dict[str, Any]:
        return {"rows": int(rows.sum()), "accuracy": float(right[rows].mean()) if rows.any() else None}

    return {
        "unanimous": part(agreeing == runs),
        "other": part(agreeing < runs),
        "by_agreeing": [{"agreeing": int(k)} | part(agreeing == k) for k in np.unique(agreeing)],
        "auc": auc(right, agreeing),
    }


def least_stable(table: Mapping[str, Array], top: int = TOP) -> list[dict[str, Any]]:
    """The rows of a table with the largest disagreement; of these with the smallest margin first, then by place."""
    margin = table.get("margin", np.zeros(len(table["id"])))
    order = np.lexsort((margin, -table["disagreement"]))[:top]
    order = order[table["disagreement"][order] > 0]
    return [{name: values[row].item() for name, values in table.items()} for row in order.tolist()]


def auc(positive: Array, score: Array, weight: Array | None = None) -> float | None:
    """Area under the ROC curve of a score, over rows where it is defined; ``None`` with one kind of rows only.

    Example:
        >>> auc(np.array([True, False, True]), np.array([3.0, 1.0, 2.0]))
        1.0
    """
    from sklearn.metrics import roc_auc_score

    used = ~np.isnan(score) if weight is None else ~np.isnan(score) & (weight > 0)
    if len(np.unique(positive[used])) < 2:
        return None
    finite = np.nan_to_num(score[used], posinf=1e9, neginf=-1e9)
    return float(roc_auc_score(positive[used], finite, sample_weight=None if weight is None else weight[used]))


def _quartiles(values: Floats) -> tuple[float, ...]:
    finite = values[np.isfinite(values)]
    return tuple(np.unique(np.quantile(finite, [0, 0.25, 0.5, 0.75])).tolist()) if len(finite) else (0.0,)


def _names(edges: tuple[float, ...], whole: bool) -> list[str]:
    if not whole:
        ends = [f"{low:g} to below {high:g}" for low, high in itertools.pairwise(edges)]
        return [*ends, f"{edges[-1]:g}" if edges[-1] == 1 else f"{edges[-1]:g} or more"]
    pairs = [(int(low), int(high) - 1) for low, high in itertools.pairwise(edges)]
    return [*(f"{low}" if low == high else f"{low}-{high}" for low, high in pairs), f"{int(edges[-1])} or more"]
