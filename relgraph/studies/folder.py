"""Runs in a folder: one file of predictions for each run, one subfolder for each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relgraph.errors import DataError, InputError
from relgraph.io import PathLike
from relgraph.studies.runs import Array, PredictionRuns, prediction
from relgraph.tables.frames import read_frame
from relgraph.tables.ids import check_unique, comparable_ids, in_kind_of, matching_rows, shown

SUFFIXES = (".npy", ".parquet")
RESERVED = ("labels", "ids")
"""Names of files that hold no run."""
ID_COLUMNS = ("id", "ids", "node_id")


@dataclass(frozen=True, eq=False)
class RunFile:
    """One run as its file has it: predictions, with ids and labels of the rows if there are any."""

    path: Path
    predictions: Array
    ids: Array | None = None
    y: Array | None = None


def read_runs(folder: PathLike, labels: PathLike | None = None, *, skip_damaged: bool = False) -> PredictionRuns:
    """Read the runs of a folder.

    * Every ``.npy`` or ``.parquet`` file is a run. Files in the folder itself are the runs of one model, which has the
      folder's name; else each subfolder with such files is a model. Runs are in the order of their names, numbers by
      value.
    * npy: classes ``(n,)`` or logits ``(n, C)``; the ids of the rows are in ``ids.npy`` of the folder, else their
      numbers.
    * Parquet: a column ``id``; classes in a column ``prediction``, or logits in one column of lists or in the columns
      of floating-point numbers; optionally the true class in ``label``. Rows of files are matched by their ids.
    * Labels: ``labels.npy`` ``(n,)`` in the order of the rows, or ``labels.csv`` or ``labels.parquet`` with the
      columns ``id`` and ``label``, in the folder; -1 or no value where unknown.

    Nothing is unpickled.

    Args:
        folder: The folder.
        labels: A file of labels elsewhere.
        skip_damaged: Leave out files that cannot be read, or whose numbers are not finite, with a note.

    Raises:
        DataError: If the folder or the labels are missing, or a file is damaged.
        InputError: If there are no two runs of a model, or runs are of different rows.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise DataError(f"'{place}' must be a folder with one file for each run (got none); check the path")
    ids = _read_npy(place / "ids.npy") if (place / "ids.npy").is_file() else None
    found: dict[str, list[RunFile]] = {}
    notes: list[str] = []
    for model, paths in _models(place).items():
        found[model] = []
        for path in paths:
            try:
                found[model].append(_read(path, ids))
            except DataError as error:
                if not skip_damaged:
                    raise DataError(f"{error}, or leave damaged runs out (skip_damaged, --skip-damaged)") from error
                notes.append(f"'{path}' is damaged and was left out.")
    files = [file for group in found.values() for file in group]
    if not files:
        raise DataError(f"'{place}' must hold runs that can be read (got none); write them again")
    rows = _ids(files[0])
    check_unique(rows, "ids")
    orders = {file.path: _order(rows, file, files[0]) for file in files}
    runs = {model: [file.predictions[orders[file.path]] for file in group] for model, group in found.items() if group}
    seeds = {model: [file.path.stem for file in group] for model, group in found.items()}
    y = _labels(place, labels, rows)
    if y is None:
        y = next((file.y[orders[file.path]] for file in files if file.y is not None), None)
    known = files[0].ids
    plain = np.arange(len(rows)) if known is None else known
    return PredictionRuns.of(runs, y=y, ids=plain, seeds=seeds, name=place.resolve().name, notes=notes)


def _models(folder: Path) -> dict[str, list[Path]]:
    """Files of runs by model."""

    def inside(place: Path) -> list[Path]:
        files = (path for path in place.iterdir() if path.suffix in SUFFIXES and path.is_file())
        return sorted((path for path in files if path.stem not in RESERVED), key=_natural)

    try:
        own = inside(folder)
        models = {place.name: inside(place) for place in sorted(folder.iterdir()) if place.is_dir()}
    except OSError as error:
        raise DataError(f"'{folder}' must be readable (got: {error.strerror or error}); check its rights") from error
    models = {name: paths for name, paths in models.items() if paths}
    if own and models:
        got = f"{len(own)} files and the subfolders {', '.join(models)}"
        raise InputError("runs", f"must be files in the folder or in its subfolders, not both (got {got}); move some")
    if not own and not models:
        raise InputError("runs", f"must be a folder with .npy or .parquet files of runs (got none in '{folder}')")
    return models or {folder.resolve().name: own}


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """A key that orders ``run-2`` before ``run-10``."""
    import re

    parts = re.split(r"(\d+)", path.stem)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], path.suffix


