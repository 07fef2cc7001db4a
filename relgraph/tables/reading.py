"""Open a table of embeddings by the suffix of its file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from relgraph.errors import InputError, renamed
from relgraph.io import PathLike, check_file
from relgraph.tables.arrays import ArrayTable, id_files, read_npy, read_safetensors, read_word2vec
from relgraph.tables.arrow import PARQUET, ArrowTable, MissingKey
from relgraph.tables.ids import Ids

Table = ArrayTable | ArrowTable
_ARRAYS = {
    ".npy": read_npy,
    ".safetensors": read_safetensors,
    ".txt": read_word2vec,
    ".vec": read_word2vec,
    ".bin": read_word2vec,
}
ARROW = (*PARQUET, ".arrow", ".feather")
IN_MEMORY = (
    "save the rows, or translate arrays by relgraph.translate with relgraph.AnchorSet.from_rows, "
    "and compare them by relgraph.compare"
)
READABLE = (*ARROW, *_ARRAYS)
WITH_IDS_BESIDE = (".npy", ".safetensors")


def read_files(*paths: PathLike | None) -> list[Path]:
    """Files of tables, and those beside them that their ids may be in, whether they exist or not."""
    found = [Path(os.fspath(path)).expanduser() for path in paths if path is not None]
    return [
        file for path in found for file in (path, *(id_files(path) if path.suffix.lower() in WITH_IDS_BESIDE else ()))
    ]


def file_path(argument: str, path: object, hint: str = IN_MEMORY) -> Path:
    """The path of a file, or the error that says where arrays are taken."""
    if not isinstance(path, (str, os.PathLike)):
        shape = getattr(path, "shape", None)
        got = type(path).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
        raise InputError(argument, f"must be the path of a file (got {got}); {hint}")
    return Path(path).expanduser()


def open_table(path: PathLike, argument: str = "source", key: str | None = None) -> Table:
    """Open a table: ids, and vectors of floating-point numbers.

    * Parquet (``.parquet``, ``.pq``), Arrow (files and streams) and Feather: an id column (``key``), and vectors in one
      column of lists or one column a dimension.
    * npy: a matrix; ids in ``NAME.ids.npy`` or ``NAME.ids.txt`` (one a line) beside it, else the row numbers;
      in any byte order, and long doubles as float64.
    * safetensors: one matrix; ids in a tensor ``ids``, else as of npy.
    * word2vec, as text (``.txt``, ``.vec``) or binary (``.bin``): the words are the ids.

    Beside another table, ids of ``NAME.ids.txt`` and words are integers or text as the ids of that table are.

    Raises:
        DataError: If the file is missing or damaged, or a package that reads it is missing.
        InputError: If it is no path, the suffix is another, or the table is not of this form.
    """
    found = file_path(argument, path)
    suffix = found.suffix.lower()
    if suffix not in READABLE:
        known = ", ".join(READABLE)
        raise InputError(argument, f"must be a file of one of the kinds {known} (got '{found}'); convert it")
    check_file(found, "give the path of a table")
    table = ArrowTable(found, argument, key) if suffix in ARROW else _ARRAYS[suffix](found, argument)
    table.stamp = (found.stat().st_size, found.stat().st_mtime_ns)
    return table


def open_tables(paths: Sequence[PathLike], arguments: Sequence[str], key: str | None = None) -> list[Table]:
    """Open several tables; those without the column ``key`` by their only one of ids, if another table has it."""
    found: list[Table | MissingKey] = []
    for path, argument in zip(paths, arguments, strict=True):
        try:
            found.append(open_table(path, argument, key))
        except MissingKey as error:
            found.append(error)
    known = any(isinstance(table, ArrowTable) for table in found)
    every = zip(found, paths, arguments, strict=True)
    return [
        _without_key(table, path, argument, known) if isinstance(table, MissingKey) else table
        for table, path, argument in every
    ]


def _without_key(error: MissingKey, path: PathLike, argument: str, known: bool) -> Table:
    """The table by its only column of ids, if ``known``; else the error that the key is missing."""
    if not known:
        raise error
    try:
        return open_table(path, argument)
    except InputError as other:
        raise (error if other.argument == "key" else other) from None


def ids_of_one_kind(tables: Sequence[Table]) -> list[Ids]:
    """Comparable ids of several tables.

    Those that were written as text, words of word2vec or lines of an ``.ids.txt``, are read as integers or as text, as
    the ids of the first other table are; where all were written, as integers if all can be.
    """
    found = [table.ids() for table in tables]
    typed = [ids for table, ids in zip(tables, found, strict=True) if not table.written]
    integers = [ids for ids in found if ids.dtype.kind in "iu"]
    if len(integers) in (0, len(found)):
        return found
    for like in typed[:1] or [integers[0], next(ids for ids in found if ids.dtype.kind == "S")]:
        for table in tables:
            if table.written:
                table.read_ids_like(like)
        found = [table.ids() for table in tables]
        if len({ids.dtype.kind == "S" for ids in found}) == 1:
            break
    return found


@contextmanager
def paired(source: str, target: str, *paths: PathLike, named: str | None = None) -> Iterator[None]:
    """Errors of :func:`relgraph.tables.ids.matching_rows` name the arguments of two tables.

    They name the id column only where one of the files has columns, and else the argument ``named``, by default that of
    the source.
    """
    try:
        with renamed({"source": source, "target": target}):
            yield
    except InputError as error:
        if error.argument == "key" and not any(Path(path).suffix.lower() in ARROW for path in paths):
            raise InputError(named or source, error.message) from error
        raise


def unequal_rows(first: Table, second: Table) -> bool:
    """Whether two tables without ids, whose rows are paired by their numbers, have different numbers of rows.

    The rows of a translation may have more rows behind them, which are new, and it is noted; rows that are compared
    must be the same, and others are refused.
    """
    return first.numbered and second.numbered and len(first) != len(second)
