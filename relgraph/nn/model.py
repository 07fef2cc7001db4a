"""A model is an encoder and a head, and passes the embeddings from one to the other."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from relgraph.anchors import AnchorSet
from relgraph.errors import InputError, unknown_name
from relgraph.graph import anchor_index, has_anchors
from relgraph.io import PathLike
from relgraph.modes import eval_mode
from relgraph.nn.cutting import At, cut, layers
from relgraph.nn.encoders import Encoder
from relgraph.nn.folding import RelativeHead, fold
from relgraph.nn.relative import RelativeLayer
from relgraph.nn.tracing import PARTS, WHOLE, Edges, Features, trace
from relgraph.similarity import resolve

Graph: TypeAlias = Data | Mapping[str, Any]


class Model(nn.Module):
    """Encoder and head of one network.

    Args:
        encoder: From a graph to embeddings ``(N, F)``, see :func:`call_with_graph`.
        head: From embeddings to outputs ``(N, C)``; further arguments are parts of the graph, see
            :func:`head_arguments`.
        node_type: Node type of the embeddings, for an encoder of heterogeneous graphs.

    Example:
        >>> import torch
        >>> from relgraph.nn import GCNEncoder
        >>> data = Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> model = Model(GCNEncoder(3, 8), nn.Linear(8, 2))
        >>> model(data.x, data.edge_index).shape, model.embed(data).shape
        (torch.Size([4, 2]), torch.Size([4, 8]))
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, node_type: str | None = None) -> None:
        super().__init__()
        parts: dict[str, object] = {"encoder": encoder, "head": head}
        for name, part in parts.items():
            if not isinstance(part, nn.Module):
                way_out = "wrap an estimator of scikit-learn in relgraph.anchors.EstimatorHead"
                raise InputError(name, f"must be a torch module (got {type(part).__name__}); {way_out}")
        self.encoder, self.head, self.node_type = encoder, head, node_type

    @staticmethod
    def from_checkpoint(model: nn.Module, path: PathLike, at: At = None, **options: Any) -> Model:
        """Load weights into a module and take it apart.

        Args:
            model: A module of the architecture that was saved; it gets the weights, or stays as it is on an error.
            path: A file ``.safetensors``, or one that ``torch.save`` wrote: a state dict, alone or under the key
                ``"state_dict"`` or ``"model_state_dict"``. No code from the file is executed.
            at: Where the module is taken apart.
            **options: Further arguments of :func:`relgraph.split`.

        Raises:
            DataError: If the file is missing or damaged, or holds other objects than tensors.
            InputError: If names or shapes in the file differ from those of the module, or it cannot be taken apart.

        Example:
            >>> import tempfile
            >>> import torch
            >>> from torch_geometric.nn import GCN
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     torch.save(GCN(3, 8, 2, 5).state_dict(), f"{folder}/gcn.pt")
            ...     model = Model.from_checkpoint(GCN(3, 8, 2, 5), f"{folder}/gcn.pt")
            >>> model.embed(Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))).shape
            torch.Size([4, 8])
        """
        from relgraph.nn.checkpoint import load_weights  # they build models, and come after this file
        from relgraph.nn.splitting import split

        parts = split(model, at, **options)  # first, so that on an error the module stays as it is
        load_weights(model, path)
        return parts

    def forward(self, x: Tensor | Data, edge_index: Tensor | None = None, **graph: Any) -> Tensor:
        """Outputs of the head ``(N, C)``, with gradients and in the current mode.

        Arguments are features ``(N, D)``, edges ``(2, E)`` and any further attributes of the graph, such as
        ``edge_weight`` or ``batch``, or a whole graph in place of all. What the encoder or the head requires and is not
        there is an InputError.
        """
        parts = _graph(x, edge_index, graph)
        return self._outputs(call_with_graph(self.encoder, parts, self.node_type), parts)

    def encode(self, x: Tensor | Data, edge_index: Tensor | None = None, **graph: Any) -> Tensor:
        """Embeddings ``(N, F)``, with gradients and in the current mode; arguments as of :meth:`forward`."""
        return call_with_graph(self.encoder, _graph(x, edge_index, graph), self.node_type)

    def embed(self, data: Data) -> Tensor:
        """Embeddings ``(N, F)`` in evaluation mode without gradients; the mode is restored afterwards."""
        with eval_mode(self):
            return self.encode(data)

    def predict(self, data: Data) -> Tensor:
        """Outputs ``(N, C)`` in evaluation mode without gradients; the mode is restored afterwards."""
        with eval_mode(self):
            return self.forward(data)

    def _outputs(self, z: Tensor, graph: Graph) -> Tensor:
        outputs: Any = self.head(z, **head_arguments(self.head, graph))
        found: Tensor = outputs[self.node_type] if isinstance(outputs, Mapping) and self.node_type else outputs
        return found


