"""Two plots of an experiment: the metric of every pair of runs, and two spaces before and after a translation.

As pictures, both are written whole, or not at all with a :class:`relgraph.errors.DataError`.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relgraph.io import atomic_path
from relgraph.maps import fit_map
from relgraph.stitching.canvas import COLORS, blank_figure, point_style, run_ticks
from relgraph.stitching.run import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from relgraph.problems import Problem
    from relgraph.stitching.experiment import Experiment

MOST_ROWS = 2000
WITHIN = 0.99


def draw_matrix(report: dict[str, Any], path: Path) -> Path:
    """Heat map of a report's metric, runs of encoders by runs of heads: absolute beside the default map.

    Every color scale covers the values of its panel, so that the worst pair is visible. The mean of every block of two
    encoders, without runs with their own heads, is written in it. Writes and returns ``path``, a PNG.
    """
    shown = shown_methods(report)
    size = _panel_size(report)
    figure = blank_figure((size + 1.0) * len(shown), size + 0.85)
    for place, (axis, name) in enumerate(zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True)):
        _matrix_panel(figure, axis, report, name)
        axis.set_title(name, fontsize=10)
        axis.set_ylabel("" if place else "encoder of run", fontsize=9)
    where = "" if report["stitch_at"] is None else f", stitched behind layer {report['stitch_at']}"
    figure.suptitle(f"{_title(report['dataset'])}: encoders with heads of other runs{where}", fontsize=11)
    undefined = any(None in row for name in shown for row in report["methods"][name]["matrix"])
    hatched = "; hatched: the head reads a space of another width" if undefined else ""
    figure.supxlabel(f"numbers: means over pairs of different runs{hatched}", fontsize=8)
    return _save(figure, path)


def matrix_figure(report: dict[str, Any], name: str) -> Figure:
    """The panel of :func:`draw_matrix` for one method, as a figure of its own."""
    size = _panel_size(report)
    figure = blank_figure(size + 1.0, size + 0.35)
    axis = figure.subplots()
    _matrix_panel(figure, axis, report, name)
    axis.set_title(name, fontsize=10)
    axis.set_ylabel("encoder of run", fontsize=9)
    return figure


def shown_methods(report: dict[str, Any]) -> list[str]:
    """The methods whose matrices are drawn: absolute, and the default map."""
    return [name for name in ("absolute", _compared(report["methods"])) if name in report["methods"]]


def _panel_size(report: dict[str, Any]) -> float:
    return min(4.6, max(2.6, 0.9 + 0.34 * len(report["runs"])))


def _matrix_panel(figure: Figure, axis: Axes, report: dict[str, Any], name: str) -> None:
    """The matrix of a method with its color scale, and the mean of every block of two encoders."""
    metric, encoders = report["metric"], [run["encoder"] for run in report["runs"]]
    percent = metric["direction"] == "higher"
    matrix = np.array(report["methods"][name]["matrix"], dtype=float) * (100 if percent else 1)
    axis.patch.set(facecolor="0.93", edgecolor="0.7", hatch="//////")  # visible where a pair is undefined
    colors = "cividis" if percent else "cividis_r"
    image = axis.imshow(np.ma.masked_invalid(matrix), cmap=colors, interpolation="nearest")
    bar = figure.colorbar(image, ax=axis, shrink=0.75, pad=0.03)
    bar.set_label(f"{metric['name']}{' (%)' if percent else ''}", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    _blocks(axis, matrix, encoders, 1 if percent else 3)
    run_ticks(axis, [f"{run['encoder']} {run['seed']}" for run in report["runs"]], encoders)
    axis.set_xlabel("head of run", fontsize=9)


def ranking_figure(report: dict[str, Any]) -> Figure:
    """Mean retention and fidelity of every method with heads of other seeds, in percent, with intervals."""
    kinds = ("method", "baseline", "control")
    methods = sorted(report["methods"].items(), key=lambda item: kinds.index(item[1]["kind"]))
    figure = blank_figure(5.2, 1.2 + 0.3 * len(methods))
    axis = figure.subplots()
    for key, color, marker, shift in (("retention", COLORS[0], "o", -0.12), ("fidelity", COLORS[7], "s", 0.12)):
        known = [(row, one[f"{key}_cross_seed"]) for row, (_, one) in enumerate(methods) if one[f"{key}_cross_seed"]]
        means = np.array([100 * one["mean"] for _, one in known])
        bounds = np.array([one["interval"] or [one["mean"]] * 2 for _, one in known]).reshape(-1, 2).T * 100
        rows = np.array([row for row, _ in known]) + shift
        axis.hlines(rows, *bounds, color=color, linewidth=1.4)  # no error bars: a mean may be outside its interval
        axis.plot(means, rows, marker, color=color, markersize=4.5, label=key)
    axis.set_yticks(range(len(methods)), [name for name, _ in methods], fontsize=9)
    axis.tick_params(length=0, labelsize=9)
    axis.set_ylim(len(methods) - 0.4, -0.6)  # from top to bottom
    axis.set_xlabel("percent", fontsize=9)
    axis.grid(axis="x", color="0.5", alpha=0.3, linewidth=0.6)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def can_draw_spaces(experiment: Experiment) -> bool:
    """Whether there is an embedding of every predicted row, which :func:`draw_spaces` colors by its target."""
    return experiment.problem.task.level != "edge"


def draw_spaces(experiment: Experiment, path: Path) -> Path:
    """The spaces of two runs on their own principal axes, and the first one translated to the axes of the second.

    The runs are the first two of the experiment, the translation is the ridge map on the anchors. Points are test
    rows, colored by class (or by the first target). Writes and returns ``path``, a PNG.
    """
    problem, source = experiment.problem, experiment.runs[0]
    rows, panels = _panels(experiment)
    figure, (targets, names, label) = blank_figure(9.6, 3.9), _targets(problem, rows)
    axes = figure.subplots(1, 3)
    for axis, (title, (points, limits)) in zip(axes, panels.items(), strict=True):
        _scatter(axis, points, targets, names)
        _limit(axis, limits)
        axis.set_title(title, fontsize=10)
    _legend(figure, axes, targets, names, label)
    layer = "" if source.at is None else f" behind layer {source.at}"
    count = f"{len(rows):,} of {problem.test.numel():,}" if len(rows) < problem.test.numel() else f"{len(rows):,}"
    figure.suptitle(f"{_title(problem.describe())}: spaces of two runs{layer}, {count} test rows", fontsize=11)
    note = "Left: principal axes of the source. Middle and right: principal axes of the target, one scale."
    figure.supxlabel(note, fontsize=8)
    return _save(figure, path)


def space_figures(experiment: Experiment) -> dict[str, Figure]:
    """The panels of :func:`draw_spaces` as figures of their own, by their titles; the last one has the legend."""
    rows, panels = _panels(experiment)
    targets, names, label = _targets(experiment.problem, rows)
    found, last = {}, list(panels)[-1]
    room = 0.35 + 0.19 * -(-len(names) // _legend_columns(names)) if names else 0.7
    for title, (points, limits) in panels.items():
        figure = found[title] = blank_figure(3.9, 4.1 + (room if title == last else 0))
        axis = figure.subplots()
        _scatter(axis, points, targets, names)
        _limit(axis, limits)
        axis.set_title(title, fontsize=10)
        for drawn in axis.collections:  # thousands of points are smaller as pixels
            drawn.set_rasterized(True)
    _legend(figure, [axis], targets, names, label, below=True)
    return found


def _panels(experiment: Experiment) -> tuple[Tensor, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Rows that are drawn, and for each panel its points and those that set its limits."""
    problem, (source, target) = experiment.problem, experiment.runs[:2]
    rows = problem.test[_sample(problem.test.numel())]
    space, other = (View(run, experiment.anchors, experiment.weights).space for run in (source, target))
    translated = fit_map(space, other)[0](source.z[rows])  # without the warnings of a call by a user
    axes_of = [_principal_axes(run.z[problem.test]) for run in (source, target)]
    first, second = _project(source.z[rows], *axes_of[0]), _project(target.z[rows], *axes_of[1])
    return rows, {
        f"source: {source.encoder}, seed {source.seed}": (first, first),
        f"target: {target.encoder}, seed {target.seed}": (second, second),
        "source, translated to the target": (_project(translated, *axes_of[1]), second),
    }


