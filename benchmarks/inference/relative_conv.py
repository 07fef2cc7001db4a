"""Cost of ``RelativeConv`` by the number of its edges, and of the dense ``RelativeLayer`` (0 anchors per node).

    python -m benchmarks.inference.relative_conv [--device cuda]

Forward and backward passes over 20,000 nodes, each joined to some random anchors. Memory is the most that is held
at once beyond embeddings, edges and the incoming gradient.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable

import torch

import relgraph as rg
from benchmarks.inference.run import peak_memory, timed
from benchmarks.study import Row, Study

SHAPES = (("cosine", 64, 128), ("cosine", 256, 512), ("l1", 64, 128))


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Median time of a pass, and peak memory."""
    device, num_nodes, num_anchors = torch.device(cell["device"]), options.nodes, cell["anchors"]
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(num_nodes, cell["width"], generator=generator).to(device).requires_grad_()
    anchors = torch.randn(num_anchors, cell["width"], generator=generator).to(device)
    incoming = torch.ones(num_nodes, num_anchors, device=device)
    order = torch.rand(num_nodes, num_anchors, generator=generator).argsort(1)
    nodes = torch.arange(num_nodes).repeat_interleave(cell["per_node"])
    edges = torch.stack([order[:, : cell["per_node"]].reshape(-1), nodes]).to(device)
    layer, conv = rg.RelativeLayer(cell["similarity"]), rg.RelativeConv(cell["similarity"], fill=0.0)

    def call() -> None:
        r = conv(z, edges, anchors=anchors) if cell["per_node"] else layer(z, anchors=anchors)
        torch.autograd.grad(r, z, incoming)

    seconds = [timed(call, device)[0] for _ in range(options.turns)]
    yield {"ms": 1000 * statistics.median(seconds), "peak_bytes": peak_memory(call, device)}


STUDY = Study(
    __file__,
    measure,
    {
        "device": ("cpu", "cuda"),
        "similarity": ("cosine", "l1"),
        "width": (64, 256),
        "anchors": (128, 512),
        "per_node": (0, 1, 4, 16, 64, 128),
    },
    settings={"nodes": 20_000, "turns": 5},
    exists=lambda cell: (cell["similarity"], cell["width"], cell["anchors"]) in SHAPES,
    needs_data=False,
    default={"device": ("cpu",)},
)

if __name__ == "__main__":
    STUDY.main()
