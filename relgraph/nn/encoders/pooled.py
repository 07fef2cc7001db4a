"""Encoders of whole graphs: message passing with edge features, and the mean over the nodes of each graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINEConv, MessagePassing, global_mean_pool
from torch_geometric.nn.inits import reset
from torch_geometric.utils import degree

from relgraph.nn.dropout import dropout as drop
from relgraph.nn.encoders.base import Encoder, check_num_layers

Make = Callable[[int], nn.Module]


class GraphEncoder(Encoder):
    r"""Graphs to embeddings ``(B, F)``: message passing with batch norm and dropout, and the mean over the nodes.

    .. math:: H^0 = \mathrm{nodes}(X), \quad
        H^l = \mathrm{dropout}(\mathrm{ReLU}(\mathrm{norm}(\mathrm{conv}_l(H^{l-1}, E_l)))), \quad
        z_g = \operatorname{mean}_{i \in g} H^L_i

    with edge states :math:`E_l = \mathrm{edges}_l(\text{edge features})` in every layer, and no ReLU in the last layer.
    This is the network of OGB's examples for molecules; a linear head reads ``z`` directly.

    Args:
        conv: Makes from a width a layer that is called with states, ``edge_index`` and edge states, such as those of
            :data:`relgraph.registry.GRAPH_ENCODERS`.
        nodes, edges: Make from a width the modules from features of nodes and of edges to states, such as OGB's
            ``AtomEncoder`` and ``BondEncoder``.
        hidden_channels: Size of all states and of the embeddings.
        num_layers: Number of message passing layers, at least 1, or an InputError is raised.
        dropout: Probability that a value is dropped after every layer in training.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> one = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 0]]), edge_attr=torch.rand(2, 5))
        >>> encoder = GraphEncoder(edge_gin_conv, lambda width: nn.Linear(2, width), lambda width: nn.Linear(5, width))
        >>> two = Batch.from_data_list([one, one])
        >>> encoder(two.x, two.edge_index, two.edge_attr, two.batch).shape
        torch.Size([2, 128])
    """

    def __init__(
        self,
        conv: Make,
        nodes: Make,
        edges: Make,
        hidden_channels: int = 128,
        *,
        num_layers: int = 5,
        dropout: float = 0.5,
    ) -> None:
        check_num_layers(num_layers, 1)
        # The order of the initial draws, one kind of module after the other, is part of what a seed means.
        states = nodes(hidden_channels)
        edge_states = [edges(hidden_channels) for _ in range(num_layers)]
        pairs = [(conv(hidden_channels), states_of_edges) for states_of_edges in edge_states]
        layers = [EdgeLayer(*pair, hidden_channels, dropout, last=pair is pairs[-1]) for pair in pairs]
        super().__init__(layers, hidden_channels, [hidden_channels] * num_layers)
        self.nodes = states

    def forward(  # type: ignore[override]  # needs edge features and the graph of every node
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor | None = None
    ) -> Tensor:
        """Embed a graph, or every graph of a batch."""
        h = self.nodes(x)
        for layer in self.layers:
            h = layer(h, edge_index, edge_attr)
        z: Tensor = global_mean_pool(h, batch)
        return z

    def reset_parameters(self) -> None:
        """Draw new parameters from torch's global generator."""
        reset(self.nodes)
        super().reset_parameters()


class EdgeLayer(nn.Module):
    """One layer of message passing with edge features: convolution, batch norm, ReLU unless it is the last, dropout."""

    def __init__(self, conv: nn.Module, edges: nn.Module, channels: int, dropout: float, *, last: bool) -> None:
        super().__init__()
        self.conv, self.edges, self.norm = conv, edges, nn.BatchNorm1d(channels)
        self.dropout, self.last = dropout, last

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The next states of all nodes."""
        h = self.norm(self.conv(h, edge_index, self.edges(edge_attr)))
        return drop(h if self.last else h.relu(), self.dropout, self.training)


class EdgeGCNConv(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""A graph convolution with edge features, as in OGB's examples for molecules.

    .. math:: h'_i = \frac{1}{d_i} \mathrm{ReLU}(W h_i + u)
        + \sum_{j \to i} \frac{1}{\sqrt{d_j d_i}} \mathrm{ReLU}(W h_j + e_{ji})

    with degrees :math:`d` that count a loop, and a learned vector ``u`` as edge state of the loop. Shapes: states
    ``(N, F)``, edges ``(2, E)``, edge states ``(E, F)`` -> ``(N, F)``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(aggr="add")
        self.lin = nn.Linear(channels, channels)
        self.root = nn.Parameter(torch.empty(1, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters from torch's global generator."""
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
        """The message of every edge."""
        return (x_j + edge_attr).relu() * norm


class EdgeSAGEConv(MessagePassing):  # type: ignore[misc]
    r"""A GraphSAGE layer with edge features; shapes as of :class:`EdgeGCNConv`.

    .. math:: h'_i = W h_i + V \operatorname{mean}_{j \to i} \mathrm{ReLU}(h_j + e_{ji})
    """

    def __init__(self, channels: int) -> None:
        super().__init__(aggr="mean")
        self.own = nn.Linear(channels, channels)
        self.neighbors = nn.Linear(channels, channels, bias=False)

    def reset_parameters(self) -> None:
        """Draw new parameters from torch's global generator."""
        self.own.reset_parameters()
        self.neighbors.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The next states ``(N, F)``."""
        out: Tensor = self.own(x) + self.neighbors(self.propagate(edge_index, x=x, edge_attr=edge_attr))
        return out

    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        """The message of every edge."""
        return (x_j + edge_attr).relu()


def edge_gin_conv(channels: int) -> GINEConv:
    """PyG's ``GINEConv`` with OGB's MLP: twice as wide inside, with batch norm, epsilon learned from 0."""
    wide = 2 * channels
    inner = nn.Sequential(nn.Linear(channels, wide), nn.BatchNorm1d(wide), nn.ReLU(), nn.Linear(wide, channels))
    return GINEConv(inner, train_eps=True)
