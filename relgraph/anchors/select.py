"""Choosing anchors by the name of a strategy: one call for all, a generator in, rows out, no repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from relgraph.anchors.chance import random_nodes
from relgraph.anchors.geometry import checked_features, farthest_point, kmeans_medoids, propagated_features
from relgraph.anchors.label import class_stratified
from relgraph.anchors.structure import graph_k_center, highest_degree, highest_pagerank
from relgraph.errors import InputError, unknown_name
from relgraph.graph import graph_edges, node_ids, num_nodes

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

    Source: TypeAlias = Data | NodeStorage | Tensor

LabelsUsed: TypeAlias = Literal["no", "through a trained run", "yes"]
Space: TypeAlias = Literal["propagated", "input"] | Tensor

SPACES = {
    "propagated": "features propagated over the graph",
    "input": "features as they are",
}


class Strategy(NamedTuple):
    """A way to choose anchors, and what it looks at that not everybody may.

    A geometric one is given the points of a space and nothing else, any other one the graph as it is.
    """

    choose: Callable[[Any, int, torch.Generator | None], Tensor]
    labels_used: LabelsUsed
    geometric: bool = False


def select_anchors(
    data_or_x: Source,
    num_anchors: int,
    strategy: str = "random",
    *,
    space: Space = "propagated",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose anchor nodes of a graph, or among points.

    Args:
        data_or_x: A graph, the storage of one node type of a heterogeneous graph, or points of shape ``(N, F)``.
        num_anchors: How many, ``K``.
        strategy: One of :data:`relgraph.names.STRATEGIES`.
        space: Where geometric strategies measure distances: ``"propagated"``, in
            :func:`relgraph.anchors.propagated_features` (which are the points, or the features, themselves where no
            edges are known), ``"input"``, in the features as they are, or in the embeddings of one run, shape
            ``(N, F)``. Anchors chosen in a run's space know whatever that run was trained on (:func:`labels_used`).
        generator: Source of chance, on the CPU; ``degree``, ``pagerank`` and ``k-center`` take none. By default
            torch's own.

    Returns:
        Rows of the anchors, shape ``(K,)``, int64, without repeats.

    Raises:
        InputError: If there are not that many nodes, the strategy or the space is unknown, the source lacks what it
            looks at, or a space is given to a strategy that measures no distances.

    Example:
        >>> select_anchors(torch.tensor([[0.0], [0.1], [7.0]]), 2, "kmeans").sort().values[1]
        tensor(2)
    """
    from torch_geometric.data import HeteroData

    check_space(strategy, space)
    if isinstance(data_or_x, HeteroData):
        raise InputError(
            "data_or_x", f"must hold one type of nodes (got {', '.join(data_or_x.node_types)}); pass data[node_type]"
        )
    size = data_or_x.size(0) if isinstance(data_or_x, Tensor) else num_nodes(data_or_x)
    check_count(num_anchors, size)
    source = _points(data_or_x, size, space, generator) if STRATEGIES[strategy].geometric else data_or_x
    return STRATEGIES[strategy].choose(source, num_anchors, generator).to(_device(data_or_x))


def labels_used(strategy: str, space: Space = "propagated") -> LabelsUsed:
    """What a choice of anchors knew of the labels: nothing, what a trained run learned of them, or the labels.

    Example:
        >>> labels_used("kmeans"), labels_used("kmeans", torch.zeros(3, 1)), labels_used("class-stratified")
        ('no', 'through a trained run', 'yes')
    """
    check_space(strategy, space)
    return "through a trained run" if isinstance(space, Tensor) else STRATEGIES[strategy].labels_used


def space_name(strategy: str, space: Space = "propagated") -> str | None:
    """The name under which a space is recorded, ``None`` for strategies that measure no distances.

    Example:
        >>> space_name("kmeans"), space_name("kmeans", torch.zeros(3, 1)), space_name("random")
        ('propagated', 'embeddings of a run', None)
    """
    check_space(strategy, space)
    if not STRATEGIES[strategy].geometric:
        return None
    return "embeddings of a run" if isinstance(space, Tensor) else space


