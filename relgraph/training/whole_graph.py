"""A large graph laid out for training without mini-batches: one sparse product for each propagation, none twice.

Three things make it fast on a processor. Nodes stand in reverse Cuthill-McKee order, so that a node's neighbours lie
near it in memory. A propagation is a product with a matrix whose transpose is laid out once, for the gradient. And
features that no dropout touches are propagated once and not in every epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders import GCNEncoder, LayeredEncoder, SAGEEncoder
from relgraph.training.products import SparseMatrix
from relgraph.training.two_hop import propagation

if TYPE_CHECKING:
    from torch_geometric.data import Data

# From this number of nodes on a graph is trained on whole, with its nodes in another order.
LARGE = 50_000


class WholeGraph:
    """Features and propagations of a graph, and the layers of an encoder as products with them.

    States inside are in the order of ``order``: :meth:`inside` and :meth:`outside` go between that and the graph's own.

    Args:
        data: The graph.

    Attributes:
        order: Row of the graph that stands at each place inside, ``(N,)``.
        x: Its features in that order, ``(N, D)``.

    Example:
        >>> import relgraph as rg
        >>> data = rg.load_dataset("digits")
        >>> encoder, graph = GCNEncoder(64, 8, num_layers=3).eval(), WholeGraph(data)
        >>> z = graph.outside(graph.part(encoder, graph.x, 0, 3))
        >>> torch.allclose(z, encoder(data.x, data.edge_index), atol=1e-6)
        True
    """

    def __init__(self, data: Data) -> None:
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        self.data = data
        pattern = propagation("mean", data)
        pattern.data[:] = 1
        # Typed wrongly in scipy's stubs only: any compressed matrix is taken.
        order = reverse_cuthill_mckee(pattern, symmetric_mode=False)
        self.order = torch.from_numpy(order.astype("int64")).to(data.x.device)
        self._back = torch.empty_like(self.order)
        self._back[self.order] = torch.arange(self.order.numel(), device=self.order.device)
        self.x: Tensor = self.inside(data.x)
        self._matrices: dict[str, SparseMatrix] = {}
        self._first: dict[str, Tensor] = {}

    def inside(self, values: Tensor) -> Tensor:
        """Values of all nodes ``(N, ...)`` from the graph's own order into this one's."""
        return values[self.order]

    def outside(self, values: Tensor) -> Tensor:
        """Values of all nodes ``(N, ...)`` in the graph's own order again."""
        return values[self._back]

    def places(self, rows: Tensor) -> Tensor:
        """Where rows of the graph stand inside."""
        return self._back[rows]

    def spread(self, name: str, h: Tensor) -> Tensor:
        """A propagation of a state, by its name in :func:`relgraph.training.two_hop.propagation`."""
        if h is self.x:
            if name not in self._first:
                self._first[name] = self._matrix(name).product(h.unsqueeze(0))[0]
            return self._first[name]
        return self._matrix(name).product(h.unsqueeze(0))[0]

    def part(self, encoder: LayeredEncoder, h: Tensor, start: int, stop: int) -> Tensor:
        """Some layers of an encoder, as :meth:`LayeredEncoder.part` computes them; states are in this order.

        Args:
            encoder: A GCN or GraphSAGE encoder of any depth.
            h: State after layer ``start``, ``(N, F_start)``; :attr:`x` is the one after none.
            start: Layers that are done.
            stop: Layers that will be done.
        """
        layer = _LAYERS[type(encoder)]
        for place in range(start, stop):
            p: Any = encoder.dropout if place else encoder.input_dropout
            h = layer(self, encoder, place, dropout(h, p, encoder.training))
        return h

    def encode(self, encoder: LayeredEncoder, layer: int | None = None) -> Tensor:
        """The state of all nodes after a layer, by default the last, in the graph's own order and without dropout."""
        from relgraph.conversion import evaluating

        with evaluating(encoder):
            return self.outside(self.part(encoder, self.x, 0, layer or encoder.num_layers))

    def _matrix(self, name: str) -> SparseMatrix:
        if name not in self._matrices:
            order = self.order.cpu().numpy()
            matrix = propagation(name, self.data)[order][:, order]
            matrix.sort_indices()
            self._matrices[name] = SparseMatrix(matrix, self.x.device)
        return self._matrices[name]


def can_see_whole(encoder: nn.Module) -> bool:
    """Whether :class:`WholeGraph` knows an encoder's layers."""
    return type(encoder) in _LAYERS


def _gcn(graph: WholeGraph, encoder: GCNEncoder, place: int, h: Tensor) -> Tensor:
    if place + 1 == encoder.num_layers:
        return graph.spread("normalized", h)
    conv: Any = encoder.more[place - 1] if place else encoder.conv
    # A matrix product on the narrower side of the propagation, unless what is propagated is known already.
    known = h is graph.x
    spread = conv.lin(graph.spread("normalized", h)) if known else graph.spread("normalized", conv.lin(h))
    out: Tensor = spread + conv.bias
    return out.relu()


def _sage(graph: WholeGraph, encoder: SAGEEncoder, place: int, h: Tensor) -> Tensor:
    if place + 1 == encoder.num_layers:
        return torch.cat([h, graph.spread("mean", h)], dim=-1)
    conv: Any = encoder.more[place - 1] if place else encoder.conv
    known = h is graph.x
    weight = conv.lin_l.weight.T
    around = graph.spread("mean", h) @ weight if known else graph.spread("mean", h @ weight)
    out: Tensor = around + conv.lin_l.bias + conv.lin_r(h)
    return out.relu()


_LAYERS: dict[type[nn.Module], Callable[..., Tensor]] = {GCNEncoder: _gcn, SAGEEncoder: _sage}
