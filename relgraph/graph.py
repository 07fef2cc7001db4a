"""Stable node ids, edges and fingerprint of a graph, and the anchors that a graph carries."""

from __future__ import annotations

import hashlib
import math
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary, WeakIdRef

from relgraph.arrays import plain
from relgraph.errors import InputError
from relgraph.fingerprints import compare_fingerprints as compare_fingerprints
from relgraph.fingerprints import format_fingerprint, sketch_edges, sketch_nodes

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

    GraphLike: TypeAlias = Data | NodeStorage


def integer_ids(ids: Any, argument: str = "ids") -> Tensor:
    """Ids as an integer tensor, unsigned ones as int64; an :class:`InputError` if they are none.

    Strings and UUIDs become the first 63 bits of their SHA-256, the same in every process. Among a million of them, two
    are the same with a probability of about one in ten million.

    Example:
        >>> integer_ids([3, 5])
        tensor([3, 5])
        >>> integer_ids(["a", "b"])
        tensor([7299139317422481125, 2238838817863543973])
    """
    if isinstance(ids, Tensor):
        found = ids
    else:
        array = np.asarray(ids)
        if array.size and array.dtype.kind in "US":
            found = _hashed(array.tolist())
        elif array.size and array.dtype.kind in "OT" and all(isinstance(one, (str, UUID)) for one in array.flat):
            found = _hashed([str(one) for one in array.tolist()])
        else:
            found = torch.zeros(0) if array.dtype.kind not in "iub" else torch.from_numpy(plain(array).copy())
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        got = found.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise InputError(argument, f"must hold integers, strings or UUIDs (got {got}); give every row an id")
    if found.dtype in (torch.uint16, torch.uint32, torch.uint64):
        found = found.to(torch.int64)
        if bool((found < 0).any()):
            raise InputError(argument, "must be below 2**63 (got a larger one); number the ids anew for all runs")
    return found


def shown_ids(found: Any, ids: Any) -> list[str]:
    """Some of the ids of :func:`integer_ids` as they were given: hashed ones as the strings they were made of.

    Example:
        >>> shown_ids([2238838817863543973, 5], ["a", "b"]), shown_ids([7], torch.tensor([7, 8]))
        (['b', '5'], ['7'])
    """
    if isinstance(ids, Tensor) or np.asarray(ids).dtype.kind in "iub":
        return [str(int(one)) for one in found]
    names = dict(zip(integer_ids(ids).flatten().tolist(), np.asarray(ids).flatten().tolist(), strict=True))
    return [str(names.get(int(one), int(one))) for one in found]


def _hashed(texts: list[str] | list[bytes]) -> Tensor:
    plain = (text.encode() if isinstance(text, str) else text for text in texts)
    return torch.tensor([int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1 for text in plain])


def node_ids(data: GraphLike) -> Tensor:
    """Stable ids of the nodes, shape ``(N,)``: ``data.node_id`` if present, else ``data.n_id``, else the row numbers.

    :class:`relgraph.AddAnchors` writes ``node_id``, and PyG's neighbor loaders write ``n_id``.

    Example:
        >>> from torch_geometric.data import Data
        >>> node_ids(Data(x=torch.zeros(3, 1)))
        tensor([0, 1, 2])
        >>> node_ids(Data(x=torch.zeros(2, 1), node_id=torch.tensor([7, 4])))
        tensor([7, 4])
    """
    if (given := _given_ids(data)) is not None:
        return given
    x = data.get("x")
    return torch.arange(num_nodes(data), device=x.device if isinstance(x, Tensor) else None)


def _given_ids(data: GraphLike) -> Tensor | None:
    name = next((name for name in ("node_id", "n_id") if data.get(name) is not None), None)
    if name is None:
        return None
    ids = integer_ids(data[name], name)
    if ids.dim() != 1 or ids.numel() != num_nodes(data):
        raise InputError(name, f"must hold one id per node (got shape {tuple(ids.shape)} for {num_nodes(data)} nodes)")
    return ids


def num_nodes(data: GraphLike) -> int:
    """Number of nodes, or an error if it is unknown."""
    if lost_graph(data):
        hint = "keep the graph in a variable, as in graph = transform(data), and pass graph[node_type]"
        raise InputError("data", f"must be of a graph that still exists (got a part of one that was deleted); {hint}")
    if (count := data.num_nodes) is None:
        raise InputError("data", "must have a number of nodes (got a graph without features); set data.num_nodes")
    return int(count)


