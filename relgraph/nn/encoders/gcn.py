"""The graph convolutional encoder, its last propagation before the representation."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import GCNConv, SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.nn.inits import reset

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.layered import LayeredEncoder, check_layers


class GCNEncoder(LayeredEncoder):
    r"""Graph convolutions, two by default, of which the last one's weights are left to the head.

    .. math:: Z = \hat A \, \mathrm{dropout}(\mathrm{ReLU}(\hat A X W + b)), \qquad
              \hat A = D^{-1/2} \tilde A D^{-1/2}

    where :math:`\tilde A` has a loop of weight 1 at every node that has none of its own, and :math:`D` its degrees.
    With a linear head behind it this is the two-layer network of `Kipf and Welling (2017)
    <https://arxiv.org/abs/1609.02907>`_, written so that the representation is what the last linear map reads. Every
    further layer is one more convolution, ReLU and dropout before the last propagation.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the representation, and of all states before it.
        num_layers: Layers, the last of which is the propagation alone; at least 2.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Raises:
        InputError: If there are fewer than two layers.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)``, optional weights ``(E,)`` -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> encoder = GCNEncoder(3, 8)
        >>> encoder(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 64,
        *,
        num_layers: int = 2,
        dropout: float = 0.5,
        input_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_layers(num_layers)
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.num_layers = num_layers
        self.out_channels = hidden_channels
        self.widths = (hidden_channels,) * num_layers
        self.conv = GCNConv(in_channels, hidden_channels, normalize=False)
        self.more = nn.ModuleList(
            GCNConv(hidden_channels, hidden_channels, normalize=False) for _ in range(num_layers - 2)
        )
        self.propagation = SimpleConv(aggr="sum")

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.conv.reset_parameters()
        reset(self.more)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed all nodes."""
        return self.part(x, 0, self.num_layers, edge_index, edge_weight)

    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Some of the layers, see :meth:`LayeredEncoder.part`."""
        edge_index, weight = gcn_norm(edge_index, edge_weight, h.size(0), dtype=h.dtype)
        for place in range(start, stop):
            h = dropout(h, self.dropout if place else self.input_dropout, self.training)
            if place + 1 == self.num_layers:
                h = self.propagation(h, edge_index, weight)
            else:
                conv = self.more[place - 1] if place else self.conv
                h = conv(h, edge_index, weight).relu()
        return h
