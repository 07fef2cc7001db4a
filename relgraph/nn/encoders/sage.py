"""The GraphSAGE encoder: a node's own hidden state beside its neighbours' mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv, SimpleConv
from torch_geometric.nn.inits import reset

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.layered import LayeredEncoder, check_layers


class SAGEEncoder(LayeredEncoder):
    r"""GraphSAGE with mean aggregation, two layers by default, the last one's weights left to the head.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\bar A X W_l + X W_r + b)), \qquad Z = [H, \bar A H]

    with :math:`\bar A` the mean over incoming edges (`Hamilton et al. (2017) <https://arxiv.org/abs/1706.02216>`_).
    Every further layer is one more :math:`H` before the last propagation. PyG's ``SAGEConv`` takes no edge weights, so
    neither does this.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the hidden state; the representation is twice as wide.
        num_layers: Layers, the last of which is the propagation alone; at least 2.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Raises:
        InputError: If there are fewer than two layers.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)`` -> ``(N, 2 * hidden_channels)``.

    Example:
        >>> import torch
        >>> SAGEEncoder(3, 8)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 16])
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
        self.out_channels = 2 * hidden_channels
        self.widths = (hidden_channels,) * (num_layers - 1) + (2 * hidden_channels,)
        self.conv = SAGEConv(in_channels, hidden_channels)
        self.more = nn.ModuleList(SAGEConv(hidden_channels, hidden_channels) for _ in range(num_layers - 2))
        self.propagation = SimpleConv(aggr="mean", combine_root="cat")

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.conv.reset_parameters()
        reset(self.more)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Embed all nodes."""
        return self.part(x, 0, self.num_layers, edge_index)

    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Some of the layers, see :meth:`LayeredEncoder.part`."""
        for place in range(start, stop):
            h = dropout(h, self.dropout if place else self.input_dropout, self.training)
            if place + 1 == self.num_layers:
                h = self.propagation(h, edge_index)
            else:
                conv = self.more[place - 1] if place else self.conv
                h = _convolve(conv, h, edge_index).relu()
        return h


# How many values of neighbours are gathered at once where no gradient asks for them.
_GATHERED = 1 << 24


def _convolve(conv: SAGEConv, x: Tensor, edge_index: Tensor | None) -> Tensor:
    """The convolution; of wide features some columns at a time, since one row an edge may not fit in memory."""
    step = x.size(1)
    if isinstance(edge_index, Tensor) and edge_index.layout is torch.strided:
        step = max(16, _GATHERED // max(1, edge_index.size(1)))
    out: Tensor
    if torch.is_grad_enabled() or x.size(1) <= step:
        out = conv(x, edge_index)
        return out
    mean = torch.empty_like(x)
    for first in range(0, x.size(1), step):
        columns = x[:, first : first + step]
        mean[:, first : first + step] = conv.propagate(edge_index, x=(columns, columns), size=None)
    out = conv.lin_l(mean) + conv.lin_r(x)
    return out
