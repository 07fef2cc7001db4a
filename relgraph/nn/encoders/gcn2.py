"""The GCNII encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCN2Conv

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.base import Encoder, check_num_layers, normalized_edges


class GCN2Encoder(Encoder):
    r"""Graph convolutions with initial residual and identity mapping (GCNII).

    .. math:: H_0 = \mathrm{ReLU}(X W_0 + b), \qquad
              H_l = \bigl((1 - \alpha) \hat A H' + \alpha H_0\bigr) \bigl((1 - \beta_l) I + \beta_l W_l\bigr), \qquad
              \beta_l = \log(\theta / l + 1), \qquad Z = H_L

    with :math:`H' = \mathrm{dropout}(\mathrm{ReLU}(H_{l-1}))` and :math:`\hat A` as in :class:`GCNEncoder`
    (`Chen et al. (2020) <https://arxiv.org/abs/2007.02133>`_). Neighbors and initial state share the weights. No ReLU
    follows the last convolution, so that the head reads its output. The state between two layers contains the initial
    state as well, which all later layers read: :math:`[\mathrm{ReLU}(H_l), H_0]`, twice as wide as the embeddings.

    Args:
        in_channels, hidden_channels, dropout, input_dropout: As of :class:`GCNEncoder`.
        num_layers: Number of convolutions ``L``, at least 1, or an InputError is raised.
        alpha: Share of the initial state in each layer.
        theta: Strength of the weights against the identity.

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
        check_num_layers(num_layers, 1)
        lin = nn.Linear(in_channels, hidden_channels)
        layers = []
        for place in range(1, num_layers + 1):
            conv = GCN2Conv(hidden_channels, alpha, theta, place, shared_weights=True, normalize=False)
            first = lin if place == 1 else None
            layers.append(GCN2Layer(conv, dropout, first, input_dropout, last=place == num_layers))
        widths = [2 * hidden_channels] * (num_layers - 1) + [hidden_channels]
        super().__init__(layers, in_channels, widths, normalized_edges)


class GCN2Layer(nn.Module):
    """One layer of :class:`GCN2Encoder`, from ``[H, H_0]``, or the features, to ``[ReLU(H), H_0]``, or ``H``."""

    def __init__(
        self, conv: nn.Module, dropout: float, lin: nn.Linear | None, input_dropout: float, *, last: bool
    ) -> None:
        super().__init__()
        self.lin, self.conv = lin, conv
        self.dropout, self.input_dropout, self.last = dropout, input_dropout, last

    def forward(self, h: Tensor, *shared: Tensor) -> Tensor:
        """The next state."""
        if self.lin is not None:
            h = initial = self.lin(dropout(h, self.input_dropout, self.training)).relu()
        else:
            h, initial = h.chunk(2, dim=1)
        h = self.conv(dropout(h, self.dropout, self.training), initial, *shared)
        return h if self.last else torch.cat([h.relu(), initial], dim=1)
