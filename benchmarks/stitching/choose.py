"""Which constants should ``kl``, ``rbf`` and ``auto`` have? Chosen on Cora's validation nodes, confirmed on CiteSeer's.

    python benchmarks/stitching/choose.py --data-root DIR

Heads of full GCNs read three kinds of sources: full GCNs, GCNs trained on two superclasses, GCNs trained on half of the
classes. Seeds 100 to 104 train for choices only. What counts is fidelity on the validation nodes that are no anchors:
neither labels nor test nodes are looked at. Writes ``choice.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from cases import anchor_rows, coarse, graph, halved, head_of, rounded, space_of
from trained import CACHE, trained

from relgraph.anchors import aligned_rows
from relgraph.conversion.auto import auto
from relgraph.conversion.kernel import KernelConversion
from relgraph.conversion.kl import ANCHORS_WORTH, SHARPNESS, kl
from relgraph.conversion.linear import linear
from relgraph.conversion.pairing import Pairing
from relgraph.translation.kernel_regression import fit_kernel_ridge
from relgraph.translation.leave_one_out import SHRINKAGES

HERE = Path(__file__).parent
SEEDS = range(100, 105)
COUNTS = (16, 32, 128, 512)
WORTHS, SHARPNESSES = (0.3, 1.0, 3.0, 10.0), (1.0, 2.0, 4.0, 8.0)
LEAST = (1e-5, 1e-4, 1e-3, 1e-2)
OURS = {"linear": "linear", "kl": f"kl {ANCHORS_WORTH:g} x{SHARPNESS:g}", "rbf": f"rbf {LEAST[0]:g}"}
COMMAND = "python benchmarks/stitching/choose.py --data-root DIR"


def bent(pairing, least):
    """Kernel conversion with a bound on the shrinkage."""
    allowed = [number for number in SHRINKAGES if number >= least]
    fit = fit_kernel_ridge(
        pairing.anchors, pairing.logits, center=pairing.mean, shrinkages=allowed, weights=pairing.weights()
    )
    module = KernelConversion(
        pairing.center, pairing.anchors, fit.coefficients, fit.bias, fit.similarity, fit.width, fit.shrinkage
    )
    return module.placed(pairing.like).eval()


METHODS = {
    "linear": lambda pairing: linear(pairing, "loo"),
    **{
        f"kl {worth:g} x{sharpness:g}": lambda pairing, worth=worth, sharpness=sharpness: kl(
            pairing, worth=worth, sharpness=sharpness
        )
        for worth in WORTHS
        for sharpness in SHARPNESSES
    },
    **{f"rbf {least:g}": lambda pairing, least=least: bent(pairing, least) for least in LEAST},
}
MARGINS = (0.0, 0.5, 1.0, 2.0)  # of auto, in standard errors of the best


def taken(scores, count, margin):
    """What ``auto`` would take with another margin."""
    best = max(scores.values())
    least = best - margin * (best * (1 - best) / count) ** 0.5
    return next(method for method, score in scores.items() if score >= least)


def measure(name, root, cache):
    """Mean fidelity by kind of source, number of anchors and method."""
    data = graph(name, root)
    full = trained(data, name, "gcn", SEEDS, cache)
    halves = [trained(halved(data, seed)[0], f"{name}-half{seed}", "gcn", [seed], cache)[0] for seed in SEEDS]
    sources = {
        "full": full,
        "superclasses": trained(coarse(data, name), f"{name}-coarse", "gcn", SEEDS, cache),
        "half": halves,
    }
    rows = []
    for kind, runs in sources.items():
        for count in COUNTS:
            names = [*METHODS, *(f"auto {margin:g}" for margin in MARGINS)]
            found, spent = {method: [] for method in names}, dict.fromkeys([*METHODS, "auto"], 0.0)
            for i, source in enumerate(runs):
                anchors = anchor_rows(data, count, seed=i)
                look = data.val_mask.clone()
                look[anchors] = False
                space = space_of(source.z, anchors)
                for j in (1, 2):  # two foreign heads for each source
                    target = full[(i + j) % len(full)]
                    said = target.head(target.z[look]).argmax(1)
                    published = head_of(target, anchors)
                    own, theirs = aligned_rows(space.ids, published.ids, num_features=space.num_features)
                    pairing = Pairing.of(published, space, theirs, own)
                    for method, make in METHODS.items():
                        start = time.perf_counter()
                        predicted = make(pairing)(source.z[look]).argmax(1)
                        spent[method] += time.perf_counter() - start
                        found[method].append(float((predicted == said).double().mean()))
                    start = time.perf_counter()
                    choice = auto(pairing).choice
                    spent["auto"] += time.perf_counter() - start
                    for margin in MARGINS:
                        method = OURS[taken(choice.scores, count, margin)]
                        found[f"auto {margin:g}"].append(found[method][-1])
            fidelity = {method: sum(values) / len(values) for method, values in found.items()}
            seconds = {method: value / len(found["linear"]) for method, value in spent.items()}
            rows.append({"source": kind, "anchors": count, "fidelity": fidelity, "seconds": rounded(seconds, 4)})
            print(name, kind, count, {method: round(value, 3) for method, value in fidelity.items()}, flush=True)
    return rows


def main():
    """Measure and write ``choice.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    document = {"command": COMMAND, "seeds": list(SEEDS), "graphs": {}}
    for name in ("cora", "citeseer"):
        rows = measure(name, args.data_root, args.cache)
        means = {method: sum(row["fidelity"][method] for row in rows) / len(rows) for method in rows[0]["fidelity"]}
        document["graphs"][name] = {"rows": rows, "mean": means}
        print(name, "mean", {method: round(value, 4) for method, value in means.items()}, flush=True)
    (HERE / "choice.json").write_text(json.dumps(rounded(document), indent=1) + "\n")


if __name__ == "__main__":
    main()
