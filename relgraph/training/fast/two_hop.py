"""Encoders with one layer of linear maps, for many seeds at once.

GCN and GraphSAGE of two layers, GIN and the perceptron share one form: a sum of propagated linear maps of the features,
ReLU, dropout, and concatenated propagations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.nn.encoders.gin import GINEncoder
from relgraph.nn.encoders.mlp import MLPEncoder
from relgraph.training.fast.products import Features, SparseMatrix
from relgraph.training.fast.views import Generators, Graph, View, dropped

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class TwoHop:
    r"""The form of a two-hop encoder.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\sum_k B_k X W_k + b)), \qquad Z = [C_1 H, C_2 H, \dots]

    A sum over neighbors and a linear map commute, so that an encoder that sums first has this form as well.

    Args:
        first: Pairs of a propagation :math:`B_k` and the name of the parameter :math:`W_k` in the PyG module.
        bias: Name of the parameter :math:`b`.
        second: The propagations :math:`C_k`.
        inner: Names of the weight and bias of a linear map with ReLU between the ReLU and the dropout above.
        normalized: Whether the rows of :math:`Z` are brought to mean 0 and variance 1.
    """

    first: tuple[tuple[str, str], ...]
    bias: str
    second: tuple[str, ...]
    inner: tuple[str, str] | None = None
    normalized: bool = False

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
    GINEncoder: TwoHop(
        (("sum", "layers.0.conv.nn.0.weight"),),
        "layers.0.conv.nn.0.bias",
        ("sum",),
        inner=("layers.0.conv.nn.2.weight", "layers.0.conv.nn.2.bias"),
        normalized=True,
    ),
    MLPEncoder: TwoHop((("self", "layers.0.conv.weight"),), "layers.0.conv.bias", ("self",)),
}


class TwoHopView(View):
    """A view of encoders of the form :class:`TwoHop`."""

    def __init__(self, graph: Graph, encoder: Any, rows: np.ndarray, *, training: bool = False) -> None:
        self.form = TWO_HOP[type(encoder)]
        layers = encoder.layers
        self.input_dropout = layers[0].dropout if training else 0.0
        self.dropout = (layers[1].dropout if len(layers) > 1 else layers[0].output_dropout) if training else 0.0
        last = {name: graph.propagation(name)[rows] for name in self.form.second}
        hidden = _columns(last.values())
        self.second = [SparseMatrix(last[name][:, hidden], graph.device) for name in self.form.second]
        inner = {name: graph.propagation(name)[hidden] for name, _ in self.form.first}
        inputs = _columns(inner.values())
        x = graph.features[inputs]
        propagated = {name: matrix[:, inputs] @ x for name, matrix in inner.items()} if self.input_dropout == 0 else {}
        # Without input dropout the propagated features are constant; they are used if they have fewer values.
        later = sum(x.nnz + matrix.nnz for matrix in inner.values())
        self.propagated: list[Features] = []
        if propagated and sum(matrix.nnz for matrix in propagated.values()) <= later:
            self.propagated = [Features(propagated[name], graph.device) for name, _ in self.form.first]
        else:
            self.features = Features(x, graph.device)
            self.first = {name: SparseMatrix(matrix[:, inputs], graph.device) for name, matrix in inner.items()}
            # A propagation that leaves every node alone reads the rows of the hidden states only.
            self.own: tuple[SparseMatrix, Tensor] | None = None
            if "self" in inner and self.features.sparse is not None and hidden.size < inputs.size:
                self.own = self.features.sparse.part(np.searchsorted(inputs, hidden))
        self.size = inputs.size * encoder.widths[0]

    def embed(self, parameters: dict[str, Tensor], generators: Generators | None = None) -> Tensor:
        """Embeddings ``(S, R, F)``."""
        h = self._hidden(parameters, generators) + parameters[self.form.bias]
        h = h.relu()
        if self.form.inner is not None:
            weight, bias = (parameters[name] for name in self.form.inner)
            h = torch.baddbmm(bias, h, weight).relu()
        h = dropped(h, self.dropout, generators)
        parts = [matrix.product(h) for matrix in self.second]
        z = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        return F.layer_norm(z, z.shape[-1:]) if self.form.normalized else z

    def _hidden(self, parameters: dict[str, Tensor], generators: Generators | None) -> Tensor:
        weights = [parameters[name] for name in self.form.weights]
        if self.propagated:
            terms = [features.product(weight) for features, weight in zip(self.propagated, weights, strict=True)]
        else:
            values = self.features.dropped(self.input_dropout, generators) if generators is not None else None
            names = [name for name, _ in self.form.first]
            terms = [self._term(name, weight, values) for name, weight in zip(names, weights, strict=True)]
        return sum(terms[1:], terms[0])

    def _term(self, name: str, weight: Tensor, values: Tensor | None) -> Tensor:
        if name == "self" and self.own is not None:
            matrix, places = self.own
            return matrix.product(weight, None if values is None else values.index_select(1, places))
        return self.first[name].product(self.features.product(weight, values))


def _columns(matrices: Iterable[csr_array]) -> np.ndarray:
    """Columns in which any of the matrices has a value, sorted."""
    return np.unique(np.concatenate([matrix.indices for matrix in matrices]))
