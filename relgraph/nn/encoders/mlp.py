"""The encoder without a graph: what the features alone say, as a reference for the others."""

from __future__ import annotations

from torch import Tensor, nn

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.layered import LayeredEncoder


class MLPEncoder(LayeredEncoder):
    r"""The hidden layer of a perceptron of two layers, of which the second is the head.

    .. math:: Z = \mathrm{dropout}(\mathrm{ReLU}(X W + b))

    It sees no edge. What an encoder of the graph does better than this is what the graph is worth.

    Args:
        in_channels: Size of the node features.
        hidden_channels: Size of the representation.
        dropout: Share of hidden values dropped while training.
        input_dropout: Share of input values dropped while training.

    Shapes:
        features ``(N, in_channels)``, edges of any shape or none -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> MLPEncoder(3, 8)(torch.rand(4, 3)).shape
        torch.Size([4, 8])
    """

    num_layers = 1

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.out_channels = hidden_channels
        self.widths = (hidden_channels,)
        self.lin = nn.Linear(in_channels, hidden_channels)

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator, as PyG's layers do."""
        self.lin.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """Embed all nodes; the edges are there so that it is called like the other encoders."""
        return self.part(x, 0, 1)

    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Some of the layers, see :meth:`LayeredEncoder.part`."""
        h = dropout(h, self.input_dropout, self.training)
        h = self.lin(h)
        return dropout(h.relu(), self.dropout, self.training)
