"""Embeddings of chosen nodes for a stack of models: what the encoders of ``training/fast`` have in common.

The embedding of a node depends on the states of its neighbors only, and these on their neighbors' states: a
:class:`View` of some nodes takes the rows of every matrix that they depend on, and computes no others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from relgraph.graph import num_nodes
from relgraph.nn.dropout import keep_mask
from relgraph.training.fast.products import SparseMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch_geometric.data import Data

Generators = Sequence[torch.Generator]


def propagation(name: str, data: Data) -> csr_array:
    """A propagation as a sparse matrix ``(N, N)``, row = receiving node.

    Args:
        name: ``"normalized"`` (symmetric, with self-loops), ``"mean"`` over incoming edges, ``"sum"`` of the node and
            its incoming edges, or ``"self"``; ``"edges"`` and ``"loops"`` are 1 at every incoming edge, repeated edges
            apart, the latter with one loop at every node.
        data: The graph.
    """
    from scipy.sparse import csr_array, eye_array
    from torch_geometric.nn.conv.gcn_conv import gcn_norm
    from torch_geometric.utils import add_self_loops, remove_self_loops

    n, dtype, edges = num_nodes(data), data.x.dtype, data.edge_index
    if name == "self":
        return csr_array(eye_array(n, dtype=_numpy(data.x[:0]).dtype))
    weight = None
    if name == "normalized":
        given = data.edge_weight.to(dtype) if "edge_weight" in data else None
        edges, weight = gcn_norm(edges, given, n, dtype=dtype)
    elif name == "mean":
        weight = 1 / torch.bincount(edges[1], minlength=n).clamp(min=1)[edges[1]].to(dtype)
    elif name == "sum":
        edges, _ = add_self_loops(edges, num_nodes=n)
    elif name == "loops":
        edges, _ = add_self_loops(remove_self_loops(edges)[0], num_nodes=n)
    values = _numpy(torch.ones(edges.size(1), dtype=dtype) if weight is None else weight)
    source, target = _numpy(edges)
    if name not in ("edges", "loops"):
        matrix = csr_array((values, (target, source)), shape=(n, n))
        matrix.sum_duplicates()
        return matrix
    # The constructor above adds up repeated edges; an attention mechanism weighs each of them.
    order = np.lexsort((source, target))
    ends = np.concatenate([[0], np.bincount(target, minlength=n).cumsum()])
    return csr_array((values, source[order].astype(np.int32), ends.astype(np.int32)), shape=(n, n))


class Graph:
    """Features ``(N, D)`` and propagations of a graph as sparse matrices.

    Args:
        data: The graph.
    """

    def __init__(self, data: Data) -> None:
        from scipy.sparse import csr_array

        self.features = csr_array(_numpy(data.x))
        self.device = data.x.device
        self._data = data
        self._matrices: dict[str, csr_array] = {}

    def propagation(self, name: str) -> csr_array:
        """A matrix of :func:`propagation`."""
        if name not in self._matrices:
            self._matrices[name] = propagation(name, self._data)
        return self._matrices[name]


class View(ABC):
    """Embeddings of some nodes for a stack of models, exact, computed from the nodes that they depend on only.

    Args:
        graph: The graph.
        encoder: Any of the encoders, for its form and its dropout.
        rows: The nodes, ``(R,)``, ascending.
        training: Whether dropout acts.
    """

    size: int
    """Values of the largest matrix of one model."""

    @abstractmethod
    def __init__(self, graph: Graph, encoder: Any, rows: np.ndarray, *, training: bool = False) -> None: ...

    @abstractmethod
    def embed(self, parameters: dict[str, Tensor], generators: Generators | None = None) -> Tensor:
        """Embeddings ``(S, R, F)``.

        Args:
            parameters: Stacked parameters of the encoders by name: matrices ``(S, in, out)``, vectors ``(S, 1, out)``,
                others ``(S, ...)``.
            generators: One for the dropout of each model; ``None`` for no dropout.
        """


class Hop:
    """The rows of a propagation that some nodes need, with the columns that these need.

    Args:
        graph: The graph.
        name: Name of the propagation.
        rows: The nodes, ``(R,)``, ascending.
        scale: Factor of the propagation.

    Attributes:
        columns: The nodes and those that they receive from, ``(C,)``, ascending.
        matrix: The propagation, ``(R, C)``.
        at: Positions of the nodes among the columns, ``(R,)``.
    """

    def __init__(self, graph: Graph, name: str, rows: np.ndarray, scale: float = 1.0) -> None:
        from scipy.sparse import csr_array

        part = scale * graph.propagation(name)[rows]
        self.columns = np.union1d(rows, part.indices)
        shape, kind = (rows.size, self.columns.size), part.indices.dtype
        places = np.searchsorted(self.columns, part.indices).astype(kind)
        self.matrix = SparseMatrix(csr_array((part.data, places, part.indptr), shape=shape), graph.device)
        at = np.searchsorted(self.columns, rows).astype(kind)
        ones = np.ones(rows.size, dtype=part.dtype)
        own = csr_array((ones, at, np.arange(rows.size + 1, dtype=kind)), shape=shape)
        self._own = SparseMatrix(own, graph.device) if rows.size < self.columns.size else None
        self.at = torch.from_numpy(at).to(graph.device)

    def select(self, h: Tensor) -> Tensor:
        """States ``(S, R, F)`` of the nodes themselves from those of the columns, ``(S, C, F)``."""
        return h if self._own is None else self._own.product(h)


def dropped(h: Tensor, p: float, generators: Generators | None) -> Tensor:
    """Stacked states ``(S, ...)`` after dropout, with a mask from each generator."""
    return h if p == 0 or generators is None else h * keep_mask(h.shape[1:], p, generators, h)


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
