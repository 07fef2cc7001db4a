"""Tables of named columns, such as labels by id: CSV and Parquet files as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relgraph.errors import DataError, InputError, import_extra


def read_frame(path: Path, columns: Sequence[str] = (), argument: str = "labels") -> Any:
    """A ``.parquet`` file, or else a CSV file, as a ``DataFrame`` with at least these columns.

    Raises:
        DataError: If the file is missing or damaged, or pyarrow is missing for Parquet.
        InputError: If a column is missing.
    """
    import pandas as pd  # type: ignore[import-untyped]  # pandas has no types of its own

    if not path.is_file():
        raise DataError(f"'{path}' does not exist; give a CSV or Parquet file")
    if path.suffix == ".parquet":
        import_extra("pyarrow.parquet", "tables")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError, UnicodeDecodeError) as error:  # pyarrow's errors are kinds of these
        reason = " ".join(str(error).split())
        raise DataError(f"'{path}' is damaged or no table ({reason}); write it again") from error
    if not set(columns) <= set(frame.columns):
        wanted, got = " and ".join(f"'{name}'" for name in columns), ", ".join(map(str, frame.columns))
        raise InputError(argument, f"must have the columns {wanted} (got {got}); name them so")
    return frame
