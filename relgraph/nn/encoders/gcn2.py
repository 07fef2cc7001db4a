"""The GCNII encoder: convolutions that stay close to their input and to the identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCN2Conv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.nn.inits import reset

from relgraph.errors import InputError
from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.layered import LayeredEncoder


class GCN2Encoder(LayeredEncoder):
    r"""A few convolutions with initial residual and identity mapping (GCNII).

    .. math:: H_0 = \mathrm{ReLU}(X W_0 + b), \qquad
              H_l = \bigl((1 - \alpha) \hat A H' + \alpha H_0\bigr) \bigl((1 - \beta_l) I + \beta_l W_l\bigr), \qquad
              \beta_l = \log(\theta / l + 1), \qquad Z = H_L

    with :math:`H' = \mathrm{dropout}(\mathrm{ReLU}(H_{l-1}))` and :math:`\hat A` as in :class:`GCNEncoder`
    (`Chen et al. (2020) <https://arxiv.org/abs/2007.02133>`_). Neighbours and initial state share the weights. No ReLU
    follows the last convolution, so that the head reads what was propagated.

    Its layers are the convolutions, the first of them with the map of the features before it. The state between two
    layers carries the initial state as well, which all that follow read: :math:`[\mathrm{ReLU}(H_l), H_0]`, twice as
    wide as the representation.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the representation.
        num_layers: Convolutions, ``L``, at least 1.
        alpha: Share of the initial state in each.
        theta: How far the weights lead away from the identity.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Raises:
        InputError: If there is no layer.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)``, optional weights ``(E,)`` -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> GCN2Encoder(3, 8)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 64,
        *,
        num_layers: int = 4,
        alpha: float = 0.1,
        theta: float = 0.5,
        dropout: float = 0.5,
        input_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise InputError("num_layers", f"must be at least 1 (got {num_layers}); take 'mlp' for none")
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.num_layers = num_layers
        self.out_channels = hidden_channels
        self.widths = (2 * hidden_channels,) * (num_layers - 1) + (hidden_channels,)
        self.lin = nn.Linear(in_channels, hidden_channels)
        self.convs = nn.ModuleList(
            GCN2Conv(hidden_channels, alpha, theta, layer, shared_weights=True, normalize=False)
            for layer in range(1, num_layers + 1)
        )

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.lin.reset_parameters()
        reset(self.convs)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed all nodes."""
        return self.part(x, 0, self.num_layers, edge_index, edge_weight)

    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Some of the layers, see :meth:`LayeredEncoder.part`."""
        # Once for all layers, and not cached: the next call may bring another graph.
        edge_index, weight = gcn_norm(edge_index, edge_weight, h.size(0), dtype=h.dtype)
        if start == 0:
            h = initial = self.lin(dropout(h, self.input_dropout, self.training)).relu()
        else:
            h, initial = h.chunk(2, dim=1)
        for place in range(start, stop):
            h = dropout(h, self.dropout, self.training)
            h = self.convs[place](h, initial, edge_index, weight)
            if place + 1 < self.num_layers:
                h = h.relu()
        return h if stop == self.num_layers else torch.cat([h, initial], dim=1)
