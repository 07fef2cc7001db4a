"""The output of ``relgraph stitch`` on the terminal, made from the report alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

KINDS = ("method", "baseline", "control")
VALUES = ("own", "cross_seed", "worst", "cross_encoder")
COLUMNS = {
    "own": "own",
    "cross_seed": "other\nseed",
    "worst": "worst\npair",
    "cross_encoder": "other\nencoder",
    "retention_cross_seed": "reten-\ntion",
    "retention_cross_encoder": "retention\n(encoder)",
    "fidelity_cross_seed": "fideli-\nty",
    "fidelity_cross_encoder": "fidelity\n(encoder)",
    "decisive_cross_seed": "deci-\nsive",
}


def print_report(report: dict[str, Any], console: Console, files: Sequence[Path] = ()) -> None:
    """Print the data, the tables of methods, remarks, and the files written."""
    console.print("\n".join(_heading(report)), markup=False)
    tables, intervals = method_tables(report, console)
    for table in tables:
        console.print()
        console.print(table)
    written = [f"Written: {', '.join(map(str, files))}"] if files else []
    console.print("\n".join(["", *_legend(report, intervals), "", *_remarks(report), *written]), markup=False)


def method_tables(report: dict[str, Any], console: Console) -> tuple[list[Table], bool]:
    """The figures of all methods in as few tables as the width allows, and whether intervals are shown: if all fit."""
    keys = [key for key in COLUMNS if any(_figure(method, key) for method in report["methods"].values())]
    unlimited = console.options.update(max_width=1000)

    def fits(columns: Sequence[str], intervals: bool) -> bool:
        table = method_table(report, columns, intervals=intervals)
        return Measurement.get(console, unlimited, table).maximum <= console.width

    intervals = fits(keys, True)
    groups: list[list[str]] = [[]]
    for key in keys:
        if groups[-1] and not fits([*groups[-1], key], intervals):
            groups.append([])
        groups[-1].append(key)
    return [method_table(report, group, intervals=intervals) for group in groups], intervals


def method_table(report: dict[str, Any], keys: Sequence[str], *, intervals: bool = True) -> Table:
    """A row for each method, methods first, and a column for each key, with intervals under the means."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("method", no_wrap=True)
    for key in keys:
        table.add_column(COLUMNS[key], justify="right", no_wrap=True)
    for kind in KINDS:
        for name, method in report["methods"].items():
            if method["kind"] == kind:
                label = name if kind == "method" else f"{name}\n({kind})"
                table.add_row(label, *(_cell(report, method, key, intervals=intervals) for key in keys))
        table.add_section()
    return table


def _figure(method: dict[str, Any], key: str) -> dict[str, Any] | None:
    figure: dict[str, Any] | None = method.get("cross_seed" if key == "worst" else key)
    return figure


def _cell(report: dict[str, Any], method: dict[str, Any], key: str, *, intervals: bool) -> str:
    figure = _figure(method, key)
    if figure is None:
        return "-"
    value = figure["worst" if key == "worst" else "mean"]
    bounds = figure["interval"] if intervals and key != "worst" else None
    show = partial(_number, report) if key in VALUES else _percent
    return f"{show(value)}\n\\[{show(bounds[0])}, {show(bounds[1])}]" if bounds else show(value)


def _number(report: dict[str, Any], value: float) -> str:
    """A value of the metric, in percent if it is a share."""
    return _percent(value) if report["metric"]["direction"] == "higher" else f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _heading(report: dict[str, Any]) -> list[str]:
    data, split, anchors = report["dataset"], report["split"], report["anchors"]
    counted = ("graph", "node", "edge", "feature", "output")
    counts = {what: data[f"num_{what}s"] for what in counted if data.get(f"num_{what}s") is not None}
    sizes = [f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items()]
    made = f"; features: {data['features']}" if data.get("features") else ""
    seed = "" if split["seed"] is None else f" (seed {split['seed']})"
    rows = f"{split['train']:,} training, {split['validation']:,} validation, {split['test']:,} test rows"
    optimistic = "; validation rows are the test rows: optimistic" if split["note"] == "optimistic" else ""
    features = f" in {anchors['features']} features" if anchors["features"] else ""
    labels = {"none": "no labels used", "labels": "labels used", "run-embeddings": "trained embeddings used"}
    place = "" if report["stitch_at"] is None else f", stitched behind layer {report['stitch_at']}"
    return [
        f"{data['name']}: {', '.join(sizes)} ({data['source']}{made})",
        f"{split['name']} split{seed}: {rows}{optimistic}",
        f"{', '.join(report['encoders'])} with {len(report['seeds'])} seeds{place}; {anchors['count']} "
        f"{anchors['strategy']} anchors{features}, {labels[anchors['labels_used']]}",
    ]


def _legend(report: dict[str, Any], shown: bool) -> list[str]:
    metric, level = report["metric"], f"{100 * report['intervals']['level']:.0f} %"
    intervals = any(m["cross_seed"] and m["cross_seed"]["interval"] for m in report["methods"].values())
    place = "in brackets" if shown else "in stitching.json"
    brackets = f"{level} intervals over runs are {place}" if intervals else "no intervals under five seeds"
    agreement = {
        "multiclass": "share of test rows with the prediction of the head's own model",
        "multilabel": "Cohen's kappa with the labels of the head's own model, mean over labels",
        "regression": "rank correlation with the values of the head's own model",
        "edge": "rank correlation with the scores of the head's own model",
    }["edge" if report["task"]["level"] == "edge" else report["task"]["mode"]]
    unit = " in percent" if metric["direction"] == "higher" else ""
    constant = _number(report, metric["constant"])
    lines = [
        f"{metric['name']}{unit}, {metric['direction']} is better; a constant prediction gets {constant}; {brackets}.",
        "retention: (stitched - chance) / (own - chance) of the head's own model, in percent",
        f"fidelity:  {agreement}, in percent",
    ]
    if any(method.get("decisive_cross_seed") for method in report["methods"].values()):
        lines.append("decisive:  fidelity on rows where the two own models differ")
    return lines


def _remarks(report: dict[str, Any]) -> list[str]:
    lines = []
    runs = report["runs"]
    collapsed = sum(bool(run["collapsed"]) for run in runs)
    if collapsed:
        lines.append(f"Collapsed: {collapsed} of {len(runs)} runs are no better than a constant prediction.")
    for name, method in report["methods"].items():
        if draws := method.get("draws"):
            mean, std, best = (_number(report, draws[key]) for key in ("mean", "std", "best"))
            lines.append(f"{name}: mean {mean} over {draws['count']} draws (std {std}, best {best}).")
    robust = report.get("robustness") or {}
    if robust.get("disagreement"):
        lines.append(
            f"Seeds: {report['metric']['name']} varies by {100 * robust['value_std']:.2f} points (std); two runs "
            f"disagree on {100 * robust['disagreement']['mean']:.1f} % of the test rows."
        )
    if robust.get("relative_similarity") is not None:
        lines.append(
            f"Spaces of two seeds: mean cosine of matched embeddings {robust['absolute_similarity']:.3f}, of relative "
            f"representations {robust['relative_similarity']:.3f} ({robust['relative_similarity_shuffled']:.3f} with "
            f"shuffled rows); linear CKA {robust['linear_cka']:.3f}."
        )
    seconds = report["seconds"]
    lines.append(f"{seconds['train']:.1f} s of training, {seconds['stitch']:.1f} s of stitching.")
    lines += [f"Warning: {warning}" for warning in report.get("warnings", [])]
    return lines
