"""The graph convolutional encoder."""

from __future__ import annotations

from torch import relu
from torch_geometric.nn import GCNConv, SimpleConv

from relgraph.nn.encoders.base import Encoder, Layer, check_num_layers, normalized_edges


class GCNEncoder(Encoder):
    r"""Graph convolutions, two by default; the weights of the last one are left to the head.

    .. math:: Z = \hat A \, \mathrm{dropout}(\mathrm{ReLU}(\hat A X W + b)), \qquad
              \hat A = D^{-1/2} \tilde A D^{-1/2}

    where :math:`\tilde A` has a loop of weight 1 at every node without a loop, and :math:`D` holds its degrees. With a
    linear head it is the two-layer network of `Kipf and Welling (2017) <https://arxiv.org/abs/1609.02907>`_. Every
    further layer adds a convolution, ReLU and dropout before the last propagation.

    Args:
        in_channels, hidden_channels: Size of the features, and of the embeddings and all states.
        num_layers: Number of layers, at least 2, or an InputError is raised; the last is the propagation alone.
        dropout, input_dropout: Probability that a hidden value, or a feature, is dropped in training.

    Shapes:
        features ``(N, in_channels)``, edges ``(2, E)``, weights ``(E,)`` -> ``(N, hidden_channels)``.

    Example:
        >>> import torch
        >>> GCNEncoder(3, 8)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
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
        check_num_layers(num_layers)
        inputs = [(in_channels, input_dropout)] + [(hidden_channels, dropout)] * (num_layers - 2)
        layers = [Layer(GCNConv(width, hidden_channels, normalize=False), share, relu) for width, share in inputs]
        layers.append(Layer(SimpleConv(aggr="sum"), dropout))
        super().__init__(layers, in_channels, [hidden_channels] * num_layers, normalized_edges)