def _title(dataset: dict[str, Any]) -> str:
    """The name of the data, with the features if they are not the published ones."""
    made = dataset.get("features")
    return f"{dataset['name']} ({made} features)" if made in ("spectral", "fastrp") else str(dataset["name"])


def _compared(methods: dict[str, Any]) -> str:
    """The default map of classes, else that of values, else the first other method, else whatever there is."""
    others = [name for name in ("kl", "ridge", *methods) if name != "absolute" and name in methods]
    return next((name for name in others if methods[name]["kind"] == "method"), others[0] if others else "")


def _save(figure: Figure, path: Path) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path


def _blocks(axis: Axes, matrix: NDArray[np.float64], encoders: list[str], digits: int) -> None:
    """Write the mean of every block of two encoders, pairs of different runs only."""
    names = np.asarray(encoders)
    outer = np.where(np.eye(len(names), dtype=bool), np.nan, matrix)
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for one, other in itertools.product(dict.fromkeys(encoders), repeat=2):
        rows, columns = np.flatnonzero(names == one), np.flatnonzero(names == other)
        block = outer[np.ix_(rows, columns)]
        if np.isfinite(block).any():
            # Beside the diagonal, whose values are not part of the mean, and between cells.
            across, down = (0.75, 0.25) if one == other else (0.5, 0.5)
            x, y = _between(columns, across), _between(rows, down)
            axis.text(
                x, y, f"{np.nanmean(block):.{digits}f}", ha="center", va="center", fontsize=9, color="0.1", bbox=box
            )


