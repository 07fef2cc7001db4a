"""The section of the report on stability that is about single rows: groups, calibration, flips, least stable rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from relgraph.report import stability_plots as plots
from relgraph.report.document import Cell, Column, Estimate, Figure, Section, Table
from relgraph.report.stitching_text import percent_text

Values = Mapping[str, Any]
PERCENT: dict[str, Any] = {"unit": "%", "digits": 1}
MOST_GROUPS = 30
"""Groups that a figure shows; more, such as hundreds of classes, are in the table alone."""

MOST_LEAST, FEWEST_LEAST = 40, 5
"""Least stable rows that are shown: of all models together, and at least of each."""
LEAST_STABLE = {
    "id": Column("id", "id"),
    "model": Column("model", "model"),
    "answer": Column("answer", "answer", "the most frequent class"),
    "agreeing": Column("agreeing", "agreeing", "runs that give it"),
    "second": Column("second", "second", "the second most frequent class"),
    "second_agreeing": Column("second_agreeing", "agreeing with it", "runs that give that one"),
    "entropy": Column("entropy", "entropy", "of the classes over runs, in nats"),
    "disagreement": Column("disagreement", "d", "share of pairs of runs with different classes", **PERCENT),
    "right": Column("right", "right", "share of runs that are right", **PERCENT),
    "margin": Column("margin", "margin", "largest less second largest probability, mean over runs"),
    "homophily": Column("homophily", "homophily", digits=2),
}


def rows_sections(title: str, values: Values, runs: Mapping[str, int], note: str) -> list[Section]:
    """Where runs are unstable, and what their agreement tells.

    Args:
        title: Of the first section.
        values: Of the section ``rows`` of the document.
        runs: Number of runs of every model.
        note: What the brackets are.
    """
    models = values["models"]
    calibrated = {model: one["calibration"] for model, one in models.items() if one["calibration"]}
    found = [Section(title, tables=[_strata(models, note)], figures=_strata_figures(models))]
    if calibrated:
        figures = [_calibration_figure(calibrated, runs)]
        found.append(Section("Agreement and accuracy", tables=[_calibration(calibrated)], figures=figures))
    if flips := {model: one["flips"] for model, one in models.items() if one["flips"]}:
        found.append(Section("What a few runs tell of others", tables=[_flips(flips)]))
    if least := _least_stable(models):
        found.append(Section("Least stable rows", tables=[least]))
    return found


def wilson(right: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share of rows by Wilson's score, as if rows were independent.

    Example:
        >>> low, high = wilson(0.5, 100)
        >>> round(low, 3), round(high, 3)
        (0.404, 0.596)
    """
    from scipy.stats import binomtest

    found = binomtest(round(right * rows), rows).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _strata(models: Values, note: str) -> Table:
    columns = [
        Column("group", "group"),
        Column("model", "model"),
        Column("rows", "rows"),
        Column("disagreement", "d", "share of these rows for which two runs predict different classes", **PERCENT),
        Column("accuracy", "accuracy", "mean accuracy of runs on these rows", **PERCENT),
    ]
    rows: list[list[Cell]] = []
    for model, one in models.items():
        for name, groups in one["strata"].items():
            for group in groups:
                estimates = (_estimate(group["disagreement"]), _estimate(group.get("accuracy")))
                rows.append([f"{name.replace('_', ' ')} {group['group']}", model, group["rows"], *estimates])
    kept = columns if any(row[-1] is not None for row in rows) else columns[:-1]
    return Table("strata", "Stability of groups of rows", kept, [row[: len(kept)] for row in rows], note)


def _strata_figures(models: Values) -> list[Figure]:
    """A figure for every property, of the first models."""
    shown = dict(list(models.items())[: plots.MOST_MODELS])
    found = []
    for name in dict.fromkeys(name for one in shown.values() for name in one["strata"]):
        groups = {model: one["strata"][name] for model, one in shown.items() if name in one["strata"]}
        if max(map(len, groups.values())) > MOST_GROUPS:
            continue
        words = "; ".join(
            f"{model}: "
            + ", ".join(
                f"{one['group']} {percent_text(one['disagreement']['mean'])}" for one in of if one["disagreement"]
            )
            for model, of in groups.items()
        )
        label = name.replace("_", " ")
        alt = f"Disagreement of two runs in percent by {label}. {words}."
        rest = "" if len(shown) == len(models) else f" The first {len(shown)} of {len(models)} models."
        caption = f"By {label}. Lines are intervals that resample runs.{rest}"
        found.append(Figure(partial(plots.strata_figure, groups, label), alt, caption))
    return found


