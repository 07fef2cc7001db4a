"""A model is an encoder and a head, and passes the embeddings from one to the other."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.graph import anchor_index
from relgraph.modes import eval_mode
from relgraph.nn.encoders import Encoder
from relgraph.nn.folding import RelativeHead, fold
from relgraph.nn.relative import RelativeLayer
from relgraph.similarity import resolve

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from relgraph.anchors import AnchorSet

    Graph: TypeAlias = Data | Mapping[str, Any]


class Model(nn.Module):
    """Encoder and head of one network.

    Args:
        encoder: From a graph to embeddings ``(N, F)``, see :func:`call_with_graph`.
        head: From embeddings to outputs ``(N, C)``; further arguments are parts of the graph, see
            :func:`head_arguments`.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from relgraph.nn import GCNEncoder
        >>> data = Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> model = Model(GCNEncoder(3, 8), nn.Linear(8, 2))
        >>> model(data.x, data.edge_index).shape, model.embed(data).shape
        (torch.Size([4, 2]), torch.Size([4, 8]))
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, x: Tensor | Data, edge_index: Tensor | None = None, **graph: Any) -> Tensor:
        """Outputs of the head ``(N, C)``, with gradients and in the current mode.

        Args:
            x: Features ``(N, D)``, or a whole graph in place of all arguments.
            edge_index: Edges ``(2, E)``.
            **graph: Further attributes of the graph, such as ``edge_weight`` or ``batch``.

        Raises:
            InputError: If the encoder or the head requires an argument that is missing.
        """
        parts = _graph(x, edge_index, graph)
        return self._outputs(call_with_graph(self.encoder, parts), parts)

    def encode(self, x: Tensor | Data, edge_index: Tensor | None = None, **graph: Any) -> Tensor:
        """Embeddings ``(N, F)``, with gradients and in the current mode; arguments as of :meth:`forward`."""
        return call_with_graph(self.encoder, _graph(x, edge_index, graph))

    def embed(self, data: Data) -> Tensor:
        """Embeddings ``(N, F)`` in evaluation mode without gradients; the mode is restored afterwards."""
        with eval_mode(self):
            return self.encode(data)

    def predict(self, data: Data) -> Tensor:
        """Outputs ``(N, C)`` in evaluation mode without gradients; the mode is restored afterwards."""
        with eval_mode(self):
            return self.forward(data)

    def _outputs(self, z: Tensor, graph: Graph) -> Tensor:
        outputs: Tensor = self.head(z, **head_arguments(self.head, graph))
        return outputs


class TailHead(nn.Module):
    """The rest of a network behind an inner layer: message passing on the given graph, then the head.

    It needs the states of *all* nodes of a graph, since the output of a node depends on its neighbors. The remaining
    layers, such as ``encoder[1:]``, and the head are shared, not copied.

    Example:
        >>> import torch
        >>> from relgraph.nn import GCNEncoder
        >>> encoder, head = GCNEncoder(3, 8).eval(), nn.Linear(8, 2)
        >>> x, edge_index = torch.rand(4, 3), torch.tensor([[0, 1], [1, 0]])
        >>> tail = TailHead(encoder[1:], head)
        >>> torch.equal(tail(encoder[:1](x, edge_index), edge_index), head(encoder(x, edge_index)))
        True
    """

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.training = encoder.training and head.training

    @property
    def graph_arguments(self) -> tuple[str, ...]:
        """Parts of the graph that the layers or the head read."""
        return ("edge_index", "edge_weight", *getattr(self.head, "graph_arguments", ()))

    def forward(
        self, h: Tensor, edge_index: Tensor | None = None, edge_weight: Tensor | None = None, **graph: Tensor
    ) -> Tensor:
        """Outputs ``(N, C)`` from the states of all nodes, ``(N, F_k)``; further parts of the graph are the head's."""
        outputs: Tensor = self.head(self.encoder(h, edge_index, edge_weight), **graph)
        return outputs


