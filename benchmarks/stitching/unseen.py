"""Do conversions hold on nodes that were added later? Anchors, centre and training on an induced training graph.

    python benchmarks/stitching/unseen.py --data-root DIR

A fifth of the test nodes, drawn anew for five cuts, are taken out of the graph with their edges. On what is left GCN
and GraphSAGE are trained from five seeds, 128 random anchors are drawn there, and spaces and heads are published from
it. Then the nodes come back: the encoders embed the whole graph, and the converted heads read the added nodes. Writes
``unseen.json``.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cases import NAMES, anchor_rows, finished, graph, rounded, space_of, write
from trained import CACHE, trained

import relgraph as rg
from relgraph.stitching import scores

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/unseen.py --data-root DIR"
CUTS, SEEDS, ANCHORS = range(5), range(5), 128
ENCODERS = ("gcn", "sage")
ARMS = ("converted, leave-one-out", "class-centroid", "permuted-anchors")


def cut(data, seed):
    """The graph without a fifth of its test nodes, and the mask of those nodes."""
    test = data.test_mask.nonzero().view(-1)
    order = torch.randperm(test.numel(), generator=torch.Generator().manual_seed(seed))
    added = torch.zeros(data.num_nodes, dtype=torch.bool)
    added[test[order[: test.numel() // 5]]] = True
    return data.subgraph(~added), added


@torch.no_grad()
def measure(name, root, cache):
    """Retention on added nodes and on the test nodes that were there, over all cuts and pairs."""
    data = graph(name, root)
    rows, generator = [], torch.Generator().manual_seed(0)
    for number in CUTS:
        before, added = cut(data, number)
        runs, kinds = [], []
        for encoder in ENCODERS:
            runs += trained(before, f"{name}-cut{number}", encoder, SEEDS, cache)
            kinds += [encoder] * len(SEEDS)
        anchors = anchor_rows(before, ANCHORS, seed=number)
        spaces = [space_of(run.z, anchors) for run in runs]  # of the training graph: its anchors, its centre
        heads = [rg.publish(run.head, space) for run, space in zip(runs, spaces, strict=True)]
        one = F.one_hot(before.y[before.train_mask]).float()  # every class has training nodes here
        means = [one.mT @ run.z[before.train_mask] / one.sum(0).unsqueeze(1) for run in runs]
        whole = [run.model.encode(data) for run in runs]
        for nodes, look in (("added", added), ("there before", data.test_mask & ~added)):
            y = data.y[look].numpy()
            said = np.stack([run.head(z[look]).argmax(1).numpy() for run, z in zip(runs, whole, strict=True)])
            own, pairs = (said == y).mean(1), np.ndindex(len(runs), len(runs))
            predictions = {arm: np.full((len(runs), len(runs), len(y)), -1) for arm in ARMS}
            for i, j in pairs:
                if i != j:
                    converted = rg.convert(heads[j], spaces[i], shrinkage="loo")
                    shuffled = replace(heads[j], logits=heads[j].logits[torch.randperm(ANCHORS, generator=generator)])
                    z = whole[i][look]
                    predictions["converted, leave-one-out"][i, j] = converted(z).argmax(1).numpy()
                    predictions["permuted-anchors"][i, j] = rg.convert(shuffled, spaces[i])(z).argmax(1).numpy()
                    predictions["class-centroid"][i, j] = torch.cdist(z, means[i]).argmin(1).numpy()
            for arm, found in predictions.items():
                accuracy = scores.accuracy_matrix(found, y)
                matrices = {
                    "stitched over own": accuracy / own[None, :],
                    "retention": scores.retention_matrix(accuracy, own, scores.accuracy_floor(y), kinds),
                    "fidelity": scores.fidelity_matrix(found, said),
                }
                for which, chosen in (("seeds", scores.cross_seed(kinds)), ("encoders", scores.cross_encoder(kinds))):
                    row = {"cut": number, "arm": arm, "nodes": nodes, "across": which, "own": float(own.mean())}
                    row |= {what: float(matrix[chosen].mean()) for what, matrix in matrices.items()}
                    rows.append(row | {"worst": float(matrices["retention"][chosen].min())})
    summary = []
    for nodes, arm in itertools.product(("added", "there before"), ARMS):
        for which in ("seeds", "encoders"):
            these = [row for row in rows if (row["nodes"], row["arm"], row["across"]) == (nodes, arm, which)]
            values = {what: [row[what] for row in these] for what in these[0] if isinstance(these[0][what], float)}
            summary.append({"nodes": nodes, "arm": arm, "across": which, "cuts": len(these)})
            for what, numbers in values.items():
                worst = min(numbers) if what == "worst" else float(np.mean(numbers))
                summary[-1][what] = worst
            summary[-1]["range"] = [min(values["retention"]), max(values["retention"])]
            print(name, rounded(summary[-1], 4), flush=True)
    return {"summary": summary, "rows": rows}


def main():
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=[*NAMES, "photo"])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "unseen.json"
    document = finished(path, args.again)
    document |= {"command": COMMAND, "anchors": ANCHORS, "cuts": len(CUTS), "seeds": len(SEEDS)}
    for name in args.datasets:
        if name not in document["graphs"]:
            document["graphs"][name] = rounded(measure(name, args.data_root, args.cache), 5)
            write(path, document)


if __name__ == "__main__":
    main()
