"""Draw the curves of ``stitching/CONVERSIONS.md`` from the stored rows.

python -m benchmarks.figures
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.render import label, load, matches
from benchmarks.study import ROOT, Row

CITATIONS = ("cora", "citeseer", "pubmed")
GRAPHS = (*CITATIONS, "photo")
Line = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """One curve for each line and one panel for each dataset, over the number of anchors.

    Args:
        source: The results file; the picture stands beside it under the same name.
        value: Column of the vertical axis.
        lines: Name of a curve, and the values of columns that select its rows.
        levels: The same for values without anchors, drawn as horizontal lines.
        datasets: One panel for each.
        axis: What the vertical axis shows.
    """

    source: str
    value: str
    lines: Sequence[Line]
    levels: Sequence[Line]
    datasets: Sequence[str]
    axis: str

    def draw(self, folder: Path | None = None) -> Path:
        """Write the picture.

        Args:
            folder: Where to write it instead.
        """
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot

        rows = load(self.source)
        figure, panels = pyplot.subplots(
            1, len(self.datasets), figsize=(3.2 * len(self.datasets), 3.4), sharey=True, layout="constrained"
        )
        for panel, dataset in zip(panels, self.datasets, strict=True):
            here = [row for row in rows if row["dataset"] == dataset]
            for name, where in self.lines:
                points = sorted((row["anchors"], row[self.value]) for row in _selected(here, where))
                panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
            for number, (name, where) in enumerate(self.levels):
                for row in _selected(here, where):
                    panel.axhline(row[self.value], color="0.5", linestyle=("--", ":")[number], label=name)
            panel.set(xscale="log", xlabel="anchors", title=label(dataset))
            panel.set_xticks(sorted({row["anchors"] for row in here} & {8, 16, 32, 128, 512}))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.minorticks_off()
            panel.grid(alpha=0.3)
        panels[0].set_ylabel(self.axis)
        handles, names = panels[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
        path = (folder or ROOT / "benchmarks" / Path(self.source).parent) / f"{Path(self.source).name}.png"
        figure.savefig(path, dpi=110, metadata={"Software": None})
        pyplot.close(figure)
        return path


def _selected(rows: Sequence[Row], where: dict[str, Any]) -> list[Row]:
    return [row for row in rows if matches(row, where)]


def _methods(*names: str, **where: Any) -> list[Line]:
    return [(name, {"method": name, **where}) for name in names]


_PARTIAL = {"sources": "superclasses", "strategy": "random"}
FIGURES = (
    Figure(
        "stitching/few_anchors", "fidelity",
        [*((f"kl, {one}", {"method": "kl", "strategy": one}) for one in ("random", "kmeans")),
         *_methods("ridge", "procrustes", strategy="random")],
        _methods("class-centroid"), GRAPHS, "fidelity",
    ),
    Figure(
        "stitching/partial_labels", "retention",
        _methods("ridge", "kl", "procrustes", "ridge-decisions", "logistic-decisions", "nearest-anchor", **_PARTIAL),
        _methods("class-centroid", "linear-probe", sources="superclasses"), GRAPHS, "retention",
    ),
    Figure(
        "stitching/regression_heads", "r2",
        [(name, {"target": name, "method": "ridge"})
         for name in ("log-pagerank", "log-degree", "component-1", "component-4", "component-8")],
        [], CITATIONS, "R² of the stitched head",
    ),
)  # fmt: skip


if __name__ == "__main__":
    for one in FIGURES:
        print(one.draw().relative_to(ROOT))
