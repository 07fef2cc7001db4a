"""What the plots of several reports share: figures without a window, colors, and ticks of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
MOST_LABELS = 24

# Paul Tol's "bright" scheme, then further colors that differ from these and from each other; all of them are visible on
# a light and on a dark page.
COLORS = (
    "#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#777777", "#EE7733", "#17A398", "#8C564B",
)  # fmt: skip
_MARKERS = "o^sDvP*Xd<>"


def blank_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, with nothing on it."""
    # The object interface: no window, and no state that other figures share.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def run_ticks(axis: Axes, names: Sequence[str], encoders: Sequence[str]) -> None:
    """Name the runs of a matrix on both axes, not more than can be read, and draw lines between encoders."""
    step = -(-len(names) // MOST_LABELS)
    places, labels = range(0, len(names), step), names[::step]
    axis.set_xticks(places, labels, rotation=90, fontsize=7)
    axis.set_yticks(places, labels, fontsize=7)
    axis.tick_params(length=0)
    for border in [row for row in range(1, len(encoders)) if encoders[row] != encoders[row - 1]]:
        axis.axhline(border - 0.5, color="white", linewidth=1.5)
        axis.axvline(border - 0.5, color="white", linewidth=1.5)


def point_style(label: int) -> tuple[str, str]:
    """Color and marker that tell a class, or a series, from the others."""
    return COLORS[label % len(COLORS)], _MARKERS[label // len(COLORS) % len(_MARKERS)]
