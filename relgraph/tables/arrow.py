"""Tables in Parquet and Arrow (Feather) files, read batch by batch with pyarrow (extra ``tables``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relgraph.errors import DataError, InputError, import_extra, reason
from relgraph.tables.arrays import BLOCK, ID_NAMES, taken
from relgraph.tables.ids import Ids, comparable_ids, shown
from relgraph.tables.trust import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

PANDAS_INDEX = re.compile(r"__index_level_\d+__")
PARQUET = (".parquet", ".pq")
FILE_START, STREAM_END = b"ARROW1", b"\xff\xff\xff\xff\0\0\0\0"
GROUPS = 6
"""Row groups of a file that a sample is drawn from, if it has more."""


def pyarrow() -> Any:
    """The package, or an error that names the extra."""
    import_extra("pyarrow.parquet", "tables")
    return import_extra("pyarrow", "tables")


class Stream:
    """An Arrow stream on disk, with the interface of an Arrow file: the form without a list of batches at its end.

    Batches are views of the file where it is not compressed. A stream ends with a mark, without which it is cut off.
    """

    def __init__(self, pa: Any, source: Any) -> None:
        if source.read_at(len(STREAM_END), max(source.size() - len(STREAM_END), 0)) != STREAM_END:
            raise pa.ArrowInvalid("neither an Arrow file nor an Arrow stream with its end")
        with pa.ipc.open_stream(source) as reader:
            self.schema, self._all = reader.schema, list(reader)
        self.num_record_batches = len(self._all)

    def get_batch(self, number: int) -> Any:
        """A record batch."""
        return self._all[number]


class MissingKey(InputError):
    """A table has no column of the name that was given as ``key``."""


class ArrowTable:
    """A Parquet or Arrow file with an id column and vectors: one column of lists, or one column per dimension.

    Args:
        path: The file.
        argument: ``"source"`` or ``"target"``, for errors.
        key: Name of the id column; by default ``id`` or ``ids``, else the only column that holds no vector.

    The trust of rows that were translated is no part of their vectors, and neither is an index without a name that
    pandas wrote. It holds the ids if no other column can.
    """

    stamp: tuple[int, ...] = ()  # of the file, to notice that it has changed
    numbered = False  # there is always a column of ids
    written = False  # and its type tells integers from text

    def __init__(self, path: Path, argument: str, key: str | None = None) -> None:
        self._path, self.argument, self.name = path, argument, f"'{path}'"
        self._pa = pyarrow()
        try:
            self._file = self._open()
            self._lengths = self._rows_of_groups()
        except (self._pa.ArrowException, OSError) as error:
            raise DataError(f"'{path}' is damaged or no such table ({reason(error)}); save it again") from error
        schema = self._file.schema_arrow if self._is_parquet else self._file.schema
        self.key = self._key_of(schema, key)
        lists = [field for field in schema if self._is_list(field.type)]
        self.has_trust = set(COLUMNS) <= set(schema.names)
        trust = COLUMNS if self.has_trust else ()
        left_out = (self.key, *trust)
        names = (name for name in schema.names if name not in left_out and not PANDAS_INDEX.fullmatch(name))
        self.columns = None if lists else tuple(names)
        self.vector = self._vector_of(lists)
        vectors = [self.vector] if lists else self.columns or ()
        self._check_repeats(schema, [self.key, *vectors])
        self.dtype = self._type_of(schema, vectors)
        self._count = self._file.metadata.num_rows if self._is_parquet else self._lengths.sum()
        if not len(self):
            raise InputError(argument, f"must have rows (got none in {self.name})")
        self.width = len(self.columns) if self.columns else self._width_of(schema.field(self.vector).type)

    def __len__(self) -> int:
        return int(self._count)

    def ids(self) -> Ids:
        """Comparable ids of all rows."""
        parts = [comparable_ids(self._plain(batch.column(0)), self.argument) for _, batch in self._batches([self.key])]
        return np.concatenate(parts)

    def read_ids_like(self, other: Ids) -> None:
        """Ids keep the type of their column."""

    def raw_ids(self, start: int, stop: int) -> pa.Array:
        """Ids of some rows, as an Arrow array of the column's type."""
        if not hasattr(self, "_ids"):
            parts = [batch.column(0) for _, batch in self._batches([self.key])]
            self._ids = self._pa.chunked_array(parts)
        return self._ids.slice(start, stop - start).combine_chunks()

    def plain_ids(self) -> Ids:
        """Ids of all rows as a numpy array: of text, bytes or integers; UUIDs are ``V16``, as ``S16`` ends at a 0."""
        kind = self.raw_ids(0, 0).type
        kind = kind.value_type if self._pa.types.is_dictionary(kind) else kind
        if self._is_text(kind):
            return np.char.decode(self.ids(), "utf-8")
        ids = self.ids()
        fixed = self._pa.types.is_fixed_size_binary(getattr(kind, "storage_type", kind))
        return ids.view(f"V{ids.dtype.itemsize}") if fixed else ids

    def id_of(self, row: int) -> Any:
        """The comparable id of a row."""
        return comparable_ids(self._plain(self.raw_ids(row, row + 1)), self.argument)[0]

    def readable(self, generator: np.random.Generator) -> NDArray[np.bool_]:
        """A mask of the rows that a sample may be drawn from: those of :data:`GROUPS` row groups, since no part of a
        row group can be read alone.
        """
        lengths = self._lengths
        chosen = np.zeros(len(lengths), dtype=bool)
        chosen[generator.permutation(len(lengths))[:GROUPS]] = True
        return np.repeat(chosen, lengths)

    def blocks(self, start: int = 0, only: NDArray[np.int64] | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows from ``start`` on in blocks, each with the number of its first row.

        Row groups without any of the rows ``only``, which are sorted, are left out.
        """
        for first, batch in self._batches(self.columns or [self.vector], start, only):
            yield first, self._matrix(batch, first)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, in the order asked for."""
        return taken(self, rows)

    # ---- The file.

    @property
    def _is_parquet(self) -> bool:
        return self._path.suffix.lower() in PARQUET

    def _open(self) -> Any:
        if self._is_parquet:
            return self._pa.parquet.ParquetFile(self._path, memory_map=True, pre_buffer=False)
        source = self._pa.memory_map(str(self._path))
        is_file = source.read_at(len(FILE_START), 0) == FILE_START
        return self._pa.ipc.open_file(source) if is_file else Stream(self._pa, source)

    def _rows_of_groups(self) -> NDArray[np.int64]:
        """Rows of every row group or record batch."""
        if self._is_parquet:
            about = self._file.metadata
            return np.array([about.row_group(i).num_rows for i in range(about.num_row_groups)], np.int64)
        return np.array([self._file.get_batch(i).num_rows for i in range(self._file.num_record_batches)], np.int64)

    def _batches(
        self, columns: Sequence[str], start: int = 0, only: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Record batches of at most a block from ``start`` on, of all row groups or those with rows ``only``."""
        lengths = self._lengths
        for number, first in enumerate((np.cumsum(lengths) - lengths).tolist()):
            last = first + int(lengths[number])
            if last > start and (only is None or np.diff(np.searchsorted(only, (first, last)))[0]):
                for batch in self._of_group(number, columns):
                    if first >= start:
                        yield first, batch
                    first += batch.num_rows

    def _of_group(self, number: int, columns: Sequence[str]) -> Iterator[Any]:
        try:
            if self._is_parquet:
                batches = self._file.iter_batches(BLOCK, row_groups=[number], columns=list(columns))
            else:
                whole = self._file.get_batch(number).select(list(columns))
                batches = (whole.slice(low, BLOCK) for low in range(0, whole.num_rows, BLOCK))
            for batch in batches:
                batch.validate(full=True)  # lengths and places in a damaged file may lead out of its buffers
                yield batch
        except (self._pa.ArrowException, OSError) as error:
            raise DataError(f"{self.name} is damaged ({reason(error)}); save it again") from error

    # ---- Columns.

    def _is_list(self, kind: Any) -> bool:
        types = self._pa.types
        return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))

    def _is_float(self, kind: Any) -> bool:
        return bool(self._pa.types.is_floating(kind))

    def _is_text(self, kind: Any) -> bool:
        types = self._pa.types
        return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))

    def _key_of(self, schema: Any, key: str | None) -> str:
        names = list(schema.names)
        if key is not None:
            if key not in names:
                some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
                raise MissingKey("key", f"must be a column of {self.name}, one of {some} (got '{key}')")
            return key
        others = [f.name for f in schema if not self._is_list(f.type) and not self._is_float(f.type)]
        named = [name for name in others if not PANDAS_INDEX.fullmatch(name)]
        found = [name for name in ID_NAMES if name in others] or named or others
        if len(found) != 1:
            got = ", ".join(found[:8]) or "no column of integers or strings"
            raise InputError("key", f"must be given unless one column of {self.name} can hold ids (got {got})")
        return str(found[0])

    def _vector_of(self, lists: Sequence[Any]) -> str:
        if len(lists) > 1:
            got = ", ".join(field.name for field in lists)
            raise InputError(self.argument, f"must have one column of vectors (got {got} in {self.name}); keep one")
        return str(lists[0].name) if lists else "vector"

    def _check_repeats(self, schema: Any, used: Sequence[str]) -> None:
        names = list(schema.names)
        if repeated := [name for name in used if names.count(name) > 1]:
            got = f"got '{repeated[0]}' {names.count(repeated[0])} times in {self.name}"
            raise InputError(self.argument, f"must have columns of different names ({got}); rename or drop one")

    def _width_of(self, kind: Any) -> int:
        """Dimensions of vectors in a column of lists."""
        fixed = self._pa.types.is_fixed_size_list(kind)
        width = int(kind.list_size if fixed else next(self.blocks())[1].shape[1])
        if not width:
            got = f"got empty lists in the column '{self.vector}' of {self.name}"
            raise InputError(self.argument, f"must have vectors of one dimension or more ({got}); write them anew")
        return width

    def _type_of(self, schema: Any, names: Sequence[str]) -> np.dtype[Any]:
        """The one type of the numbers in all columns of vectors."""
        if not names:
            raise InputError(self.argument, f"must have vectors beside the ids (got none in {self.name})")
        kinds: dict[Any, str] = {}
        for field in (schema.field(name) for name in names):
            kind = field.type.value_type if self._is_list(field.type) else field.type
            if not self._is_float(kind):
                got = f"{kind} in the column '{field.name}' of {self.name}"
                raise InputError(
                    self.argument, f"must have vectors of floating-point numbers (got {got}); cast or drop it"
                )
            kinds.setdefault(kind, field.name)
        if len(kinds) > 1:
            got = " and ".join(f"{kind} in '{name}'" for kind, name in list(kinds.items())[:2])
            raise InputError(self.argument, f"must have columns of one type (got {got} of {self.name}); cast them")
        dtype: np.dtype[Any] = np.dtype(next(iter(kinds)).to_pandas_dtype())
        return dtype

    def _plain(self, column: Any) -> Ids:
        """A column of ids as a numpy array."""
        if column.null_count:
            raise InputError(self.argument, f"must have an id in every row (got none in a row of {self.name})")
        if isinstance(column, self._pa.ExtensionArray):
            column = column.storage
        if self._pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind, types = column.type, self._pa.types
        if types.is_fixed_size_binary(kind):
            return np.array(column.to_pylist(), dtype=f"S{kind.byte_width}")
        if self._is_text(kind):
            return np.array([text.encode() for text in column.to_pylist()], dtype="S")
        if types.is_binary(kind) or types.is_large_binary(kind):
            return np.array(column.to_pylist(), dtype="S")
        plain: Ids = column.to_numpy(zero_copy_only=False)
        return plain

    def _matrix(self, batch: Any, first: int) -> NDArray[Any]:
        """The vectors of a batch whose first row has this number."""
        for column in batch.columns:
            if column.null_count:
                row = first + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
                self._refuse("a value in every row", "none", row)
        if self.columns:
            return np.stack([column.to_numpy() for column in batch.columns], axis=1)
        column = batch.column(0)
        values = column.flatten()
        if values.null_count:
            place = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            self._refuse("a value in every place", "none", first + place * len(column) // len(values))
        if not self._pa.types.is_fixed_size_list(column.type):
            sizes = np.diff(column.offsets.to_numpy())
            width = getattr(self, "width", sizes[0])
            if (sizes != width).any():
                row = int(np.flatnonzero(sizes != width)[0])
                self._refuse(f"vectors of one width, {width}", f"{sizes[row]}", first + row)
        found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return found.reshape(len(column), len(found) // len(column))

    def _refuse(self, rule: str, got: str, row: int) -> None:
        where = f"in the row with id {shown(self.id_of(row))} of {self.name}"
        raise InputError(self.argument, f"must have {rule} (got {got} {where}); drop or repair the row")
