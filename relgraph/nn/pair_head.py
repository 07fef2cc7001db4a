"""Heads that score pairs of nodes from their embeddings."""

from __future__ import annotations

from torch import Tensor, nn


class PairHead(nn.Module):
    r"""A perceptron on the Hadamard product of two embeddings.

    .. math:: s_{uv} = w' \, \mathrm{ReLU}(W (z_u \odot z_v) + b) + c

    It is not linear in the embeddings, so that it cannot be published by its outputs on anchors: it is published with
    its own input space, into which other spaces are translated.

    Args:
        in_channels, hidden_channels: Width of the embeddings and of the hidden layer.

    Example:
        >>> import torch
        >>> PairHead(4)(torch.rand(5, 4), torch.tensor([[0, 1, 2], [3, 3, 4]])).shape
        torch.Size([3, 1])
    """

    graph_arguments = ("edge_label_index",)

    def __init__(self, in_channels: int, hidden_channels: int = 64) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.first = nn.Linear(in_channels, hidden_channels)
        self.second = nn.Linear(hidden_channels, 1)

    def reset_parameters(self) -> None:
        """Draw new weights from torch's global generator."""
        self.first.reset_parameters()
        self.second.reset_parameters()

    def forward(self, z: Tensor, edge_label_index: Tensor) -> Tensor:
        """Logits ``(P, 1)`` of node pairs ``(2, P)`` from the embeddings of all nodes ``(N, F)``."""
        source, target = edge_label_index
        out: Tensor = self.second(self.first(z[source] * z[target]).relu())
        return out


class DotDecoder(nn.Module):
    r"""The inner product of two embeddings, the decoder of graph autoencoders; it has no parameters to exchange.

    .. math:: s_{uv} = \langle z_u, z_v \rangle

    `Kipf and Welling (2016) <https://arxiv.org/abs/1611.07308>`_.

    Example:
        >>> import torch
        >>> DotDecoder()(torch.eye(2), torch.tensor([[0, 0], [0, 1]])).view(-1)
        tensor([1., 0.])
    """

    graph_arguments = ("edge_label_index",)

    def forward(self, z: Tensor, edge_label_index: Tensor) -> Tensor:
        """Logits ``(P, 1)`` of node pairs ``(2, P)`` from the embeddings of all nodes ``(N, F)``."""
        source, target = edge_label_index
        return (z[source] * z[target]).sum(dim=1, keepdim=True)
