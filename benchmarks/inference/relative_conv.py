"""What does RelativeConv cost by the number of its edges, beside the dense RelativeLayer?

    python benchmarks/inference/relative_conv.py [--device cuda]

Forward and backward over 20,000 nodes; each node is joined to some of the anchors, drawn at random. Writes
``relative_conv.json`` beside this file. Memory is what is held at
once beyond embeddings, edges and the incoming gradient.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
from run import peak_memory, timed

import relgraph as rg

HERE = Path(__file__).parent
NODES = 20_000
SETTINGS = (("cosine", 64, 128), ("cosine", 256, 512), ("l1", 64, 128))
PER_NODE = (1, 4, 16, 64, 128)
TURNS = 5


def contenders(similarity, width, num_anchors, device):
    """Anchors per node (``None`` for the dense layer) to a call of one forward and backward pass."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(NODES, width, generator=generator).to(device).requires_grad_()
    anchors = torch.randn(num_anchors, width, generator=generator).to(device)
    incoming = torch.ones(NODES, num_anchors, device=device)
    order = torch.rand(NODES, num_anchors, generator=generator).argsort(1)
    layer, conv = rg.RelativeLayer(similarity), rg.RelativeConv(similarity, fill=0.0)

    def call(edges=None):
        r = layer(z, anchors=anchors) if edges is None else conv(z, edges, anchors=anchors)
        torch.autograd.grad(r, z, incoming)

    calls = {None: call}
    for count in PER_NODE:
        nodes = torch.arange(NODES).repeat_interleave(count)
        edges = torch.stack([order[:, :count].reshape(-1), nodes]).to(device)
        calls[count] = lambda edges=edges: call(edges)
    return calls


def main():
    """Measure and write ``relative_conv.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    device, settings = torch.device(args.device), []
    for similarity, width, num_anchors in SETTINGS:
        calls = contenders(similarity, width, num_anchors, device)
        seconds = {count: [] for count in calls}
        for _ in range(TURNS):
            for count, call in calls.items():
                seconds[count].append(timed(call, device)[0])
        rows = [
            {
                "per_node": count,
                "ms": round(1000 * statistics.median(seconds[count]), 3),
                "peak_bytes": peak_memory(call, device),
            }
            for count, call in calls.items()
        ]
        settings.append({"similarity": similarity, "width": width, "anchors": num_anchors, "rows": rows})
        print(json.dumps(settings[-1]), flush=True)
    path = HERE / "relative_conv.json"
    kept = json.loads(path.read_text())["devices"] if path.exists() else {}
    document = {
        "command": "python benchmarks/inference/relative_conv.py",
        "nodes": NODES, "threads": 1, "devices": kept | {device.type: settings},
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
