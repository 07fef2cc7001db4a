"""Two pictures of an experiment: who can read whom, and two spaces before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relgraph.similarity import whitened_similarity
from relgraph.stitching.output import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from relgraph.stitching.experiment import Experiment

MOST_NODES = 2000
MOST_NUMBERS = 12
MOST_LABELS = 24
WITHIN = 0.99
DPI = 200

# Paul Tol's "bright" and "muted" schemes, told apart with every common kind of colour blindness.
_BRIGHT = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#999999")
_MUTED = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
    "#999999",
)
_MARKERS = "o^sDvP*Xd<>"


def draw_matrix(document: dict[str, Any], path: Path) -> Path:
    """Heat map of the metric, encoder's run by head's run: absolute beside the best relative arm that is there.

    Args:
        document: What :func:`relgraph.stitching.build_document` returns, or that of whole graphs.
        path: The PNG to write, whole or not at all.

    Returns:
        ``path``.

    Raises:
        DataError: If it cannot be written.
    """
    arms = document["arms"]
    names = [f"{run['encoder']} {run['seed']}" for run in document["runs"]]
    shown = [name for name in ("absolute", _relative_arm(arms)) if name in arms]
    size = min(4.2, max(2.6, 0.9 + 0.3 * len(names)))
    undefined = any(None in row for name in shown for row in arms[name]["matrix"])
    unit = _Unit.of(document)
    figure = _figure(size * len(shown) + 1.0, size + (0.85 if undefined else 0.65))
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for place, (axis, name) in enumerate(zip(axes, shown, strict=True)):
        image = _heat(axis, np.array(arms[name]["matrix"], dtype=float), unit)
        _run_ticks(axis, names, [run["encoder"] for run in document["runs"]])
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("head of run", fontsize=9)
        if place == 0:
            axis.set_ylabel("encoder of run", fontsize=9)
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.02)
    bar.set_label(unit.label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    layer = document.get("stitch_at")  # older documents know the last layer only
    where = "" if layer is None else f", stitched behind layer {layer}"
    data = document["dataset"]
    name = f"{data['name']}{_made_up(data.get('features'))}"
    figure.suptitle(f"{name}: every encoder with every head{where}", fontsize=11)
    if undefined:
        figure.supxlabel("hatched: the head cannot read a space of another width", fontsize=8)
    return _save(figure, path)


def draw_spaces(experiment: Experiment, path: Path) -> Path:
    """Two runs' latent spaces, absolute above and whitened relative below, each row in one projection.

    The projection of a row is the two principal axes of the first run's test nodes, applied to both runs, so that
    what differs between the two columns differs between the spaces.

    Args:
        experiment: A finished experiment; the first two runs of its first encoder are drawn.
        path: The PNG to write, whole or not at all.

    Returns:
        ``path``.

    Raises:
        DataError: If it cannot be written.
    """
    test, anchors = experiment.nodes.test, experiment.nodes.anchors
    spaces = experiment.embeddings[:2]
    whitened = [whitened_similarity(z[test], z[anchors], center=z.mean(0)) for z in spaces]
    rows = {"absolute embeddings": [z[test] for z in spaces], "whitened relative": whitened}
    keep = _sample(test.numel())
    classes = experiment.nodes.y[test].cpu().numpy()[keep]

    figure = _figure(6.6, 5.9)
    axes = figure.subplots(2, 2)
    for row, (title, pair) in enumerate(rows.items()):
        points = [flat[keep] for flat in _project(*pair)]
        for column, axis in enumerate(axes[row]):
            _scatter(axis, points[column], classes, experiment.nodes.num_classes)
            _limit(axis, np.concatenate(points))
            if row == 0:
                axis.set_title(f"{experiment.kinds[column]}, seed {experiment.seeds[column]}", fontsize=10)
        axes[row][0].set_ylabel(title, fontsize=10)
    _class_legend(figure, experiment.nodes.num_classes)
    count = f"{len(keep):,} of {test.numel():,} test nodes" if len(keep) < test.numel() else f"{len(keep):,} test nodes"
    name = experiment.data.dataset_name if "dataset_name" in experiment.data else "unnamed graph"
    layer = experiment.settings.stitch_at
    which = "two spaces" if layer is None else f"two spaces behind layer {layer}"
    name += _made_up(experiment.data.get("features"))
    figure.suptitle(f"{name}: {which} before and after\n({count})", fontsize=11)
    figure.supxlabel(
        f"Each row in one projection, the principal axes of seed {experiment.seeds[0]}; "
        f"{100 * WITHIN:.0f} % of the points are inside.",
        fontsize=8,
    )
    return _save(figure, path)


def _made_up(features: object) -> str:
    """What a title adds where features are not the published ones."""
    return " (structural features)" if "structural" in str(features) else ""


def _relative_arm(arms: dict[str, Any]) -> str:
    """The converted arm, else the first other method, else whatever is there."""
    if "converted" in arms:
        return "converted"
    others = [name for name in arms if name != "absolute"]
    methods = [name for name in others if arms[name]["kind"] == "method"]
    return next(iter(methods or others), "")


def _figure(width: float, height: float) -> Figure:
    # The object interface alone: no window, and no state that other figures share.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path


@dataclass(frozen=True)
class _Unit:
    """How a metric is drawn: shares in percent; errors, of which less is better, up to the floor's own and a half."""

    label: str
    factor: float
    top: float
    colours: str
    digits: int

    @classmethod
    def of(cls, document: dict[str, Any]) -> _Unit:
        metric = document["metric"]
        if metric["direction"] == "higher":
            return cls(f"{metric['name']} (%)", 100, 100, "cividis", 0)
        return cls(metric["name"], 1, 1.5 * metric["floor"], "cividis_r", 2)


