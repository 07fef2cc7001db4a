"""The encoder without a graph: a reference for the other encoders."""

from __future__ import annotations

from torch import nn, relu

from relgraph.nn.encoders.base import Encoder, Layer, no_edges


class MLPEncoder(Encoder):
    r"""The hidden layer of a two-layer perceptron, whose second layer is the head.

    .. math:: Z = \mathrm{dropout}(\mathrm{ReLU}(X W + b))

    It uses the features alone. The difference to another encoder's accuracy is the contribution of the graph.
    Arguments and shapes are those of :class:`GCNEncoder`, edges are ignored.

    Example:
        >>> import torch
        >>> MLPEncoder(3, 8)(torch.rand(4, 3)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        layer = Layer(nn.Linear(in_channels, hidden_channels), input_dropout, relu, dropout)
        super().__init__([layer], in_channels, [hidden_channels], no_edges)
