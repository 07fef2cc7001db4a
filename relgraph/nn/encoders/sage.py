"""The GraphSAGE encoder: a node's own hidden state beside its neighbours' mean."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import SAGEConv, SimpleConv

from relgraph.nn.dropout import dropout


class SAGEEncoder(nn.Module):
    r"""GraphSAGE with mean aggregation, its second layer's weights left to the head.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\bar A X W_l + X W_r + b)), \qquad Z = [H, \bar A H]

    with :math:`\bar A` the mean over incoming edges (`Hamilton et al. (2017) <https://arxiv.org/abs/1706.02216>`_).
    PyG's ``SAGEConv`` takes no edge weights, so neither does this.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the hidden state; the representation is twice as wide.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)`` -> ``(N, 2 * hidden_channels)``.

    Example:
        >>> import torch
        >>> SAGEEncoder(3, 8)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 16])
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.out_channels = 2 * hidden_channels
        self.conv = SAGEConv(in_channels, hidden_channels)
        self.propagation = SimpleConv(aggr="mean", combine_root="cat")

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.conv.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Embed all nodes."""
        x = dropout(x, self.input_dropout, self.training)
        h = self.conv(x, edge_index).relu()
        h = dropout(h, self.dropout, self.training)
        z: Tensor = self.propagation(h, edge_index)
        return z
