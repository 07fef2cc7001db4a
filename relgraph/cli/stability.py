"""``relgraph stability``: how far accuracy and predictions depend on the seed."""

from __future__ import annotations

import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relgraph import registry
from relgraph.cli.console import console, progress, quiet_output
from relgraph.cli.device import KNOWN, check_device_name, find_device
from relgraph.cli.executor import Address, Cpus, ExecutorName, make_executor
from relgraph.cli.options import Debug, JsonPath, listed, name_of, names, option
from relgraph.cli.results import Results, check_json_path
from relgraph.errors import InputError, RelgraphWarning
from relgraph.io import check_distinct, check_not_read, output_folder, write_atomic

if TYPE_CHECKING:
    from relgraph.studies import Stability

SUMMARY = "Measure how far accuracy and predictions depend on the seed."
SPACES = {name: entry for name, entry in registry.MEASURES.items() if "kind" not in entry.traits}
HELP = "\n\n".join(
    [
        f"{SUMMARY} Runs are trained from several seeds, or read from --runs.",
        "--runs is a folder with a file for each run: .npy with classes (n,) or logits (n, C), or .parquet with the "
        "columns id and prediction, or id and logits; subfolders are models. With --dataset, its graph is that of the "
        "rows.",
        "Of runs that are trained, remedies such as a kept head or an ensemble are measured beside plain retraining. "
        "--sources and --remedies train further runs: to tell where variation comes from, and for more remedies.",
        "Prints a summary. --out gets report.html, stability.json, runs.csv (a row for each run) and nodes.csv (a row "
        "for each row of each model).",
        listed("Datasets", registry.DATASETS),
        listed("Encoders of nodes", registry.ENCODERS),
        listed("Splits", registry.SPLITS),
        listed("Features", registry.FEATURES),
        listed("Settings of training", registry.SETTINGS),
        listed("Measures of representations", SPACES),
        listed("Executors", registry.EXECUTORS),
    ]
)
DEFAULT, SEEDS, ALL = "digits", 10, "all"


def stability(
    dataset: Annotated[
        str | None, option("NAME|PATH", "A dataset from the list above, or a saved PyG Data.", DEFAULT)
    ] = None,
    data_root: Annotated[Path | None, option("DIR", "Folder of raw files.", "RELGRAPH_DATA, else a download")] = None,
    features: Annotated[str | None, name_of(registry.FEATURES, "Node features.", "the dataset's usual ones")] = None,
    encoders: Annotated[str | None, option("A,B", "Encoders, separated by commas.", "gcn")] = None,
    seeds: Annotated[int | None, option("N", "Number of seeds, 0 to N-1.", "10", min=0)] = None,
    split: Annotated[
        str | None, name_of(registry.SPLITS, "The split.", "public if there are masks, else random")
    ] = None,
    split_seed: Annotated[int, option("SEED", "Seed of a split that is drawn.", min=0, max=2**32 - 1)] = 0,
    settings: Annotated[str | None, name_of(registry.SETTINGS, "Settings of training.", "those of the data")] = None,
    epochs: Annotated[int | None, option("N", "Training epochs, at most.", "those of the settings")] = None,
    measures: Annotated[
        str | None, option("A,B|all", "Measures of representations.", "cka,procrustes,mutual-knn")
    ] = None,
    runs: Annotated[Path | None, option("FOLDER", "Predictions of your own runs.", "none: runs are trained")] = None,
    labels: Annotated[
        Path | None, option("FILE", "True classes of --runs: .npy, or .csv or .parquet with id and label.", "none")
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out files of --runs that are damaged.")
    ] = False,
    sources: Annotated[
        int | None,
        option("N", "Also train N runs for each source of variation, alone and together.", "none", min=0),
    ] = None,
    remedies: Annotated[
        bool, typer.Option("--remedies", help="Also train what remedies need: frozen heads, distilled ensembles.")
    ] = False,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Do not compare models seed by seed, where runs have the same names.")
    ] = False,
    out: Annotated[Path | None, option("DIR", "Folder for the results.", "none")] = None,
    predictions: Annotated[
        Path | None, option("FILE", "Also write every prediction, a row each, to a .csv or .parquet file.", "none")
    ] = None,
    device: Annotated[str, option("NAME", f"Where to compute: {', '.join(KNOWN)}.")] = "auto",
    executor: ExecutorName = None,
    address: Address = None,
    cpus: Cpus = None,
    json_path: JsonPath = None,
    debug: Debug = False,
) -> None:
    """Study the stability of runs; see :data:`HELP`."""
    copy, to_stdout = check_json_path(json_path), json_path == "-"
    _check_together(
        runs,
        training={
            "--encoders": encoders,
            "--seeds": seeds,
            "--split": split,
            "--settings": settings,
            "--epochs": epochs,
            "--sources": sources,
            "--remedies": remedies or None,
            "--measures": measures,
            "--executor": executor,
        },
        reading={"--labels": labels, "--skip-damaged": skip_damaged or None},
    )
    check_device_name(device)
    if predictions is not None and predictions.suffix not in (".csv", ".parquet"):
        raise InputError("--predictions", f"must end in .csv or .parquet (got '{predictions}'); name it so")
    named = dataset or (None if runs else DEFAULT)
    of_graphs = _check_dataset(named)
    outputs = {"--json": copy, "--predictions": predictions}
    written = {argument: [file] for argument, file in outputs.items() if file is not None}
    if named is not None and Path(named).suffix == ".pt":
        for argument, files in written.items():
            check_not_read(files, [Path(named).expanduser()], argument)
    check_distinct(written)
    known = registry.GRAPH_ENCODERS if of_graphs else registry.ENCODERS
    chosen = names("--encoders", encoders or "gcn", known)
    compared = _measures(measures)
    with progress() as tell, quiet_output(to_stdout):
        tell("load", 0, 0)
        # From here on torch is needed: seconds, during which the progress is shown.
        from relgraph.datasets import load_dataset
        from relgraph.studies import stability as measure

        place, trainer = find_device("cpu" if of_graphs else device), make_executor(executor, address, cpus)
        data: Any = None if named is None else load_dataset(named, data_root, features=features)
        if data is not None and place.type != "cpu":
            data = data.to(place)
        given: dict[str, Any] = {"runs": runs, "labels": labels, "skip_damaged": skip_damaged}
        words: dict[str, object] = {"runs": runs, "labels": labels, "dataset": named, "features": features}
        if runs is None:
            count = SEEDS if seeds is None else seeds
            given = {"encoders": chosen, "seeds": count, "settings": settings, "epochs": epochs}
            given |= {"split": split, "split_seed": split_seed, "measures": compared}
            given |= {"sources": sources or 0, "remedies": remedies, "executor": trainer}
            words |= {"encoders": ",".join(chosen), "seeds": count, "split": split, "split-seed": split_seed}
            words |= {"settings": settings, "epochs": epochs, "measures": compared and ",".join(compared)}
            words |= {"sources": sources, "device": place}
        switches = {"skip-damaged": skip_damaged and runs is not None, "unpaired": unpaired, "remedies": remedies}
        command = _command(words, switches)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RelgraphWarning)
            paired = False if unpaired else None
            found = measure(data, **given, paired=paired, progress=tell, command=command)
        tell("write", 0, 0)
        results = _write(found, out, copy, predictions)
    text = found.to_json() if to_stdout else f"{found}\n"
    if to_stdout:
        sys.stdout.write(text)
    else:
        shown = console(stderr=False)
        shown.print(text, markup=False, end="", soft_wrap=True)
        if results.written:
            shown.print(f"\nWritten: {', '.join(map(str, results.written))}", markup=False, soft_wrap=True)
    results.finish()


