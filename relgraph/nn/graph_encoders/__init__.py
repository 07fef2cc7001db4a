"""Encoders of whole graphs: modules from a batch of graphs to embeddings ``(B, F)``, one for each graph."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from relgraph.errors import unknown_name
from relgraph.nn.graph_encoders.convolutions import EdgeGCNConv, EdgeSAGEConv, edge_gin_conv
from relgraph.nn.graph_encoders.graph_encoder import GraphEncoder

GRAPH_ENCODERS: dict[str, Callable[[int], nn.Module]] = {
    "gcn": EdgeGCNConv,
    "gin": edge_gin_conv,
    "sage": EdgeSAGEConv,
}


def make_graph_encoder(
    name: str,
    nodes: Callable[[int], nn.Module],
    edges: Callable[[int], nn.Module],
    hidden_channels: int = 128,
    *,
    num_layers: int = 5,
    dropout: float = 0.5,
    residual: bool = False,
) -> GraphEncoder:
    """A graph encoder by the name of its message passing, freshly initialised from torch's global generator.

    Args:
        name: One of :data:`relgraph.names.GRAPH_ENCODERS`.
        nodes: See :class:`GraphEncoder`, as all that follows.
        edges: Makes of a width the module from edge features to edge states.
        hidden_channels: Width of all states.
        num_layers: Layers.
        dropout: Share of values dropped.
        residual: Whether a layer's input is added to its output.

    Raises:
        InputError: If the name is unknown, or there is no layer.

    Example:
        >>> make_graph_encoder("gin", nn.LazyLinear, nn.LazyLinear, 16).out_channels
        16
    """
    if name not in GRAPH_ENCODERS:
        raise unknown_name("encoder", name, GRAPH_ENCODERS)
    return GraphEncoder(
        GRAPH_ENCODERS[name],
        nodes,
        edges,
        hidden_channels,
        num_layers=num_layers,
        dropout=dropout,
        residual=residual,
    )


__all__ = ["GRAPH_ENCODERS", "EdgeGCNConv", "EdgeSAGEConv", "GraphEncoder", "edge_gin_conv", "make_graph_encoder"]
