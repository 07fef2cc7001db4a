"""What ``relgraph stitch`` shows on the terminal, made from the document alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

KINDS = ("method", "baseline", "control")
WORST = "worst"
COLUMNS = {
    "own": "own",
    "cross_seed": "cross-seed",
    WORST: "worst\npair",
    "cross_encoder": "cross-\nencoder",
    "retention_cross_seed": "retention",
    "retention_cross_encoder": "retention\n(encoders)",
    "fidelity_cross_seed": "fidelity",
    "fidelity_cross_encoder": "fidelity\n(encoders)",
    "decisive_fidelity_cross_seed": "decisive",
}


def show(document: dict[str, Any], console: Console, files: Sequence[Path] = ()) -> None:
    """Print the data set, the table of arms, what the seeds do, and the files written.

    Args:
        document: What :func:`relgraph.stitching.build_document` returns.
        console: Where to.
        files: The files to name.
    """
    for line in _heading(document):
        console.print(line, markup=False)
    for table in arm_tables(document, console):
        console.print()
        console.print(table)
    console.print()
    lines = [*_legend(document), "", *_remarks(document)]
    if files:
        lines.append(f"Written: {', '.join(map(str, files))}")
    for line in lines:
        console.print(line, markup=False)


def arm_tables(document: dict[str, Any], console: Console) -> list[Table]:
    """The figures of all arms in as few tables as the width allows, and with as many intervals."""
    seeds = ["own", "cross_seed", WORST, "retention_cross_seed", "fidelity_cross_seed", "decisive_fidelity_cross_seed"]
    few = ["cross_seed", "retention_cross_seed"]
    if len(document["encoders"]) == 1:
        choices = [[arm_table(document, seeds)], [arm_table(document, seeds, few)]]
    else:
        across = ["cross_encoder", "retention_cross_encoder", "fidelity_cross_encoder"]
        together = [*seeds[:3], across[0], seeds[3], across[1], *seeds[4:]]
        choices = [
            [arm_table(document, together)],
            [arm_table(document, seeds), arm_table(document, across)],
            [arm_table(document, seeds, few), arm_table(document, across)],
        ]
    unlimited = console.options.update(max_width=1000)
    for tables in choices:
        if all(Measurement.get(console, unlimited, table).maximum <= console.width for table in tables):
            return tables
    return choices[-1]


def arm_table(document: dict[str, Any], keys: Sequence[str], intervals: Sequence[str] | None = None) -> Table:
    """A row for each arm, methods first, in percent, the interval under its mean.

    Args:
        document: The document.
        keys: The figures, one column for each.
        intervals: The figures whose intervals are shown; ``None`` for all.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("arm", no_wrap=True)
    for key in keys:
        table.add_column(COLUMNS[key], justify="right", no_wrap=True)
    ordered = sorted(document["arms"].items(), key=lambda item: KINDS.index(item[1]["kind"]))
    for place, (name, arm) in enumerate(ordered):
        label = name if arm["kind"] == "method" else f"{name}\n({arm['kind']})"
        cells = [_cell(arm, key, interval=intervals is None or key in intervals) for key in keys]
        last = place + 1 < len(ordered) and ordered[place + 1][1]["kind"] != arm["kind"]
        table.add_row(label, *cells, end_section=last)
    return table


def _cell(arm: dict[str, Any], key: str, *, interval: bool) -> str:
    if key == WORST:
        return "-" if arm["cross_seed"] is None else f"{100 * arm['cross_seed']['min']:.1f}"
    figure = arm[key]
    if figure is None:
        return "-"
    mean = f"{100 * figure['mean']:.1f}"
    if figure["interval"] is None or not interval:
        return mean
    low, high = figure["interval"]
    return f"{mean}\n\\[{100 * low:.1f}, {100 * high:.1f}]"


