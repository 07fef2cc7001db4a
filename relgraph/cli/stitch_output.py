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

from relgraph.report.stitching_text import (
    DECISIVE,
    RETENTION,
    agreement,
    has_intervals,
    heading,
    is_share,
    percent_text,
    remarks,
    value_text,
)

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
    console.print("\n".join(heading(report)), markup=False)
    tables, intervals = method_tables(report, console)
    for table in tables:
        console.print()
        console.print(table)
    seconds = report["seconds"]
    took = f"{seconds['train']:.1f} s of training, {seconds['stitch']:.1f} s of stitching."
    ending = [took, *(f"Warning: {warning}" for warning in report.get("warnings", []))]
    written = [f"Written: {', '.join(map(str, files))}"] if files else []
    console.print("\n".join(["", *_legend(report, intervals), "", *remarks(report), *ending, *written]), markup=False)


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
    show = partial(value_text, report) if key in VALUES else percent_text
    return f"{show(value)}\n\\[{show(bounds[0])}, {show(bounds[1])}]" if bounds else show(value)


def _legend(report: dict[str, Any], shown: bool) -> list[str]:
    metric, level = report["metric"], f"{100 * report['intervals']['level']:.0f} %"
    place = "in brackets" if shown else "in stitching.json"
    brackets = f"{level} intervals over runs are {place}" if has_intervals(report) else "no intervals under five seeds"
    unit = " in percent" if is_share(report) else ""
    constant = value_text(report, metric["constant"])
    lines = [
        f"{metric['name']}{unit}, {metric['direction']} is better; a constant prediction gets {constant}; {brackets}.",
        f"retention: {RETENTION}, in percent",
        f"fidelity:  {agreement(report)}, in percent",
    ]
    if any(method.get("decisive_cross_seed") for method in report["methods"].values()):
        lines.append(f"decisive:  {DECISIVE}")
    return lines