def _group_words(groups: Sequence[Values]) -> str:
    known = [(one["group"], one["disagreement"]) for one in groups if one["disagreement"]]
    return ", ".join(f"{name} {percent_text(figure['mean'])}" for name, figure in known)


def _calibration(calibrated: Values) -> Table:
    columns = [
        Column("model", "model"),
        Column("unanimous", "all agree", "accuracy of the answer where all runs agree", **PERCENT),
        Column("other", "other rows", "accuracy of the most frequent answer where they do not", **PERCENT),
        Column("auc", "AUC", "of the number of agreeing runs as a score for the most frequent answer being right"),
    ]
    rows: list[list[Cell]] = [
        [model, _share(one["unanimous"]), _share(one["other"]), one["auc"]] for model, one in calibrated.items()
    ]
    note = "In brackets: 95 % intervals by Wilson's score, as if rows were independent."
    return Table("calibration", "What agreement says about being right", columns, rows, note)


def _share(part: Values) -> Estimate | None:
    if part["accuracy"] is None:
        return None
    return Estimate(part["accuracy"], *wilson(part["accuracy"], part["rows"]), part["rows"], "rows")


def _calibration_figure(calibrated: Values, runs: Mapping[str, int]) -> Figure:
    points = {}
    for model, one in list(calibrated.items())[: plots.MOST_MODELS]:
        parts = one["by_agreeing"]
        rows, accuracy = (np.array([part[name] for part in parts], dtype=float) for name in ("rows", "accuracy"))
        bounds = np.array([wilson(part["accuracy"], part["rows"]) for part in parts]).T
        share = np.array([part["agreeing"] for part in parts]) / runs[model]
        points[model] = (share, accuracy, bounds, rows)
    known = [(model, one["unanimous"]) for model, one in calibrated.items() if one["unanimous"]["rows"]]
    words = [f"{model} {percent_text(part['accuracy'])} % of {part['rows']:,} rows" for model, part in known]
    alt = "How often the most frequent answer is right, by the share of runs that give it."
    alt += f" Where all agree: {'; '.join(words)}." if words else ""
    caption = "Larger points are of more rows; lines are intervals. On the dotted line the share is the probability."
    return Figure(partial(plots.calibration_figure, points, runs), alt, caption)


def _flips(found: Values) -> Table:
    kinds = {"any": "any run", "each": "each run"}
    columns = [
        Column("score", "score", "of a row, from a few runs or from the graph; larger is expected to be less stable"),
        Column("model", "model"),
        Column(
            "any", kinds["any"], "AUC for rows on which the other runs do not all agree, mean over blocks", digits=2
        ),
        Column("any_range", "range", "least to greatest over blocks"),
        Column(
            "each", kinds["each"], "AUC for rows on which another run differs from the few, mean over blocks", digits=2
        ),
        Column("each_range", "range of these", "least to greatest over blocks"),
        Column("runs", "runs", "of a block, and others that it is judged by"),
    ]
    rows: list[list[Cell]] = []
    for model, flips in found.items():
        for name in flips["any"]:
            cells: list[Cell] = []
            for kind in kinds:
                one = flips[kind][name]
                cells += (
                    [None, None] if one is None else [Estimate(one["mean"], n=one["n"], n_is="blocks"), _range(one)]
                )
            rows.append([name.replace("_", " "), model, *cells, f"{flips['fit']} and {flips['rest']}"])
    return Table("flips", "Area under the ROC curve of scores for rows that change", columns, rows)


def _range(figure: Values) -> str:
    return f"{figure['lowest']:.2f} to {figure['highest']:.2f}"


def _least_stable(models: Values) -> Table | None:
    rows = [
        {**row, "model": model, "id": str(row["id"])} for model, one in models.items() for row in one["least_stable"]
    ]
    if not rows:
        return None
    names = list(dict.fromkeys(["id", "model", *(name for row in rows for name in row)]))
    columns = [LEAST_STABLE.get(name) or Column(name, name.replace("_", " "), digits=0) for name in names]
    note = "The rows with the largest disagreement of each model."
    cells = [[row.get(name) for name in names] for row in rows]
    return Table("least-stable", "Rows with the largest disagreement", columns, cells, note)


def _estimate(figure: Values | None) -> Estimate | None:
    return None if figure is None else Estimate.of(figure)
