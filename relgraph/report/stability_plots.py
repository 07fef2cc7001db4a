"""The figures of the report on stability, from values of its document and arrays of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relgraph.stitching.canvas import COLORS, blank_figure, point_style, run_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Values = Mapping[str, Any]

MOST_MODELS = 8
"""Models that are drawn together."""
MOST_LETTERS = 24
"""Of a name, as far as it is drawn; tables and texts have the whole."""
SERIES = 0.5  # the share of a group's width that the series take


def accuracy_figure(accuracies: Mapping[str, Sequence[float]], found: Values) -> Figure:
    """Accuracy of every run as a dot, with the mean of each model and its interval, in percent."""
    figure = blank_figure(4.8, 1.1 + 0.42 * len(accuracies))
    axis = figure.subplots()
    rng = np.random.default_rng(0)
    for row, (model, values) in enumerate(accuracies.items()):
        shown = 100 * np.asarray(values)
        axis.plot(shown, row + rng.uniform(-0.2, 0.2, len(shown)), "o", color=COLORS[0], markersize=3.5, alpha=0.55)
        low, high = (100 * bound for bound in found[model]["interval"])
        axis.hlines(row, low, high, color=COLORS[7], linewidth=2.2)
        axis.plot(100 * found[model]["mean"], row, "D", color=COLORS[7], markersize=5)
    axis.set_yticks(range(len(accuracies)), [_drawn(model) for model in accuracies], fontsize=9)
    axis.set_ylim(len(accuracies) - 0.5, -0.5)
    _plain(axis, "x")
    axis.set_xlabel("accuracy (%)", fontsize=9)
    return figure


def disagreement_figure(matrix: Floats, models: Sequence[str], seeds: Sequence[str]) -> Figure:
    """Heat map of the disagreement of every two runs, in percent."""
    size = min(4.6, max(2.6, 0.9 + 0.2 * len(models)))
    figure = blank_figure(size + 1.0, size + 0.2)
    axis = figure.subplots()
    outer = np.where(np.eye(len(matrix), dtype=bool), np.nan, 100 * matrix)
    axis.patch.set(facecolor="0.93")
    image = axis.imshow(np.ma.masked_invalid(outer), cmap="cividis_r", interpolation="nearest")
    bar = figure.colorbar(image, ax=axis, shrink=0.75, pad=0.03)
    bar.set_label("disagreement (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    run_ticks(axis, [_drawn(f"{model} {seed}") for model, seed in zip(models, seeds, strict=True)], models)
    return figure


def strata_figure(groups: Mapping[str, Sequence[Values]], label: str) -> Figure:
    """Disagreement of two runs by groups of rows, in percent, with intervals, for several models.

    Args:
        groups: For each model its groups, as of the document.
        label: What the rows are grouped by.
    """
    names = list(dict.fromkeys(one["group"] for found in groups.values() for one in found))
    figure = blank_figure(max(3.6, min(6.4, 1.6 + 0.36 * len(names))), 3.0)
    axis = figure.subplots()
    for number, (model, found) in enumerate(groups.items()):
        color, _ = point_style(number)
        shift = SERIES * ((number + 0.5) / len(groups) - 0.5)
        places = np.array([names.index(one["group"]) for one in found]) + shift
        means, low, high = _percent([one["disagreement"] for one in found])
        axis.vlines(places, low, high, color=color, linewidth=1.4)
        axis.plot(places, means, "o", color=color, markersize=4, label=_drawn(model))
    steep = max(map(len, names), default=0) > 4
    axis.set_xticks(
        range(len(names)), names, fontsize=8, rotation=40 if steep else 0, ha="right" if steep else "center"
    )
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set_ylim(bottom=0)
    _plain(axis, "y")
    axis.set_xlabel(label, fontsize=9)
    axis.set_ylabel("disagreement (%)", fontsize=9)
    _legend(figure, len(groups))
    return figure


def calibration_figure(points: Mapping[str, tuple[Floats, Floats, Floats, Floats]], runs: Mapping[str, int]) -> Figure:
    """Accuracy of the most frequent answer by the share of runs that give it, in percent.

    Args:
        points: For each model the shares of runs ``(n,)``, accuracies ``(n,)``, bounds of these ``(2, n)`` and numbers
            of rows ``(n,)``. The area of a point grows with its number of rows.
        runs: Number of runs of every model.
    """
    figure = blank_figure(4.4, 3.6)
    axis = figure.subplots()
    axis.plot([0, 100], [0, 100], ":", color="0.5", linewidth=1)
    for number, (model, (share, accuracy, bounds, rows)) in enumerate(points.items()):
        color, marker = point_style(number)
        axis.vlines(100 * share, *(100 * bounds), color=color, linewidth=0.8, alpha=0.5)
        sizes = np.clip(6 + 90 * np.sqrt(rows / rows.sum()), 8, 90)
        name = f"{_drawn(model)}, {runs[model]} runs"
        axis.scatter(100 * share, 100 * accuracy, s=sizes, color=color, marker=marker, alpha=0.8, label=name)
    least = min(float(share.min()) for share, *_ in points.values())
    axis.set_xlim(max(0, 100 * least - 4), 102)
    axis.set_ylim(-2, 102)
    _plain(axis, "both")
    axis.set_xlabel("runs with the most frequent answer (%)", fontsize=9)
    axis.set_ylabel("it is right (%)", fontsize=9)
    _legend(figure, len(points))
    return figure


def spearman_figure(found: Sequence[tuple[str, Values]]) -> Figure:
    """Rank correlations with their intervals, one line for each name."""
    figure = blank_figure(4.8, 1.0 + 0.26 * len(found))
    axis = figure.subplots()
    axis.axvline(0, color="0.5", linewidth=0.8)
    for row, (_, one) in enumerate(found):
        low, high = one["interval"] or (one["value"], one["value"])
        axis.hlines(row, low, high, color=COLORS[0], linewidth=1.4)
        axis.plot(one["value"], row, "o", color=COLORS[0], markersize=4.5)
    axis.set_yticks(range(len(found)), [name for name, _ in found], fontsize=8)
    axis.set_ylim(len(found) - 0.4, -0.6)
    axis.set_xlim(-1.02, 1.02)
    _plain(axis, "x")
    axis.set_xlabel("Spearman correlation with disagreement", fontsize=9)
    return figure


def remedies_figure(found: Mapping[str, tuple[Values, Values]]) -> Figure:
    """Disagreement and accuracy of every remedy, in percent, with intervals."""
    figure = blank_figure(5.2, 3.6)
    axis = figure.subplots()
    for number, (name, figures) in enumerate(found.items()):
        color, marker = point_style(number)
        (x, y), (left, below), (right, above) = _percent(figures)
        axis.hlines(y, left, right, color=color, linewidth=1.2, alpha=0.6)
        axis.vlines(x, below, above, color=color, linewidth=1.2, alpha=0.6)
        axis.plot(x, y, marker, color=color, markersize=6, label=name)
    axis.set_xlim(left=min(0, axis.get_xlim()[0]))
    _plain(axis, "both")
    axis.set_xlabel("disagreement (%)", fontsize=9)
    axis.set_ylabel("accuracy (%)", fontsize=9)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _drawn(name: str) -> str:
    """A name as matplotlib draws it: not too long, no formula between dollar signs, no hidden label."""
    short = name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS // 2]}…{name[-MOST_LETTERS // 2 + 1 :]}"
    plain = short.replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def _percent(figures: Sequence[Values | None]) -> tuple[Floats, Floats, Floats]:
    """Means and bounds of figures in percent; NaN without one, and the mean itself without an interval."""
    rows = [[np.nan] * 3 if one is None else [one["mean"], *(one["interval"] or [one["mean"]] * 2)] for one in figures]
    means, low, high = 100 * np.array(rows, dtype=float).reshape(-1, 3).T
    return means, low, high


def _legend(figure: Figure, count: int) -> None:
    if count > 1:
        figure.legend(loc="outside upper right", ncols=min(count, 3), frameon=False, fontsize=8)


def _plain(axis: Axes, grid: Any) -> None:
    axis.tick_params(length=0, labelsize=8)
    axis.grid(axis=grid, color="0.5", alpha=0.3, linewidth=0.6)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
