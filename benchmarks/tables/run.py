"""Time and memory of translating a table of 128 dimensions, against a plain loop over the same file.

    python -m benchmarks.tables.run [--folder DIR]

The loop reads a block, multiplies it by a matrix and writes the result with the same options, in the same process,
until it is on the disk; its block size is the best of three. It matches no ids, fits nothing and has no trust column.
``share`` is its time divided by that of the whole call, each the least of three turns in alternation, imports left out;
``plan_seconds`` is the part of the call before anything is written. Memory is the largest anonymous memory of a process
that translates the table, libraries included; pages of mapped files are not counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.tables import plan_translation

WIDTH, BLOCKS, CHUNK = 128, (1 << 14, 1 << 16, 1 << 18), 1 << 17
MEASURE = """
import sys, threading, relgraph as rg
most, done = [0], threading.Event()
def watch():
    while not done.wait(0.05):
        lines = open("/proc/self/smaps_rollup").read().splitlines()
        most[0] = max(most[0], *(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")))
thread = threading.Thread(target=watch)
thread.start()
rg.translate_table(*sys.argv[1:])
done.set()
thread.join()
print(most[0] / 2**20)
"""


def column(rows: np.ndarray) -> pa.Array:
    """Vectors as Arrow has them."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), WIDTH)


def make(folder: Path, rows: int, suffix: str) -> None:
    """Two tables: normal rows, and the same rotated with some noise, in another order of rows."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    names = ("new", "old")
    if suffix == ".npy":
        files: Any = [np.lib.format.open_memmap(folder / f"{n}.npy", "w+", np.float32, (rows, WIDTH)) for n in names]
    else:
        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), WIDTH))])
        options = {"compression": "none", "use_dictionary": False}
        files = [pq.ParquetWriter(folder / f"{n}{suffix}", schema, **options) for n in names]
    for first in range(0, rows, CHUNK):
        ids = np.arange(first, min(first + CHUNK, rows))
        x = rng.standard_normal((len(ids), WIDTH), np.float32)
        y = x @ turn + np.float32(0.1) * rng.standard_normal((len(ids), WIDTH), np.float32)
        for file, part in zip(files, (x, y), strict=True):
            if suffix == ".npy":
                file[first : first + len(ids)] = part
            else:
                file.write_table(pa.table({"id": ids, "vector": column(part)}, schema=schema))
    for file in files if suffix == ".parquet" else ():
        file.close()


def plain_loop(folder: Path, suffix: str, block: int) -> float:
    """Seconds of reading, multiplying and writing block by block."""
    weight = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    out = folder / f"loop{suffix}"
    start = time.perf_counter()
    if suffix == ".npy":
        x = np.load(folder / "new.npy", mmap_mode="r")
        y = np.lib.format.open_memmap(out, "w+", np.float32, x.shape)
        for first in range(0, len(x), block):
            np.matmul(x[first : first + block], weight, out=y[first : first + block])
    else:
        file = pq.ParquetFile(folder / "new.parquet", memory_map=True)
        options = {"compression": "none", "use_dictionary": False}
        with pq.ParquetWriter(out, file.schema_arrow, **options) as writer:
            for batch in file.iter_batches(block):
                rows = batch.column("vector").flatten().to_numpy().reshape(-1, WIDTH)
                writer.write_batch(
                    pa.record_batch([batch.column("id"), column(rows @ weight)], schema=file.schema_arrow)
                )
    with out.open("rb+") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    out.unlink()
    return seconds


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Both times, without imports, and the memory of a process of its own."""
    suffix = f".{cell['kind']}"
    folder = Path(tempfile.mkdtemp(dir=options.folder or None))
    try:
        make(folder, cell["rows"], suffix)
        names = [str(folder / f"{name}{suffix}") for name in ("new", "old", "out")]
        make(small := folder / "small", 1000, suffix)
        rg.translate_table(*(small / f"{name}{suffix}" for name in ("new", "old", "out")))  # imports its packages
        whole, loops = [], []
        for _ in range(options.turns):
            loops += [plain_loop(folder, suffix, block) for block in BLOCKS]
            for path in folder.glob("out*"):
                path.unlink()  # as the loop does: memory that was just given back is faster to write to
            start = time.perf_counter()
            plan = plan_translation(*names)
            planned = time.perf_counter()
            plan.write()
            whole.append((time.perf_counter() - start, planned - start))
        loop = min(loops)
        done = subprocess.run([sys.executable, "-c", MEASURE, *names], capture_output=True, text=True, check=True)
        seconds, plan_seconds = min(whole)
        yield {
            "loop_seconds": loop,
            "seconds": seconds,
            "plan_seconds": plan_seconds,
            "share": loop / seconds,
            "anonymous_gib": float(done.stdout.split()[-1]),
            "verdict": plan.report.verdict,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


STUDY = Study(
    __file__,
    measure,
    {"kind": ("npy", "parquet"), "rows": (1_000_000, 5_000_000)},
    settings={"turns": 3, "folder": ""},
    needs_data=False,
    default={"rows": (1_000_000,)},
)

if __name__ == "__main__":
    STUDY.main()