def check_space(strategy: str, space: Space) -> None:
    """Refuse an unknown strategy, an unknown space, and a space for a strategy that measures no distances."""
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)
    if not isinstance(space, Tensor) and str(space) not in SPACES:  # an array would not compare
        raise unknown_name("space", space, SPACES)
    if not STRATEGIES[strategy].geometric and (isinstance(space, Tensor) or space != "propagated"):
        given = f"a tensor of shape {tuple(space.shape)}" if isinstance(space, Tensor) else repr(space)
        raise needless_space(strategy, given)


def check_count(num_anchors: int, size: int) -> None:
    """Refuse more anchors than there are nodes, and none."""
    if not 1 <= num_anchors <= size:
        raise InputError("num_anchors", f"must be from 1 to {size}, the number of nodes (got {num_anchors})")


def needless_space(strategy: str, given: str) -> InputError:
    """The error for a space that was given to a strategy that measures no distances."""
    geometric = " or ".join(f"'{name}'" for name, entry in STRATEGIES.items() if entry.geometric)
    return InputError(
        "space",
        f"must be left out for the strategy '{strategy}', which measures no distances (got {given}); take {geometric}",
    )


def _random(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    return random_nodes(source.size(0) if isinstance(source, Tensor) else num_nodes(source), num_anchors, generator)


def _class_stratified(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    y, train_mask = (None, None) if isinstance(source, Tensor) else (_get(source, "y"), _get(source, "train_mask"))
    if y is None or train_mask is None:
        raise InputError(
            "",
            "the strategy 'class-stratified' needs a graph with labels 'y' and a 'train_mask' "
            "(got one without); make a split first, or take another strategy",
        )
    return class_stratified(y, train_mask, num_anchors, generator)


def _degree(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    graph, edge_index, _ = _edges(source, "degree")
    return highest_degree(edge_index, num_nodes(graph), num_anchors, ids=node_ids(graph))


def _pagerank(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    graph, edge_index, weight = _edges(source, "pagerank")
    return highest_pagerank(edge_index, num_nodes(graph), num_anchors, edge_weight=weight, ids=node_ids(graph))


def _k_center(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    graph, edge_index, _ = _edges(source, "k-center")
    return graph_k_center(edge_index, num_nodes(graph), num_anchors, ids=node_ids(graph))


STRATEGIES = {
    "random": Strategy(_random, labels_used="no"),
    "class-stratified": Strategy(_class_stratified, labels_used="yes"),
    "degree": Strategy(_degree, labels_used="no"),
    "pagerank": Strategy(_pagerank, labels_used="no"),
    "k-center": Strategy(_k_center, labels_used="no"),
    "farthest-point": Strategy(farthest_point, labels_used="no", geometric=True),
    "kmeans": Strategy(kmeans_medoids, labels_used="no", geometric=True),
}


def _points(source: Source, size: int, space: Space, generator: torch.Generator | None) -> Tensor:
    if isinstance(space, Tensor):
        points = checked_features(space, "space")
        if len(points) != size:
            raise InputError(
                "space",
                f"must hold one row per node (got {len(points)} rows for {size} nodes); "
                "pass the embeddings of this graph",
            )
        return points
    if isinstance(source, Tensor):
        return source
    if space == "input" or graph_edges(source)[0] is None:
        return checked_features(_get(source, "x"))
    return propagated_features(source, generator=generator)


def _edges(source: Source, strategy: str) -> tuple[Data, Tensor, Tensor | None]:
    edge_index, edge_weight = (None, None) if isinstance(source, Tensor) else graph_edges(source)
    if edge_index is None:
        raise InputError(
            "",
            f"the strategy '{strategy}' needs a graph of one node type with 'edge_index' (got nodes without edges); "
            "take 'random', 'farthest-point' or 'kmeans'",
        )
    return source, edge_index, edge_weight


def _get(source: Data | NodeStorage, name: str) -> Tensor | None:
    value: Tensor | None = source.get(name)
    return value


def _device(source: Source) -> torch.device:
    tensors = [source] if isinstance(source, Tensor) else [_get(source, "x"), graph_edges(source)[0]]
    return next((tensor.device for tensor in tensors if isinstance(tensor, Tensor)), torch.device("cpu"))
