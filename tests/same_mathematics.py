"""Compare the matrices of this version with stored ones of version 0.1.0: ``python -m tests.same_mathematics``.

For every method that keeps its definition, prints the largest absolute difference between the metric of any pair of
runs and the value in ``same_mathematics.json``. Version 0.1.0 trained nodes with Kipf and Welling's settings, which are
named here. On the machine that made the file, and with the same versions of torch and PyG, the difference is 0;
elsewhere it shows how far other arithmetic changes trained models.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from relgraph.datasets import load_dataset
from relgraph.stitching import StitchSettings, build_report, run_experiment

STORED = Path(__file__).with_suffix(".json")


def cases() -> dict[str, tuple[str, StitchSettings]]:
    """Dataset and settings of every stored case."""
    found = {}
    molecules = StitchSettings(("gcn", "gin"), (0, 1), num_anchors=256, epochs=8)
    found["ogbg-molbace"] = ("ogbg-molbace", molecules)
    for name in ("cora", "citeseer", "pubmed"):
        inner = StitchSettings(("gcn", "sage"), (0, 1), num_anchors=64, at=1, train="kipf-welling")
        found[f"{name}-inner"] = (name, inner)
        three = StitchSettings(("gcn", "sage", "gat"), (0, 1), num_anchors=64, train="kipf-welling", epochs=60)
        found[name] = (name, three)
    return found


def differences(case: str, root: Path | None) -> Iterator[tuple[str, float]]:
    """The largest absolute difference of every method of a case, and of validation values and best epochs."""
    dataset, settings = cases()[case]
    report = build_report(run_experiment(load_dataset(dataset, root), settings))
    stored = json.loads(STORED.read_text(encoding="utf-8"))[case]
    for key in ("best_epoch", "validation"):
        yield key, float(np.abs(np.subtract([run[key] for run in report["runs"]], stored[key])).max())
    for method, matrix in stored["methods"].items():
        old, new = (np.array(one, dtype=float) for one in (matrix, report["methods"][method]["matrix"]))
        yield method, float(np.nanmax(np.abs(old - new))) if (np.isnan(old) == np.isnan(new)).all() else np.inf


def main() -> None:
    """Print one line per case and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="folder with raw files")
    parser.add_argument("--cases", default=",".join(cases()), help="cases, separated by commas")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for case in args.cases.split(","):
        for method, difference in differences(case, args.data_root):
            sys.stdout.write(f"{case:16s}{method:26s}{difference:.3g}\n")


if __name__ == "__main__":
    main()
