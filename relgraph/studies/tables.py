"""Tables of a study in long form, for pandas and for tools that read CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from relgraph.errors import InputError, import_extra
from relgraph.io import PathLike, atomic_path
from relgraph.studies.accuracy import accuracies
from relgraph.studies.rows import row_table
from relgraph.studies.runs import PredictionRuns


def accuracy_table(runs: PredictionRuns) -> Any:
    """A row for each run: ``model``, ``seed``, ``metric``, ``value``, ``rows``; a pandas ``DataFrame``.

    Example:
        >>> accuracy_table(PredictionRuns.of([[0, 1], [0, 0]], y=[0, 1]))["value"].tolist()
        [1.0, 0.5]
    """
    import pandas as pd  # type: ignore[import-untyped]  # pandas has no types of its own

    rows = 0 if runs.y is None else int((runs.y >= 0).sum())
    columns = {"model": runs.models, "seed": runs.seeds, "metric": "accuracy", "value": accuracies(runs), "rows": rows}
    return pd.DataFrame(columns)


def prediction_table(runs: PredictionRuns) -> Any:
    """A row for each run and row: ``model``, ``seed``, ``id``, ``prediction`` and, with labels, ``label``, ``correct``.

    The columns of the label are empty where it is unknown; a pandas ``DataFrame``.
    """
    import pandas as pd

    count, rows = runs.classes.shape
    found = {
        "model": pd.Categorical(np.repeat(np.asarray(runs.models), rows)),
        "seed": pd.Categorical(np.repeat(np.asarray(runs.seeds), rows)),
        "id": np.tile(runs.ids, count),
        "prediction": runs.classes.reshape(-1),
    }
    if runs.y is not None:
        label = np.tile(runs.y, count)
        known = label >= 0
        found["label"] = pd.array(label, dtype="Int64")
        found["correct"] = pd.array(label == found["prediction"], dtype="boolean")
        found["label"][~known], found["correct"][~known] = pd.NA, pd.NA
    return pd.DataFrame(found)


def node_table(runs: PredictionRuns) -> Any:
    """A row for each model and row: ``model`` and what :func:`row_table` has; a pandas ``DataFrame``."""
    import pandas as pd

    parts = [pd.DataFrame({"model": model, **row_table(runs, model)}) for model in runs.names]
    return pd.concat(parts, ignore_index=True)


def write_table(frame: Any, path: PathLike) -> None:
    """Write a ``DataFrame`` to a ``.csv`` or ``.parquet`` file, whole or not at all.

    Raises:
        InputError: If the suffix is another.
        DataError: If the file cannot be written, or pyarrow is missing for Parquet.
    """
    target = Path(path)
    if target.suffix not in (".csv", ".parquet"):
        raise InputError("path", f"must end in .csv or .parquet (got '{target}'); name it so")
    if target.suffix == ".parquet":
        import_extra("pyarrow.parquet", "tables")
    with atomic_path(target) as temporary:
        if target.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False, lineterminator="\n", float_format="%.10g")