def _heading(document: dict[str, Any]) -> list[str]:
    data, split, anchors = document["dataset"], document["protocol"], document["anchors"]
    seed = "" if split["seed"] is None else f" (seed {split['seed']})"
    chosen = {"no": "no label used", "yes": "chosen with labels"}.get(
        anchors["labels_used"], f"labels used {anchors['labels_used']}"
    )
    where = {None: "", "input": " in the features", "propagated": " in propagated features"}.get(
        anchors["space"], f" in the embeddings of {document['encoders'][0]} {document['seeds'][0]}"
    )
    return [
        f"{data['name']}: {data['num_nodes']:,} nodes, {data['num_edges']:,} edges, {data['num_features']:,} features "
        f"({data['features']}), {data['num_classes']} classes ({data['source']})",
        f"{split['name']} split{seed}: {split['train']:,} training, {split['validation']:,} validation, "
        f"{split['test']:,} test nodes; {split['note']}",
        f"{', '.join(document['encoders'])} from {len(document['seeds'])} seeds, {document['train']['epochs']} epochs"
        f"{_place(document)}; "
        f"{anchors['count']} {anchors['strategy']} anchors{where}, {chosen}",
    ]


def _place(document: dict[str, Any]) -> str:
    layer = document["stitch_at"]
    return "" if layer is None else f", stitched behind layer {layer}"


def _legend(document: dict[str, Any]) -> list[str]:
    level = f"{100 * document['intervals']['level']:.0f} %"
    shown = any(arm["cross_seed"] and arm["cross_seed"]["interval"] for arm in document["arms"].values())
    brackets = f"brackets: {level} intervals over runs" if shown else "no intervals under five seeds"
    return [
        f"In percent; {brackets}. Chance (the largest class): {100 * document['metric']['floor']:.1f}.",
        "retention: stitched accuracy over the weaker of the two absolute models' own",
        "fidelity:  test nodes on which a stitched pair says what the head's own model says",
        "decisive:  the same where the two absolute models differ; repeating the encoder's own opinion scores 0",
    ]


def _remarks(document: dict[str, Any]) -> list[str]:
    lines = []
    for name, count in _collapsed(document).items():
        lines.append(f"Collapsed: {count} of {len(document['runs'])} runs of {name} are no better than chance.")
    for name, arm in document["arms"].items():
        if "kappa" in arm:
            kappa = arm["kappa"]
            lines.append(
                f"{name}: mean kappa {kappa['mean']:.3f} over {kappa['draws']} draws (std {kappa['std']:.3f}, largest "
                f"{kappa['max_abs']:.3f}); 0 is chance"
            )
    robust = document["robustness"]
    differ = robust["disagreement"]
    lines.append(
        f"Seeds: own accuracy varies by {100 * robust['accuracy_std']:.2f} points (std), and two runs disagree on "
        f"{100 * differ['mean']:.1f} % of the test nodes."
    )
    lines.append(
        f"Spaces of two seeds: absolutely, matched embeddings have mean cosine {robust['absolute_similarity']:.3f} "
        f"(linear CKA {robust['linear_cka']:.3f}); relatively, matched vectors {robust['relative_similarity']:.3f}."
    )
    seconds = document["seconds"]
    lines.append(f"{_paths(document)}: {seconds['train']:.1f} s of training, {seconds['stitch']:.1f} s of stitching.")
    return lines


def _collapsed(document: dict[str, Any]) -> dict[str, int]:
    counts = {name: sum(bool(run["arms"][name]["collapsed"]) for run in document["runs"]) for name in document["arms"]}
    return {name: count for name, count in counts.items() if count}


def _paths(document: dict[str, Any]) -> str:
    """Which encoders were trained side by side, and which one after the other."""
    words = {"stacked": "side by side", "loop": "one after the other", "whole": "one after the other"}
    ways: dict[str, set[str]] = {}
    for run in document["runs"]:
        ways.setdefault(run["encoder"], set()).update(words[arm["path"]] for arm in run["arms"].values())
    return "Trained " + ", ".join(f"{encoder} {' and '.join(sorted(way))}" for encoder, way in ways.items())
