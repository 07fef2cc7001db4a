"""``relgraph stitch``: from a graph to zero-shot stitched accuracy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relgraph.cli.device import KNOWN, check_device_name, find_device
from relgraph.cli.saving import Saving
from relgraph.cli.stitch_graphs import HELP_ON_GRAPHS, stitch_graphs
from relgraph.cli.terminal import aside, console, name, names, options_named, progress
from relgraph.errors import DataError, InputError
from relgraph.names import ARMS, DATASETS, ENCODERS, FEATURES, GRAPH_DATASETS, SPACES, SPLITS, STRATEGIES

if TYPE_CHECKING:
    from relgraph.stitching import Experiment
    from relgraph.training import TrainSettings


FEW, MANY = 32, 256
"""Anchors by default, and of large graphs, which have more classes and more room between them."""


def _listed(title: str, names: Mapping[str, str]) -> str:
    width = max(map(len, names)) + 2
    return "\n".join(["\b", f"{title}:", *(f"  {name:<{width}}{meaning}" for name, meaning in names.items())])


HELP = "\n\n".join(
    [
        "Train encoders from several seeds and let each one meet every other one's head, without training.",
        "Shows own and stitched accuracy by every arm, and writes stitching.json, matrix.png and spaces.png.",
        _listed("Data sets", DATASETS),
        _listed("Encoders", ENCODERS),
        _listed("Arms", ARMS),
        _listed("Anchor strategies", STRATEGIES),
        _listed("Anchor spaces, for the strategies that measure distances in one", SPACES),
        _listed("Splits", SPLITS),
        _listed("Features", FEATURES),
        _listed("Data sets of whole graphs", GRAPH_DATASETS),
        HELP_ON_GRAPHS,
    ]
)


def stitch(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(metavar="NAME|PATH", help="A data set, or a saved PyG Data.")] = "digits",
    data_root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with raw files; else RELGRAPH_DATA, else a download.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Instead of what the field uses: {', '.join(FEATURES)}.",
            show_default="what the field uses",
        ),
    ] = None,
    encoders: Annotated[
        str, typer.Option(metavar="A,B", help=f"Encoders, separated by commas: {', '.join(ENCODERS)}.")
    ] = "gcn",
    seeds: Annotated[int, typer.Option(metavar="N", min=0, help="How many seeds, 0 to N-1.")] = 5,
    anchors: Annotated[
        int | None,
        typer.Option(metavar="K", help="Number of anchors.", show_default=f"{FEW}, {MANY} from 50,000 nodes on"),
    ] = None,
    anchor_strategy: Annotated[
        str, typer.Option(metavar="NAME", help=f"How anchors are chosen: {', '.join(STRATEGIES)}.")
    ] = "random",
    anchor_space: Annotated[
        str, typer.Option(metavar="NAME", help=f"Where distances between nodes are measured: {', '.join(SPACES)}.")
    ] = "propagated",
    stitch_at: Annotated[
        int | None,
        typer.Option(
            metavar="LAYER",
            help="Stitch behind this layer, from 1; the head is then the rest of the network, which passes messages.",
            show_default="the last",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"{', '.join(SPLITS)}; by default public if the set has masks, else random."),
    ] = None,
    split_seed: Annotated[
        int, typer.Option(metavar="SEED", min=0, max=2**32 - 1, help="Seed of a split that is drawn.")
    ] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Passes over the training nodes.", show_default="200, 100 for sets of OGB"),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(metavar="A,B", help=f"Only these arms: {', '.join(ARMS)}.", show_default="all that fit"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files.", show_default="runs/DATASET-ENCODERS")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help=f"Where to compute: {', '.join(KNOWN)}.")] = "auto",
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH|-", help="Also write the document here; - prints it, and nothing else."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Stitch every encoder to every foreign head; see :data:`HELP`."""
    if dataset in GRAPH_DATASETS:
        check_device_name(device)
        _check_json_path(json_path)
        sources = {parameter: context.get_parameter_source(parameter) for parameter in context.params}
        given = {parameter for parameter, source in sources.items() if source and source.name != "DEFAULT"}
        return stitch_graphs(
            dataset,
            data_root,
            encoders,
            arms,
            given=given,
            seeds=seeds,
            num_anchors=anchors,
            strategy=anchor_strategy,
            epochs=epochs,
            out=out,
            device=device,
            json_path=json_path,
        )
    named: dict[str, Any] = {"encoders": names("--encoders", encoders, ENCODERS)}
    if arms is not None:
        named["arms"] = names("--arms", arms, ARMS)
    name("--anchor-strategy", anchor_strategy, STRATEGIES)
    name("--anchor-space", anchor_space, SPACES)
    if features is not None:
        name("--features", features, FEATURES)
    if split is not None:
        name("--split", split, SPLITS)
    is_path = dataset.endswith(".pt") or "/" in dataset or "\\" in dataset
    if not is_path:
        name("--dataset", dataset, {**DATASETS, **GRAPH_DATASETS})
    check_device_name(device)
    _check_json_path(json_path)
    folder = out or Path("runs") / "-".join([Path(dataset).stem if is_path else dataset, *named["encoders"]])

    # From here on torch is needed: seconds, which the user watches pass.
    shown_on = console(stderr=json_path == "-")
    with progress() as tell, aside(json_path == "-"), options_named():
        tell("start", 0, 0)
        from relgraph.datasets import load_dataset
        from relgraph.datasets.search import cache_folder
        from relgraph.graph import num_nodes
        from relgraph.stitching import StitchSettings, build_document, run_experiment, to_json, write_document
        from relgraph.stitching.output import check_writable, output_folder
        from relgraph.stitching.pictures import draw_matrix, draw_spaces
        from relgraph.training.whole_graph import LARGE

        settings = StitchSettings(
            seeds=tuple(range(seeds)),
            num_anchors=FEW if anchors is None else anchors,
            strategy=anchor_strategy,
            space=anchor_space,
            split=split,
            split_seed=split_seed,
            train=training_settings(dataset, named["encoders"], epochs),
            stitch_at=stitch_at,
            **named,
        )
        place = find_device(device)
        if json_path not in (None, "-"):
            check_writable(Path(str(json_path)))
        saving = Saving()
        with output_folder(folder):
            data = load_dataset(dataset, data_root, features=features).to(place)
            large = num_nodes(data) >= LARGE
            if large and anchors is None and anchor_strategy != "class-stratified":  # labels may be few
                settings = replace(settings, num_anchors=MANY)
            # Long training is worth keeping: a command that was killed goes on where it was.
            keep = cache_folder() / "runs" if large else None
            experiment = run_experiment(data, settings, tell, keep)
            tell("write", 0, 0)
            document = build_document(experiment, command=_command(experiment, dataset, features, str(place)))
            text = to_json(document)
            # Each by itself: a picture or a copy that cannot be written does not cost the others.
            saving.write(lambda path: write_document(document, path.parent), folder / "stitching.json")
            saving.write(lambda path: draw_matrix(document, path), folder / "matrix.png")
            saving.write(lambda path: draw_spaces(experiment, path), folder / "spaces.png")
            saving.write_copy(text, json_path)
    saving.print_copy(text, json_path)
    from relgraph.cli.show import show

    show(document, shown_on, saving.written)
    saving.finish()