def lost_graph(data: Any) -> bool:
    """Whether this is the storage of a node type whose graph is gone: storages refer to their graphs weakly.

    Example:
        >>> from torch_geometric.data import HeteroData
        >>> graph = HeteroData()
        >>> lost_graph(graph["paper"]), lost_graph(HeteroData()["paper"])
        (False, True)
    """
    parent = getattr(data, "__dict__", {}).get("_parent")
    return callable(parent) and parent() is None


def graph_edges(data: GraphLike) -> tuple[Tensor | None, Tensor | None]:
    """Edges ``(2, E)`` and their weights ``(E,)`` of a graph; ``None`` for what is missing.

    They are read from ``edge_index`` and ``edge_weight``, or from the transposed adjacency ``adj_t`` of
    ``ToSparseTensor``, which has no weights if its values are all 1.

    Example:
        >>> from torch_geometric.data import Data
        >>> adj_t = torch.tensor([[0.0, 0.0], [3.0, 0.0]]).to_sparse()
        >>> graph_edges(Data(adj_t=adj_t, num_nodes=2))
        (tensor([[0],
                [1]]), tensor([3.]))
    """
    edge_index, adjacency = data.get("edge_index"), data.get("adj_t")
    if edge_index is not None or adjacency is None:
        return edge_index, data.get("edge_weight")
    from torch_geometric.utils import to_edge_index

    ends, value = to_edge_index(adjacency)
    weighted = value.dim() == 1 and not bool((value == 1).all())
    return ends.flip(0), value if weighted else None


def check_edges(edge_index: Tensor, count: int) -> None:
    """Refuse edges that are no integers ``(2, E)``, or that name nodes that are not there.

    Raises:
        InputError: If they are.
    """
    wrong = edge_index.is_floating_point() or edge_index.is_complex() or edge_index.dtype == torch.bool
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or wrong:
        found = f"{edge_index.dtype} {tuple(edge_index.shape)}"
        raise InputError("edge_index", f"must have shape (2, E) of integers (got {found})")
    first, last = (int(edge_index.min()), int(edge_index.max())) if edge_index.numel() else (0, 0)
    if edge_index.numel() and (first < 0 or last >= count):
        raise InputError("edge_index", f"must name nodes from 0 to {count - 1} (got {first} to {last})")


def check_weights(weights: Tensor, reader: str = "") -> None:
    """Refuse edge weights that are not finite, or that are negative where something reads them as a share.

    Args:
        weights: Weights of the edges, ``(E,)`` or ``(E, 1)``.
        reader: What must have no negative weights, such as ``"PageRank"``; empty if they are allowed.

    Raises:
        InputError: If there is one; the first edge is named.
    """
    least = 0 if reader else -math.inf
    bad = (~(weights.isfinite() & (weights >= least))).nonzero()
    if len(bad):
        edge, rule = int(bad[0, 0]), f"finite and not negative for {reader}" if reader else "finite"
        way_out = f"drop the edge, or do without {reader}" if reader else "drop the edge"
        raise InputError(
            "edge_weight", f"must be {rule} (got {float(weights.flatten()[edge]):g} at edge {edge}); {way_out}"
        )


def fingerprint(data: Data) -> str:
    """A string that tells this graph from others, and from what has grown from it; see :func:`compare_fingerprints`.

    It starts with a hash of sixteen hexadecimal digits over node ids, edges and edge weights; their order does not
    matter. Numbers of nodes and edges, and a sample of both, follow. Features are left out: new features on the same
    nodes and edges are the same graph. It has about 4,000 characters, fewer for graphs of fewer than 256 nodes.

    Example:
        >>> from torch_geometric.data import Data
        >>> one = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> two = Data(edge_index=torch.tensor([[1, 0], [2, 1]]), num_nodes=3)
        >>> fingerprint(one) == fingerprint(two)
        True
        >>> fingerprint(one) == fingerprint(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3))
        False
    """
    edge_index, edge_weight = graph_edges(data)
    parts = (edge_index, edge_weight, _given_ids(data))
    marks = _marks(parts, num_nodes(data))
    if edge_index is None or marks is None:
        return _computed(node_ids(data), edge_index, edge_weight)
    known = _FINGERPRINTS.get(edge_index)
    if known is None or known[0] != marks:
        known = _FINGERPRINTS[edge_index] = marks, _computed(node_ids(data), edge_index, edge_weight)
    return known[1]


# Fingerprints by the tensor of edges, for as long as it is in memory, with the marks of the graph at that time. Only a
# change through numpy, which does not raise a tensor's version, is not noticed.
_FINGERPRINTS: MutableMapping[Tensor, tuple[object, str]] = WeakIdKeyDictionary()


