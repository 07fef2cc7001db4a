"""Time and memory of measures of large tables.

    python -m benchmarks.measures.scaling

Each size runs in a process of its own, with one thread: made tables in float32, 256 wide for linear CKA, and for mutual
k-NN as large as the embeddings of ogbn-arxiv, 169,343 x 64, of which 10,000 rows are asked for. Memory is the peak of
the whole process, with torch and both tables. The slope is that of the logarithm of the processor's time in the
logarithm of the number of rows, by least squares.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from benchmarks.study import Row, Study

SIZES = {"cka": ((100_000, 256), (200_000, 256), (400_000, 256), (1_000_000, 256)), "mutual-knn": ((169_343, 64),)}


def timed(name: str, rows: int, width: int) -> tuple[float, float, float]:
    """Seconds, seconds of the processor, and the peak of memory in GB, of one measure of two tables."""
    from relgraph.measures import compare

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, width, generator=generator)
    y = x @ torch.randn(width, width, generator=generator) + torch.randn(rows, width, generator=generator)
    compare(x[:1000], y[:1000], [name], permutations=0)  # libraries are loaded
    start, processor = time.perf_counter(), time.process_time()
    compare(x, y, [name], permutations=0)
    found = time.perf_counter() - start, time.process_time() - processor
    return *found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """One row for each size, and the slope over all."""
    name, seconds = cell["measure"], []
    sizes = [(int(rows * options.share), width) for rows, width in SIZES[name]]
    for rows, width in sizes:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            wall, processor, memory = pool.submit(timed, name, rows, width).result()
        seconds.append(processor)
        yield {"rows": rows, "width": width, "seconds": wall, "processor_seconds": processor, "memory_gb": memory}
    if len(seconds) > 1:
        counts = [rows for rows, _ in sizes]
        yield {"rows": 0, "slope": float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])}


STUDY = Study(__file__, measure, {"measure": tuple(SIZES)}, settings={"share": 1.0}, needs_data=False)

if __name__ == "__main__":
    STUDY.main()
