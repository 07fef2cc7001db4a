"""Whether the trust of a translated row is its cosine to the true row, for rows that the old table lacks.

    python -m benchmarks.tables.trust --data-root DIR

GCN to GCN, ten seeds (ogbn-arxiv four); the table of run i is translated into that of run i + 1, which holds a random
half of the nodes.
``spearman`` is the correlation of the trust and the true cosine (around the mean of the old table) over the other half,
``coverage`` the share of these rows whose cosine is in the interval of 90 %.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch.nn.functional import cosine_similarity

from benchmarks.common import columns, table_runs
from benchmarks.study import Row, Study
from relgraph.stitching.bootstrap import run_figure
from relgraph.tables import plan_translation

ALL = 0


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Means over ordered pairs of runs, every run once on each side, with intervals that resample runs."""
    runs = table_runs(cell["dataset"], "gcn", options)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        new, old = (Path(folder) / f"{name}.npy" for name in ("new", "old"))
        for pair, run in enumerate(runs):
            target = runs[(pair + 1) % len(runs)].z
            order = torch.randperm(len(target), generator=torch.Generator().manual_seed(pair))
            known, unknown = order.tensor_split(2)
            np.save(new, run.z.numpy())
            np.save(old, target[known].numpy())
            np.save(old.with_name("old.ids.npy"), known.numpy())
            plan = plan_translation(new, old, anchors=cell["anchors"] or None)
            vectors, trust = (torch.from_numpy(part) for part in plan.translate(run.z[unknown].numpy()))
            center = target[known].mean(dim=0)
            cosine = cosine_similarity(vectors - center, target[unknown] - center)
            inside = (cosine >= trust[:, 1]) & (cosine <= trust[:, 2])
            values = (float(spearmanr(trust[:, 0], cosine)[0]), float(inside.float().mean()))
            found.append((*values, float(trust[:, 0].mean()), float(cosine.mean())))
    row: Row = {"pairs": len(found)}
    for name, column in zip(("spearman", "coverage", "expected", "cosine"), np.array(found).T, strict=True):
        row |= columns(name, run_figure(column, ["gcn"] * len(found)))
    yield row


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed", "photo", "ogbn-arxiv"), "anchors": (ALL, 256)},
    settings={"seeds": 10, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
