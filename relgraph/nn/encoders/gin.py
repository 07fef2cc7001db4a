"""The graph isomorphism encoder."""

from __future__ import annotations

from torch import nn, relu
from torch_geometric.nn import GINConv
from torch_geometric.nn.norm import LayerNorm

from relgraph.nn.encoders.base import Encoder, Layer


class GINEncoder(Encoder):
    r"""A graph isomorphism layer and one more sum over the neighborhood, whose linear map is left to the head.

    .. math:: H = \mathrm{dropout}(\mathrm{ReLU}(\mathrm{MLP}((A + I) X))), \qquad Z = \mathrm{norm}((A + I) H)

    with an MLP of one hidden layer, and :math:`\epsilon = 0` as in the better variant of `Xu et al. (2019)
    <https://arxiv.org/abs/1810.00826>`_. The norm brings every row to mean 0 and variance 1 and has no parameters.
    Without it, a few hubs would have rows tens of times longer than other nodes and dominate the covariance, since
    sums grow with the degree. Edge weights are ignored. Arguments and shapes are those of :class:`GCNEncoder`.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 64, *, dropout: float = 0.5, input_dropout: float = 0.5
    ) -> None:
        first, second = nn.Linear(in_channels, hidden_channels), nn.Linear(hidden_channels, hidden_channels)
        layers = [
            Layer(GINConv(nn.Sequential(first, nn.ReLU(), second)), input_dropout, relu),
            Layer(GINConv(nn.Identity()), dropout, LayerNorm(hidden_channels, affine=False, mode="node")),
        ]
        super().__init__(layers, in_channels, [hidden_channels] * 2)
