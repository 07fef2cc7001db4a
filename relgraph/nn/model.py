"""A model is an encoder and a head; what passes between the two is the representation."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from relgraph.conversion import evaluating
from relgraph.errors import InputError
from relgraph.graph import anchor_index
from relgraph.nn.heads import RelativeHead
from relgraph.similarity import SIMILARITIES

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from relgraph.anchors import AnchorSet
    from relgraph.nn.relative import RelativeLayer


class Model(nn.Module):
    """Encoder and head of one network, kept apart so that either can be exchanged.

    Args:
        encoder: From a graph to embeddings ``(N, F)``; see :func:`call_encoder` for what it is called with.
        head: From embeddings to outputs ``(N, C)``.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from relgraph.nn.encoders import GCNEncoder
        >>> data = Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> model = Model(GCNEncoder(3, 8), nn.Linear(8, 2))
        >>> model(data).shape, model.encode(data).shape
        (torch.Size([4, 2]), torch.Size([4, 8]))
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def embed(self, data: Data) -> Tensor:
        """Absolute embeddings ``(N, F)``, with gradients and in the current mode (see :meth:`encode`)."""
        return call_encoder(self.encoder, data)

    def forward(self, data: Data) -> Tensor:
        """Outputs of the head for every node, ``(N, C)``."""
        out: Tensor = self.head(self.embed(data))
        return out

    def encode(self, data: Data) -> Tensor:
        """Absolute embeddings ``(N, F)`` in evaluation mode and without gradients; the mode is restored after."""
        with evaluating(self):
            return self.embed(data)

    def predict(self, data: Data) -> Tensor:
        """Outputs ``(N, C)`` in evaluation mode and without gradients; the mode is restored after."""
        with evaluating(self):
            out: Tensor = self(data)
            return out


class RelativeModel(Model):
    """A model whose head reads the relative representation: encoder, then :class:`RelativeLayer`, then head.

    The anchors are those that the graph carries (:class:`relgraph.AddAnchors`), embedded anew at every call, unless
    the layer is frozen: then the graph needs none.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from relgraph.nn.encoders import GCNEncoder
        >>> from relgraph.nn.relative import RelativeLayer
        >>> data = Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> data.anchor_rank, data.num_anchors = torch.tensor([0, -1, 1, -1]), 2
        >>> RelativeModel(GCNEncoder(3, 8), RelativeLayer(), nn.Linear(2, 5))(data).shape
        torch.Size([4, 5])
    """

    def __init__(self, encoder: nn.Module, layer: RelativeLayer, head: nn.Module) -> None:
        super().__init__(encoder, head)
        if isinstance(head, RelativeHead):
            head.check(layer)
        self.layer = layer

    def forward(self, data: Data) -> Tensor:
        """Outputs of the head for every node, ``(N, C)``."""
        out: Tensor = self.head(self.relative(data))
        return out

    def relative(self, data: Data) -> Tensor:
        """Relative representations ``(N, K)``, with gradients and in the current mode."""
        given = None if self.layer.frozen else anchor_index(data)
        r: Tensor = self.layer(self.embed(data), anchor_index=given)
        return r

    def freeze(self, anchors: AnchorSet | Tensor | None = None) -> Model:
        """The same model for inference on any graph with these anchors, at the cost of an absolute one if it folds.

        A linear head behind a bilinear similarity is folded (:func:`relgraph.fold`): the relative representation
        then never exists. Any other head keeps a frozen layer before it.

        Args:
            anchors: An AnchorSet or embeddings ``(K, F)``, see :meth:`RelativeLayer.freeze`; ``None`` takes those
                that the layer remembers, frozen or averaged.

        Returns:
            A copy in evaluation mode whose parameters want no gradient.

        Example:
            >>> import torch
            >>> from relgraph.nn.relative import RelativeLayer
            >>> model = RelativeModel(nn.Linear(3, 8), RelativeLayer(), nn.Linear(2, 5))
            >>> model.freeze(torch.rand(2, 8)).head
            FoldedCosine(in_features=8, out_features=5)
        """
        from relgraph.nn.folding import fold

        encoder, layer, head = copy.deepcopy(self.encoder), copy.deepcopy(self.layer), copy.deepcopy(self.head)
        if anchors is not None or not layer.frozen:
            layer.freeze(anchors)
        folds = isinstance(head, nn.Linear) and SIMILARITIES[layer.similarity].bilinear
        served = fold(head, layer) if folds else nn.Sequential(layer, head)
        return Model(encoder, served).eval().requires_grad_(False)


def call_encoder(encoder: nn.Module, data: Data) -> Tensor:
    """Call an encoder with the parts of a graph that its ``forward`` asks for.

    A first argument named ``data``, ``batch`` or ``graph`` is given the whole graph. Otherwise arguments are given by
    name, as far as the graph has them: ``x``, ``edge_index``, ``edge_weight``, ``edge_attr``, ``batch`` and any further
    attribute. A first argument of another name is given the features, and a second one the edges if it is required, or
    if ``forward`` takes any number of arguments.

    Raises:
        InputError: If a required argument has no value in the graph.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))
        >>> call_encoder(nn.Identity(), data).shape
        torch.Size([2, 3])
    """
    parameters = list(inspect.signature(encoder.forward).parameters.values())
    if parameters and parameters[0].name in ("data", "batch", "graph"):
        out: Tensor = encoder(data)
        return out
    placed: list[Any] = []
    named: dict[str, Any] = {}
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            placed += [data.x, data.edge_index][place:]
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = _part(data, parameter, place)
        if value is None and parameter.default is not parameter.empty:
            continue
        if value is None:
            raise InputError(
                "encoder",
                f"must need nothing that the graph lacks (got a {type(encoder).__name__} that needs "
                f"'{parameter.name}'); set data.{parameter.name}, or give the argument a default",
            )
        if parameter.kind is parameter.POSITIONAL_ONLY or place == len(placed) < 2:
            placed.append(value)
        else:
            named[parameter.name] = value
    out = encoder(*placed, **named)
    return out


def _part(data: Data, parameter: inspect.Parameter, place: int) -> Any:
    """What a graph has for one argument of an encoder, or ``None``."""
    if parameter.name in data:
        return data[parameter.name]
    if parameter.name in _PARTS:
        return None
    if place == 0:
        return data.x
    return data.edge_index if place == 1 and parameter.default is parameter.empty else None


# Names that always mean the same part of a graph: an argument of such a name is never given anything else.
_PARTS = (
    "x", "edge_index", "edge_weight", "edge_attr", "edge_type", "adj_t", "batch", "batch_size", "ptr", "pos", "y",
)  # fmt: skip
