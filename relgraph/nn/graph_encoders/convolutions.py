"""Message passing that hears of the edges: every message is the neighbour's state plus the edge's, through a ReLU.

PyG's ``GINEConv`` is the one for the isomorphism network; here are its sisters, and how each is built.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINEConv, MessagePassing
from torch_geometric.utils import degree


class EdgeGCNConv(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""A graph convolution whose messages hear of the edges, as in OGB's examples for molecules.

    .. math:: h'_i = \frac{1}{d_i} \mathrm{ReLU}(W h_i + u)
        + \sum_{j \to i} \frac{1}{\sqrt{d_j d_i}} \mathrm{ReLU}(W h_j + e_{ji})

    with degrees :math:`d` that count a loop, and a learned vector ``u`` in the place of the loop's edge.

    Args:
        channels: Size of states and edge states.

    Example:
        >>> conv = EdgeGCNConv(8)
        >>> conv(torch.rand(3, 8), torch.tensor([[0, 1], [1, 0]]), torch.rand(2, 8)).shape
        torch.Size([3, 8])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(aggr="add")
        self.lin = nn.Linear(channels, channels)
        self.root = nn.Parameter(torch.empty(1, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator."""
        self.lin.reset_parameters()
        nn.init.normal_(self.root)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The next states ``(N, F)``."""
        x = self.lin(x)
        degrees: Tensor = degree(edge_index[1], x.size(0), dtype=x.dtype) + 1
        root = degrees.rsqrt()
        norm = (root[edge_index[0]] * root[edge_index[1]]).unsqueeze(1)
        out: Tensor = self.propagate(edge_index, x=x, edge_attr=edge_attr, norm=norm)
        return out + (x + self.root).relu() / degrees.unsqueeze(1)

    def message(self, x_j: Tensor, edge_attr: Tensor, norm: Tensor) -> Tensor:
        """What a neighbour says along an edge."""
        return (x_j + edge_attr).relu() * norm


class EdgeSAGEConv(MessagePassing):  # type: ignore[misc]
    r"""A GraphSAGE layer whose messages hear of the edges.

    .. math:: h'_i = W h_i + V \operatorname{mean}_{j \to i} \mathrm{ReLU}(h_j + e_{ji})

    Args:
        channels: Size of states and edge states.

    Example:
        >>> conv = EdgeSAGEConv(8)
        >>> conv(torch.rand(3, 8), torch.tensor([[0, 1], [1, 0]]), torch.rand(2, 8)).shape
        torch.Size([3, 8])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(aggr="mean")
        self.own = nn.Linear(channels, channels)
        self.neighbours = nn.Linear(channels, channels, bias=False)

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator."""
        self.own.reset_parameters()
        self.neighbours.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The next states ``(N, F)``."""
        out: Tensor = self.own(x) + self.neighbours(self.propagate(edge_index, x=x, edge_attr=edge_attr))
        return out

    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        """What a neighbour says along an edge."""
        return (x_j + edge_attr).relu()


def edge_gin_conv(channels: int) -> GINEConv:
    """PyG's ``GINEConv`` with OGB's perceptron: twice as wide inside, with batch norm, epsilon learned from 0.

    Example:
        >>> edge_gin_conv(8)(torch.rand(3, 8), torch.tensor([[0, 1], [1, 0]]), torch.rand(2, 8)).shape
        torch.Size([3, 8])
    """
    wide = 2 * channels
    inner = nn.Sequential(nn.Linear(channels, wide), nn.BatchNorm1d(wide), nn.ReLU(), nn.Linear(wide, channels))
    return GINEConv(inner, train_eps=True)
