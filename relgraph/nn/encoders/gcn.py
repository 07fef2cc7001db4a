"""The graph convolutional encoder, its last propagation before the representation."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import GCNConv, SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from relgraph.nn.dropout import dropout


class GCNEncoder(nn.Module):
    r"""Two graph convolutions of which the second's weights are left to the head.

    .. math:: Z = \hat A \, \mathrm{dropout}(\mathrm{ReLU}(\hat A X W + b)), \qquad
              \hat A = D^{-1/2} \tilde A D^{-1/2}

    where :math:`\tilde A` has a loop of weight 1 at every node that has none of its own, and :math:`D` its degrees.
    With a linear head behind it this is the two-layer network of `Kipf and Welling (2017)
    <https://arxiv.org/abs/1609.02907>`_, written so that the representation is what the last linear map reads.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the representation.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)``, optional weights ``(E,)`` -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> encoder = GCNEncoder(3, 8)
        >>> encoder(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.out_channels = hidden_channels
        self.conv = GCNConv(in_channels, hidden_channels, normalize=False)
        self.propagation = SimpleConv(aggr="sum")

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.conv.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed all nodes."""
        edge_index, weight = gcn_norm(edge_index, edge_weight, x.size(0), dtype=x.dtype)
        x = dropout(x, self.input_dropout, self.training)
        h = self.conv(x, edge_index, weight).relu()
        h = dropout(h, self.dropout, self.training)
        z: Tensor = self.propagation(h, edge_index, weight)
        return z
