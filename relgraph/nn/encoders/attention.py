"""Encoders with attention over neighbors: graph attention and the graph transformer."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch_geometric.nn import GATConv, TransformerConv

from relgraph.errors import InputError
from relgraph.nn.encoders.base import Encoder, Layer


class _AttentionEncoder(Encoder):
    conv: Any

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 64,
        *,
        heads: int = 8,
        dropout: float = 0.5,
        input_dropout: float = 0.5,
    ) -> None:
        if hidden_channels % heads:
            raise InputError("hidden_channels", f"must be a multiple of 'heads', {heads} (got {hidden_channels})")
        first = self.conv(in_channels, hidden_channels // heads, heads=heads, dropout=dropout)
        second = self.conv(hidden_channels, hidden_channels, dropout=dropout)
        layers = [Layer(first, input_dropout, F.elu), Layer(second, dropout)]
        super().__init__(layers, in_channels, [hidden_channels] * 2)


class GATEncoder(_AttentionEncoder):
    r"""Two layers of graph attention (`Velickovic et al. (2018) <https://arxiv.org/abs/1710.10903>`_).

    The first layer has ``heads`` heads, which are concatenated, and an ELU; the second has one head. Dropout acts on
    the inputs of both layers and on the attention weights, as in the original.

    Args:
        in_channels, input_dropout: As of :class:`GCNEncoder`.
        hidden_channels: Size of the embeddings, a multiple of ``heads``.
        heads: Attention heads of the first layer.
        dropout: Probability that a hidden value or an attention weight is dropped in training.

    Raises:
        InputError: If ``hidden_channels`` is not a multiple of ``heads``.

    Example:
        >>> import torch
        >>> GATEncoder(3, 16)(torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([4, 16])
    """

    conv = GATConv


class TransformerEncoder(_AttentionEncoder):
    r"""Two layers of dot-product attention over neighbors, each with a linear map of the node itself.

    The layers are those of `Shi et al. (2021) <https://arxiv.org/abs/2009.03509>`_ without gates. They are arranged as
    in :class:`GATEncoder`, and have the same arguments, shapes and errors.
    """

    conv = TransformerConv
