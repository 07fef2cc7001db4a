"""Tables whose vectors are one array: npy, safetensors, word2vec, or an array in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relgraph.arrays import torch_type
from relgraph.errors import DataError, InputError, import_extra, reason
from relgraph.tables.ids import Ids, comparable_ids, read_ids, text_in_kind_of, whole_bytes

BLOCK = 1 << 15
"""Rows that are read at once."""
ID_NAMES = ("ids", "id")


class ArrayTable:
    """Vectors ``(N, F)`` that can be sliced, such as a memory-mapped array, and the ids of the rows.

    Args:
        vectors: Anything with ``shape`` whose slices of rows are arrays.
        raw_ids: Ids as they were given ``(N,)``; ``None`` for the row numbers.
        argument: ``"source"`` or ``"target"``, for errors.
        name: What the table is called.
        dtype: Type of the vectors; they are read in the one that torch has for it.
        written: Whether the ids were read from a text, which does not tell the integer 7 from the text "7".
    """

    key = "id"
    columns: tuple[str, ...] | None = None
    vector = "vector"
    stamp: tuple[int, ...] = ()  # of the file, to notice that it has changed

    def __init__(
        self,
        vectors: Any,
        raw_ids: Ids | None,
        argument: str,
        name: str,
        dtype: np.dtype[Any],
        written: bool = False,
    ) -> None:
        if len(vectors.shape) != 2 or dtype.kind != "f" or 0 in vectors.shape:
            got = f"{dtype} of shape {tuple(vectors.shape)} in {name}"
            raise InputError(argument, f"must be a matrix of floating-point numbers with rows (got {got}); convert it")
        raw_ids = raw_ids if raw_ids is None else whole_bytes(raw_ids)
        self._vectors, self._raw, self.argument, self.name = vectors, raw_ids, argument, name
        self.dtype, self.written = torch_type(dtype), written
        if raw_ids is not None and raw_ids.shape != (len(self),):
            raise InputError(argument, f"must have one id per row, {len(self)} (got {raw_ids.shape} in {name})")

    def __len__(self) -> int:
        return int(self._vectors.shape[0])

    @property
    def width(self) -> int:
        """Number of dimensions, ``F``."""
        return int(self._vectors.shape[1])

    @property
    def numbered(self) -> bool:
        """Whether the table has no ids of its own, so that rows are known by their numbers."""
        return self._raw is None

    def ids(self) -> Ids:
        """Comparable ids of all rows."""
        return np.arange(len(self)) if self._raw is None else comparable_ids(self._raw, self.argument)

    def read_ids_like(self, other: Ids) -> None:
        """Read ids that were written as text in the kind of others, integers or text, if all of them can be."""
        if self._raw is not None:
            self._raw = text_in_kind_of(self._raw, other)

    def raw_ids(self, start: int, stop: int) -> Ids:
        """Ids of some rows as they were given."""
        return np.arange(start, stop) if self._raw is None else self._raw[start:stop]

    def plain_ids(self) -> Ids:
        """Ids of all rows as a numpy array of their own type."""
        return self.raw_ids(0, len(self))

    def id_of(self, row: int) -> Any:
        """The comparable id of a row."""
        return comparable_ids(self.raw_ids(row, row + 1), self.argument)[0]

    def readable(self, generator: np.random.Generator) -> NDArray[np.bool_]:
        """A mask of the rows that a sample may be drawn from: all, since any row can be read alone."""
        return np.ones(len(self), dtype=bool)

    def blocks(self, start: int = 0, only: NDArray[np.int64] | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows from ``start`` on in blocks, each with the number of its first row; ``only`` is ignored."""
        for first in range(start, len(self), BLOCK):
            yield first, np.ascontiguousarray(self._vectors[first : min(first + BLOCK, len(self))], self.dtype)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, in the order asked for."""
        if isinstance(self._vectors, np.ndarray):
            return np.asarray(self._vectors[rows], self.dtype)
        return taken(self, rows)


def taken(table: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows of a table that is read block by block, in the order asked for."""
    found = np.empty((len(rows), table.width), table.dtype)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    for first, block in table.blocks(only=ordered):
        low, high = np.searchsorted(ordered, (first, first + len(block)))
        found[order[low:high]] = block[ordered[low:high] - first]
    return found


