"""Two-hop encoders of many seeds at once, evaluated on the nodes that are needed only.

GCN and GraphSAGE of two layers share one form: a sum of propagated linear maps of the features, ReLU, dropout, and
concatenated propagations. :class:`View` evaluates it exactly for chosen nodes, whose embeddings depend on the hidden
states of their neighbors only, and these on the features of the neighbors' neighbors only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from relgraph.graph import num_nodes
from relgraph.nn.dropout import keep_mask
from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.training.fast.products import Features, SparseMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch_geometric.data import Data


@dataclass(frozen=True)
class TwoHop:
    r"""The form of a two-hop encoder.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\sum_k B_k X W_k + b)), \qquad Z = [C_1 H, C_2 H, \dots]

    Args:
        first: Pairs of a propagation :math:`B_k` and the name of the parameter :math:`W_k` in the PyG module.
        bias: Name of the parameter :math:`b`.
        second: The propagations :math:`C_k`.
    """

    first: tuple[tuple[str, str], ...]
    bias: str
    second: tuple[str, ...]

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weight matrices."""
        return tuple(name for _, name in self.first)


TWO_HOP: dict[type[nn.Module], TwoHop] = {
    GCNEncoder: TwoHop((("normalized", "layers.0.conv.lin.weight"),), "layers.0.conv.bias", ("normalized",)),
    SAGEEncoder: TwoHop(
        (("mean", "layers.0.conv.lin_l.weight"), ("self", "layers.0.conv.lin_r.weight")),
        "layers.0.conv.lin_l.bias",
        ("self", "mean"),
    ),
}


def propagation(name: str, data: Data) -> csr_array:
    """A propagation as a sparse matrix ``(N, N)``, row = receiving node.

    Args:
        name: ``"normalized"`` (symmetric, with self-loops), ``"mean"`` over incoming edges, or ``"self"``.
        data: The graph.
    """
    from scipy.sparse import csr_array, eye_array
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    n = num_nodes(data)
    if name == "self":
        return csr_array(eye_array(n, dtype=np.float32))
    weight = data.edge_weight if "edge_weight" in data else None
    if name == "normalized":
        edges, weight = gcn_norm(data.edge_index, weight, n, dtype=torch.float32)
    else:
        edges = data.edge_index
        degree = torch.bincount(edges[1], minlength=n).clamp(min=1)
        weight = 1 / degree[edges[1]].float()
    values = weight.detach().cpu().numpy().astype(np.float32)
    source, target = edges.cpu().numpy()
    matrix = csr_array((values, (target, source)), shape=(n, n))
    matrix.sum_duplicates()
    return matrix


@dataclass(frozen=True)
class Graph:
    """Features and propagations of a graph as sparse matrices, for :class:`View`."""

    features: csr_array
    propagations: dict[str, csr_array]
    device: torch.device

    @classmethod
    def of(cls, data: Data, form: TwoHop) -> Graph:
        """The matrices that an encoder of the given form needs."""
        from scipy.sparse import csr_array

        names = {name for name, _ in form.first} | set(form.second)
        features = csr_array(data.x.detach().cpu().numpy().astype(np.float32, copy=False))
        return cls(features, {name: propagation(name, data) for name in names}, data.x.device)


class View:
    """Embeddings of some nodes for a stack of parameters, exact, computed from the nodes that they depend on only.

    Args:
        graph: The graph.
        form: The encoder's form.
        rows: The nodes, ``(R,)``.
        input_dropout: Share of input values dropped in training.
        dropout: Share of hidden values dropped in training.
    """

    def __init__(
        self, graph: Graph, form: TwoHop, rows: np.ndarray, *, input_dropout: float = 0.0, dropout: float = 0.0
    ) -> None:
        self.form, self.input_dropout, self.dropout = form, input_dropout, dropout
        last = {name: graph.propagations[name][rows] for name in form.second}
        hidden = _columns(last.values())
        self.second = [SparseMatrix(last[name][:, hidden], graph.device) for name in form.second]
        first = {name: graph.propagations[name][hidden] for name, _ in form.first}
        inputs = _columns(first.values())
        x = graph.features[inputs]
        propagated = {name: matrix[:, inputs] @ x for name, matrix in first.items()} if input_dropout == 0 else {}
        # Without input dropout the propagated features are constant; they are used if they have fewer values.
        later = sum(x.nnz + matrix.nnz for matrix in first.values())
        self.propagated: list[Features] = []
        if propagated and sum(matrix.nnz for matrix in propagated.values()) <= later:
            self.propagated = [Features(propagated[name].astype(np.float32), graph.device) for name, _ in form.first]
        else:
            self.features = Features(x, graph.device)
            self.first = [SparseMatrix(first[name][:, inputs], graph.device) for name, _ in form.first]

    def embed(self, parameters: dict[str, Tensor], generators: list[torch.Generator] | None = None) -> Tensor:
        """Embeddings ``(S, R, F)``; ``parameters`` hold weights ``(S, D, H)`` and bias ``(S, 1, H)``."""
        h = self._hidden(parameters, generators) + parameters[self.form.bias]
        h = h.relu()
        if self.dropout and generators is not None:
            h = h * keep_mask(h.shape[1:], self.dropout, generators, h)
        parts = [matrix.product(h) for matrix in self.second]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def _hidden(self, parameters: dict[str, Tensor], generators: list[torch.Generator] | None) -> Tensor:
        weights = [parameters[name] for name in self.form.weights]
        if self.propagated:
            terms = [features.product(weight) for features, weight in zip(self.propagated, weights, strict=True)]
        else:
            values = self.features.dropped(self.input_dropout, generators) if generators is not None else None
            inputs = [self.features.product(weight, values) for weight in weights]
            terms = [matrix.product(term) for matrix, term in zip(self.first, inputs, strict=True)]
        return sum(terms[1:], terms[0])


def _columns(matrices: Iterable[csr_array]) -> np.ndarray:
    """Columns in which any of the matrices has a value, sorted."""
    return np.unique(np.concatenate([matrix.indices for matrix in matrices]))