class TailHead(nn.Module):
    """The rest of a network behind an inner layer as a head: the remaining layers on the graph, then the head.

    It needs the states of *all* nodes of a graph, since the output of a node depends on its neighbors. With an encoder
    of layers, ``TailHead(encoder[1:], head)`` on the states of ``encoder[:1]`` equals ``head`` on ``encoder``.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.training = encoder.training and head.training

    @property
    def graph_arguments(self) -> tuple[str, ...]:
        """Parts of the graph that the layers or the head read."""
        return tuple(dict.fromkeys((*_argument_names(self.encoder), *_argument_names(self.head))))

    def forward(
        self, h: Tensor, edge_index: Tensor | None = None, edge_weight: Tensor | None = None, **graph: Any
    ) -> Tensor:
        """Outputs ``(N, C)`` from the states of all nodes, ``(N, F_k)``, and the parts of the graph that are read."""
        parts = {"edge_index": edge_index, "edge_weight": edge_weight, **graph}
        z = self.encoder(h, **head_arguments(self.encoder, parts))
        outputs: Tensor = self.head(z, **head_arguments(self.head, parts))
        return outputs


def cut_model(model: Model, at: At, name: str = "") -> tuple[nn.Module, nn.Module]:
    """The encoder up to layer ``at``, from 1, and the head of its states: the rest of the network, both shared.

    Behind the last layer, or for ``None``, that is the head alone, else a :class:`TailHead`. An encoder that is no list
    of layers is traced (:func:`relgraph.nn.tracing.trace`), and can also be cut behind a submodule by its name.

    Raises:
        InputError: If there is no such layer, the encoder cannot be taken apart there, or the head reads relative
            representations; ``name`` is the argument that holds the model.
    """
    encoder = model.encoder
    if at is None:
        return encoder, model.head
    if isinstance(model, RelativeModel):
        raise InputError(name or "model", "must have a head on embeddings (got one on relative representations)")
    if not isinstance(encoder, Encoder):
        traced = trace(encoder, argument=name or "model")
        early, rest = cut(traced, at, model.node_type)
        last = not isinstance(at, str) and at == len(layers(traced))
        return (encoder, model.head) if last else (early, TailHead(rest, model.head))
    kind = type(encoder).__name__
    if isinstance(at, bool) or not isinstance(at, int) or not 1 <= at <= len(encoder):
        whose = f"'{name}'" if name else kind
        raise InputError("at", f"must be from 1 to {len(encoder)}, the layers of {whose} (got {at!r})")
    return encoder[:at], model.head if at == len(encoder) else TailHead(encoder[at:], model.head)


class RelativeModel(Model):
    """A model with a head on relative representations: encoder, then :class:`RelativeLayer`, then head.

    The anchors are those of the graph (:class:`relgraph.AddAnchors`, or the argument ``anchor_index``), embedded anew
    in every call, unless the layer is frozen, or has a moving average (``ema``): evaluation then uses the average, and
    so do training steps on batches that lack an anchor.

    Example:
        >>> import torch
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

    def _outputs(self, z: Tensor, graph: Graph) -> Tensor:
        return super()._outputs(self.layer(z, anchor_index=self._anchors(graph)), graph)

    def _anchors(self, graph: Graph) -> Tensor | None:
        """Rows of the anchors; ``None`` where those that the layer has stored are used."""
        if self.layer.frozen or (self.layer.averaged and not self.layer.training):
            return None
        if isinstance(graph, Mapping):
            return graph.get("anchor_index")
        return anchor_index(graph) if has_anchors(graph) or not self.layer.averaged else None

    def freeze(self, anchors: AnchorSet | Tensor | None = None) -> Model:
        """A frozen copy for inference with these anchors on any graph.

        A linear head behind a bilinear similarity is folded (:func:`relgraph.fold`); other heads keep a frozen layer.

        Args:
            anchors: An AnchorSet or embeddings ``(K, F)``; by default those stored in the layer, frozen or averaged.
        """
        encoder, layer, head = copy.deepcopy(self.encoder), copy.deepcopy(self.layer), copy.deepcopy(self.head)
        if anchors is not None or not layer.frozen:
            layer.freeze(anchors)
        folds = isinstance(head, nn.Linear) and resolve(layer.similarity)[0].bilinear
        served = fold(head, layer) if folds else nn.Sequential(layer, head)
        return Model(encoder, served).eval().requires_grad_(False)


