"""A converted head in a file: one linear layer and what it was converted from and for, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.errors import DataError, InputError, require
from relgraph.io import PathLike, digest, load_record, save_record
from relgraph.maps.modules import FittedLinear, frozen_linear

LINEAR = "relgraph.linear/1"
PIECES = ("converted_from", "converted_for")
"""Names in the header of a file: the published head, and the anchor set of the space that it was converted for."""


def save_head(
    path: PathLike, layer: nn.Module, *, space: AnchorSet | None = None, head: PublishedHead | None = None
) -> None:
    """Write a converted head to one safetensors file, whole or not at all; :func:`load_head` reads it.

    The tensors are named ``weight`` ``(C, F)`` and ``bias`` ``(C,)``, as any library reads them.

    Args:
        path: The file to write or to replace.
        layer: The converted head, such as that of :func:`relgraph.convert`, or ``head`` of :func:`relgraph.upgrade`;
            any linear layer.
        space: The anchor set that it was converted for. Its version, time and id are written as well, so that
            ``relgraph show`` tells whether a space is the one that the head reads.
        head: The published head that it was converted from; the same of that, and its mode.

    Raises:
        InputError: If it is no linear layer, or a piece is of another kind.
        DataError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> layer = nn.Linear(3, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_head(f"{folder}/head.safetensors", layer)
        ...     found = load_head(f"{folder}/head.safetensors")
        >>> bool(torch.equal(found.weight, layer.weight))
        True
    """
    if not isinstance(layer, nn.Linear):
        found = f"(got {type(layer).__name__}); take the method 'kl' or 'ridge'"
        raise InputError("layer", f"must be a linear layer {found}")
    header = {}
    if head is not None:
        require("head", head, PublishedHead, "make one with relgraph.publish")
        release = {"version": head.version, "time": head.time, "mode": head.mode, "anchor_set": head.anchor_set}
        header["converted_from"] = json.dumps({"id": head_id(head), **release})
    if space is not None:
        require("space", space, AnchorSet, "make one with relgraph.AnchorSet.from_embeddings")
        header["converted_for"] = json.dumps({"id": space.id, "version": space.version, "time": space.time})
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    save_record(path, LINEAR, {"weight": layer.weight, "bias": bias}, header)


def load_head(path: PathLike) -> nn.Linear:
    """Read a converted head: what ``relgraph upgrade --out`` and :func:`save_head` wrote, frozen, onto the CPU.

    It maps embeddings ``(N, F)`` of the space that it was converted for to outputs ``(N, C)``, and takes rows of any
    floating-point type. ``relgraph show`` tells which space that is.

    Raises:
        DataError: If the file is missing, damaged, or of another kind.

    Example:
        >>> import tempfile
        >>> space = AnchorSet(torch.arange(4), torch.eye(4, 2), torch.zeros(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_head(f"{folder}/head.safetensors", nn.Linear(2, 3), space=space)
        ...     head = load_head(f"{folder}/head.safetensors")
        >>> head(space.embeddings).shape
        torch.Size([4, 3])
    """
    try:
        tensors, _ = load_record(path, LINEAR, ("weight", "bias"))
    except DataError as error:
        if f"(got {PublishedHead._kind})" not in str(error):
            raise
        way_out = "convert it first, by relgraph.upgrade or relgraph.convert"
        raise DataError(f"'{path}' must be a converted head (got a published head); {way_out}") from error
    weight, bias = tensors["weight"], tensors["bias"]
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        shapes = f"{tuple(weight.shape)} and {tuple(bias.shape)}"
        raise DataError(f"'{path}' holds no linear layer: weight and bias have shapes {shapes}; save it again")
    return frozen_linear(FittedLinear, weight, bias).eval()


def head_id(head: PublishedHead) -> str:
    """A hash of a published head, by which a converted head names it: of ids, outputs and their mean.

    Example:
        >>> head = PublishedHead(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2))
        >>> head_id(head) == head_id(PublishedHead(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), version="May"))
        True
    """
    return digest(head.ids, head.values, head.mean)[:16]


def conversion(header: Mapping[str, str]) -> dict[str, Any]:
    """What the header of a converted head says of its two pieces, as values of JSON; files of before say nothing.

    Raises:
        ValueError: If the header is not what :func:`save_head` writes.

    Example:
        >>> conversion({"converted_for": '{"id": "ab", "version": "May", "time": ""}'})
        {'converted_for': {'id': 'ab', 'version': 'May', 'time': None}}
    """
    found: dict[str, Any] = {}
    for name in PIECES:
        if name in header:
            stated = json.loads(header[name])
            if not isinstance(stated, dict):
                raise ValueError(f"'{name}' is no mapping")
            found[name] = {key: value or None for key, value in stated.items()}
    return found
