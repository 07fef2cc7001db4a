"""Write the columns of a comparison of versions to a file, whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relgraph.io import atomic_path
from relgraph.tables.arrays import id_files
from relgraph.tables.arrow import pyarrow
from relgraph.tables.ids import Ids
from relgraph.tables.writing import OUTPUTS, check_output

Columns = Mapping[str, NDArray[np.float64]]
KINDS = (*OUTPUTS, ".csv")


def check_drift_output(path: Path) -> None:
    """Refuse a file of another kind, or in a folder that does not exist, before anything is computed."""
    check_output(path, KINDS)


def written_files(path: Path) -> list[Path]:
    """A comparison that is written, and its ids beside an npy file."""
    return [path, id_files(path)[0]] if path.suffix == ".npy" else [path]


def write_drift(path: Path, ids: Ids, columns: Columns) -> None:
    """Write ids and columns, one row for each id.

    An npy file holds a matrix with one column for each of ``columns``, and its ids are in ``NAME.ids.npy`` beside it.

    Raises:
        DataError: If the file cannot be written.
    """
    if path.suffix == ".npy":
        for place, content in zip(reversed(written_files(path)), (ids, np.stack([*columns.values()], 1)), strict=True):
            with atomic_path(place) as temporary, temporary.open("wb") as file:
                np.save(file, content, allow_pickle=False)
        return
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            _write_csv(temporary, ids, columns)
            return
        pa = pyarrow()
        named = [bytes(one) for one in ids] if ids.dtype.kind in "SV" else ids
        table = pa.table({"id": pa.array(named), **{name: pa.array(column) for name, column in columns.items()}})
        if path.suffix == ".parquet":
            pa.parquet.write_table(table, temporary)
        else:
            with pa.ipc.new_file(str(temporary), table.schema) as writer:
                writer.write_table(table)


def _write_csv(path: Path, ids: Ids, columns: Columns) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *columns])
        named = [bytes(one).hex() if ids.dtype.kind in "SV" else one for one in ids]
        writer.writerows(zip(named, *(column.tolist() for column in columns.values()), strict=True))
