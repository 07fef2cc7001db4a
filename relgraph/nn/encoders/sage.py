"""The GraphSAGE encoder."""

from __future__ import annotations

import torch
from torch import Tensor, relu
from torch_geometric.nn import SAGEConv, SimpleConv

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.base import Encoder, Layer, check_num_layers


class SAGEEncoder(Encoder):
    r"""GraphSAGE with mean aggregation, two layers by default; the weights of the last one are left to the head.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\bar A X W_l + X W_r + b)), \qquad Z = [H, \bar A H]

    with :math:`\bar A` the mean over incoming edges (`Hamilton et al. (2017) <https://arxiv.org/abs/1706.02216>`_).
    Every further layer adds one more :math:`H` before the last propagation. Edge weights are ignored. Arguments and
    errors are those of :class:`GCNEncoder`; embeddings have shape ``(N, 2 * hidden_channels)``.

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
        check_num_layers(num_layers)
        inputs = [(in_channels, input_dropout)] + [(hidden_channels, dropout)] * (num_layers - 2)
        layers: list[Layer] = [SAGELayer(SAGEConv(width, hidden_channels), share, relu) for width, share in inputs]
        layers.append(Layer(SimpleConv(aggr="mean", combine_root="cat"), dropout))
        super().__init__(layers, in_channels, [hidden_channels] * (num_layers - 1) + [2 * hidden_channels])


# Values of neighbors that are gathered at once where no gradient is needed.
_GATHERED = 1 << 24


class SAGELayer(Layer):
    """A GraphSAGE layer that, without gradients, gathers few columns of wide features at a time to save memory."""

    conv: SAGEConv

    def forward(self, h: Tensor, *shared: Tensor) -> Tensor:
        """The next state."""
        (edge_index,), conv = shared, self.conv
        sparse = not isinstance(edge_index, Tensor) or edge_index.layout is not torch.strided
        step = h.size(1) if sparse else max(16, _GATHERED // max(1, edge_index.size(1)))
        if torch.is_grad_enabled() or h.size(1) <= step:
            return super().forward(h, edge_index)
        h = dropout(h, self.dropout, self.training)
        mean = torch.empty_like(h)
        for first in range(0, h.size(1), step):
            columns = h[:, first : first + step]
            mean[:, first : first + step] = conv.propagate(edge_index, x=(columns, columns), size=None)
        return relu(conv.lin_l(mean) + conv.lin_r(h))
