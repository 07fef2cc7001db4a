"""Write a translated table: first raw numbers that a killed process can go on with, then the file, whole.

The raw numbers stand in a folder beside the output, with a record of what they are. They are written block by block at
fixed places, so that a process which goes on writes the same bytes as one that was never stopped.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from relgraph.errors import DataError, InputError
from relgraph.io import atomic_path, unwritable
from relgraph.tables.arrays import BLOCK, id_files
from relgraph.tables.arrow import pyarrow
from relgraph.tables.reading import ARROW, Table
from relgraph.tables.trust import COLUMNS

Progress = Callable[[str, int, int], object]
Output = tuple[NDArray[Any], NDArray[np.float32]]
Block = Callable[[NDArray[Any], int, Output], object]
OUTPUTS = (".parquet", ".arrow", ".feather", ".npy")
ROW_GROUP = 1 << 17
TEMPORARY = "temporary.txt"
"""In the folder of an unfinished output: where the file that is encoded stands until it is whole."""
SAVED_EVERY = 1 << 18  # rows between two records of the progress


def check_output(path: Path, kinds: Sequence[str] = OUTPUTS) -> None:
    """Refuse a file of another kind, or in a folder that does not exist, before anything is computed."""
    if path.suffix not in kinds:
        raise InputError("out", f"must be a file of one of the kinds {', '.join(kinds)} (got '{path}'); choose one")
    if path.suffix in ARROW:
        pyarrow()
    for file in written_files(path):
        if file.is_dir() or not file.absolute().parent.is_dir():
            got = f"'{file}'" + (", a folder" if file.is_dir() else "")
            raise InputError("out", f"must be a file in a folder that exists (got {got}); choose another or make it")


def check_names(path: Path, source: Table, target: Table) -> None:
    """Refuse a file of columns two of which would have the same name, before anything is computed."""
    vectors = target.columns or (target.vector,)
    names = {
        f"the ids of {source.name}": (source.key,),
        f"the {'dimensions' if target.columns else 'vectors'} of {target.name}": vectors,
        "the trust that is added": COLUMNS,
    }
    for (what, some), (other, more) in itertools.combinations(names.items(), 2):
        if path.suffix in ARROW and (both := [name for name in some if name in more]):
            got = f"'{both[0]}' for {what} and for {other}"
            raise InputError("out", f"must have columns of different names (got {got}); rename one, or write .npy")


def written_files(path: Path) -> list[Path]:
    """A table that is written, and the files beside it."""
    return [path, id_files(path)[0], trust_file(path)] if path.suffix == ".npy" else [path]


def trust_file(path: Path) -> Path:
    """Where the trust of a table is, if it is no column."""
    return path.with_name(f"{path.stem}.trust.npy")


def partial_folder(path: Path) -> Path:
    """Where the numbers of an unfinished output are."""
    return path.with_name(f".{path.name}.relgraph-partial")


def write_table(
    path: Path, source: Table, target: Table, translate: Block, plan: str, progress: Progress | None = None
) -> None:
    """Translate all rows of the source and write them with their ids and their trust.

    Args:
        path: Of a kind of :data:`OUTPUTS`; npy has ids and trust in ``NAME.ids.npy`` and ``NAME.trust.npy`` beside it.
        source: What is translated.
        target: Whose type and layout of vectors is kept.
        translate: From a block and the number of its first row; writes vectors ``(n, G)`` and trust ``(n, 3)``.
        plan: A digest of inputs and map; numbers of another plan are not gone on with.
        progress: Called with a stage, rows done since the last call and rows in all.

    Raises:
        DataError: If a file cannot be written; what is done is kept, to go on with. Or if the source is damaged.
        InputError: If a row or its translation is no vector of finite numbers. Nothing is left behind of a bad source.
    """
    folder, tell = partial_folder(path), progress or (lambda *_: None)
    _remove_noted(folder)
    try:
        try:
            vectors, trust = _translated(folder, source, target, translate, plan, tell)
        except (InputError, DataError):  # of the input: what is written raises an OSError here
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if path.suffix == ".npy":
            del vectors, trust
            ids = id_files(path)[0]
            with _noted(folder, ids) as temporary, temporary.open("wb") as file:
                np.save(file, source.plain_ids(), allow_pickle=False)
            for name, place in (("trust", trust_file(path)), ("vectors", path)):
                with (folder / f"{name}.npy").open("rb+") as file:
                    os.fsync(file.fileno())
                (folder / f"{name}.npy").replace(place)
        else:
            with _noted(folder, path) as temporary:
                _encode(temporary, path.suffix, source, target, vectors, trust, tell)
    except OSError as error:
        raise unwritable("file", path, error) from error
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _noted(folder: Path, path: Path) -> Iterator[Path]:
    """:func:`relgraph.io.atomic_path`, whose name is noted, so that a later call can remove it after a kill."""
    with atomic_path(path) as temporary:
        if temporary.name != path.name:  # a device is written to itself
            (folder / TEMPORARY).write_text(str(temporary.absolute()), encoding="utf-8")
        yield temporary


def _remove_noted(folder: Path) -> None:
    with suppress(OSError, ValueError):
        Path((folder / TEMPORARY).read_text(encoding="utf-8")).unlink()


def _translated(
    folder: Path, source: Table, target: Table, translate: Block, plan: str, tell: Progress
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Vectors and trust of all rows, in memory-mapped files; goes on where an earlier process stopped."""
    record, count = folder / "progress.json", len(source)
    kinds = {"vectors": (target.dtype, (count, target.width)), "trust": (np.dtype(np.float32), (count, 3))}
    done = _rows_done(record, plan, [folder / f"{name}.npy" for name in kinds])
    if done is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    mode: Any = "w+" if done is None else "r+"
    files = {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode, *kind) for name, kind in kinds.items()}
    done = saved = done or 0
    _note(record, plan, done)
    tell("translate", done, count)
    # Written through files, since a page of a mapped file that is written first costs more than the translation; by a
    # thread, which fills the file with one block while the next one is translated.
    buffers = itertools.cycle([[np.empty((BLOCK, a.shape[1]), a.dtype) for a in files.values()] for _ in range(2)])
    with ExitStack() as stack:
        streams = [stack.enter_context((folder / f"{name}.npy").open("r+b")) for name in files]
        for array, stream in zip(files.values(), streams, strict=True):
            stream.seek(array.offset + done * array.strides[0])

        def save(outputs: Output, last: int) -> None:
            nonlocal saved
            for stream, rows in zip(streams, outputs, strict=True):
                stream.write(rows.data)
            if last - saved >= SAVED_EVERY:
                saved = last
                for stream in streams:
                    stream.flush()
                _note(record, plan, saved)

        writer = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        writing = writer.submit(lambda: None)
        for first, block in source.blocks(done):
            vectors, trust = (buffer[: len(block)] for buffer in next(buffers))
            translate(block, first, (vectors, trust))
            writing.result()  # so that the other buffers are free, and its error is raised
            writing = writer.submit(save, (vectors, trust), first + len(block))
            tell("translate", len(block), count)
        writing.result()
    _note(record, plan, count)
    return files["vectors"], files["trust"]


