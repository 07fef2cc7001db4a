"""One embedding for a whole graph: states of its nodes, message passing along its edges, their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch_geometric.nn import global_mean_pool

from relgraph.errors import InputError
from relgraph.nn.dropout import dropout as drop

if TYPE_CHECKING:
    from torch_geometric.data import Data


class GraphEncoder(nn.Module):
    r"""Graphs to embeddings ``(B, F)``: layers of message passing, with batch norm and dropout, and a mean over nodes.

    .. math:: H^0 = \mathrm{nodes}(X), \quad
        H^l = \mathrm{dropout}(\mathrm{ReLU}(\mathrm{norm}(\mathrm{conv}_l(H^{l-1}, E_l)))) \; [+ H^{l-1}], \quad
        z_g = \operatorname{mean}_{i \in g} H^L_i

    with edge states :math:`E_l = \mathrm{edges}_l(\text{edge features})` of each layer's own, and no ReLU in the last
    layer. This is the network of OGB's examples for molecules; a linear head reads ``z`` directly.

    Args:
        conv: Makes a layer of a width, called with states, ``edge_index`` and edge states.
        nodes: Makes of a width the module from node features to states, such as OGB's ``AtomEncoder``.
        edges: The same of edge features, such as OGB's ``BondEncoder``.
        hidden_channels: Width of all states, and of the embedding.
        num_layers: Layers of message passing, at least 1.
        dropout: Share of values dropped behind every layer while training.
        residual: Whether a layer's input is added to its output.

    Raises:
        InputError: If there is no layer.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Batch, Data
        >>> from relgraph.nn.graph_encoders.convolutions import edge_gin_conv
        >>> one = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 0]]), edge_attr=torch.rand(2, 5))
        >>> encoder = GraphEncoder(edge_gin_conv, lambda width: nn.Linear(2, width), lambda width: nn.Linear(5, width))
        >>> encoder(Batch.from_data_list([one, one])).shape
        torch.Size([2, 128])
    """

    def __init__(
        self,
        conv: Callable[[int], nn.Module],
        nodes: Callable[[int], nn.Module],
        edges: Callable[[int], nn.Module],
        hidden_channels: int = 128,
        *,
        num_layers: int = 5,
        dropout: float = 0.5,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise InputError("num_layers", f"must be at least 1 (got {num_layers})")
        self.out_channels = hidden_channels
        self.residual = residual
        self.nodes = nodes(hidden_channels)
        self.edges = nn.ModuleList(edges(hidden_channels) for _ in range(num_layers))
        self.convs = nn.ModuleList(conv(hidden_channels) for _ in range(num_layers))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden_channels) for _ in range(num_layers))
        self.dropout = dropout

    def forward(self, data: Data) -> Tensor:
        """Embed a graph, or every graph of a batch."""
        h = self.nodes(data.x)
        for place, (edges, conv, norm) in enumerate(zip(self.edges, self.convs, self.norms, strict=True)):
            new = norm(conv(h, data.edge_index, edges(data.edge_attr)))
            new = drop(new if place + 1 == len(self.convs) else new.relu(), self.dropout, self.training)
            h = new + h if self.residual else new
        z: Tensor = global_mean_pool(h, data.batch, getattr(data, "num_graphs", None))
        return z
