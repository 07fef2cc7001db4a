"""Settings of training for link prediction, chosen on edges of the training graph.

    python -m benchmarks.links.tune --data-root DIR

The edges that ``run.py`` trains on are split once more, as it splits all edges; neither its test pairs nor its seeds
are used. ``settings`` are hidden channels, learning rate, weight decay and epochs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import relgraph as rg
from benchmarks.links.run import DATASETS, figures
from benchmarks.study import Row, Study
from relgraph.problems.link import LinkProblem


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Own and stitched values on the edges held out once more."""
    data: Any = rg.load_dataset(cell["dataset"], options.data_root)
    data = LinkProblem(data.to(options.device)).data  # the training graph
    width, lr, decay, epochs = map(float, cell["settings"].split("/"))
    train = {"hidden_channels": int(width), "lr": lr, "weight_decay": decay, "epochs": options.epochs or int(epochs)}
    methods = [(name, 512) for name in ("ridge", "procrustes", "kernel-ridge")]
    return figures(data, LinkProblem, range(100, 100 + options.seeds), methods, **train)


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": DATASETS[:2],
        "settings": ("64/0.01/0/400", "64/0.03/0/150", "128/0.03/0/150", "128/0.03/3e-5/150", "128/0.03/1e-4/150"),
    },
    settings={"seeds": 3, "epochs": 0},
)

if __name__ == "__main__":
    STUDY.main()
