"""The graph isomorphism encoder: neighbourhoods are added up, not averaged."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import GINConv
from torch_geometric.nn.norm import LayerNorm

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.layered import LayeredEncoder


class GINEncoder(LayeredEncoder):
    r"""A graph isomorphism layer and one more sum over the neighbourhood, its map left to the head.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\mathrm{MLP}((A + I) X))), \qquad Z = \mathrm{norm}((A + I) H)

    with a perceptron of one hidden layer, and :math:`\epsilon = 0` as in the better of the two variants of `Xu et al.
    (2019) <https://arxiv.org/abs/1810.00826>`_. The norm brings every row to mean 0 and variance 1: sums grow with
    the degree, and without it a few hubs, tens of times longer than other nodes, would be most of the space's
    covariance. Nothing of it is learned or kept. PyG's ``GINConv`` takes no edge weights, so neither does this.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the representation.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)`` -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> GINEncoder(3, 8)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.out_channels = hidden_channels
        self.widths = (hidden_channels, hidden_channels)
        first, second = nn.Linear(in_channels, hidden_channels), nn.Linear(hidden_channels, hidden_channels)
        self.conv = GINConv(nn.Sequential(first, nn.ReLU(), second))
        self.propagation = GINConv(nn.Identity())
        self.norm = LayerNorm(hidden_channels, affine=False, mode="node")

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.conv.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Embed all nodes."""
        return self.part(x, 0, 2, edge_index)

    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Some of the layers, see :meth:`LayeredEncoder.part`."""
        if start == 0:
            h = dropout(h, self.input_dropout, self.training)
            h = self.conv(h, edge_index).relu()
        if stop == 2:
            h = dropout(h, self.dropout, self.training)
            h = self.norm(self.propagation(h, edge_index))
        return h
