"""Encoders: modules from a graph to absolute embeddings ``(N, F)``.

Each is a thin composition of PyG's own layers, with the last propagation *before* the representation and no linear
map behind it: a head then reads the representation directly, and the representation of one network can be handed to
the head of another. Any ``torch.nn.Module`` that maps ``(x, edge_index)`` to ``(N, F)`` serves as well.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from relgraph.errors import unknown_name
from relgraph.nn.encoders.gat import GATEncoder
from relgraph.nn.encoders.gcn import GCNEncoder
from relgraph.nn.encoders.gcn2 import GCN2Encoder
from relgraph.nn.encoders.gin import GINEncoder
from relgraph.nn.encoders.mlp import MLPEncoder
from relgraph.nn.encoders.sage import SAGEEncoder
from relgraph.nn.encoders.transformer import TransformerEncoder

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "gcn": GCNEncoder,
    "sage": SAGEEncoder,
    "gat": GATEncoder,
    "gin": GINEncoder,
    "gcn2": GCN2Encoder,
    "mlp": MLPEncoder,
    "transformer": TransformerEncoder,
}


def make_encoder(name: str, in_channels: int, **options: float) -> nn.Module:
    """An encoder by its name, freshly initialised from torch's global generator.

    Example:
        >>> make_encoder("gcn", 3, hidden_channels=16).out_channels
        16
    """
    if name not in ENCODERS:
        raise unknown_name("encoder", name, ENCODERS)
    return ENCODERS[name](in_channels, **options)


__all__ = [
    "ENCODERS",
    "GATEncoder",
    "GCN2Encoder",
    "GCNEncoder",
    "GINEncoder",
    "MLPEncoder",
    "SAGEEncoder",
    "TransformerEncoder",
    "make_encoder",
]
