"""Encoders: modules from a graph to absolute embeddings ``(N, F)``.

Each is a thin composition of PyG's own layers, with the last propagation *before* the representation and no linear
map behind it: a head then reads the representation directly, and the representation of one network can be handed to
the head of another. Any ``torch.nn.Module`` that maps ``(x, edge_index)`` to ``(N, F)`` serves as well.
"""

from __future__ import annotations

import inspect

from relgraph.errors import InputError, unknown_name
from relgraph.nn.encoders.gat import GATEncoder
from relgraph.nn.encoders.gcn import GCNEncoder
from relgraph.nn.encoders.gcn2 import GCN2Encoder
from relgraph.nn.encoders.gin import GINEncoder
from relgraph.nn.encoders.layered import LayeredEncoder
from relgraph.nn.encoders.mlp import MLPEncoder
from relgraph.nn.encoders.sage import SAGEEncoder
from relgraph.nn.encoders.transformer import TransformerEncoder

ENCODERS: dict[str, type[LayeredEncoder]] = {
    "gcn": GCNEncoder,
    "sage": SAGEEncoder,
    "gat": GATEncoder,
    "gin": GINEncoder,
    "gcn2": GCN2Encoder,
    "mlp": MLPEncoder,
    "transformer": TransformerEncoder,
}


def make_encoder(name: str, in_channels: int, *, num_layers: int | None = None, **options: float) -> LayeredEncoder:
    """An encoder by its name, freshly initialised from torch's global generator.

    Args:
        name: One of :data:`relgraph.names.ENCODERS`.
        in_channels: Size of the node features.
        num_layers: Layers; ``None`` for as many as the encoder has by itself.
        **options: What else the encoder's class takes.

    Raises:
        InputError: If the name is unknown, or the encoder has no form of that many layers.

    Example:
        >>> make_encoder("gcn", 3, hidden_channels=16).out_channels
        16
        >>> make_encoder("sage", 3, num_layers=3).widths
        (64, 64, 128)
    """
    given = {} if layers_of(name, num_layers) == layers_of(name) else {"num_layers": num_layers}
    return ENCODERS[name](in_channels, **given, **options)


def layers_of(name: str, num_layers: int | None = None) -> int:
    """How many layers the encoder of a name has, if it is asked for so many.

    Raises:
        InputError: If the name is unknown, or the encoder comes with a number of its own and was asked for another.

    Example:
        >>> layers_of("gcn"), layers_of("gcn", 3), layers_of("mlp")
        (2, 3, 1)
    """
    if name not in ENCODERS:
        raise unknown_name("encoder", name, ENCODERS)
    choices = {known: inspect.signature(kind).parameters.get("num_layers") for known, kind in ENCODERS.items()}
    choice = choices[name]
    own: int = ENCODERS[name].num_layers if choice is None else choice.default
    if num_layers is None or num_layers == own:
        return own
    if choice is None:
        deeper = ", ".join(known for known in sorted(choices) if choices[known] is not None)
        raise InputError(
            "num_layers",
            f"must be {own} for the encoder '{name}', which has no other form (got {num_layers}); "
            f"leave it out, or take one of {deeper}",
        )
    return num_layers


__all__ = [
    "ENCODERS",
    "GATEncoder",
    "GCN2Encoder",
    "GCNEncoder",
    "GINEncoder",
    "LayeredEncoder",
    "MLPEncoder",
    "SAGEEncoder",
    "TransformerEncoder",
    "layers_of",
    "make_encoder",
]
