"""Choosing anchors by the name of a strategy: one call for all, a generator in, rows out, no repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from relgraph.anchors.chance import random_nodes
from relgraph.anchors.geometry import checked_features, farthest_point, kmeans_medoids, propagated_features
from relgraph.anchors.label import class_stratified
from relgraph.anchors.structure import highest_degree, highest_pagerank
from relgraph.errors import InputError, unknown_name
from relgraph.graph import node_ids, num_nodes

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

    Source: TypeAlias = Data | NodeStorage | Tensor


class Strategy(NamedTuple):
    """A way to choose anchors, and what it looks at that not everybody may."""

    choose: Callable[[Source, int, torch.Generator | None], Tensor]
    labels_used: Literal["no", "yes"]


def select_anchors(
    data_or_x: Source, num_anchors: int, strategy: str = "random", *, generator: torch.Generator | None = None
) -> Tensor:
    """Choose anchor nodes of a graph, or among points.

    Args:
        data_or_x: A graph, the storage of one node type of a heterogeneous graph, or points of shape ``(N, F)``.
            Of a graph with edges, geometric strategies look at :func:`relgraph.anchors.propagated_features`;
            otherwise at the points, or the features, themselves.
        num_anchors: How many, ``K``.
        strategy: One of :data:`relgraph.names.STRATEGIES`.
        generator: Source of chance, on the CPU; ``degree`` and ``pagerank`` take none. By default torch's own.

    Returns:
        Rows of the anchors, shape ``(K,)``, int64, without repeats.

    Raises:
        InputError: If there are not that many nodes, the strategy is unknown, or the source lacks what it looks at.

    Example:
        >>> select_anchors(torch.tensor([[0.0], [0.1], [7.0]]), 2, "kmeans").sort().values[1]
        tensor(2)
    """
    from torch_geometric.data import HeteroData

    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)
    if isinstance(data_or_x, HeteroData):
        raise InputError(
            f"'data_or_x' must hold one type of nodes (got {', '.join(data_or_x.node_types)}); pass data[node_type]"
        )
    size = data_or_x.size(0) if isinstance(data_or_x, Tensor) else num_nodes(data_or_x)
    if not 1 <= num_anchors <= size:
        raise InputError(f"'num_anchors' must be from 1 to {size}, the number of nodes (got {num_anchors})")
    return STRATEGIES[strategy].choose(data_or_x, num_anchors, generator).to(_device(data_or_x))


def _random(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    return random_nodes(source.size(0) if isinstance(source, Tensor) else num_nodes(source), num_anchors, generator)


def _class_stratified(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    y, train_mask = (None, None) if isinstance(source, Tensor) else (_get(source, "y"), _get(source, "train_mask"))
    if y is None or train_mask is None:
        raise InputError(
            "the strategy 'class-stratified' needs a graph with labels 'y' and a 'train_mask' "
            "(got one without); make a split first, or take another strategy"
        )
    return class_stratified(y, train_mask, num_anchors, generator)


def _degree(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    graph, edge_index = _edges(source, "degree")
    return highest_degree(edge_index, num_nodes(graph), num_anchors, ids=node_ids(graph))


def _pagerank(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    graph, edge_index = _edges(source, "pagerank")
    weight = _get(graph, "edge_weight")
    return highest_pagerank(edge_index, num_nodes(graph), num_anchors, edge_weight=weight, ids=node_ids(graph))


def _farthest_point(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    return farthest_point(_points(source, generator), num_anchors, generator)


def _kmeans(source: Source, num_anchors: int, generator: torch.Generator | None) -> Tensor:
    return kmeans_medoids(_points(source, generator), num_anchors, generator)


STRATEGIES = {
    "random": Strategy(_random, labels_used="no"),
    "class-stratified": Strategy(_class_stratified, labels_used="yes"),
    "degree": Strategy(_degree, labels_used="no"),
    "pagerank": Strategy(_pagerank, labels_used="no"),
    "farthest-point": Strategy(_farthest_point, labels_used="no"),
    "kmeans": Strategy(_kmeans, labels_used="no"),
}


def _points(source: Source, generator: torch.Generator | None) -> Tensor:
    if isinstance(source, Tensor):
        return source
    if _get(source, "edge_index") is None:
        return checked_features(_get(source, "x"))
    return propagated_features(source, generator=generator)


def _edges(source: Source, strategy: str) -> tuple[Data, Tensor]:
    edge_index = None if isinstance(source, Tensor) else _get(source, "edge_index")
    if edge_index is None:
        raise InputError(
            f"the strategy '{strategy}' needs a graph of one node type with 'edge_index' (got nodes without edges); "
            "take 'random', 'farthest-point' or 'kmeans'"
        )
    return source, edge_index


def _get(source: Data | NodeStorage, name: str) -> Tensor | None:
    value: Tensor | None = source.get(name)
    return value


def _device(source: Source) -> torch.device:
    tensors = [source] if isinstance(source, Tensor) else [_get(source, "x"), _get(source, "edge_index")]
    return next((tensor.device for tensor in tensors if isinstance(tensor, Tensor)), torch.device("cpu"))
