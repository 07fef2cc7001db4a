"""Tables of named columns, such as labels by id: CSV and Parquet files as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relgraph.errors import DataError, InputError, import_extra, reason
from relgraph.io import check_file
from relgraph.tables.ids import text_ids


def read_frame(path: Path, columns: Sequence[str] = (), argument: str = "labels", ids: Sequence[str] = ()) -> Any:
    """A ``.parquet`` file, or else a CSV file, as a ``DataFrame`` with at least these columns.

    Args:
        path: The file.
        columns: Columns that it must have.
        argument: What the file was given as.
        ids: Columns of ids, if it has them. Of a CSV file they are read by the rule of
            :func:`relgraph.tables.ids.text_ids`, so that ``001`` remains text.

    Raises:
        DataError: If the file is missing, a folder or damaged, or pyarrow is missing for Parquet.
        InputError: If a column or an id is missing.
    """
    import pandas as pd  # type: ignore[import-untyped]  # pandas has no types of its own

    check_file(path, "give a CSV or Parquet file")
    if path.suffix == ".parquet":
        import_extra("pyarrow.parquet", "tables")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        named = [name for name in ids if name in frame.columns and path.suffix != ".parquet"]
        # Read once more as they are written: pandas makes an integer of 001, and a missing value of NA.
        texts = pd.read_csv(path, usecols=named, dtype=str, na_filter=False) if named else {}
    except (ValueError, OSError, UnicodeDecodeError) as error:  # pyarrow's errors are kinds of these
        raise DataError(f"'{path}' is damaged or no table ({reason(error)}); write it again") from error
    if not set(columns) <= set(frame.columns):
        wanted, got = " and ".join(f"'{name}'" for name in columns), ", ".join(map(str, frame.columns))
        raise InputError(argument, f"must have the columns {wanted} (got {got}); name them so")
    for name in named:
        if "" in (column := texts[name].tolist()):
            found = f"(got an empty cell in the column '{name}'); fill it, or leave the row out"
            raise InputError(argument, f"must have an id in every row {found}")
        frame[name] = text_ids(column)
    return frame
