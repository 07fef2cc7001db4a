"""A model in two parts: its first layers, and the layers that are left with the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.nn.encoders import ENCODERS, LayeredEncoder
from relgraph.nn.model import Model, RelativeModel

if TYPE_CHECKING:
    from torch_geometric.data import Data


class Front(nn.Module):
    """The first layers of an encoder, from a graph to the state ``(N, F_l)`` that the rest reads.

    Args:
        encoder: The encoder, which is shared, with all its layers, and not copied.
        layer: The last layer that is done, from 1.
    """

    def __init__(self, encoder: LayeredEncoder, layer: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer
        self.out_channels = encoder.widths[layer - 1]
        self.training = encoder.training  # the encoder's own mode stays as it is

    def forward(self, x: Tensor, edge_index: Tensor | None = None, edge_weight: Tensor | None = None) -> Tensor:
        """The state after the layer, of all nodes."""
        return self.encoder.part(x, 0, self.layer, edge_index, edge_weight)

    def extra_repr(self) -> str:
        """Where the cut is."""
        return f"layers 1 to {self.layer} of {self.encoder.num_layers}"


class Back(nn.Module):
    """What is left of a network behind a layer: message passing on the graph at hand, and the head.

    It reads the state of *all* nodes of a graph, since a node's output depends on its neighbours' states.

    Args:
        encoder: The encoder, which is shared, with all its layers, and not copied.
        head: The head, shared as well.
        layer: The last layer that is not done any more, from 1; with the encoder's last one only the head is left.
    """

    def __init__(self, encoder: LayeredEncoder, head: nn.Module, layer: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.layer = layer
        self.in_channels = encoder.widths[layer - 1]
        self.training = encoder.training and head.training

    def forward(self, h: Tensor, edge_index: Tensor | None = None, edge_weight: Tensor | None = None) -> Tensor:
        """Outputs of the head, ``(N, C)``, from the state after the layer, ``(N, F_l)``."""
        last = self.encoder.num_layers
        z = h if self.layer == last else self.encoder.part(h, self.layer, last, edge_index, edge_weight)
        out: Tensor = self.head(z)
        return out

    def extra_repr(self) -> str:
        """Where the cut is."""
        return f"behind layer {self.layer} of {self.encoder.num_layers}"


class CutModel(Model):
    """A model whose head passes messages itself, and is therefore given the edges of the graph as well.

    Args:
        encoder: From a graph to states ``(N, F)``, such as a :class:`Front`.
        head: Called with the states, ``edge_index`` and, where the graph has them, its weights; such as a
            :class:`Back`, or one behind a translation (:func:`relgraph.translation.translate_then`).
    """

    def forward(self, data: Data) -> Tensor:
        """Outputs of the head for every node, ``(N, C)``."""
        out: Tensor = self.head(self.embed(data), *edges_of(data))
        return out


def cut(model: Model, layer: int) -> tuple[Front, Back]:
    r"""Take a model apart behind a layer: ``back(front(x, edge_index), edge_index)`` is what the model says.

    .. math:: \mathrm{front} = f_l \circ \dots \circ f_1, \qquad
              \mathrm{back} = \mathrm{head} \circ f_L \circ \dots \circ f_{l + 1}

    A layer includes its nonlinearity; behind the last one, ``L``, the back is the head alone. Both parts share the
    model's modules: moving, training or changing the mode of either does it to the model.

    Args:
        model: A model whose encoder is a :class:`~relgraph.nn.encoders.LayeredEncoder`: one of relgraph's own, or
            yours if it is written as one.
        layer: Where to cut, from 1 to the encoder's number of layers.

    Returns:
        A module from ``(x, edge_index, edge_weight=None)`` to states ``(N, F_l)``, and one from ``(h, edge_index,
        edge_weight=None)`` to outputs ``(N, C)``, which has to be given the states of all nodes of the graph.

    Raises:
        InputError: If there is no such layer, the encoder does not say what its layers are, or the head reads relative
            vectors.

    Example:
        >>> import torch
        >>> from relgraph.nn.encoders import GCNEncoder
        >>> front, back = cut(Model(GCNEncoder(3, 8, num_layers=3), nn.Linear(8, 2)).eval(), 1)
        >>> x, edges = torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])
        >>> front(x, edges).shape, back(front(x, edges), edges).shape
        (torch.Size([4, 8]), torch.Size([4, 2]))
    """
    encoder = check_layer(model, layer)
    return Front(encoder, layer), Back(encoder, model.head, layer)


def check_layer(model: Model, layer: int, argument: str = "layer") -> LayeredEncoder:
    """The encoder of a model that can be cut behind a layer, or an error that says why it cannot.

    Args:
        model: The model.
        layer: Where to cut.
        argument: What the layer is called where it was given.

    Raises:
        InputError: As :func:`cut`.
    """
    encoder = model.encoder
    if isinstance(model, RelativeModel):
        raise InputError(
            "model",
            "must have a head that reads embeddings to be cut (got one that reads relative vectors, which "
            "depend on all layers)",
        )
    if not isinstance(encoder, LayeredEncoder):
        raise InputError(
            "model",
            f"must have an encoder that says what its layers are (got a {type(encoder).__name__}); take one of "
            f"{', '.join(sorted(ENCODERS))}, or write yours as a LayeredEncoder",
        )
    if isinstance(layer, bool) or not isinstance(layer, int) or not 1 <= layer <= encoder.num_layers:
        raise InputError(
            argument,
            f"must be from 1 to {encoder.num_layers}, the layers of a {type(encoder).__name__} (got {layer!r})",
        )
    return encoder


def edges_of(data: Data) -> tuple[Tensor, ...]:
    """What a :class:`Back` needs of a graph beside the states: its edges and, where it has them, their weights.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> len(edges_of(Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1))))
        2
    """
    weight = data.edge_weight if "edge_weight" in data else None
    return (data.edge_index,) if weight is None else (data.edge_index, weight)