def _read(path: Path, ids: Array | None) -> RunFile:
    file = RunFile(path, _read_npy(path), ids) if path.suffix == ".npy" else _read_parquet(path)
    if file.predictions.dtype.kind == "f" and not np.isfinite(file.predictions).all():
        raise DataError(f"'{path}' must hold finite numbers (got NaN or an infinite one); write it again")
    prediction(file.predictions, f"'{path}'")  # refuses other shapes by the name of the file
    if file.ids is not None and len(file.ids) != len(file.predictions):
        got = f"{len(file.predictions)} rows in '{path}' and {len(file.ids)} ids"
        raise InputError("runs", f"must be predictions for the same rows (got {got}); write them for the same rows")
    return file


def _read_npy(path: Path) -> Array:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"'{path}' is damaged or no plain npy file ({reason}); write it again") from error
    if not isinstance(found, np.ndarray):
        raise DataError(f"'{path}' is damaged or no plain npy file (got an archive); write it again")
    return found


def _read_parquet(path: Path) -> RunFile:
    frame = read_frame(path)
    key = next((name for name in ID_COLUMNS if name in frame.columns), None)
    ids = None if key is None else _plain_ids(frame[key])
    y = frame["label"].to_numpy() if "label" in frame.columns else None
    if "prediction" in frame.columns:
        return RunFile(path, frame["prediction"].to_numpy(), ids, y)
    rest = [name for name in frame.columns if name not in (key, "label")]
    lists = [name for name in rest if len(frame) and isinstance(frame[name].iloc[0], (np.ndarray, list))]
    if len(lists) == 1:
        try:
            return RunFile(path, np.stack([np.asarray(row, dtype=float) for row in frame[lists[0]]]), ids, y)
        except (ValueError, TypeError) as error:
            raise DataError(f"'{path}' must hold lists of equally many numbers (got others); write it again") from error
    numbers = [name for name in rest if frame[name].dtype.kind == "f"]
    if len(numbers) < 2:
        got = ", ".join(map(str, frame.columns)) or "no column"
        raise InputError("runs", f"must have a column 'prediction', or logits, in '{path}' (got {got}); name it so")
    return RunFile(path, frame[numbers].to_numpy(), ids, y)


def _plain_ids(column: Any) -> Array:
    values = column.to_numpy()
    return values if values.dtype.kind in "iu" else np.asarray(values.astype(str))


def _ids(file: RunFile) -> Array:
    return comparable_ids(np.arange(len(file.predictions)) if file.ids is None else file.ids, "ids")


def _order(rows: Array, file: RunFile, first: RunFile) -> Array:
    """The row in a file of every id, or an error that names the file."""
    own = _ids(file)
    if len(own) == len(rows) and own.dtype.kind == rows.dtype.kind:
        if np.array_equal(own, rows):
            return np.arange(len(rows))
        if np.array_equal(np.sort(own), np.sort(rows)):
            here, there = matching_rows(rows, own)
            return there[np.argsort(here)]
    other = next((f", such as {shown(one)}" for one in own.tolist() if one not in set(rows.tolist())), "")
    got = f"{len(rows)} rows in '{first.path}', {len(own)} in '{file.path}'{other}"
    raise InputError("runs", f"must be predictions for the same rows (got {got}); write them for the same rows")


def _labels(folder: Path, given: PathLike | None, rows: Array) -> Array | None:
    """Classes of the rows from a file that is given, or that is in the folder."""
    names: Sequence[Path] = [folder / f"labels{suffix}" for suffix in (".npy", ".csv", ".parquet")]
    path = next((name for name in names if name.is_file()), None) if given is None else Path(given).expanduser()
    if path is None:
        return None
    if not path.is_file():
        raise DataError(f"'{path}' does not exist; give a file of labels: .npy, .csv or .parquet")
    if path.suffix == ".npy":
        found = _read_npy(path)
    elif path.suffix in (".csv", ".parquet"):
        frame = read_frame(path, ["label"], ids=ID_COLUMNS)
        found = frame["label"].to_numpy()
        if key := next((name for name in ID_COLUMNS if name in frame.columns), None):
            here, there = matching_rows(rows, comparable_ids(in_kind_of(_plain_ids(frame[key]), rows), "labels"))
            y = np.full(len(rows), np.nan)
            y[here] = found[there]
            return y
    else:
        raise InputError("labels", f"must be a .npy, .csv or .parquet file (got '{path}'); convert it")
    if len(found) != len(rows):
        raise InputError("labels", f"must hold a class for each of {len(rows)} rows (got {len(found)} in '{path}')")
    return found
