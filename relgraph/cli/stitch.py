"""``relgraph stitch``: from a dataset to zero-shot stitched predictions, with a report."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relgraph.cli.console import console, progress, quiet_output
from relgraph.cli.device import KNOWN, check_device_name, find_device
from relgraph.cli.options import listed, names
from relgraph.cli.results import Results, check_json_path
from relgraph.errors import InputError, RelgraphWarning
from relgraph.registry import (
    ANCHOR_FEATURES,
    DATASETS,
    ENCODERS,
    FEATURES,
    GRAPH_ENCODERS,
    METHODS,
    SPLITS,
    STRATEGIES,
    TASKS,
    Registry,
)

if TYPE_CHECKING:
    from relgraph.stitching import Experiment

HELP = "\n\n".join(
    [
        "Train encoders with several seeds, then evaluate every encoder with every other run's head without training.",
        "Prints a table and writes models, spaces, heads, predictions, stitching.json and pictures to --out.",
        listed("Datasets", DATASETS),
        listed("Tasks, by default that of the dataset", TASKS),
        listed("Encoders of nodes", ENCODERS),
        listed("Encoders of whole graphs", GRAPH_ENCODERS),
        listed("Methods", METHODS),
        listed("Anchor strategies", STRATEGIES),
        listed("Anchor features, for the strategies farthest-point and kmeans", ANCHOR_FEATURES),
        listed("Splits", SPLITS),
        listed("Features", FEATURES),
    ]
)


def _some(registry: Registry) -> str:
    return ", ".join(registry)


def _set_debug(context: typer.Context, wanted: bool) -> bool:
    if isinstance(context.obj, dict):
        context.obj["debug"] = wanted
    return wanted


def stitch(
    dataset: Annotated[str, typer.Option(metavar="NAME|PATH", help="A dataset, or a saved PyG Data.")] = "digits",
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"{_some(TASKS)}.", show_default="that of the dataset")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with raw files; else RELGRAPH_DATA, else a download.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Node features: {_some(FEATURES)}.",
            show_default="the dataset's standard ones",
        ),
    ] = None,
    encoders: Annotated[
        str, typer.Option(metavar="A,B", help="Encoders, separated by commas, from the list above.")
    ] = "gcn",
    seeds: Annotated[int, typer.Option(metavar="N", min=0, help="Number of seeds, 0 to N-1.")] = 5,
    anchors: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Number of anchors.",
            show_default="32; 512 of links; 256 of graphs and from 50,000 nodes on",
        ),
    ] = None,
    anchor_strategy: Annotated[
        str, typer.Option(metavar="NAME", help=f"How anchors are chosen: {_some(STRATEGIES)}.")
    ] = "random",
    anchor_features: Annotated[
        str, typer.Option(metavar="NAME", help=f"Where distances are measured: {_some(ANCHOR_FEATURES)}.")
    ] = "propagated",
    stitch_at: Annotated[
        int | None,
        typer.Option(
            metavar="LAYER",
            help="Stitch behind this layer, from 1; the head is then the rest of the network.",
            show_default="the last",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"{_some(SPLITS)}.", show_default="public if there are masks, else random"),
    ] = None,
    split_seed: Annotated[
        int, typer.Option(metavar="SEED", min=0, max=2**32 - 1, help="Seed of a split that is drawn.")
    ] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Training epochs.", show_default="200; 150 of links; 100 of OGB's graphs; 40 of molecules"
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these methods, from the list above.", show_default="all that apply"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the results.", show_default="runs/DATASET-ENCODERS"),
    ] = None,
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="Whether to write models, spaces and heads.")
    ] = True,
    device: Annotated[str, typer.Option(metavar="NAME", help=f"Where to compute: {', '.join(KNOWN)}.")] = "auto",
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH|-", help="Also write the document here; - prints it, and nothing else."),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", callback=_set_debug, is_eager=True, help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Stitch every encoder to every foreign head; see :data:`HELP`."""
    is_path = dataset.endswith(".pt") or "/" in dataset or "\\" in dataset
    if not is_path:
        DATASETS.check(dataset, "--dataset")
    if task is not None:
        TASKS.check(task, "--task")
    of_graphs = not is_path and DATASETS[dataset].traits.get("task") == "graph"
    chosen = names("--encoders", encoders, GRAPH_ENCODERS if of_graphs else ENCODERS)
    wanted = None if methods is None else names("--methods", methods, METHODS)
    for option, given, registry in (
        ("--anchor-strategy", anchor_strategy, STRATEGIES),
        ("--anchor-features", anchor_features, ANCHOR_FEATURES),
        ("--features", features, FEATURES),
        ("--split", split, SPLITS),
    ):
        if given is not None:
            registry.check(given, option)
    check_device_name(device)
    if of_graphs and device not in ("auto", "cpu"):
        raise InputError("--device", f"must be cpu for a dataset of whole graphs (got '{device}'); leave it out")
    check_json_path(json_path)
    stem = Path(dataset).expanduser().stem if is_path else dataset
    folder = (out or Path("runs") / "-".join([stem, *chosen, *([task] if task else [])])).expanduser()

    shown_on = console(stderr=json_path == "-")
    with progress() as tell, quiet_output(json_path == "-"):
        tell("load", 0, 0)
        # From here on torch is needed: seconds, during which the progress is shown.
        from relgraph.datasets import load_dataset
        from relgraph.problems import make_problem
        from relgraph.stitching import StitchSettings, build_report, run_experiment

        place = find_device("cpu" if of_graphs else device)
        settings = StitchSettings(
            encoders=chosen,
            seeds=tuple(range(seeds)),
            methods=wanted,
            num_anchors=anchors,
            strategy=anchor_strategy,
            anchor_features=anchor_features,
            epochs=epochs,
            at=stitch_at,
        )
        results = Results(folder, json_path)
        with results.folder():
            data: Any = load_dataset(dataset, data_root, features=features)
            if place.type != "cpu":
                data = data.to(place)
            problem = make_problem(data, task, split=split, seed=split_seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RelgraphWarning)  # the table shows them
                experiment = run_experiment(problem, settings, progress=tell)
            tell("write", 0, 0)
            report = build_report(experiment, command=_command(experiment, dataset, task, features, str(place)))
            results.write(report, experiment, models=models)
    results.print(report)
    from relgraph.cli.show import show

    show(report, shown_on, results.written)
    results.finish()


def _command(experiment: Experiment, dataset: str, task: str | None, features: str | None, device: str) -> str:
    """The command that regenerates a result: every option that changes it, and none that names a folder."""
    settings, split = experiment.settings, experiment.problem.split
    options: dict[str, object] = {
        "dataset": dataset,
        "task": task,
        "encoders": ",".join(settings.encoders),
        "seeds": len(settings.seeds),
        "anchors": experiment.anchors.numel(),
        "anchor-strategy": settings.strategy,
        "anchor-features": settings.measured_in,
        "stitch-at": settings.at,
        "features": features,
        "epochs": settings.epochs,
        "methods": ",".join(experiment.methods),
        "device": device,
    }
    if split.seed is not None or split.name in SPLITS:
        options |= {"split": split.name if split.name in SPLITS else None, "split-seed": split.seed}
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["relgraph", "stitch", *words])
