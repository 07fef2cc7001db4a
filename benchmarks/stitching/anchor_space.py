"""In which features should k-means look for anchors? Chosen on Cora's validation nodes, confirmed on CiteSeer's.

    python benchmarks/stitching/anchor_space.py --data-root DIR

Heads of full GCNs read GCNs trained on two superclasses, seeds 100 to 104, leave-one-out conversion. What counts is
fidelity on the validation nodes that are no anchors: neither labels nor test nodes are looked at. Writes
``anchor_space.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from cases import coarse, graph, head_of, rounded, space_of
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from trained import CACHE, trained

import relgraph as rg

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/anchor_space.py --data-root DIR"
SEEDS, COUNTS = range(100, 105), (8, 16, 32, 64, 128)


def points(data, before, after):
    """Features propagated twice, in 64 dimensions; rows of unit length before, after, or as they are."""
    x = F.normalize(data.x) if before else data.x
    edges, weight = gcn_norm(data.edge_index, None, data.num_nodes)
    adjacency = torch.sparse_coo_tensor(edges.flip(0), weight, (data.num_nodes,) * 2).coalesce()
    left, values, _ = torch.linalg.svd(adjacency @ (adjacency @ x), full_matrices=False)
    found = left[:, :64] * values[:64]
    return F.normalize(found) if after else found


def fidelity(data, rows, source, target):
    """On validation nodes that are no anchors."""
    look = data.val_mask.clone()
    look[rows] = False
    got = rg.convert(head_of(target, rows), space_of(source.z, rows), shrinkage="loo")(source.z[look]).argmax(1)
    return float((got == target.head(target.z[look]).argmax(1)).double().mean())


@torch.no_grad()
def measure(name, root, cache):
    """Mean fidelity by features and number of anchors."""
    data = graph(name, root)
    full = trained(data, name, "gcn", SEEDS, cache)
    sources = trained(coarse(data, name), f"{name}-coarse", "gcn", SEEDS, cache)
    spaces = {
        "random anchors": None,
        "as they are": points(data, before=False, after=False),
        "unit length before propagation": points(data, before=True, after=False),
        "unit length after it": points(data, before=False, after=True),
        "unit length before and after": points(data, before=True, after=True),
    }
    rows = []
    for what, space in spaces.items():
        found = {}
        for count in COUNTS:
            values = []
            for i, source in enumerate(sources):
                generator = torch.Generator().manual_seed(i)
                if space is None:
                    anchors = rg.select_anchors(data, count, "random", generator=generator)
                else:
                    anchors = rg.select_anchors(data, count, "kmeans", space=space, generator=generator)
                values += [fidelity(data, anchors, source, full[(i + j) % len(full)]) for j in (1, 2)]
            found[str(count)] = sum(values) / len(values)
        rows.append({"features": what, "fidelity": found, "mean": sum(found.values()) / len(found)})
        print(name, rounded(rows[-1], 3), flush=True)
    return rows


def main():
    """Measure and write ``anchor_space.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    graphs = {name: measure(name, args.data_root, args.cache) for name in ("cora", "citeseer")}
    document = {"command": COMMAND, "seeds": list(SEEDS), "graphs": graphs}
    (HERE / "anchor_space.json").write_text(json.dumps(rounded(document), indent=1) + "\n")


if __name__ == "__main__":
    main()