def _marks(parts: tuple[Tensor | None, ...], count: int) -> object:
    """A value that is equal for the same unchanged tensors only; ``None`` if there is none."""
    if any(part is not None and (type(part) is not Tensor or part.is_inference()) for part in parts):
        return None
    return count, *(part if part is None else (WeakIdRef(part), part._version, part.data_ptr()) for part in parts)


def _computed(ids: Tensor, edge_index: Tensor | None, edge_weight: Tensor | None) -> str:
    ids = ids.cpu().to(torch.int64)
    digest, edges = hashlib.sha256(ids.sort().values.numpy().tobytes()), None
    if edge_index is not None:
        source, target = ids[edge_index.cpu()].numpy()
        edges = sketch_edges(source, target)
        weight = None if edge_weight is None else edge_weight.detach().cpu().to(torch.float64).view(-1).numpy()
        keys = [target, source] if weight is None else [weight, target, source]
        if weight is None and ids.numel() and int(ids.min()) >= 0 and int(ids.max()) < 1 << 31:
            pairs = np.sort(source << 32 | target)  # the same order, ten times faster
            keys = [pairs & (1 << 32) - 1, pairs >> 32]
        else:
            order = np.lexsort(keys)  # by source, then target, then weight
            keys = [key[order] for key in keys]
        for key in keys:
            digest.update(key.tobytes())
    return format_fingerprint(digest.hexdigest()[:16], sketch_nodes(ids.numpy()), edges)


def anchored_nodes(data: Any) -> Any:
    """The nodes that may be anchors: the graph itself, or the one node type of a heterogeneous graph with anchors.

    The caller must keep the graph: its parts refer to it weakly.
    """
    if not hasattr(data, "node_types"):
        return data
    types = [name for name in data.node_types if "anchor_rank" in data[name]]
    if len(types) != 1:
        got = ", ".join(types or data.node_types)
        what = "several types" if types else "no"
        raise InputError("data", f"must have one node type with anchors (got {what}: {got}); pass data[node_type]")
    return data[types[0]]


def has_anchors(data: Any) -> bool:
    """Whether a graph carries all of its anchors; a batch drawn from one may have lost some.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.zeros(4, 1), anchor_rank=torch.tensor([1, -1, 0, -1]), num_anchors=2)
        >>> has_anchors(data), has_anchors(data.subgraph(torch.tensor([0, 1]))), has_anchors(Data())
        (True, False, False)
    """
    for nodes in data.stores:
        if (rank := nodes.get("anchor_rank")) is not None:
            count = int((rank >= 0).sum())
            return count > 0 and count >= int(torch.as_tensor(nodes.get("num_anchors", count)).max())
    return False


def anchor_index(data: GraphLike) -> Tensor:
    """Rows of the anchors in rank order, shape ``(K,)``, read from ``data.anchor_rank`` and ``data.num_anchors``.

    Of a heterogeneous graph they are those of its one node type with anchors.

    A graph carries its anchors per node (rank 0..K-1 for anchors, -1 elsewhere), because that is kept when a subgraph
    is taken or nodes are shuffled, which a list of rows is not.

    Raises:
        InputError: If the graph carries no anchors, or a rank is missing or repeated.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.zeros(4, 1), anchor_rank=torch.tensor([1, -1, 0, -1]), num_anchors=2)
        >>> anchor_index(data)
        tensor([2, 0])
    """
    nodes = anchored_nodes(data)
    if "anchor_rank" not in nodes:
        raise InputError("data", "must carry anchors (got no 'anchor_rank'); apply relgraph.AddAnchors first")
    rank: Tensor = nodes.anchor_rank
    rows = (rank >= 0).nonzero().view(-1)
    found = rank[rows]
    order = found.argsort()
    rows, found = rows[order], found[order]
    expected = int(torch.as_tensor(nodes.num_anchors).max()) if "num_anchors" in nodes else found.numel()
    if expected == 0:
        raise InputError("anchor_rank", "must mark at least one anchor (got none); apply relgraph.AddAnchors first")
    if found.numel() == expected and torch.equal(found, torch.arange(expected, device=found.device)):
        return rows
    counts = torch.bincount(found, minlength=expected)
    wrong = int((counts != (torch.arange(counts.numel(), device=counts.device) < expected)).nonzero()[0])
    raise InputError(
        "anchor_rank",
        f"must hold every rank from 0 to {expected - 1} once (got {int(counts[wrong])} of rank {wrong}); "
        "for a batch of several graphs, or a subgraph without all anchors, pass an AnchorSet instead",
    )
