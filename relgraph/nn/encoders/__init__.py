"""Encoders: modules from a graph to absolute embeddings ``(N, F)``.

Each is a list of PyG's own layers. The last propagation comes before the embeddings and no linear map follows it, so
that a linear head reads the embeddings directly. Any ``torch.nn.Module`` from ``(x, edge_index)`` to ``(N, F)`` is an
encoder as well.
"""

from __future__ import annotations

import inspect

import torch

from relgraph.errors import InputError
from relgraph.nn.encoders.base import Encoder as Encoder
from relgraph.nn.encoders.gcn import GCNEncoder as GCNEncoder
from relgraph.nn.encoders.sage import SAGEEncoder as SAGEEncoder
from relgraph.registry import ENCODERS


def make_encoder(name: str, in_channels: int, *, num_layers: int | None = None, **options: float) -> Encoder:
    """An encoder by its name in :data:`relgraph.registry.ENCODERS`, initialized from torch's global generator.

    ``options`` are further arguments of its class. Raises an InputError if it cannot have that many layers.

    Example:
        >>> make_encoder("sage", 3, num_layers=3, hidden_channels=16).widths
        (16, 16, 32)
    """
    make = ENCODERS.resolve(name)
    given = {} if num_layers is None or not _any_depth(make) else {"num_layers": num_layers}
    encoder: Encoder = make(in_channels, **given, **options)
    own = getattr(encoder, "num_layers", 1)
    if num_layers not in (None, own):
        others = ", ".join(sorted(other for other in ENCODERS if _any_depth(ENCODERS.resolve(other))))
        found = f"must be {own} for the encoder '{name}', which has no other form (got {num_layers})"
        raise InputError("num_layers", f"{found}; leave it out, or take one of {others}")
    return encoder


def layers_of(name: str, num_layers: int | None = None) -> int:
    """The number of layers of ``make_encoder(name, ..., num_layers=num_layers)``; 1 if it has no layers to slice."""
    with torch.random.fork_rng(devices=[]):
        return getattr(make_encoder(name, 1, num_layers=num_layers), "num_layers", 1)


def _any_depth(make: object) -> bool:
    return "num_layers" in inspect.signature(make).parameters  # type: ignore[arg-type]  # a class or a function
