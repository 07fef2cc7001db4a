"""Shared builders: random embeddings, published spaces and heads, small graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from relgraph.anchors import AnchorSet, PublishedHead, publish

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rotation(width: int, seed: int = 0) -> Tensor:
    """A random orthogonal matrix."""
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def space(z: Tensor, count: int, *, center: Tensor | None = None, fingerprint: str = "", id: str = "") -> AnchorSet:
    """The anchor set of the first rows of ``z``, with their row numbers as ids."""
    return AnchorSet(torch.arange(count), z[:count], z.mean(0) if center is None else center, fingerprint, id)


def head(width: int, outputs: int, seed: int = 0) -> nn.Linear:
    """A linear head with normal weights in float64."""
    made = nn.Linear(width, outputs, dtype=F64)
    with torch.no_grad():
        made.weight.copy_(normal(outputs, width, seed=seed))
        made.bias.copy_(normal(outputs, seed=seed + 1))
    return made


def two_runs(
    count: int, *, noise: float = 0.3, width: int = 5, outputs: int = 4, seed: int = 0
) -> tuple[Tensor, AnchorSet, PublishedHead]:
    """Embeddings of a run, its anchor set, and the head of another whose space is the same up to rotation and noise."""
    z = normal(200, width, seed=seed) + 3
    other = z @ rotation(width, seed) + noise * normal(200, width, seed=seed + 1)
    return z, space(z, count), publish(head(width, outputs, seed), space(other, count))


def two_spaces(seed: int = 0, *, width: int = 4, target_width: int = 4) -> tuple[Tensor, Tensor]:
    """Embeddings of the same 60 nodes in two spaces, related by a linear map up to noise."""
    z = normal(60, width, seed=seed) + 2
    return z, z @ normal(width, target_width, seed=seed + 1) + 0.3 * normal(60, target_width, seed=seed + 2)


def weighted(anchors: AnchorSet, seed: int = 0) -> AnchorSet:
    """The same anchors with shares of the rows that differ by up to a factor of a hundred."""
    draw = torch.Generator().manual_seed(seed)
    shares = 100 ** torch.rand(len(anchors), generator=draw, dtype=F64)
    return AnchorSet(
        anchors.ids, anchors.embeddings, anchors.center, anchors.fingerprint, weights=shares / shares.sum()
    )


def slow_weights(source: AnchorSet, target: AnchorSet | PublishedHead) -> Tensor:
    """Weights of anchors in least squares by their definition, one anchor at a time; ids in the same order."""
    if isinstance(target, AnchorSet):
        sides = [source.embeddings - source.center, target.embeddings - target.center]
    else:
        logits = target.outputs - target.mean
        if target.mode == "multiclass":
            logits = torch.stack([row - row.mean() for row in logits])
        sides = [] if target.mode == "regression" else [logits]
    roots = [float(share) ** 0.5 for share in source.weights]
    far = [1.0] * len(source)
    if isinstance(target, PublishedHead) and target.mode != "regression":
        sizes = [float((row - source.center).norm()) for row in source.embeddings]
        far = [min(1.0, 5 * sorted(sizes)[(len(sizes) - 1) // 2] / size) ** 2 for size in sizes]
    found = []
    for k in range(len(source)):
        total = 1.0
        for side in sides:
            norms = sorted(float(row.norm()) for row in side)
            total += (float(side[k].norm()) / norms[(len(norms) - 1) // 2]) ** 2
        found.append(far[k] * roots[k] / (sum(roots) / len(roots)) / total)
    return torch.tensor(found, dtype=F64)


def slow_ridge(a: Tensor, b: Tensor, weights: Tensor, shrinkage: float) -> Tensor:
    """Coefficients ``(F, G)`` of the weighted ridge regression, a sum over the rows."""
    square = sum(w * torch.outer(row, row) for w, row in zip(weights, a, strict=True))
    product = sum(w * torch.outer(row, goal) for w, row, goal in zip(weights, a, b, strict=True))
    penalty = shrinkage * square.trace() / a.size(1) * torch.eye(a.size(1), dtype=F64)
    return torch.linalg.inv(square + penalty) @ product


def ring(count: int) -> Tensor:
    """The edges of a ring, in both directions."""
    rows = torch.arange(count)
    return torch.cat([torch.stack([rows, (rows + 1) % count]), torch.stack([(rows + 1) % count, rows])], dim=1)


def graph(num_nodes: int = 30, *, num_features: int = 5, num_classes: int = 3, anchors: int = 0, seed: int = 0) -> Data:
    """A ring with normal features and classes in turn; its first nodes are anchors."""
    x, y = normal(num_nodes, num_features, seed=seed).float(), torch.arange(num_nodes) % num_classes
    data = Data(x=x, edge_index=ring(num_nodes), y=y)
    if anchors:
        rank = torch.arange(num_nodes)
        data.anchor_rank, data.num_anchors = torch.where(rank < anchors, rank, -1), anchors
    return data


def changed(z: Tensor, change: str, seed: int = 0) -> Tensor:
    """All rows of a space after one of :data:`relgraph.similarity.CHANGES`."""
    width, draw = z.size(1), torch.Generator().manual_seed(seed)
    if change == "rotation":
        return z @ rotation(width, seed)
    if change == "translation":
        return z + 3 * normal(width, seed=seed)
    if change == "affine":
        return changed(changed(changed(z, "rotation", seed), "coordinate-scaling", seed), "translation", seed)
    if change == "scaling":
        return z * (1.5 + 2 * torch.rand(1, generator=draw, dtype=F64))
    shape = {"coordinate-scaling": (width,), "node-scaling": (len(z), 1)}[change]
    return z * (0.2 + 3 * torch.rand(shape, generator=draw, dtype=F64))