def training_settings(dataset: str, encoders: tuple[str, ...], epochs: int | None) -> TrainSettings:
    """What the field uses for small graphs; for sets of OGB, what was chosen on the validation nodes of one."""
    from relgraph.training import TrainSettings

    given: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    if not dataset.startswith("ogbn-"):
        return TrainSettings(**given)
    chosen = [TrainSettings.large(encoder, **given) for encoder in encoders]
    return min(chosen, key=lambda one: one.num_layers or 0)  # as deep as all of them can be


def _check_json_path(path: str | None) -> None:
    if path in (None, "-"):
        return
    if not path:
        raise InputError("", "'--json' must be a path, or - for standard output (got '')")
    try:
        fits = not Path(path).is_dir() and Path(path).absolute().parent.is_dir()
    except OSError as error:
        raise DataError(f"'--json' must be a valid path (got '{path}': {error.strerror}); shorten it") from error
    if not fits:
        raise DataError(f"'--json' must be a file in a folder that exists (got '{path}'), or - for standard output")


def _command(experiment: Experiment, dataset: str, features: str | None, device: str) -> str:
    """The command that regenerates a result: every option that bears on it, none that only says where files lie."""
    settings, protocol = experiment.settings, experiment.protocol
    options: dict[str, object] = {
        "dataset": dataset,
        "encoders": ",".join(settings.encoders),
        "seeds": len(settings.seeds),
        "anchors": settings.num_anchors,
        "anchor-strategy": settings.strategy,
        "split": protocol.name,
        "epochs": settings.train.epochs,
        "arms": ",".join(settings.arms),
        "device": device,
    }
    if features is not None:
        options["features"] = features
    if settings.anchor_space is not None:
        options["anchor-space"] = settings.anchor_space
    if settings.stitch_at is not None:
        options["stitch-at"] = settings.stitch_at
    if protocol.seed is not None:
        options["split-seed"] = protocol.seed
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return shlex.join(["relgraph", "stitch", *words])
