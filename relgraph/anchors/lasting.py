"""Nodes that will last as anchors: present in every version of a graph, with neighbors that hardly change."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relgraph.anchors.matching import as_tensor, repeated_id
from relgraph.errors import InputError, require
from relgraph.graph import check_edges, graph_edges, node_ids, num_nodes

if TYPE_CHECKING:
    from torch_geometric.data import Data

    Ids = NDArray[np.int64]


def neighborhood_change(old: Data, new: Data) -> tuple[Tensor, Tensor]:
    r"""How much of the neighborhood of every common node differs between two versions of a graph.

    .. math:: c_i = 1 - \frac{|N_i \cap N'_i|}{|N_i \cup N'_i|},

    the Jaccard distance of the sets of neighbors by their ids, along edges in either direction: 0 if none came or went,
    1 if none stayed. Of a node without neighbors in both versions it is 0.

    Args:
        old: A graph with stable ids, see :func:`relgraph.graph.node_ids`.
        new: Another version of it.

    Returns:
        Ids of the nodes that both have, ascending, shape ``(S,)``, and their change, shape ``(S,)``, float64.

    Raises:
        InputError: If a graph has no edges attribute, or repeats an id.

    Example:
        >>> from torch_geometric.data import Data
        >>> old = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> new = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> neighborhood_change(old, new)
        (tensor([0, 1, 2]), tensor([0.0000, 0.0000, 0.5000], dtype=torch.float64))
    """
    universe, common, (before, after) = _aligned([old, new], ("old", "new"))
    return torch.from_numpy(universe[common]), torch.from_numpy(_change(before, after, len(universe))[common])


def lasting_nodes(graphs: Sequence[Data], *, time: str = "node_year") -> Tensor:
    """Ids of the nodes that every version has, the most lasting first, shape ``(S,)``.

    Nodes with neighbors in every version come before those without. Of these, the ones whose neighborhood has changed
    least (the sum of :func:`neighborhood_change` over consecutive versions) come first; then older ones, if the newest
    graph tells when its nodes appeared; then those with more neighbors; then lower ids. Of a single graph only age and
    number of neighbors are known: what arrives changes a large neighborhood less.

    Args:
        graphs: Versions of a graph, the oldest first; at least one.
        time: Node attribute of the newest graph, ``(N,)`` or ``(N, 1)``, that is smaller for older nodes; it is not
            used if there is none.

    Raises:
        InputError: If there is no graph or no common node, or a graph has no edges or repeats an id.

    Example:
        >>> from torch_geometric.data import Data
        >>> old = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> new = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> lasting_nodes([old, new]), lasting_nodes([old])
        (tensor([1, 0, 2]), tensor([1, 0, 2]))
    """
    require("graphs", graphs, Sequence, "pass a list of the versions, the oldest first")
    if not graphs:
        raise InputError("graphs", "must hold at least one version of the graph (got none)")
    universe, common, edges = _aligned(graphs, ("graphs",) * len(graphs))
    if not len(common):
        raise InputError("graphs", "must have common ids (got versions without any); set data.node_id")
    degrees = np.stack([_degrees(keys, len(universe))[common] for keys in edges])
    change = np.zeros(len(common))
    for before, after in itertools.pairwise(edges):
        change += _change(before, after, len(universe))[common]
    appeared = np.zeros(len(universe))
    appeared[np.searchsorted(universe, node_ids(graphs[-1]).cpu().numpy())] = _times(graphs[-1], time)
    # Sums of the same changes in another order are the same.
    keys = [-degrees[-1], appeared[common], change.round(12), (degrees == 0).any(axis=0)]
    return torch.from_numpy(universe[common[np.lexsort(keys)]])


def _aligned(graphs: Sequence[Data], arguments: Sequence[str]) -> tuple[Ids, Ids, list[Ids]]:
    """All ids of some graphs, ascending; the places of those that all have; and the edges of each graph by places."""
    ids = [_checked_ids(graph, argument) for graph, argument in zip(graphs, arguments, strict=True)]
    universe = _distinct(np.concatenate(ids))
    places = [np.searchsorted(universe, some) for some in ids]
    common = np.flatnonzero(sum(np.bincount(some, minlength=len(universe)) for some in places) == len(graphs))
    return universe, common, [_edges(*pair, len(universe)) for pair in zip(graphs, places, strict=True)]


def _change(before: Ids, after: Ids, count: int) -> NDArray[np.float64]:
    """The change of every place's neighborhood; 0 where there are no neighbors."""
    stayed = np.intersect1d(before, after, assume_unique=True)
    old, new, kept = (_degrees(keys, count) for keys in (before, after, stayed))
    union = old + new - kept
    found: NDArray[np.float64] = 1 - np.divide(kept, union, out=np.ones(count), where=union > 0)
    return found


def _distinct(values: Ids) -> Ids:
    """Different values, ascending; many times faster than numpy's hash table of them."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    found: Ids = ordered[first]
    return found


def _checked_ids(data: Data, argument: str) -> Ids:
    if hasattr(data, "node_types"):
        raise InputError(argument, "must have one type of nodes (got a heterogeneous graph); take its to_homogeneous()")
    if not hasattr(data, "edge_index"):
        raise InputError(argument, f"must be graphs of PyG (got {type(data).__name__}); pass each as a Data")
    ids = node_ids(data).cpu().to(torch.int64)
    if (repeated := repeated_id(ids)) is not None:
        raise InputError(argument, f"must not repeat an id (got {repeated} more than once); set data.node_id")
    found: Ids = ids.numpy()
    return found


def _edges(data: Data, places: Ids, count: int) -> Ids:
    """Undirected edges without loops and repeats as numbers ``lower * count + upper`` of places, ascending."""
    edge_index, _ = graph_edges(data)
    if edge_index is None:
        raise InputError("graphs", "must have edges (got a graph without 'edge_index')")
    check_edges(edge_index, num_nodes(data))
    source, target = places[edge_index.cpu().numpy()]
    lower, upper = np.minimum(source, target), np.maximum(source, target)
    return _distinct((lower * count + upper)[lower < upper])


def _degrees(keys: Ids, count: int) -> Ids:
    return np.bincount(keys // count, minlength=count) + np.bincount(keys % count, minlength=count)


def _times(data: Data, name: str) -> NDArray[np.float64]:
    found = data.get(name)
    if found is None:
        return np.zeros(num_nodes(data))
    times = as_tensor(name, found).detach().cpu().double().reshape(-1).numpy()
    if len(times) != num_nodes(data) or not np.isfinite(times).all():
        raise InputError("time", f"must name one finite number per node (got '{name}' of shape {tuple(found.shape)})")
    return times
