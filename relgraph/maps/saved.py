"""A converted head in a file: one linear layer, without pickle."""

from __future__ import annotations

import torch
from torch import nn

from relgraph.errors import DataError, InputError
from relgraph.io import PathLike, load_record, save_record
from relgraph.maps.modules import FittedLinear, frozen_linear

LINEAR = "relgraph.linear/1"


def save_linear(path: PathLike, layer: nn.Module) -> None:
    """Write a linear layer, such as that of :func:`relgraph.convert`, to one safetensors file, whole or not at all.

    The tensors are named ``weight`` ``(C, F)`` and ``bias`` ``(C,)``, as any library reads them.

    Raises:
        InputError: If it is no linear layer.
        DataError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> layer = nn.Linear(3, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_linear(f"{folder}/head.safetensors", layer)
        ...     found = load_linear(f"{folder}/head.safetensors")
        >>> bool(torch.equal(found.weight, layer.weight))
        True
    """
    if not isinstance(layer, nn.Linear):
        found = f"(got {type(layer).__name__}); take the method 'kl' or 'ridge'"
        raise InputError("layer", f"must be a linear layer {found}")
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    save_record(path, LINEAR, {"weight": layer.weight, "bias": bias}, {})


def load_linear(path: PathLike) -> nn.Linear:
    """Read what :func:`save_linear` wrote, frozen, onto the CPU.

    Raises:
        DataError: If the file is missing, damaged, or of another kind.
    """
    tensors, _ = load_record(path, LINEAR, ("weight", "bias"))
    weight, bias = tensors["weight"], tensors["bias"]
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        shapes = f"{tuple(weight.shape)} and {tuple(bias.shape)}"
        raise DataError(f"'{path}' holds no linear layer: weight and bias have shapes {shapes}; save it again")
    return frozen_linear(FittedLinear, weight, bias).eval()