def _heat(axis: Axes, matrix: NDArray[np.float64], unit: _Unit) -> Any:
    values = np.ma.masked_invalid(unit.factor * matrix)
    axis.patch.set(facecolor="0.93", edgecolor="0.7", hatch="//////")  # seen through cells that are not defined
    image = axis.imshow(values, vmin=0, vmax=unit.top, cmap=unit.colours, interpolation="nearest")
    if len(matrix) <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                dark = (unit.factor * value < 0.6 * unit.top) == (unit.colours == "cividis")
                colour, text = "white" if dark else "black", f"{unit.factor * value:.{unit.digits}f}"
                axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
    return image


def _run_ticks(axis: Axes, names: list[str], kinds: list[str]) -> None:
    step = -(-len(names) // MOST_LABELS)
    places = list(range(0, len(names), step))
    labels = [names[place] for place in places]
    axis.set_xticks(places, labels, rotation=90, fontsize=7)
    axis.set_yticks(places, labels, fontsize=7)
    axis.tick_params(length=0)
    for border in [row for row in range(1, len(kinds)) if kinds[row] != kinds[row - 1]]:
        axis.axhline(border - 0.5, color="white", linewidth=1.5)
        axis.axvline(border - 0.5, color="white", linewidth=1.5)


def _project(one: Tensor, two: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both spaces ``(n, F)`` on the two principal axes of the first, ``(n, 2)`` each."""
    one, two = one.detach().cpu().double(), two.detach().cpu().double()
    mean = one.mean(0)
    _, vectors = torch.linalg.eigh((one - mean).mT @ (one - mean))
    axes = vectors[:, -2:].flip(1)
    axes = axes * torch.where(axes.gather(0, axes.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)
    flat = [torch.nn.functional.pad((space - mean) @ axes, (0, 2 - axes.size(1))) for space in (one, two)]
    return flat[0].numpy(), flat[1].numpy()


def _sample(count: int) -> NDArray[np.int64]:
    """The same rows at every call: all, or as many as can be told apart."""
    if count <= MOST_NODES:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST_NODES, replace=False))


def _look(label: int, classes: int) -> tuple[str, str]:
    palette = _BRIGHT if classes <= len(_BRIGHT) else _MUTED
    return palette[label % len(palette)], _MARKERS[label // len(palette) % len(_MARKERS)]


def _scatter(axis: Axes, points: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> None:
    looks = [_look(label, classes) for label in range(classes)]
    mixed = np.random.default_rng(0).permutation(len(points))  # no class lies on top of all others
    for marker in dict.fromkeys(marker for _, marker in looks):
        rows = [row for row in mixed if looks[labels[row]][1] == marker]
        colours = [looks[labels[row]][0] for row in rows]
        axis.scatter(points[rows, 0], points[rows, 1], s=5, c=colours, marker=marker, linewidths=0, alpha=0.75)
    axis.set_xticks([])
    axis.set_yticks([])


def _limit(axis: Axes, points: NDArray[np.float64]) -> None:
    """A square around the row's points, so that both directions have one scale; a few outliers must not decide it."""
    low, high = np.quantile(points, [(1 - WITHIN) / 2, (1 + WITHIN) / 2], axis=0)
    middle, half = (low + high) / 2, 0.55 * max(float((high - low).max()), 1e-12)
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[1] - half, middle[1] + half)
    axis.set_aspect("equal")


def _class_legend(figure: Figure, classes: int) -> None:
    if classes > 2 * len(_MUTED):
        return
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=_look(label, classes)[1], color=_look(label, classes)[0], label=str(label))
        for label in range(classes)
    ]
    figure.legend(handles=handles, title="class", loc="outside right center", frameon=False, fontsize=8)