def _between(places: NDArray[np.int64], share: float) -> float:
    """The border of two cells nearest to this share of the way; the cell itself if there is only one."""
    place = float(np.quantile(places, share))
    return place if len(places) == 1 else min(np.floor(place), places[-1] - 1) + 0.5


def _principal_axes(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(F,)`` and the two principal axes ``(F, 2)`` of a space, with fixed signs."""
    z = z.detach().cpu().double()
    mean = z.mean(0)
    _, vectors = torch.linalg.eigh((z - mean).mT @ (z - mean))
    axes = vectors[:, -2:].flip(1)
    return mean, axes * torch.where(axes.gather(0, axes.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)


def _project(z: Tensor, mean: Tensor, axes: Tensor) -> NDArray[np.float64]:
    """Points ``(n, 2)`` of a space on two axes; the second is 0 for a space of one dimension."""
    flat = (z.detach().cpu().double() - mean) @ axes
    return torch.nn.functional.pad(flat, (0, 2 - axes.size(1))).numpy()


def _sample(count: int) -> Tensor:
    """The same rows at every call: all, or as many as can be told apart."""
    if count <= MOST_ROWS:
        return torch.arange(count)
    return torch.from_numpy(np.sort(np.random.default_rng(0).choice(count, MOST_ROWS, replace=False)))


def _targets(problem: Problem, rows: Tensor) -> tuple[NDArray[Any], list[str], str]:
    """Targets of the points, their names if they are classes, and what they are."""
    y = problem.y[rows].cpu().numpy()
    if problem.task.mode == "multiclass":
        known = getattr(problem.data, "class_names", None) or range(problem.num_outputs)
        return y, [str(name) for name in known], "class"
    first = "first " if y.shape[1] > 1 else ""
    if problem.task.mode == "multilabel":
        return np.nan_to_num(y[:, 0], nan=2).astype(int), ["no", "yes", "unknown"], f"{first}label"
    return y[:, 0], [], f"{first}target"


def _scatter(axis: Axes, points: NDArray[np.float64], targets: NDArray[Any], names: list[str]) -> None:
    """Draw the points in a mixed order, so that no class covers the others."""
    mixed = np.random.default_rng(0).permutation(len(points))
    if not names:
        x, y = points[mixed].T
        axis.scatter(x, y, s=6, c="0.8", linewidths=0)  # remains visible where the target is unknown
        axis.scatter(x, y, s=6, c=targets[mixed], cmap="viridis", linewidths=0)
    for marker in dict.fromkeys(point_style(label)[1] for label in range(len(names))):
        rows = [row for row in mixed if point_style(targets[row])[1] == marker]
        colors = [point_style(targets[row])[0] for row in rows]
        axis.scatter(points[rows, 0], points[rows, 1], s=6, c=colors, marker=marker, linewidths=0, alpha=0.75)
    axis.set_xticks([])
    axis.set_yticks([])


def _legend(
    figure: Figure, axes: Any, targets: NDArray[Any], names: list[str], title: str, *, below: bool = False
) -> None:
    """Name the classes, if there are few enough, or show the scale of values, beside the axes or below them."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D

    if not names:
        scale = ScalarMappable(Normalize(np.nanmin(targets), np.nanmax(targets)), "viridis")
        side: Any = {"location": "bottom"} if below else {}
        figure.colorbar(scale, ax=list(axes), shrink=0.8, pad=0.02, **side).set_label(title, fontsize=9)
    elif len(names) <= 2 * len(COLORS):
        handles = []
        for label, name in enumerate(names):
            color, marker = point_style(label)
            handles.append(Line2D([], [], linestyle="", marker=marker, color=color, label=name))
        place: Any = (
            {"loc": "outside lower center", "ncols": _legend_columns(names)}
            if below
            else {"loc": "outside right center"}
        )
        figure.legend(handles=handles, title=title, frameon=False, fontsize=8, **place)


def _legend_columns(names: list[str]) -> int:
    """Columns of names that fit under one panel."""
    return max(1, min(3, 48 // (max(map(len, names)) + 4)))


def _limit(axis: Axes, points: NDArray[np.float64]) -> None:
    """A square around nearly all points, so that both directions have one scale and outliers do not decide it."""
    low, high = np.quantile(points, [(1 - WITHIN) / 2, (1 + WITHIN) / 2], axis=0)
    middle, half = (low + high) / 2, 0.55 * max(float((high - low).max()), 1e-12)
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[1] - half, middle[1] + half)
    axis.set_aspect("equal")
