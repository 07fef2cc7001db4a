"""Time of the study of the README, a whole process: three encoders, ten seeds, all default methods, everything written.

    python -m benchmarks.stitching.study_time --data-root DIR

``cpu_seconds`` is the processor time of the command in one thread, from its start to its end; ``train_seconds`` and
``stitch_seconds`` are the times by the clock that the command itself reports, ``ratio`` the second over the first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.study import Row, Study
from relgraph.training import TrainSettings

EPOCHS = TrainSettings().epochs
OPTIONS = ("--encoders", "gcn,sage,gat", "--anchors", "128")


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """One run of the command, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "relgraph", "stitch", "--dataset", cell["dataset"], *OPTIONS]
        command += ["--seeds", str(options.seeds), "--epochs", str(options.epochs)]
        command += ["--data-root", options.data_root, "--out", str(out)]
        threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        before = _spent()
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **threads, "RELGRAPH_CACHE": folder}
        )
        spent = _spent() - before
        seconds = json.loads((out / "stitching.json").read_text(encoding="utf-8"))["seconds"]
    yield {
        "cpu_seconds": spent,
        "train_seconds": seconds["train"],
        "stitch_seconds": seconds["stitch"],
        "ratio": seconds["stitch"] / seconds["train"],
    }


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


STUDY = Study(__file__, measure, {"dataset": ("cora", "citeseer", "pubmed")}, settings={"seeds": 10, "epochs": EPOCHS})

if __name__ == "__main__":
    STUDY.main()
