"""``relgraph stitch``: from a dataset to zero-shot stitched predictions, with a report."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relgraph import registry
from relgraph.cli.console import console, progress, quiet_output
from relgraph.cli.device import KNOWN, check_device_name, find_device
from relgraph.cli.executor import Address, Cpus, ExecutorName, make_executor
from relgraph.cli.options import Debug, JsonPath, listed, name_of, names, option
from relgraph.cli.results import FOLDERS, PICTURES, Results, check_json_path, print_document, writers
from relgraph.errors import InputError, RelgraphWarning
from relgraph.io import check_distinct, check_not_read, output_folder

if TYPE_CHECKING:
    from relgraph.stitching import Experiment

SUMMARY = "Train encoders with several seeds, then evaluate every encoder with every other run's head."
HELP = "\n\n".join(
    [
        f"{SUMMARY} Nothing is trained after the exchange.",
        "Prints a table and writes report.html, tables, models, spaces, heads, predictions, stitching.json and "
        "pictures to --out.",
        listed("Datasets", registry.DATASETS),
        listed("Tasks", registry.TASKS),
        listed("Encoders of nodes", registry.ENCODERS),
        listed("Encoders of whole graphs", registry.GRAPH_ENCODERS),
        listed("Methods", registry.METHODS),
        listed("Anchor strategies", registry.STRATEGIES),
        listed("Anchor features (for farthest-point and kmeans)", registry.ANCHOR_FEATURES),
        listed("Splits", registry.SPLITS),
        listed("Features", registry.FEATURES),
        listed("Settings of training", registry.SETTINGS),
        listed("Executors", registry.EXECUTORS),
    ]
)


def stitch(
    dataset: Annotated[str, option("NAME|PATH", "A dataset from the list above, or a saved PyG Data.")] = "digits",
    task: Annotated[str | None, name_of(registry.TASKS, "What is predicted.", "that of the dataset")] = None,
    data_root: Annotated[Path | None, option("DIR", "Folder of raw files.", "RELGRAPH_DATA, else a download")] = None,
    features: Annotated[str | None, name_of(registry.FEATURES, "Node features.", "the dataset's usual ones")] = None,
    encoders: Annotated[str, option("A,B", "Encoders, separated by commas.")] = "gcn",
    seeds: Annotated[int, option("N", "Number of seeds, 0 to N-1.", min=0)] = 5,
    anchors: Annotated[
        int | None, option("K", "Number of anchors.", "32; 256 for graphs, or 50,000 nodes and more; 512 for links")
    ] = None,
    anchor_strategy: Annotated[str, name_of(registry.STRATEGIES, "How anchors are chosen.")] = "random",
    anchor_features: Annotated[
        str, name_of(registry.ANCHOR_FEATURES, "Where a strategy measures distances.")
    ] = "propagated",
    stitch_at: Annotated[
        int | None, option("LAYER", "Stitch behind this layer, from 1; the rest is the head.", "the last")
    ] = None,
    split: Annotated[
        str | None, name_of(registry.SPLITS, "The split.", "public if there are masks, else random")
    ] = None,
    split_seed: Annotated[int, option("SEED", "Seed of a split that is drawn.", min=0, max=2**32 - 1)] = 0,
    settings: Annotated[str | None, name_of(registry.SETTINGS, "Settings of training.", "those of the data")] = None,
    epochs: Annotated[
        int | None,
        option(
            "N",
            "Training epochs, at most.",
            "1000 or until validation stops improving; 100 for OGB's nodes; 40 for molecules; 150 for links",
        ),
    ] = None,
    methods: Annotated[str | None, option("A,B", "Only these methods.", "all that apply")] = None,
    out: Annotated[Path | None, option("DIR", "Folder for the results.", "runs/DATASET-ENCODERS")] = None,
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="Whether to write models, spaces and heads.")
    ] = True,
    device: Annotated[str, option("NAME", f"Where to compute: {', '.join(KNOWN)}.")] = "auto",
    executor: ExecutorName = None,
    address: Address = None,
    cpus: Cpus = None,
    json_path: JsonPath = None,
    debug: Debug = False,
) -> None:
    """Stitch every encoder to every foreign head; see :data:`HELP`."""
    is_path = dataset.endswith(".pt") or "/" in dataset or "\\" in dataset
    if not is_path:
        registry.DATASETS.check(dataset, "--dataset")
    of_graphs = not is_path and registry.DATASETS[dataset].traits.get("task") == "graph"
    chosen = names("--encoders", encoders, registry.GRAPH_ENCODERS if of_graphs else registry.ENCODERS)
    wanted = None if methods is None else names("--methods", methods, registry.METHODS)
    check_device_name(device)
    if of_graphs and device not in ("auto", "cpu"):
        raise InputError("--device", f"must be cpu for a dataset of whole graphs (got '{device}'); leave it out")
    copy, to_stdout, results = check_json_path(json_path), json_path == "-", Results()
    stem = Path(dataset).expanduser().stem if is_path else dataset
    folder = (out or Path("runs") / "-".join([stem, *chosen, *([task] if task else [])])).expanduser()
    if copy:
        check_not_read([copy], [Path(dataset).expanduser()] if is_path else [], "--json")
        check_distinct({"--out": [folder / name for name in PICTURES], "--json": [copy]})

    with progress() as tell, quiet_output(to_stdout):
        tell("load", 0, 0)
        # From here on torch is needed: seconds, during which the progress is shown.
        from relgraph.datasets import load_dataset
        from relgraph.stitching import StitchSettings, build_report, run_experiment

        place, trainer = find_device("cpu" if of_graphs else device), make_executor(executor, address, cpus)
        asked = StitchSettings(
            encoders=chosen,
            seeds=tuple(range(seeds)),
            methods=wanted,
            num_anchors=anchors,
            strategy=anchor_strategy,
            anchor_features=anchor_features,
            task=task,
            split=split,
            split_seed=split_seed,
            train=settings,
            epochs=epochs,
            at=stitch_at,
        )
        given = {"dataset": dataset, "features": features, "settings": settings}
        with output_folder(folder, FOLDERS) as work:
            data: Any = load_dataset(dataset, data_root, features=features)
            if place.type != "cpu":
                data = data.to(place)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RelgraphWarning)  # the table shows them
                experiment = run_experiment(data, asked, progress=tell, executor=trainer)
            tell("write", 0, 0)
            report = build_report(experiment, command=_command(experiment, str(place), **given))
            files = writers(report, experiment, models=models)
            if copy:
                results.attempt(files["stitching.json"], copy, copy)
            for name, write in files.items():
                results.attempt(write, work / name, folder / name)
    if to_stdout:
        results.attempt(print_document, report)
    from relgraph.cli.stitch_output import print_report

    print_report(report, console(stderr=to_stdout), results.written)
    results.finish()


def _command(experiment: Experiment, device: str, **given: str | None) -> str:
    """The command that regenerates a result: every option that changes it, and none that names a folder."""
    settings, split = experiment.settings, experiment.problem.split
    named = split.name in registry.SPLITS
    options: dict[str, object] = given | {
        "task": settings.task,
        "encoders": ",".join(settings.encoders),
        "seeds": len(settings.seeds),
        "anchors": experiment.anchors.numel(),
        "anchor-strategy": settings.strategy,
        "anchor-features": settings.measured_in,
        "stitch-at": settings.at,
        "epochs": settings.epochs,
        "methods": ",".join(experiment.methods),
        "device": device,
        "split": split.name if named else None,
        "split-seed": split.seed,
    }
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["relgraph", "stitch", *words])