def _check_together(runs: Path | None, *, training: dict[str, object], reading: dict[str, object]) -> None:
    """Refuse options of training where runs are read, and of reading where they are trained."""
    rule = "must be left out without '--runs'" if runs is None else "must be left out with '--runs'"
    for name, value in (reading if runs is None else training).items():
        if value is not None:
            raise InputError(name, f"{rule} (got {value}); runs are {'trained' if runs is None else 'read'}")


def _measures(given: str | None) -> tuple[str, ...] | None:
    """The measures of representations that an option names; ``None`` for the default."""
    if given is None or given == ALL:
        return tuple(SPACES) if given else None
    return names("--measures", given, registry.MEASURES)


def _check_dataset(name: str | None) -> bool:
    """Whether a dataset, which must be known, is of whole graphs."""
    if name is None or name.endswith(".pt") or "/" in name or "\\" in name:
        return False
    return registry.DATASETS[registry.DATASETS.check(name, "--dataset")].traits.get("task") == "graph"


def _write(found: Stability, out: Path | None, copy: Path | None, predictions: Path | None) -> Results:
    """Write the files that are asked for; one that cannot be written takes no other with it."""
    from relgraph.report import save_html
    from relgraph.studies import write_table

    results = Results()
    if copy is not None:
        results.attempt(lambda path: write_atomic(path, found.to_json()), copy, copy)
    if predictions is not None:
        results.attempt(lambda path: write_table(found.predictions(), path), predictions, predictions)
    if out is not None:
        folder = out.expanduser()
        with output_folder(folder) as work:
            write_atomic(work / "stability.json", found.to_json())
            write_table(found.nodes(), work / "nodes.csv")
            save_html(found.report(), work / "report.html")
            names = ["report.html", "stability.json", "nodes.csv"]
            if found.runs.labeled:
                write_table(found.accuracies(), work / "runs.csv")
                names.append("runs.csv")
        results.written += [folder / name for name in names]
    return results


def _command(options: dict[str, object], switches: dict[str, bool]) -> str:
    """The command that regenerates a study: every option that changes it, and none that names a folder of results."""
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    words += [f"--{name}" for name, wanted in switches.items() if wanted]
    return shlex.join(["relgraph", "stability", *words])