class RelativeModel(Model):
    """A model with a head on relative representations: encoder, then :class:`RelativeLayer`, then head.

    The anchors are those of the graph (:class:`relgraph.AddAnchors`, or the argument ``anchor_index``), embedded anew
    in every call, unless the layer is frozen.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from relgraph.nn import GCNEncoder
        >>> data = Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> data.anchor_rank, data.num_anchors = torch.tensor([0, -1, 1, -1]), 2
        >>> RelativeModel(GCNEncoder(3, 8), RelativeLayer(), nn.Linear(2, 5))(data).shape
        torch.Size([4, 5])
    """

    def __init__(self, encoder: nn.Module, layer: RelativeLayer, head: nn.Module) -> None:
        super().__init__(encoder, head)
        if isinstance(head, RelativeHead):
            head.check(layer)
        self.layer: RelativeLayer = layer

    def relative(self, x: Tensor | Data, edge_index: Tensor | None = None, **graph: Any) -> Tensor:
        """Relative representations ``(N, K)``, with gradients and in the current mode."""
        parts = _graph(x, edge_index, graph)
        return self._relative(call_with_graph(self.encoder, parts), parts)

    def _outputs(self, z: Tensor, graph: Graph) -> Tensor:
        return super()._outputs(self._relative(z, graph), graph)

    def _relative(self, z: Tensor, graph: Graph) -> Tensor:
        rows = None
        if not self.layer.frozen:
            rows = graph.get("anchor_index") if isinstance(graph, Mapping) else anchor_index(graph)
        r: Tensor = self.layer(z, anchor_index=rows)
        return r

    def freeze(self, anchors: AnchorSet | Tensor | None = None) -> Model:
        """The same model for inference with these anchors on any graph.

        A linear head behind a bilinear similarity is folded (:func:`relgraph.fold`); the relative representation is
        then never computed. Other heads keep a frozen layer.

        Args:
            anchors: An AnchorSet or embeddings ``(K, F)``; by default those stored in the layer, frozen or averaged.

        Returns:
            A copy in evaluation mode whose parameters require no gradient.
        """
        encoder, layer, head = copy.deepcopy(self.encoder), copy.deepcopy(self.layer), copy.deepcopy(self.head)
        if anchors is not None or not layer.frozen:
            layer.freeze(anchors)
        folds = isinstance(head, nn.Linear) and resolve(layer.similarity)[0].bilinear
        served = fold(head, layer) if folds else nn.Sequential(layer, head)
        return Model(encoder, served).eval().requires_grad_(False)


def call_with_graph(module: nn.Module, graph: Graph) -> Tensor:
    """Call a module with the parts of a graph that its ``forward`` names.

    A first parameter named ``data``, ``graph`` or ``batch`` is given the whole graph. Otherwise arguments are passed by
    name, as far as the graph has them: ``x``, ``edge_index``, ``edge_weight``, ``edge_attr``, ``batch`` and any
    further attribute. A first parameter of another name is given the features, and a required second one of another
    name the edges; ``*args`` is given both.

    Raises:
        InputError: If a required argument has no value in the graph.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))
        >>> call_with_graph(nn.Identity(), data).shape
        torch.Size([2, 3])
    """
    parameters = _parameters(module)
    if not isinstance(graph, Mapping) and parameters and parameters[0].name in ("data", "graph", "batch"):
        out: Tensor = module(graph)
        return out
    placed, named = [], {}
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            placed += [graph.get("x"), graph.get("edge_index")][place:]
        elif parameter.kind is not parameter.VAR_KEYWORD:
            value = _value(module, "encoder", graph, parameter, place)
            if value is not None and parameter.kind is not parameter.KEYWORD_ONLY and place == len(placed):
                placed.append(value)
            elif value is not None:
                named[parameter.name] = value
    out = module(*placed, **named)
    return out


def head_arguments(head: nn.Module, graph: Graph) -> dict[str, Any]:
    """The arguments of a head beside the embeddings, by name, from a graph.

    Their names are the head's attribute ``graph_arguments`` if it has one, else the parameters of its ``forward`` after
    the first.

    Raises:
        InputError: If a required argument has no value in the graph.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from torch_geometric.nn import GCNConv
        >>> data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))
        >>> list(head_arguments(GCNConv(3, 2), data)), head_arguments(nn.Linear(3, 2), data)
        (['edge_index'], {})
    """
    names = getattr(head, "graph_arguments", None)
    if names is not None:
        found = {name: graph.get(name) for name in names}
    else:
        named = [p for p in _parameters(head)[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        found = {parameter.name: _value(head, "head", graph, parameter) for parameter in named}
    return {name: value for name, value in found.items() if value is not None}


# Parameters of these names are never given another part of a graph.
_PARTS = (
    "x", "edge_index", "edge_weight", "edge_attr", "edge_type", "adj_t", "batch", "batch_size", "ptr", "pos", "y",
)  # fmt: skip


def _graph(x: Tensor | Data, edge_index: Tensor | None, graph: dict[str, Any]) -> Graph:
    if isinstance(x, Tensor):
        return {"x": x, "edge_index": edge_index, **graph}
    if not hasattr(x, "to_dict"):
        raise InputError("x", f"must be a tensor of features, or a graph (got {type(x).__name__})")
    return x


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    return list(inspect.signature(module.forward).parameters.values())


def _value(module: nn.Module, role: str, graph: Graph, parameter: inspect.Parameter, place: int | None = None) -> Any:
    """The value of one parameter, or ``None`` if it can be left out."""
    value, required = graph.get(parameter.name), parameter.default is parameter.empty
    if value is None and parameter.name not in _PARTS and (place == 0 or (place == 1 and required)):
        value = graph.get("edge_index" if place else "x")
    if value is None and required:
        raise InputError(
            role,
            f"must need nothing that the graph lacks (got a {type(module).__name__} that needs '{parameter.name}'); "
            f"set data.{parameter.name}, or give the argument a default",
        )
    return value
