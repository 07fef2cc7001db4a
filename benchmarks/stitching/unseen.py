"""Do conversions hold on nodes that were added later? Anchors, centre and training on an induced training graph.

    python benchmarks/stitching/unseen.py --data-root DIR

A fifth of the test nodes, drawn anew for five cuts, are taken out of the graph with their edges. On what is left GCN
and GraphSAGE are trained from five seeds, 128 random anchors are drawn there, and spaces and heads are published from
it. Then the nodes come back: the encoders embed the whole graph, and the converted heads read the added nodes. Writes
``unseen.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from cases import NAMES, anchor_rows, finished, graph, rounded, space_of, write
from trained import CACHE, trained

import relgraph as rg
from relgraph.stitching import scores

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/unseen.py --data-root DIR"
CUTS, SEEDS, ANCHORS = range(5), range(5), 128
ENCODERS = ("gcn", "sage")


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
    rows = []
    for number in CUTS:
        before, added = cut(data, number)
        runs, kinds = [], []
        for encoder in ENCODERS:
            runs += trained(before, f"{name}-cut{number}", encoder, SEEDS, cache)
            kinds += [encoder] * len(SEEDS)
        anchors = anchor_rows(before, ANCHORS, seed=number)
        spaces = [space_of(run.z, anchors) for run in runs]  # of the training graph: its anchors, its centre
        heads = [rg.publish(run.head, space) for run, space in zip(runs, spaces, strict=True)]
        whole = [run.model.encode(data) for run in runs]
        for nodes, look in (("added", added), ("there before", data.test_mask & ~added)):
            y = data.y[look].numpy()
            said = np.stack([run.head(z[look]).argmax(1).numpy() for run, z in zip(runs, whole, strict=True)])
            predictions = np.full((len(runs), len(runs), len(y)), -1)
            for i, (z, space) in enumerate(zip(whole, spaces, strict=True)):
                for j, head in enumerate(heads):
                    if i != j:
                        predictions[i, j] = rg.convert(head, space, shrinkage="loo")(z[look]).argmax(1).numpy()
            accuracy = scores.accuracy_matrix(predictions, y)
            own = (said == y).mean(1)
            matrices = {
                "stitched over own": accuracy / own[None, :],
                "retention": scores.retention_matrix(accuracy, own, scores.accuracy_floor(y), kinds),
                "fidelity": scores.fidelity_matrix(predictions, said),
            }
            for which, pairs in (("seeds", scores.cross_seed(kinds)), ("encoders", scores.cross_encoder(kinds))):
                rows.append({"cut": number, "nodes": nodes, "across": which, "own": float(own.mean())})
                rows[-1] |= {what: float(matrix[pairs].mean()) for what, matrix in matrices.items()}
                rows[-1]["worst"] = float(matrices["retention"][pairs].min())
    summary = []
    for nodes in ("added", "there before"):
        for which in ("seeds", "encoders"):
            these = [row for row in rows if (row["nodes"], row["across"]) == (nodes, which)]
            values = {what: [row[what] for row in these] for what in these[0] if isinstance(these[0][what], float)}
            summary.append({"nodes": nodes, "across": which, "cuts": len(these)})
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
