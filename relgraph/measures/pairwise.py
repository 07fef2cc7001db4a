"""Every two of several tables compared: one matrix for each measure, as a table of numbers or a picture."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relgraph.errors import InputError
from relgraph.io import PathLike, atomic_path, write_atomic
from relgraph.measures.compare import (
    HEADER,
    PERMUTATIONS,
    Comparison,
    Nulls,
    aligned,
    compare,
    decimals,
    resolve_measures,
)
from relgraph.registry import MEASURES

DPI = 200
MOST_LABELS = 24
MOST_NUMBERS = 8  # tables, up to which the numbers are written into the picture


@dataclass(frozen=True)
class Pairwise:
    """What :func:`pairwise` finds.

    Args:
        names: One for each table.
        comparisons: Of every ordered pair of different tables, by their numbers.
    """

    names: tuple[str, ...]
    comparisons: dict[tuple[int, int], Comparison]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures."""
        return tuple(score.measure for score in next(iter(self.comparisons.values())).scores)

    def matrix(self, measure: str, figure: str = "value") -> NDArray[np.float64]:
        """Values of a measure ``(S, S)``, or another ``figure`` of :class:`Score`; NaN on the diagonal."""
        found = np.full((len(self.names),) * 2, np.nan)
        for pair, one in self.comparisons.items():
            number = getattr(one[measure], figure)
            found[pair] = np.nan if number is None else number
        return found

    def to_dict(self) -> dict[str, Any]:
        """Numbers and names only, as for JSON."""
        pairs = [{"a": self.names[i], "b": self.names[j], **one.to_dict()} for (i, j), one in self.comparisons.items()]
        return {"tables": list(self.names), "pairs": pairs}

    def to_csv(self) -> str:
        """One line for every pair and measure."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["a", "b", "measure", "value", "null_mean", "null_std", "score", "p", "rows", "null"])
        for (i, j), comparison in self.comparisons.items():
            for one in comparison.scores:
                numbers = (one.value, one.null_mean, one.null_std, one.score, one.p)
                shown = ["" if number is None else repr(number) for number in numbers]
                writer.writerow([self.names[i], self.names[j], one.measure, *shown, one.rows, one.null])
        return text.getvalue()

    def __str__(self) -> str:
        """Of two tables their comparison, of more the mean and the extreme pairs of every measure."""
        if len(self.names) == 2:
            there, back = self.comparisons[0, 1], self.comparisons[1, 0]
            lines = [HEADER]
            for one, other in zip(there.scores, back.scores, strict=True):
                lines.append(one.cells())
                if other is not one:
                    lines.append([f"{one.measure}, reversed", *other.cells()[1:]])
            return aligned(lines)
        lines = [["measure", "mean", "mean score", "least similar", "most similar"]]
        for measure in self.measures:
            values, scores = self.matrix(measure), self.matrix(measure, "score")
            ends = [np.nanargmin(values), np.nanargmax(values)]
            if MEASURES.resolve(measure).direction == "lower":
                ends.reverse()
            pairs = [divmod(int(end), len(self.names)) for end in ends]
            mean_score = None if np.isnan(scores).all() else float(np.nanmean(scores))
            shown = [f"{decimals(values[i, j])} ({self.names[i]}, {self.names[j]})" for i, j in pairs]
            lines.append([measure, decimals(float(np.nanmean(values))), decimals(mean_score), *shown])
        return aligned(lines)

    def save(self, path: PathLike) -> Path:
        """Write a picture (``.png``) or a table (``.csv``), whole or not at all, and return the path.

        Raises:
            InputError: If the suffix is another.
            DataError: If the file cannot be written.
        """
        target = Path(path)
        check_suffix(target)
        if target.suffix == ".csv":
            write_atomic(target, self.to_csv())
        else:
            _draw(self, target)
        return target


def check_suffix(path: Path) -> None:
    """Refuse a file that is neither a picture nor a table."""
    if path.suffix not in (".png", ".csv"):
        raise InputError("matrix", f"must be a .png or a .csv file (got '{path}'); choose one of them")


def pairwise(
    tables: Sequence[Any],
    measures: Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    outputs: bool = False,
    null: Nulls = "auto",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Pairwise:
    """Compare every two of several tables with the same items in the same rows.

    Args:
        tables: Two or more, ``(N, F)`` each, of any widths.
        measures, outputs, null, permutations, seed: As of :func:`compare`.
        names: One for each table; by default their numbers.
        progress: Called with a stage, the pairs done since the last call, and all pairs.

    Raises:
        InputError: As :func:`compare`, or if there are fewer than two tables or not as many names.

    Example:
        >>> import torch
        >>> x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
        >>> pairwise([x, 2 * x, x.flip(0)], ["cka"]).matrix("cka").round(2)
        array([[ nan, 1.  , 0.11],
               [1.  ,  nan, 0.11],
               [0.11, 0.11,  nan]])
    """
    if len(tables) < 2:
        raise InputError("tables", f"must be two or more (got {len(tables)}); name another one to compare with")
    shown = tuple(map(str, range(len(tables)))) if names is None else tuple(names)
    if len(shown) != len(tables):
        raise InputError("names", f"must be one for each table, {len(tables)} (got {len(shown)})")
    directed = [one.name for one in resolve_measures(measures, outputs=outputs) if not one.symmetric]
    options: dict[str, Any] = {"outputs": outputs, "null": null, "permutations": permutations, "seed": seed}
    pairs, found = list(itertools.combinations(range(len(tables)), 2)), {}
    for i, j in pairs:
        if progress:
            progress("compare", 0, len(pairs))
        found[i, j] = found[j, i] = compare(tables[i], tables[j], measures, **options)
        if directed:
            other = compare(tables[j], tables[i], directed, **options)
            scores = (other[one.measure] if one.measure in directed else one for one in found[i, j].scores)
            found[j, i] = Comparison(tuple(scores), other.rows)
        if progress:
            progress("compare", 1, len(pairs))
    return Pairwise(shown, dict(sorted(found.items())))


def _draw(found: Pairwise, path: Path) -> None:
    """Heat maps, one for each measure: rows are the first tables, columns the second ones, bright is similar."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, across = len(found.names), min(4, len(found.measures))
    down = -(-len(found.measures) // across)
    size = min(4.0, max(2.4, 0.9 + 0.3 * count))
    # The object interface: no window, and no state that other figures share.
    figure = Figure(figsize=((size + 0.9) * across, (size + 0.6) * down + 0.3), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).reshape(-1)
    step = -(-count // MOST_LABELS)
    for axis, measure in zip(axes, found.measures, strict=False):
        matrix, lower = found.matrix(measure), MEASURES.resolve(measure).direction == "lower"
        axis.patch.set(facecolor="0.93")
        image = axis.imshow(
            np.ma.masked_invalid(matrix), cmap="cividis_r" if lower else "cividis", interpolation="nearest"
        )
        bar = figure.colorbar(image, ax=axis, shrink=0.75, pad=0.03)
        bar.ax.tick_params(labelsize=7)
        if count <= MOST_NUMBERS:
            for i, j in np.argwhere(np.isfinite(matrix)):
                box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
                axis.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", fontsize=7, bbox=box)
        axis.set_xticks(range(0, count, step), found.names[::step], rotation=90, fontsize=7)
        axis.set_yticks(range(0, count, step), found.names[::step], fontsize=7)
        axis.tick_params(length=0)
        axis.set_title(f"{measure} ({'lower' if lower else 'higher'} is more similar)", fontsize=8)
    for axis in axes[len(found.measures) :]:
        axis.set_axis_off()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
