"""Compare tables of embeddings or outputs in files, matched by the ids of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from relgraph.errors import InputError
from relgraph.io import PathLike
from relgraph.measures import Pairwise, pairwise
from relgraph.measures.compare import PERMUTATIONS, Nulls, resolve_measures
from relgraph.tables.ids import check_unique, matching_rows
from relgraph.tables.reading import Table, file_path, ids_of_one_kind, open_tables, unequal_rows
from relgraph.tables.sample import finite_rows


def compare_tables(
    tables: Sequence[PathLike],
    measures: Sequence[str] | None = None,
    *,
    key: str | None = None,
    outputs: bool = False,
    null: Nulls = "auto",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Pairwise:
    """Compare every two of several tables in files, on the ids that all of them have.

    Args:
        tables: Two files or more, of the kinds of :func:`relgraph.tables.open_table`.
        measures, outputs, null, permutations, seed: As of :func:`relgraph.compare`.
        key: Name of the id column; by default, and in a table without it, the only one that can be it.
        progress: Called with a stage, the pairs done since the last call, and all pairs.

    Returns:
        The comparisons, in which tables are named by their files without suffix, or by their paths where these repeat.

    Raises:
        InputError: As :func:`relgraph.compare`, or if there are fewer than two tables, no id is in all, an id is
            repeated, or tables without ids have different numbers of rows.
        DataError: If a file is missing or damaged, or a package that reads it is missing.

    Example:
        >>> import tempfile
        >>> x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/old.npy", x)
        ...     np.save(f"{folder}/new.npy", 2 * x[:, ::-1])
        ...     found = compare_tables([f"{folder}/old.npy", f"{folder}/new.npy"], ["cka"])
        >>> found.names, round(found.matrix("cka")[0, 1], 6).item()
        (('old', 'new'), 1.0)
    """
    if len(tables) < 2:
        raise InputError("tables", f"must be two files or more (got {len(tables)}); name another one to compare with")
    resolve_measures(measures, outputs=outputs)  # before a large file is read
    paths = [file_path("tables", path) for path in tables]
    opened = open_tables(paths, list(map(str, paths)), key)
    rows = _read(opened)
    stems = [path.stem for path in paths]
    return pairwise(
        rows,
        measures,
        names=stems if len(set(stems)) == len(stems) else list(map(str, paths)),
        outputs=outputs,
        null=null,
        permutations=permutations,
        seed=seed,
        progress=progress,
    )


def _read(tables: Sequence[Table]) -> list[Tensor]:
    """The rows that all tables have, in the order of the first one."""
    first = tables[0]
    for table in tables[1:]:
        if unequal_rows(first, table):
            rule = f"must have as many rows as {first.name}, {len(first)}, because neither has ids"
            hint = "save the ids beside it in NAME.ids.npy"
            raise InputError(table.argument, f"{rule} (got {len(table)}); {hint}")
    known = ids_of_one_kind(tables)
    for table, ids in zip(tables, known, strict=True):
        check_unique(ids, table.argument)
    common: NDArray[np.int64] = np.arange(len(first))
    for ids in known[1:]:
        common = common[matching_rows(known[0][common], ids)[0]]
    shared = known[0][common]
    places = [matching_rows(shared, ids)[1] for ids in known]
    return [finite_rows(table, table.take(some), shared) for table, some in zip(tables, places, strict=True)]
