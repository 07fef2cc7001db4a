"""Do encoders and heads of different runs fit together? All arms, three citation graphs, ten seeds.

    python benchmarks/stitching/run.py --data-root DIR

Trains GCN, GraphSAGE and GAT, stitches every encoder to every foreign head with 128 random anchors, and writes one
result document for each graph (``cora.json`` ...), a picture of its matrix, and ``results.json`` with the figures and
targets of the tables in ``README.md``. Finished graphs are kept: delete their document, or pass ``--again``, to run
them anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch

import relgraph as rg
from relgraph.stitching import StitchSettings, build_document, run_experiment
from relgraph.stitching.pictures import draw_matrix

HERE = Path(__file__).parent
DATASETS = ("cora", "citeseer", "pubmed")
ENCODERS = ("gcn", "sage", "gat")
ARMS = (
    "absolute",
    "relative-cosine",
    "relative-cosine-posthoc",
    "converted",
    "procrustes",
    "class-centroid",
    "permuted-anchors",
)
COMMAND = "python benchmarks/stitching/run.py --data-root DIR"
GCN_OWN = {"cora": 0.815, "citeseer": 0.705, "pubmed": 0.785}
DECISIVE = {"cora": 0.40, "citeseer": 0.40, "pubmed": 0.50}


def run(name, root, seeds, encoders):
    """One graph's result document."""
    settings = StitchSettings(encoders=encoders, seeds=tuple(range(seeds)), arms=ARMS, num_anchors=128, split="public")
    done = {"train": 0, "stitch": 0}

    def progress(stage, steps, total):
        before = done[stage] * 20 // total
        done[stage] += steps
        if done[stage] * 20 // total > before:
            print(f"{name}: {stage} {done[stage]}/{total}", flush=True)

    experiment = run_experiment(rg.load_dataset(name, root), settings, progress)
    return rounded(build_document(experiment, command=COMMAND))


def rounded(value):
    """The same document with six decimals."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [rounded(one) for one in value]
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return value


def targets(name, document):
    """What was wanted, what came out, and whether it is enough."""
    arms, floor = document["arms"], document["metric"]["floor"]
    converted, absolute, centroid = arms["converted"], arms["absolute"], arms["class-centroid"]
    agreement = 1 - document["robustness"]["disagreement"]["mean"]
    gap = max(
        abs(converted["per_encoder"][e]["own"]["mean"] - absolute["per_encoder"][e]["own"]["mean"])
        for e in document["encoders"]
    )
    retention = converted["retention_cross_seed"]
    fidelity = converted["fidelity_cross_seed"]["mean"]
    rows = [
        ("absolute own, gcn", absolute["per_encoder"]["gcn"]["own"]["mean"], ">=", GCN_OWN[name]),
        ("converted own, largest gap to absolute", gap, "<=", 0.003),
        ("converted retention across seeds, mean", retention["mean"], ">=", 0.99),
        ("converted retention across seeds, worst pair", retention["min"], ">=", 0.97),
        ("converted retention across encoders, mean", converted["retention_cross_encoder"]["mean"], ">=", 0.98),
        ("converted fidelity above class-centroid's", fidelity, ">", centroid["fidelity_cross_seed"]["mean"]),
        ("converted fidelity above agreement of two own models", fidelity, ">", agreement),
        ("converted decisive fidelity", converted["decisive_fidelity_cross_seed"]["mean"], ">=", DECISIVE[name]),
        ("absolute cross-seed near chance (floor + 0.05)", absolute["cross_seed"]["mean"], "<=", floor + 0.05),
        (
            "permuted anchors, |mean kappa| (see the README for mean |kappa|)",
            abs(arms["permuted-anchors"]["kappa"]["mean"]),
            "<=",
            0.05,
        ),
    ]
    compare = {
        ">=": lambda got, wanted: got >= wanted,
        "<=": lambda got, wanted: got <= wanted,
        ">": lambda got, wanted: got > wanted,
    }
    return [
        {"what": what, "got": got, "rule": rule, "wanted": wanted, "met": compare[rule](got, wanted)}
        for what, got, rule, wanted in rows
    ]


def figures(document):
    """The figures of the table, one row for each arm."""
    names = (
        "own", "cross_seed", "cross_encoder", "retention_cross_seed", "retention_cross_encoder",
        "fidelity_cross_seed", "fidelity_cross_encoder", "decisive_fidelity_cross_seed",
    )  # fmt: skip
    rows = {}
    for name, arm in document["arms"].items():
        rows[name] = {"kind": arm["kind"], "trains": arm["trains"], **{key: arm[key] for key in names}}
        rows[name]["collapsed"] = sum(bool(run["arms"][name]["collapsed"]) for run in document["runs"])
        rows[name]["per_encoder"] = arm["per_encoder"]
        if "kappa" in arm:
            rows[name]["kappa"] = arm["kappa"]
    return rows


def main():
    """Run what is missing and write ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder with the raw files of the data sets")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="run finished graphs anew")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = {"command": COMMAND, "seeds": args.seeds, "anchors": 128, "datasets": {}}
    for name in args.datasets:
        path = HERE / f"{name}.json"
        if args.again or not path.exists():
            document = run(name, args.data_root, args.seeds, tuple(args.encoders))
            path.write_text(json.dumps(document) + "\n")
        document = json.loads(path.read_text())
        draw_matrix(document, HERE / f"{name}-matrix.png")
        results["datasets"][name] = {
            "arms": figures(document),
            "robustness": document["robustness"],
            "floor": document["metric"]["floor"],
            "train_seconds_per_run": statistics.median(run["train_seconds"] for run in document["runs"]),
            "targets": targets(name, document),
            "versions": document["versions"],
        }
        for row in results["datasets"][name]["targets"]:
            met = "met   " if row["met"] else "MISSED"
            print(f"{name}: {met} {row['what']}: {row['got']:.4f} {row['rule']} {row['wanted']:.4f}")
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
