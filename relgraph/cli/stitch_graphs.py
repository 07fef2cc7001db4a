"""``relgraph stitch`` on a data set of whole graphs."""

from __future__ import annotations

import shlex
from collections.abc import Set
from pathlib import Path
from typing import Any

from relgraph.cli.saving import Saving
from relgraph.cli.terminal import aside, console, names, options_named, progress
from relgraph.errors import InputError
from relgraph.names import GRAPH_ARMS, GRAPH_ENCODERS, GRAPH_STRATEGIES

HELP_ON_GRAPHS = (
    f"Of whole graphs the encoders are {', '.join(GRAPH_ENCODERS)}, the anchor strategies "
    f"{', '.join(GRAPH_STRATEGIES)} and the arms {', '.join(GRAPH_ARMS)}; 256 anchors and at most 40 epochs unless "
    "said otherwise, on the CPU, on the data set's own split and by its own metric."
)

# Options that are about the nodes of one graph.
NEEDLESS = {
    "stitch_at": "--stitch-at",
    "split": "--split",
    "split_seed": "--split-seed",
    "anchor_space": "--anchor-space",
    "features": "--features",
}


def stitch_graphs(
    dataset: str,
    data_root: Path | None,
    encoders: str,
    arms: str | None,
    *,
    given: Set[str],
    seeds: int,
    num_anchors: int | None,
    strategy: str,
    epochs: int | None,
    out: Path | None,
    device: str,
    json_path: str | None,
) -> None:
    """Stitch on whole graphs; arguments as the options of ``relgraph stitch``.

    Args:
        dataset: Its name.
        data_root: Folder with raw files.
        encoders: Names, separated by commas.
        arms: Names, separated by commas.
        given: The parameters that were given; of the others the library's own defaults for graphs are taken.
        seeds: How many.
        num_anchors: Training graphs that are anchors.
        strategy: How they are chosen.
        epochs: At most.
        out: Folder for the files.
        device: Only the CPU, or ``auto``, which then is the CPU.
        json_path: Where else to write the document.

    Raises:
        InputError: If an option does not apply, or a name is unknown.
    """
    for parameter, option in NEEDLESS.items():
        if parameter in given:
            raise InputError(
                option,
                f"must be left out for a data set of whole graphs, which comes with its own split and is "
                f"stitched before the head (got it with '{dataset}')",
            )
    if device not in ("auto", "cpu"):
        raise InputError("", f"'--device' must be cpu for a data set of whole graphs (got '{device}'); leave it out")
    named: dict[str, Any] = {"encoders": names("--encoders", encoders, GRAPH_ENCODERS)}
    if arms is not None:
        named["arms"] = names("--arms", arms, GRAPH_ARMS)
    if "anchors" in given:
        named["num_anchors"] = num_anchors
    folder = out or Path("runs") / "-".join([dataset, *named["encoders"]])
    shown_on = console(stderr=json_path == "-")
    with progress() as tell, aside(json_path == "-"), options_named():
        tell("start", 0, 0)
        from relgraph.datasets import load_graphs
        from relgraph.stitching import to_json, write_document
        from relgraph.stitching.graphs import GraphStitchSettings, build_graph_document, run_graph_experiment
        from relgraph.stitching.output import check_writable, output_folder
        from relgraph.stitching.pictures import draw_matrix
        from relgraph.training import GraphTrainSettings

        train = GraphTrainSettings() if epochs is None else GraphTrainSettings(epochs=epochs)
        settings = GraphStitchSettings(seeds=tuple(range(seeds)), strategy=strategy, train=train, **named)
        if json_path not in (None, "-"):
            check_writable(Path(json_path))
        saving = Saving()
        with output_folder(folder):
            graphs = load_graphs(dataset, data_root)
            experiment = run_graph_experiment(graphs, settings, tell)
            tell("write", 0, 0)
            document = build_graph_document(experiment, command=_command(dataset, settings, experiment.arms))
            text = to_json(document)
            saving.write(lambda path: write_document(document, path.parent), folder / "stitching.json")
            saving.write(lambda path: draw_matrix(document, path), folder / "matrix.png")
            saving.write_copy(text, json_path)
    saving.print_copy(text, json_path)
    from relgraph.cli.show_graphs import show_graphs

    show_graphs(document, shown_on, saving.written)
    saving.finish()


def _command(dataset: str, settings: Any, arms: Any) -> str:
    """The command that regenerates a result: every option that bears on it."""
    options = {
        "dataset": dataset,
        "encoders": ",".join(settings.encoders),
        "seeds": len(settings.seeds),
        "anchors": settings.num_anchors,
        "anchor-strategy": settings.strategy,
        "epochs": settings.train.epochs,
        "arms": ",".join(arms),
    }
    return shlex.join(
        ["relgraph", "stitch", *(word for key, value in options.items() for word in (f"--{key}", str(value)))]
    )
