"""The graph attention encoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import GATConv

from relgraph.errors import InputError
from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.layered import LayeredEncoder


class GATEncoder(LayeredEncoder):
    r"""Two layers of graph attention (`Velickovic et al. (2018) <https://arxiv.org/abs/1710.10903>`_).

    The first has ``heads`` heads that are joined, an ELU follows, the second has one head and keeps the width.
    Dropout acts on the inputs of both layers and on the attention, as in the original.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the representation, a multiple of ``heads``.
        heads: Attention heads of the first layer.
        dropout: Share of hidden values and attention weights dropped while training.
        input_dropout: Share of input values dropped while training.

    Raises:
        InputError: If the heads do not share the channels evenly.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)`` -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> GATEncoder(3, 16)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 16])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 64,
        *,
        heads: int = 8,
        dropout: float = 0.5,
        input_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if hidden_channels % heads:
            raise InputError("hidden_channels", f"must be a multiple of 'heads', {heads} (got {hidden_channels})")
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.out_channels = hidden_channels
        self.widths = (hidden_channels, hidden_channels)
        self.first = GATConv(in_channels, hidden_channels // heads, heads=heads, dropout=dropout)
        self.second = GATConv(hidden_channels, hidden_channels, dropout=dropout)

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.first.reset_parameters()
        self.second.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Embed all nodes."""
        return self.part(x, 0, 2, edge_index)

    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Some of the layers, see :meth:`LayeredEncoder.part`."""
        if start == 0:
            h = dropout(h, self.input_dropout, self.training)
            h = F.elu(self.first(h, edge_index))
        if stop == 2:
            h = dropout(h, self.dropout, self.training)
            h = self.second(h, edge_index)
        return h
