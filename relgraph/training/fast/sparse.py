"""Sparse products over a large full graph: one for each propagation, none computed twice.

Nodes are in reverse Cuthill-McKee order, so that the neighbors of a node are near it in memory. A propagation is a
product with a matrix whose transpose is prepared once, for the gradient. And features without dropout are propagated
once instead of in every epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from relgraph.graph import anchor_index
from relgraph.modes import eval_mode
from relgraph.nn.dropout import dropout
from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.problems import Problem
from relgraph.problems.node import NodeProblem
from relgraph.training.fast.products import SparseMatrix
from relgraph.training.fast.views import propagation

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from relgraph.training.settings import TrainSettings


class SparseGraph:
    """Features and propagations of a graph, and the layers of an encoder as products with them.

    Args:
        data: The graph.

    Attributes:
        order: Row of the graph at each position, ``(N,)``; ``x`` and all states are in that order.
        position: Position of each row, ``(N,)``.

    Example:
        >>> import relgraph as rg
        >>> data = rg.load_dataset("digits")
        >>> encoder, graph = GCNEncoder(64, 8, num_layers=3).eval(), SparseGraph(data)
        >>> z = graph.states(encoder, graph.x)[graph.position]
        >>> torch.allclose(z, encoder(data.x, data.edge_index), atol=1e-6)
        True
    """

    def __init__(self, data: Data) -> None:
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        self.data = data
        pattern = propagation("mean", data)
        pattern.data[:] = 1
        # scipy's stubs are too narrow: any compressed matrix is accepted.
        order = reverse_cuthill_mckee(pattern, symmetric_mode=False)
        self.order = torch.from_numpy(order.astype("int64")).to(data.x.device)
        self.position = torch.empty_like(self.order)
        self.position[self.order] = torch.arange(self.order.numel(), device=self.order.device)
        self.x: Tensor = data.x[self.order]
        self._matrices: dict[str, SparseMatrix] = {}
        self._first: dict[str, Tensor] = {}

    def propagate(self, name: str, h: Tensor) -> Tensor:
        """A propagation of a state, by its name in :func:`relgraph.training.fast.views.propagation`."""
        if h is self.x:
            if name not in self._first:
                self._first[name] = self._matrix(name).product(h.unsqueeze(0))[0]
            return self._first[name]
        return self._matrix(name).product(h.unsqueeze(0))[0]

    def states(self, encoder: GCNEncoder | SAGEEncoder, h: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """The state ``(N, F)`` after layer ``stop``, by default the last, from that after layer ``start``."""
        layer, last = _LAYERS[type(encoder)], len(encoder)
        for place in range(start, last if stop is None else stop):
            module: Any = encoder.layers[place]
            conv = module.conv if place + 1 < last else None
            h = layer(self, conv, dropout(h, module.dropout, encoder.training))
        return h

    def _matrix(self, name: str) -> SparseMatrix:
        if name not in self._matrices:
            order = self.order.cpu().numpy()
            matrix = propagation(name, self.data)[order][:, order]
            matrix.sort_indices()
            self._matrices[name] = SparseMatrix(matrix, self.x.device)
        return self._matrices[name]


class SparseNodes(NodeProblem):
    """A node problem whose models are evaluated through a :class:`SparseGraph`; its rows are in that order.

    Args:
        problem: The problem.
    """

    def __init__(self, problem: Problem) -> None:
        self.__dict__ |= problem.__dict__
        self.graph = SparseGraph(problem.data)
        self.train, self.validation, self.test = (
            self.graph.order[self.graph.position[rows].sort().values]
            for rows in (problem.train, problem.validation, problem.test)
        )

    def batches(self, model: Model, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch: the training rows of a pass over the whole graph."""
        yield self._outputs(model)[self.graph.position[self.train]], self.train_targets

    def outputs(self, model: Model, rows: Tensor) -> Tensor:
        """Outputs for some nodes, in evaluation mode and without gradients."""
        with eval_mode(model):
            return self._outputs(model)[self.graph.position[rows]]

    def _outputs(self, model: Model) -> Tensor:
        """Outputs of the head for every node, in the order of the sparse graph."""
        encoder: Any = model.encoder
        read = self.graph.states(encoder, self.graph.x)
        if isinstance(model, RelativeModel):
            read = model.layer(read, anchor_index=self.graph.position[anchor_index(self.data)])
        out: Tensor = model.head(read)
        return out


def can_use_sparse(problem: Problem, model: Model) -> bool:
    """Whether :class:`SparseNodes` applies to a problem and a model's encoder."""
    return problem.task.level == "node" and type(model.encoder) in _LAYERS


def _gcn(graph: SparseGraph, conv: Any, h: Tensor) -> Tensor:
    if conv is None:
        return graph.propagate("normalized", h)
    # A matrix product on the narrower side of the propagation, unless the propagated features are known already.
    known = h is graph.x
    spread = conv.lin(graph.propagate("normalized", h)) if known else graph.propagate("normalized", conv.lin(h))
    out: Tensor = spread + conv.bias
    return out.relu()


def _sage(graph: SparseGraph, conv: Any, h: Tensor) -> Tensor:
    if conv is None:
        return torch.cat([h, graph.propagate("mean", h)], dim=-1)
    known = h is graph.x
    weight = conv.lin_l.weight.T
    around = graph.propagate("mean", h) @ weight if known else graph.propagate("mean", h @ weight)
    out: Tensor = around + conv.lin_l.bias + conv.lin_r(h)
    return out.relu()


_LAYERS: dict[type[nn.Module], Callable[[SparseGraph, Any, Tensor], Tensor]] = {GCNEncoder: _gcn, SAGEEncoder: _sage}
