"""Choosing anchors by the name of a strategy: a graph or points in, rows without repeats out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from relgraph.anchors.coverage import checked_features, shares
from relgraph.anchors.matching import as_tensor, row_numbers
from relgraph.errors import InputError, whole_number
from relgraph.graph import check_edges, graph_edges, lost_graph, node_ids, num_nodes
from relgraph.registry import ANCHOR_FEATURES, STRATEGIES

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

    Source: TypeAlias = Data | NodeStorage | Tensor

LabelsUsed: TypeAlias = Literal["none", "run-embeddings", "labels"]
AnchorFeatures: TypeAlias = str | Tensor


def select_anchors(
    data_or_x: Source,
    num_anchors: int,
    strategy: str = "random",
    *,
    features: AnchorFeatures = "propagated",
    among: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose anchor nodes of a graph, or among points.

    Args:
        data_or_x: A graph, the storage of one node type of a heterogeneous graph, or points of shape ``(N, F)``.
        num_anchors: Number of anchors, ``K``.
        strategy: A name in :data:`relgraph.registry.STRATEGIES`.
        features: Where strategies that measure distances do so: ``"propagated"``, in
            :func:`relgraph.anchors.propagated_features` (or in the points, or the features, where there are no edges),
            ``"input"``, in the features, or in the embeddings of one run, shape ``(N, F)``. Anchors chosen in a run's
            embeddings use what that run was trained on (:func:`labels_used`).
        among: Nodes that may become anchors, a boolean mask ``(N,)`` or row numbers; by default all.
        generator: Source of randomness, on the CPU; by default torch's own.

    Returns:
        Rows of the anchors, shape ``(K,)``, int64, without repeats.

    Raises:
        InputError: If there are not that many nodes, a name is unknown, the source lacks what the strategy reads, or
            features are given to a strategy that measures no distances.

    Example:
        >>> select_anchors(torch.tensor([[0.0], [0.1], [7.0]]), 2, "kmeans").sort().values[1]
        tensor(2)
        >>> select_anchors(torch.zeros(9, 1), 2, among=torch.tensor([3, 8])).sort().values
        tensor([3, 8])
    """
    return choose_weighted(data_or_x, num_anchors, strategy, features=features, among=among, generator=generator)[0]


def choose_weighted(
    data_or_x: Source,
    num_anchors: int,
    strategy: str = "random",
    *,
    features: AnchorFeatures = "propagated",
    among: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """As :func:`select_anchors`, with the share of all nodes that each anchor stands for, ``(K,)``.

    The share is that of the nodes nearer to it than to other anchors (:func:`relgraph.anchors.coverage.shares`), where
    the strategy measures distances, and ``None`` elsewhere.
    """
    features = features if isinstance(features, str) else as_tensor("features", features)
    check_features(strategy, features)
    graph = lost_graph(data_or_x) or hasattr(data_or_x, "num_nodes")
    source = data_or_x if graph else as_tensor("data_or_x", data_or_x)
    size, weights = _size(source), None
    if size == 0:
        raise InputError("data_or_x", "must have at least one node to choose from (got none); pass another graph")
    num_anchors = whole_number("num_anchors", num_anchors)
    allowed = torch.arange(size) if among is None else row_numbers("among", among, size).cpu()
    if not 1 <= num_anchors <= allowed.numel():
        raise InputError(
            "num_anchors",
            f"must be from 1 to {allowed.numel()}, the number of nodes to choose from (got {num_anchors})",
        )
    traits, choose = STRATEGIES[strategy].traits, STRATEGIES.resolve(strategy)
    if traits.get("scores"):
        found = _highest(choose(source), source, allowed, num_anchors)
    elif traits.get("points"):
        points = _points(source, size, features, generator)
        found = allowed[choose(points if among is None else points[allowed], num_anchors, generator)]
        weights = shares(points, found).to(_device(source))
    elif traits.get("level") == "any":
        found = allowed[choose(torch.empty(allowed.numel(), 0), num_anchors, generator)]
    elif among is None:
        found = choose(source, num_anchors, generator)
    else:
        raise InputError(
            "among",
            f"must be left out for the strategy '{strategy}', which chooses among all nodes (got "
            f"{allowed.numel()} of {size}); take another strategy",
        )
    return found.to(_device(source)), weights


def labels_used(strategy: str, features: AnchorFeatures = "propagated") -> LabelsUsed:
    """What a choice of anchors uses of the labels: nothing, the embeddings of a trained run, or the labels.

    Example:
        >>> labels_used("kmeans"), labels_used("kmeans", torch.zeros(3, 1)), labels_used("class-stratified")
        ('none', 'run-embeddings', 'labels')
    """
    check_features(strategy, features)
    entry = STRATEGIES[strategy]
    if entry.traits.get("points"):
        entry = ANCHOR_FEATURES["run" if isinstance(features, Tensor) else features]
    used: LabelsUsed = entry.traits.get("labels", "none")
    return used


def check_features(strategy: str, features: AnchorFeatures) -> None:
    """Refuse unknown names, and features for a strategy that measures no distances."""
    STRATEGIES.check(strategy)
    if not isinstance(features, Tensor):
        ANCHOR_FEATURES.check(features, "features")
    if not STRATEGIES[strategy].traits.get("points") and (isinstance(features, Tensor) or features != "propagated"):
        given = f"a tensor of shape {tuple(features.shape)}" if isinstance(features, Tensor) else repr(features)
        able = " or ".join(f"'{name}'" for name, entry in STRATEGIES.items() if entry.traits.get("points"))
        raise InputError(
            "features",
            f"must be left out for the strategy '{strategy}', which measures no distances (got {given}); take {able}",
        )


def _size(source: Source) -> int:
    if isinstance(source, Tensor):
        return source.size(0)
    if hasattr(source, "node_types"):
        raise InputError(
            "data_or_x", f"must hold one type of nodes (got {', '.join(source.node_types)}); pass data[node_type]"
        )
    size, (edge_index, _) = num_nodes(source), graph_edges(source)
    if edge_index is not None:
        check_edges(edge_index, size)
    return size


def _points(source: Source, size: int, features: AnchorFeatures, generator: torch.Generator | None) -> Tensor:
    if isinstance(features, Tensor):
        points = checked_features(features, "features", centered=True)
        if len(points) != size:
            raise InputError(
                "features",
                f"must hold one row per node (got {len(points)} rows for {size} nodes); pass embeddings of this graph",
            )
        return points
    if features == "run":
        raise InputError("features", "must be the embeddings of a run here (got 'run'); pass the tensor (N, F)")
    if isinstance(source, Tensor):
        return source
    if features == "propagated" and graph_edges(source)[0] is None:
        features = "input"
    made: Tensor = ANCHOR_FEATURES.resolve(features)(source, generator=generator)
    return made


def _highest(score: Tensor, source: Source, allowed: Tensor, count: int) -> Tensor:
    """The allowed rows with the highest scores; ties are broken by the lowest id."""
    by_id = allowed[node_ids(source).cpu()[allowed].argsort()]
    found: Tensor = by_id[score[by_id].sort(descending=True, stable=True).indices[:count]]
    return found


def _device(source: Source) -> torch.device:
    tensors = [source] if isinstance(source, Tensor) else [source.get("x"), graph_edges(source)[0]]
    return next((tensor.device for tensor in tensors if isinstance(tensor, Tensor)), torch.device("cpu"))
