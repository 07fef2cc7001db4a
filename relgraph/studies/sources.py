"""Where variation comes from: every source of randomness varied alone, and all of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from relgraph.stitching.bootstrap import LEVEL, pair_figure
from relgraph.studies.runs import Array, Floats, Ints

TITLES: Mapping[str, str] = {
    "initialization": "initialization",
    "training": "dropout and order",
    "split": "split",
    "together": "all together",
    "anchors": "anchors of a kept head",
}
"""What the sources are called, in their order.

``initialization``: the weights before training. ``training``: dropout masks and the order of mini-batches. ``split``:
which rows train, validate and test. ``together``: all of these. ``anchors``: the anchors that a head is converted from
one run to another with; not part of the others.
"""
PARTS = ("initialization", "training", "split")
"""The sources that are varied together."""


@dataclass(frozen=True, eq=False)
class Varied:
    """Runs between which one source varies, or all.

    Args:
        classes: Predicted classes of some rows ``(R, n)``.
        y: Their true classes ``(n,)``.
        test: Which of them are test rows of each run ``(R, n)``.
    """

    classes: Ints
    y: Ints
    test: Array

    def accuracies(self) -> Floats:
        """Accuracy of every run on its own test rows, ``(R,)``."""
        right = (self.classes == self.y) & self.test
        found: Floats = right.sum(axis=1) / self.test.sum(axis=1)
        return found

    def disagreements(self) -> Floats:
        """Share of rows on which two runs differ, of those that are test rows of both, ``(R, R)``; NaN without any."""
        count = len(self.classes)
        found = np.full((count, count), np.nan)
        for run in range(count):
            both = self.test & self.test[run]
            differ, rows = ((self.classes != self.classes[run]) & both).sum(axis=1), both.sum(axis=1)
            np.divide(differ, rows, out=found[run], where=rows > 0)
        return found


def std_interval(std: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    r"""Interval of a standard deviation that was estimated from ``n`` normal values.

    .. math:: s \sqrt{(n - 1) / \chi^2_{n-1, 1 - \alpha/2}} \;\le\; \sigma
        \;\le\; s \sqrt{(n - 1) / \chi^2_{n-1, \alpha/2}}

    Example:
        >>> [round(bound, 2) for bound in std_interval(1.0, 10)]
        [0.69, 1.83]
    """
    tail = (1 - level) / 2
    low, high = (std * math.sqrt((n - 1) / float(stats.chi2.ppf(share, n - 1))) for share in (1 - tail, tail))
    return low, high


def variance_share(std: float, n: int, whole: float, m: int) -> dict[str, Any] | None:
    r"""A variance over another, with the interval of the F-test of independent normal values.

    Args:
        std, n: Standard deviation of the part, from so many values.
        whole, m: The same of what it is a part of.

    Returns:
        ``mean`` and ``interval``; ``None`` where the whole does not vary.

    Example:
        >>> found = variance_share(1.0, 10, 2.0, 10)
        >>> found["mean"], [round(bound, 2) for bound in found["interval"]]
        (0.25, [0.06, 1.01])
    """
    if whole == 0:
        return None
    share, tail = (std / whole) ** 2, (1 - LEVEL) / 2
    bounds = [share / float(stats.f.ppf(part, n - 1, m - 1)) for part in (1 - tail, tail)]
    return {"mean": share, "interval": bounds}


def sources_section(varied: Mapping[str, Mapping[str, Varied]], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Deviation of the accuracy and disagreement by source, and their shares of those of all sources together.

    Where splits vary, so do the test rows that an accuracy is computed on, and their sampling is part of its deviation.

    Args:
        varied: For each encoder, the runs of every source by its name in :data:`TITLES`.
        fixed: What a source has where it does not vary, by its name.

    Returns:
        ``titles`` of the sources, ``fixed``, and for each of ``models``: ``sources`` with ``runs``, ``accuracy``, its
        ``std`` with ``std_interval`` and ``disagreement``, and of each of :data:`PARTS` the shares ``variance_share``
        and ``disagreement_share`` of those of all together; and ``sum`` of the two shares over these sources: 1 where
        they add up, more where one alone changes nearly as much as all.
    """
    models = {encoder: source_figures(of_encoder) for encoder, of_encoder in varied.items()}
    return {"titles": dict(TITLES), "fixed": dict(fixed), "models": models}


def source_figures(varied: Mapping[str, Varied]) -> dict[str, Any]:
    """The figures of the sources of one encoder; see :func:`sources_section`."""
    found = {name: _figures(varied[name]) for name in TITLES if name in varied}
    whole = found["together"]
    base = whole["disagreement"]["mean"] if whole["disagreement"] else 0.0
    parts = [found[name] for name in PARTS if name in found]
    for one in parts:
        mean = one["disagreement"]["mean"] if one["disagreement"] else None
        one["variance_share"] = variance_share(one["std"], one["runs"], whole["std"], whole["runs"])
        one["disagreement_share"] = mean / base if base and mean is not None else None
    return {
        "sources": found,
        "sum": {
            "variance_share": _sum([one["variance_share"] and one["variance_share"]["mean"] for one in parts]),
            "disagreement_share": _sum([one["disagreement_share"] for one in parts]),
        },
    }


def _figures(varied: Varied) -> dict[str, Any]:
    accuracy, count = varied.accuracies(), len(varied.classes)
    # Equal values can have a mean that differs from them in the last digit.
    std = float(accuracy.std(ddof=1)) if np.ptp(accuracy) > 0 else 0.0
    pairs = np.triu(np.ones((count, count), dtype=bool), 1)
    figure = pair_figure(varied.disagreements(), pairs, ["model"] * count, lower_is_worse=False)
    return {
        "runs": count,
        "accuracy": float(accuracy.mean()),
        "std": std,
        "std_interval": std_interval(std, count),
        "disagreement": figure,
    }


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
