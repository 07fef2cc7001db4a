"""What ``relgraph stitch`` shows of whole graphs, made from the document alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from relgraph.cli.show import KINDS

COLUMNS = {
    "own": "own",
    "cross_seed": "cross-seed",
    "cross_encoder": "cross-\nencoder",
    "retention_cross_seed": "retention",
    "retention_cross_encoder": "retention\n(encoders)",
    "fidelity_cross_seed": "fidelity",
    "fidelity_cross_encoder": "fidelity\n(encoders)",
}


def show_graphs(document: dict[str, Any], console: Console, files: Sequence[Path] = ()) -> None:
    """Print the data set, the table of arms, what chance gets, and the files written.

    Args:
        document: What :func:`relgraph.stitching.graphs.build_graph_document` returns.
        console: Where to.
        files: The files to name.
    """
    data, anchors, metric = document["dataset"], document["anchors"], document["metric"]
    console.print(
        f"{data['name']}: {data['num_graphs']:,} graphs, {data['num_tasks']} "
        f"{'label' if document['task'] == 'binary' else 'target'}{'s' if data['num_tasks'] > 1 else ''} each "
        f"({data['source']}); {data['train']:,} training, {data['validation']:,} validation, {data['test']:,} test",
        markup=False,
    )
    console.print(
        f"{', '.join(document['encoders'])} from {len(document['seeds'])} seeds, at most {document['train']['epochs']} "
        f"epochs; {anchors['count']} {anchors['strategy']} anchors among the training graphs, no label used",
        markup=False,
    )
    console.print()
    console.print(arm_table(document))
    console.print()
    for line in _remarks(document, metric):
        console.print(line, markup=False)
    if files:
        console.print(f"Written: {', '.join(map(str, files))}", markup=False)


def arm_table(document: dict[str, Any]) -> Table:
    """A row for each arm, methods first, the interval under its mean; columns without any figure are left out."""
    arms = sorted(document["arms"].items(), key=lambda item: KINDS.index(item[1]["kind"]))
    keys = [key for key in COLUMNS if any(arm[key] is not None for _, arm in arms)]
    percent = document["metric"]["direction"] == "higher"
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("arm", no_wrap=True)
    for key in keys:
        table.add_column(COLUMNS[key], justify="right", no_wrap=True)
    for place, (name, arm) in enumerate(arms):
        label = name if arm["kind"] == "method" else f"{name}\n({arm['kind']})"
        cells = [_cell(arm[key], percent and key in ("own", "cross_seed", "cross_encoder")) for key in keys]
        last = place + 1 < len(arms) and arms[place + 1][1]["kind"] != arm["kind"]
        table.add_row(label, *cells, end_section=last)
    return table


def _cell(figure: dict[str, Any] | None, percent: bool) -> str:
    if figure is None:
        return "-"
    mean = _number(figure["mean"], percent)
    if figure["interval"] is None:
        return mean
    low, high = figure["interval"]
    return f"{mean}\n\\[{_number(low, percent)}, {_number(high, percent)}]"


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.1f}" if percent else f"{value:.3f}"


def _remarks(document: dict[str, Any], metric: dict[str, Any]) -> list[str]:
    percent = metric["direction"] == "higher"
    agreement = document["reference"]["agreement_cross_seed"]
    what = "Cohen's kappa of the labels" if document["task"] == "binary" else "Spearman's rank correlation"
    shown = any(arm["cross_seed"] and arm["cross_seed"]["interval"] for arm in document["arms"].values())
    lines = [
        f"{metric['name']}{' in percent' if percent else ''}, {metric['direction']} is better; a constant gets "
        f"{_number(metric['floor'], percent)}; "
        + (
            f"brackets: {100 * document['intervals']['level']:.0f} % intervals over runs."
            if shown
            else "no intervals under five seeds."
        ),
        "retention: how much of the way to the weaker of the two absolute models' own, from what a constant gets",
        f"fidelity:  {what} with what the head's own model says; of two own models: {agreement['mean']:.3f}",
    ]
    if count := sum(run["collapsed"] for run in document["runs"]):
        lines.append(f"Collapsed: {count} of {len(document['runs'])} runs are no better than a constant.")
    for name, arm in document["arms"].items():
        if "draws" in arm:
            draws = arm["draws"]
            lines.append(
                f"{name}: mean {_number(draws['mean'], percent)} over {draws['count']} draws (std "
                f"{_number(draws['std'], percent)}, best {_number(draws['best'], percent)})"
            )
    seconds = document["seconds"]
    lines.append(f"{seconds['train']:.1f} s of training, {seconds['stitch']:.1f} s of stitching.")
    return lines