def read_npy(path: Path, argument: str) -> ArrayTable:
    """An npy file, memory-mapped; ids from ``NAME.ids.npy`` or ``NAME.ids.txt`` beside it, else the row numbers."""
    vectors = _load_npy(path, argument)
    ids, written = _ids_beside(path, argument)
    return ArrayTable(vectors, ids, argument, f"'{path}'", vectors.dtype, written)


def read_safetensors(path: Path, argument: str) -> ArrayTable:
    """The one matrix of floating-point numbers in a safetensors file; ids from its tensor ``ids``, or as of npy.

    Published spaces, heads and models, which are safetensors files as well, are refused.
    """
    from safetensors import SafetensorError, safe_open

    try:
        file: Any = safe_open(path, framework="numpy")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        shapes = {name: (part.get_shape(), part.get_dtype()) for name, part in slices.items()}
        record = str((file.metadata() or {}).get("format", ""))
        if record.startswith("relgraph."):  # the outputs of a published head, for one, are a matrix with ids as well
            raise InputError(argument, f"must be a table (got '{path}' of the kind {record}); name a table of vectors")
        matrices = [name for name, (shape, kind) in shapes.items() if len(shape) == 2 and kind in ("F16", "F32", "F64")]
        if len(matrices) != 1:
            got = f"{len(matrices)} in '{path}'"
            raise InputError(argument, f"must hold one matrix of float16, float32 or float64 (got {got}); keep one")
        named = next((name for name in ID_NAMES if len(shapes.get(name, ((), ""))[0]) == 1), None)
        ids, written = (file.get_tensor(named), False) if named else _ids_beside(path, argument)
        part = slices[matrices[0]]
    except (SafetensorError, OSError) as error:
        raise DataError(f"'{path}' is damaged or no safetensors file ({reason(error)}); save it again") from error
    return ArrayTable(_Slices(part), ids, argument, f"'{path}'", part[0:0].dtype, written)


class _Slices:
    """A tensor of a file that is read slice by slice."""

    def __init__(self, part: Any) -> None:
        self._part, self.shape = part, tuple(part.get_shape())

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        found: NDArray[Any] = self._part[rows]
        return found


def read_word2vec(path: Path, argument: str) -> ArrayTable:
    """Vectors in the text or the binary format of word2vec, by gensim (extra ``word2vec``); the words are the ids."""
    KeyedVectors = import_extra("gensim.models", "word2vec").KeyedVectors
    try:
        with path.open("rb") as file:
            count, width = map(int, file.readline(100).split())
        if count * width > path.stat().st_size:  # gensim would take the memory for it
            raise ValueError(f"it is too short for {count} vectors of {width} numbers")
        found = KeyedVectors.load_word2vec_format(str(path), binary=path.suffix.lower() == ".bin")
    except (ValueError, OSError, EOFError, UnicodeError) as error:
        raise DataError(
            f"'{path}' is damaged or not in the format of word2vec ({reason(error)}); save it again"
        ) from error
    if None in found.index_to_key:  # gensim leaves out a word that it has read before
        got = f"{len(set(found.index_to_key)) - 1} different ones of {len(found.index_to_key)}"
        raise InputError(argument, f"must not repeat a word (got {got} in '{path}'); keep one row for each")
    words = np.array(found.index_to_key)
    return ArrayTable(found.vectors, words, argument, f"'{path}'", found.vectors.dtype, written=True)


def _load_npy(path: Path, argument: str) -> NDArray[Any]:
    try:
        loaded: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"'{path}' is damaged or no plain npy file ({reason(error)}); save it again") from error
    if not isinstance(loaded, np.ndarray):
        raise InputError(argument, f"must be one array (got an archive in '{path}'); save the array with numpy.save")
    return loaded


def id_files(path: Path) -> tuple[Path, Path]:
    """Where the ids of a table may be beside it: an array, and a text."""
    return path.with_name(f"{path.stem}.ids.npy"), path.with_name(f"{path.stem}.ids.txt")


def _ids_beside(path: Path, argument: str) -> tuple[Ids | None, bool]:
    """Ids in a file beside a table, if there is one, and whether it is a text."""
    array, text = id_files(path)
    if array.exists():
        return np.asarray(_load_npy(array, argument)), False
    if text.exists():
        return read_ids(text), True
    return None, False
