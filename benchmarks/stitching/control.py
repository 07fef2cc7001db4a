"""How far from chance is conversion with permuted anchors, draw by draw?

    python benchmarks/stitching/control.py --data-root DIR

``run.py`` keeps the mean, spread and largest value of Cohen's kappa over the control's draws. The mean of its absolute
value is another question, since single draws scatter to both sides of 0. Takes the same GCN and GraphSAGE runs (GAT is
left out: it trains slowly), one draw for each of the 380 ordered pairs, and writes ``control.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import relgraph as rg
from relgraph.measures import cohen_kappa
from relgraph.stitching import StitchSettings, run_experiment

HERE = Path(__file__).parent


def main():
    """Draw and write ``control.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in ("cora", "citeseer", "pubmed"):
        settings = StitchSettings(
            encoders=("gcn", "sage"),
            seeds=tuple(range(10)),
            arms=("permuted-anchors",),
            num_anchors=128,
            split="public",
        )
        experiment = run_experiment(rg.load_dataset(name, args.data_root), settings)
        truth = experiment.nodes.y[experiment.nodes.test]
        draws = experiment.arms["permuted-anchors"].draws
        kappa = np.array([cohen_kappa(torch.from_numpy(draw.astype(np.int64)), truth) for draw in draws])
        rows.append(
            {
                "dataset": name,
                "mean": float(kappa.mean()),
                "mean_abs": float(np.abs(kappa).mean()),
                "std": float(kappa.std(ddof=1)),
                "max_abs": float(np.abs(kappa).max()),
                "draws": len(kappa),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    document = {"command": "python benchmarks/stitching/control.py --data-root DIR", "wanted": 0.05, "rows": rows}
    (HERE / "control.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