def call_with_graph(module: nn.Module, graph: Graph, node_type: str | None = None) -> Tensor:
    """Call a module with the parts of a graph that its ``forward`` names; of a tuple, the first element is returned.

    A first parameter named ``data``, ``graph`` or ``batch`` is given the whole graph. Otherwise arguments are passed by
    name, as far as the graph has them; a required one that it lacks is an InputError. A first parameter of another name
    is given the features, and a required second one of another name the edges; ``*args`` is given both. Parts of a
    heterogeneous graph are dictionaries by type, under their own names (``x``) and those of PyG (``x_dict``); from the
    dictionary that is returned, the element of ``node_type`` is taken. Features that are passed as an argument are
    converted to the floating-point type of the module's parameters.

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))
        >>> call_with_graph(nn.Identity(), data).shape
        torch.Size([2, 3])
    """
    parameters = _parameters(module)
    whole = bool(parameters) and parameters[0].name in (*WHOLE, "batch")
    if not isinstance(graph, Mapping) and whole:
        return _one_tensor(module(graph), node_type)
    if hasattr(graph, "node_types"):
        if node_type is None:
            types = ", ".join(graph.node_types)
            way_out = "convert it by data.to_homogeneous(), or name the type, relgraph.Model(encoder, head, node_type)"
            raise InputError("data", f"must hold one type of nodes (got {types}); {way_out}")
        if node_type not in graph.node_types:
            raise unknown_name("node_type", node_type, graph.node_types)
        graph = _by_name(graph)
    placed, named = [], {}
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            placed += [graph.get("x"), graph.get("edge_index")][place:]
        elif parameter.kind is not parameter.VAR_KEYWORD:
            value = _long_edges(_value(module, "encoder", graph, parameter, place))
            if value is not None and parameter.kind is not parameter.KEYWORD_ONLY and place == len(placed):
                placed.append(value)
            elif value is not None:
                named[parameter.name] = value
    placed[:1] = [_in_own_type(module, value) for value in placed[:1]]
    return _one_tensor(module(*placed, **named), node_type)


def _long_edges(value: Any) -> Any:
    """Edges of shorter integers as int64, which some layers of PyG require; anything else as it is."""
    short = isinstance(value, Tensor) and value.dtype in (torch.int16, torch.int32)
    return value.long() if short and value.dim() == 2 and value.size(0) == 2 else value


def _in_own_type(module: nn.Module, features: Any) -> Any:
    """Features in the floating-point type of the module's parameters; what is no such tensor, as it is."""
    own = next((one.dtype for one in module.parameters() if one.is_floating_point()), None)
    if own is None or not isinstance(features, Tensor) or not features.is_floating_point():
        return features
    return features.to(own)


def head_arguments(head: nn.Module, graph: Graph) -> dict[str, Any]:
    """The arguments of a head beside the embeddings, by name, from a graph.

    Their names are the head's attribute ``graph_arguments`` if it has one, else the parameters of its ``forward`` after
    the first; a required one that the graph lacks is an InputError.

    Example:
        >>> import torch
        >>> from torch_geometric.nn import GCNConv
        >>> data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))
        >>> list(head_arguments(GCNConv(3, 2), data)), head_arguments(nn.Linear(3, 2), data)
        (['edge_index'], {})
    """
    parts = _by_name(graph) if hasattr(graph, "node_types") else graph
    names = getattr(head, "graph_arguments", None)
    if names is not None:
        found = {name: graph if name in WHOLE else parts.get(name) for name in names}
    else:
        found = {one.name: graph if one.name in WHOLE else _value(head, "head", parts, one) for one in _named(head)}
    return {name: value for name, value in found.items() if value is not None}


def _graph(x: Tensor | Data, edge_index: Tensor | None, graph: dict[str, Any]) -> Graph:
    if isinstance(x, Tensor):
        return {"x": x, "edge_index": edge_index, **graph}
    if not hasattr(x, "to_dict"):
        raise InputError("x", f"must be a tensor of features, or a graph (got {type(x).__name__})")
    return x


def _by_name(graph: Any) -> dict[str, Any]:
    """Parts of a heterogeneous graph, dictionaries by type, under their names with and without ``_dict``."""
    names = {name for store in graph.stores for name in store}
    parts = {name: graph.collect(name) for name in sorted(names)}
    return parts | {f"{name}_dict": value for name, value in parts.items()}


def _one_tensor(out: Any, node_type: str | None) -> Tensor:
    """The embeddings in what an encoder returns."""
    if isinstance(out, Mapping):
        if node_type not in out:
            raise unknown_name("node_type", node_type, out)
        out = out[node_type]
    found: Tensor = out[0] if isinstance(out, tuple) else out
    return found


def _named(head: nn.Module) -> list[inspect.Parameter]:
    """Parameters of a head after the embeddings that are passed by name."""
    return [one for one in _parameters(head)[1:] if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def _argument_names(head: nn.Module) -> tuple[str, ...]:
    return getattr(head, "graph_arguments", None) or tuple(one.name for one in _named(head))


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    return list(inspect.signature(module.forward).parameters.values())


def _value(module: nn.Module, role: str, graph: Graph, parameter: inspect.Parameter, place: int | None = None) -> Any:
    """The value of one parameter, or ``None`` if it can be left out."""
    value, required = graph.get(parameter.name), parameter.default is parameter.empty
    if value is None and parameter.annotation in (Features, Edges):  # of a traced module
        value = graph.get("x" if parameter.annotation is Features else "edge_index")
    elif value is None and parameter.name not in PARTS and (place == 0 or (place == 1 and required)):
        value = graph.get("edge_index" if place else "x")
    if value is None and required:
        found = f"got a {type(module).__name__} that needs '{parameter.name}'"
        hint = f"set data.{parameter.name}, or give the argument a default"
        raise InputError(role, f"must need nothing that the graph lacks ({found}); {hint}")
    return value
