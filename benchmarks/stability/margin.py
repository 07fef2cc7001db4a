"""Whether the margin of a kept head tells where its predictions differ from those of its owner.

    python -m benchmarks.stability.margin --data-root DIR

GCNs with the settings of Kipf and Welling (2017). The head of run i is converted to the encoder of run i + 1 on all
nodes, at most 4,096. ``auc`` is the area under the ROC curve of the margin, the largest less the second largest
probability, for test nodes on which the converted head and its owner differ; ``degree_auc`` and ``homophily_auc`` are
those of the node's degree and of the share of its neighbors with its label.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.common import columns, node_problem
from benchmarks.stability.consensus import trained
from benchmarks.study import Row, Study
from relgraph.anchors import AnchorSet, publish
from relgraph.maps import fit_map
from relgraph.stitching.bootstrap import run_figure
from relgraph.stitching.consensus_head import default_rows
from relgraph.studies.training import row_properties


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Means over runs, with intervals that resample runs."""
    problem = node_problem(cell["dataset"], options.data_root)
    runs = trained(problem, "gcn", range(options.seeds), options.epochs, options.device)
    rows, test, known = default_rows(len(runs[0].z)), problem.test, row_properties(problem)
    spaces = [AnchorSet.from_rows(run.z, rows) for run in runs]
    found: dict[str, list[float]] = {"auc": [], "degree_auc": [], "homophily_auc": []}
    for i, run in enumerate(runs):
        j = (i + 1) % len(runs)
        outputs = fit_map(spaces[j], publish(run.head, spaces[i]))[0](runs[j].z)[test]
        differs = (outputs.argmax(1) != run.head(run.z)[test].argmax(1)).numpy()
        if not 0 < differs.sum() < len(differs):
            continue
        best = outputs.softmax(1).topk(2, dim=1).values
        scores = {"auc": (best[:, 0] - best[:, 1]).numpy()}
        scores |= {f"{name}_auc": np.nan_to_num(known[name]) for name in ("degree", "homophily")}
        for name, score in scores.items():
            found[name].append(float(roc_auc_score(differs, -score)))
    row: Row = {"pairs": len(found["auc"])}
    for name, values in found.items():
        row |= columns(name, run_figure(np.array(values), ["gcn"] * len(values)), worst=False)
    yield row


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed")},
    settings={"seeds": 50, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