def _note(record: Path, plan: str, rows: int) -> None:
    """Record the rows that are done; it does not wait for the disk, and is good until the machine restarts."""
    text = json.dumps({"plan": plan, "rows": rows, "started": int(psutil.boot_time())})
    temporary = record.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(record)


def _rows_done(record: Path, plan: str, files: Sequence[Path]) -> int | None:
    """Rows that an earlier process of the same plan wrote to these files; ``None`` if there was none.

    A process that was killed while it moved the files to their places has left some of them there, and not all here.
    """
    if not all(file.is_file() for file in files):
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(record.read_text(encoding="utf-8"))
        same = found["plan"] == plan and found["started"] == int(psutil.boot_time())
        return int(found["rows"]) if same else None
    return None


def _encode(
    path: Path,
    suffix: str,
    source: Table,
    target: Table,
    vectors: NDArray[Any],
    trust: NDArray[np.float32],
    tell: Progress,
) -> None:
    """Write a Parquet or Arrow file: ids as in the source, vectors laid out as in the target, trust."""
    pa = pyarrow()
    names = list(target.columns) if target.columns else [target.vector]
    batches = _batches(pa, source, target, vectors, trust)
    first = next(batches)
    schema = pa.schema(
        [(name, column.type) for name, column in zip([source.key, *names, *COLUMNS], first, strict=True)]
    )
    options = {"compression": "none", "use_dictionary": False, "write_statistics": [source.key]}
    parquet = suffix == ".parquet"
    with pa.parquet.ParquetWriter(path, schema, **options) if parquet else pa.ipc.new_file(str(path), schema) as writer:
        tell("encode", 0, len(source))
        for columns in itertools.chain([first], batches):
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            writer.write_batch(batch)
            tell("encode", batch.num_rows, len(source))


def _batches(
    pa: Any, source: Table, target: Table, vectors: NDArray[Any], trust: NDArray[np.float32]
) -> Iterator[list[Any]]:
    for start in range(0, len(vectors), ROW_GROUP):
        stop = min(start + ROW_GROUP, len(vectors))
        rows, some = np.asarray(vectors[start:stop]), np.asarray(trust[start:stop])
        ids = source.raw_ids(start, stop)
        if isinstance(ids, np.ndarray) and ids.dtype.kind in "SV":
            ids = [bytes(one) for one in ids]
        if target.columns:
            columns = [pa.array(np.ascontiguousarray(column)) for column in rows.T]
        else:
            columns = [pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])]
        yield [pa.array(ids), *columns, *(pa.array(np.ascontiguousarray(column)) for column in some.T)]
