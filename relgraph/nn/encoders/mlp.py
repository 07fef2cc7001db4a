"""The encoder without a graph: a reference for the other encoders."""

from __future__ import annotations

from torch import Tensor, nn

from relgraph.nn.dropout import dropout
from relgraph.nn.encoders.base import Encoder, Layer, no_edges


class MLPEncoder(Encoder):
    r"""The hidden layer of a two-layer perceptron, whose second layer is the head.

    .. math:: Z = \mathrm{dropout}(\mathrm{ReLU}(X W + b))

    It uses the features alone. The difference to another encoder's accuracy is the contribution of the graph.
    Arguments are those of :class:`GCNEncoder`.

    Shapes:
        features ``(N, in_channels)``, edges of any shape or none -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> MLPEncoder(3, 8)(torch.rand(4, 3)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        layer = HiddenLayer(nn.Linear(in_channels, hidden_channels), input_dropout, dropout)
        super().__init__([layer], in_channels, [hidden_channels], no_edges)


class HiddenLayer(Layer):
    """A linear map with ReLU, and dropout before and after it."""

    def __init__(self, lin: nn.Linear, input_dropout: float, dropout: float) -> None:
        super().__init__(lin, input_dropout)
        self.output_dropout = dropout

    def forward(self, h: Tensor, *shared: Tensor) -> Tensor:
        """The next state."""
        return dropout(super().forward(h).relu(), self.output_dropout, self.training)
