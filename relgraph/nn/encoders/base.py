"""The base of all node encoders: a list of layers that can be sliced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.nn.inits import reset

from relgraph.errors import InputError
from relgraph.nn.dropout import dropout

Activation = Callable[[Tensor], Tensor]


class Layer(nn.Module):
    """One layer of an encoder: dropout, a convolution, an activation, dropout.

    Args:
        conv: A module called with the state and the arguments that all layers share.
        dropout, output_dropout: Probability that a value of the input, or of the output, is dropped in training.
        activation: A function or module applied to the output.
    """

    def __init__(
        self, conv: nn.Module, dropout: float = 0.0, activation: Activation | None = None, output_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv, self.dropout, self.activation, self.output_dropout = conv, dropout, activation, output_dropout

    def forward(self, h: Tensor, *shared: Tensor) -> Tensor:
        """The next state."""
        h = self.conv(dropout(h, self.dropout, self.training), *shared)
        h = h if self.activation is None else self.activation(h)
        return dropout(h, self.output_dropout, self.training)


def no_edges(h: Tensor, edge_index: Tensor | None, edge_weight: Tensor | None) -> tuple[Tensor, ...]:
    """Nothing: for layers without edges."""
    return ()


def plain_edges(h: Tensor, edge_index: Tensor | None, edge_weight: Tensor | None) -> tuple[Tensor, ...]:
    """The edges alone, which must be there."""
    if edge_index is None:
        raise InputError("edge_index", "must be given to an encoder that passes messages (got None)")
    return (edge_index,)


def normalized_edges(h: Tensor, edge_index: Tensor | None, edge_weight: Tensor | None) -> tuple[Tensor, ...]:
    """The edges with loops, and the weights of the symmetrically normalized adjacency."""
    (edge_index,) = plain_edges(h, edge_index, edge_weight)
    given = None if edge_weight is None else edge_weight.to(h.dtype)
    edge_index, weight = gcn_norm(edge_index, given, h.size(0), dtype=h.dtype)
    return (edge_index,) if weight is None else (edge_index, weight)


class Encoder(nn.Module):
    r"""An encoder of nodes: a chain of layers :math:`Z = f_L(\dots f_1(X))`, from features to embeddings.

    The state between two layers is the input of the next one, so that a slice of an encoder is an encoder: with
    ``encoder[:k]`` from the features to the state after layer ``k``, and ``encoder[k:]`` from there to the embeddings.
    Slices share the layers. For an encoder of your own, pass its layers to this constructor.

    Args:
        layers: The layers, called with the state and the shared arguments, such as :class:`Layer`.
        in_channels: Size of the features.
        widths: Size of the state after each layer; the last is ``out_channels``, the size of the embeddings.
        shared: Computes the arguments that all layers share from ``(x, edge_index, edge_weight)``, once per call. By
            default ``edge_index`` alone, without the weights.

    Example:
        >>> import torch
        >>> from torch_geometric.nn import GraphConv
        >>> encoder = Encoder([Layer(GraphConv(3, 8), 0.5, torch.tanh), Layer(GraphConv(8, 4))], 3, (8, 4))
        >>> x, edge_index = torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])
        >>> h = encoder[:1](x, edge_index)
        >>> h.shape, encoder[1:](h, edge_index).shape
        (torch.Size([4, 8]), torch.Size([4, 4]))
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        in_channels: int,
        widths: Sequence[int],
        shared: Callable[[Tensor, Tensor | None, Tensor | None], tuple[Tensor, ...]] = plain_edges,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.in_channels = in_channels
        self.widths = tuple(widths)
        self.out_channels = self.widths[-1] if self.widths else in_channels
        self.num_layers = len(self.layers)
        self.shared = shared
        if len(self.widths) != self.num_layers:
            raise InputError("widths", f"must hold one size per layer, {self.num_layers} (got {len(self.widths)})")

    def __len__(self) -> int:
        """Number of layers."""
        return self.num_layers

    def __getitem__(self, layers: slice) -> Encoder:
        """The encoder of consecutive layers; anything else than a slice without a step is an error."""
        if not isinstance(layers, slice) or layers.step not in (None, 1):
            raise InputError("layers", f"must be a slice without a step, such as [:2] (got {layers!r}); see .layers")
        start, stop, _ = layers.indices(len(self))
        width = self.widths[start - 1] if start else self.in_channels
        part = Encoder(list(self.layers)[start:stop], width, self.widths[start:stop], self.shared)
        part.training = part.layers.training = self.training
        return part

    def reset_parameters(self) -> None:
        """Draw new parameters from torch's global generator."""
        reset(self.layers)

    def forward(self, x: Tensor, edge_index: Tensor | None = None, edge_weight: Tensor | None = None) -> Tensor:
        """Embeddings ``(N, out_channels)`` of all nodes; of a slice, the state after its last layer.

        ``x`` are features ``(N, in_channels)``, or the state before a slice; edges ``(2, E)`` are an error if missing
        where a layer needs them. Weights ``(E,)`` are ignored by convolutions without edge weights.
        """
        if not self.layers:
            return x
        shared = self.shared(x, edge_index, edge_weight)
        for layer in self.layers:
            x = layer(x, *shared)
        return x


def check_num_layers(num_layers: int, least: int = 2) -> None:
    """Refuse an encoder with too few layers."""
    if num_layers < least:
        raise InputError("num_layers", f"must be at least {least} (got {num_layers}); 'mlp' has no convolution")
