"""Tracing a module into a graph of calls."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch_geometric.nn.pool
import torch_geometric.utils
from torch import nn
from torch.fx import Graph, GraphModule, Node, Proxy, Tracer
from torch.fx.proxy import Attribute
from torch_geometric.nn import Aggregation, JumpingKnowledge, MessagePassing, Sequential
from torch_geometric.nn.conv import gcn_conv
from torch_geometric.nn.pool import glob

from relgraph.errors import InputError
from relgraph.nn.in_place import OPERATORS, wrong_change

ALTERNATIVE = "pass its two parts, relgraph.Model(encoder, head)"
WHOLE = ("data", "graph")
"""Names of parameters that are given a whole graph."""
PARTS = (
    "x", "edge_index", "edge_weight", "edge_attr", "edge_type", "adj_t", "batch", "batch_size", "ptr", "pos", "y",
    "x_dict", "edge_index_dict",
)  # fmt: skip
"""Parameters of these names are never given another part of a graph."""


class Features:
    """Annotation of an argument that is given the features of a graph that has no part of the argument's own name."""


class Edges:
    """Annotation of an argument that is given the edges of such a graph."""


# Functions of PyG branch on values and types; a call of one is one step of the traced graph.
_MODULES = (torch_geometric.utils, torch_geometric.nn.pool, gcn_conv)
_STEPS = tuple({value for module in _MODULES for value in vars(module).values() if inspect.isfunction(value)})


def trace(module: nn.Module, given: Sequence[str] = (), argument: str = "model") -> GraphModule:
    """The module as a graph of calls, with shared parameters.

    Arguments keep their names. A first one whose name is no part of a graph is annotated with :class:`Features`, a
    required second one with :class:`Edges`.

    Layers (modules of ``torch.nn`` and message-passing layers) are one step each; every other module is traced into, or
    is one step if that fails. An optional argument on whose presence the control flow depends keeps its default, unless
    it is in ``given``. A graph that was traced before is returned as it is.

    Raises:
        InputError: If the module cannot be traced; ``argument`` is the one that holds it.
    """
    if isinstance(module, GraphModule) and "ends" in module.meta:
        return module
    names, defaults, kinds = _arguments(module)
    unknown = [name for name in given if name not in names.values()]
    if unknown:
        raise InputError("given", f"must name arguments of {_kind(module)}, {', '.join(names)} (got '{unknown[0]}')")
    for name in given:
        defaults.pop(name, None)
    try:
        tracing = plain = _Tracing(module, names, defaults, kinds, free=())
    except _Untraceable as error:
        found = f"got a {_kind(module)}: {error}"
        raise InputError(argument, f"must be traceable by torch.fx ({found}); {ALTERNATIVE}") from error
    free: tuple[str, ...] = ()
    for name in defaults:
        try:
            wider = _Tracing(module, names, defaults, kinds, (*free, name))
        except _Untraceable:
            continue  # control flow on this argument
        if _steps(wider.graph) == _steps(plain.graph):
            tracing, free = wider, (*free, name)
    traced = GraphModule(module, tracing.graph, _kind(module))
    if change := wrong_change(traced):
        found = f"got a {_kind(module)} that {change}"
        raise InputError(argument, f"must not change tensors in place ({found}); {ALTERNATIVE}")
    traced.meta["ends"] = tracing.ends
    return traced


class _Untraceable(Exception):
    """The reason why a module cannot be traced."""


class _Tracing:
    """One trace of a module, in which the optional arguments that are not free have their defaults."""

    def __init__(
        self,
        module: nn.Module,
        names: dict[str, str],
        defaults: dict[str, Any],
        kinds: dict[str, type],
        free: Sequence[str],
    ) -> None:
        tracer = _Tracer(names, defaults, kinds, free)
        try:
            with _recorded(module, tracer):
                self.graph = tracer.trace(module)
        except Exception as error:  # whatever the module's own code raises when it is given no tensors
            reason = str(error).strip().split("\n")[0].rstrip(".")
            raise _Untraceable(reason or type(error).__name__) from error
        self.ends = tracer.ends
        for node in self.graph.nodes:
            if node.target is nn.functional.dropout and _probability(node) == 0:  # as behind the last layer of an MLP
                node.replace_all_uses_with(node.args[0])
                ends = {path: node.args[0].name for path, name in self.ends.items() if name == node.name}
                self.ends |= ends


class _Tracer(Tracer):
    def __init__(
        self, names: dict[str, str], defaults: dict[str, Any], kinds: dict[str, type], free: Sequence[str]
    ) -> None:
        super().__init__(autowrap_functions=_STEPS)
        self._autowrap_search.append(glob)  # its functions are attributes of a PyG Sequential
        self.names, self.defaults, self.kinds, self.free = names, defaults, kinds, free
        self.ends: dict[str, str] = {}

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        for path, part in self.root.named_modules():
            if path == "" or not self.is_leaf_module(part, path):
                part.__dict__["training"] = self.create_proxy("get_attr", f"{path}.training".lstrip("."), (), {})
        named: dict[str, Any] = {}
        placed: list[Any] = []
        for own, name in self.names.items():
            default = (self.defaults[name],) if name in self.defaults else ()
            if default and not isinstance(default[0], (int, float, str, type(None))):
                continue  # no literal: it keeps its default
            proxy = self.create_proxy("placeholder", name, default, {}, type_expr=self.kinds.get(name))
            if not default or name in self.free:
                named[own] = proxy
            else:
                self.create_proxy("call_function", refuse, (proxy, *default, name), {})
        parameters = inspect.signature(self.root.forward).parameters
        for own in list(named):
            kind = parameters[own].kind if own in parameters else inspect.Parameter.POSITIONAL_ONLY
            if kind is inspect.Parameter.POSITIONAL_ONLY:
                placed.append(named.pop(own))
        # The instance's own forward: that of a PyG Sequential's class belongs to the one that was made last.
        return (lambda root: root.forward(*placed, **named)), [self.root]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, (MessagePassing, Aggregation, JumpingKnowledge)):
            return True
        home = type(m).__module__
        traced_into = home.startswith("torch_geometric.nn.models") or home == "torch_geometric.nn.sequential"
        if home.startswith("torch_geometric.nn") and not traced_into:
            return True
        return bool(super().is_leaf_module(m, module_qualified_name)) and not isinstance(m, nn.ModuleList)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        path, last = self.path_of_module(m), next(reversed(self.graph.nodes), None)
        stack = dict(self.module_stack)
        try:
            out = super().call_module(m, forward, args, kwargs)
        except Exception:  # control flow on values inside a module: the whole module is one step
            self.module_stack.clear()
            self.module_stack.update(stack)
            for node in reversed(self.graph.nodes):
                if node is last:
                    break
                self.graph.erase_node(node)
            out = self.create_proxy("call_module", path, args, kwargs)
        if isinstance(out, Proxy):
            self.ends[path] = out.node.name
        return out

    def proxy(self, node: Node) -> Proxy:
        return _Proxy(node, self)

    def to_bool(self, obj: Proxy) -> bool:
        if obj.node.op == "get_attr" and str(obj.node.target).endswith("training"):
            return False  # a branch on the mode: that of evaluation
        return bool(super().to_bool(obj))


class _InPlace:
    """Operators in place as steps of their own."""

    def __getattr__(self: Any, name: str) -> Attribute:
        return _Attribute(self, name)


class _Proxy(_InPlace, Proxy):
    """A value of a trace."""


class _Attribute(_InPlace, Attribute):
    """An attribute of such a value."""


def _recorder(name: str) -> Callable[[Any, Any], Proxy]:
    def record(value: Any, other: Any) -> Proxy:
        made: Proxy = value.tracer.create_proxy("call_function", change, (value, other, name), {})
        return made

    return record


for _operator in OPERATORS:
    setattr(_InPlace, f"__{_operator}__", _recorder(_operator))


@contextmanager
def _recorded(module: nn.Module, tracer: _Tracer) -> Iterator[None]:
    """Record calls of aggregations, which torch.fx does not see; afterwards the modes are restored."""
    modes = [(part, part.training) for part in module.modules()]
    called = Aggregation.__call__

    def call(aggregation: Any, *args: Any, **kwargs: Any) -> Any:
        return tracer.call_module(aggregation, aggregation.forward, args, kwargs)

    Aggregation.__call__ = call
    try:
        yield
    finally:
        Aggregation.__call__ = called
        for part, training in modes:
            part.training = training


def _arguments(module: nn.Module) -> tuple[dict[str, str], dict[str, Any], dict[str, type]]:
    """The module's own names of arguments with those in its graph, and defaults and annotations by the latter."""
    kinds: dict[str, type] = {}
    names: dict[str, str] = {}
    defaults: dict[str, Any] = {}
    parameters = list(inspect.signature(module.forward).parameters.values())
    if isinstance(module, Sequential):
        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in module.signature.param_dict]
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            names |= {name: name for name in ("x", "edge_index")[place:]}
        elif parameter.kind is not parameter.VAR_KEYWORD:
            name, required = parameter.name, parameter.default is parameter.empty
            if name == "h" and place == 0:
                name = "x"  # the embeddings have this name in a head
            if name not in PARTS + WHOLE and (place == 0 or (place == 1 and required)):
                kinds[name] = Edges if place else Features
            names[parameter.name] = name
            if not required:
                defaults[name] = parameter.default
    return names, defaults, kinds


def _steps(graph: Graph) -> list[tuple[str, str]]:
    """What is called, in order."""
    calls = (node for node in graph.nodes if node.op not in ("placeholder", "get_attr"))
    return [(node.op, str(node.target)) for node in calls if node.target is not refuse]


def step(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that stays one step when a graph that calls it is traced again, as unpickling does."""

    @functools.wraps(function)
    def call(value: Any, *others: Any) -> Any:
        if isinstance(value, Proxy):
            return value.tracer.create_proxy("call_function", call, (value, *others), {})
        return function(value, *others)

    return call


@step
def change(value: Any, other: Any, name: str) -> Any:
    """An operator in place by its name; as a function, since in generated code it would bind another name anew."""
    return getattr(operator, name)(value, other)


@step
def first_given(own: Any, part: Any, name: str) -> Any:
    """The part of a graph of an argument's own name, or, without one, its features or edges."""
    if own is None and part is None:
        found = f"got a head that needs '{name}'"
        raise InputError("head", f"must need nothing that the graph lacks ({found}); set data.{name}")
    return part if own is None else own


@step
def refuse(value: Any, default: Any, name: str) -> None:
    """Refuse an argument that has no part in the traced graph."""
    if value is not default and value != default:
        way_out = f"use relgraph.split(model, given=['{name}'])"
        raise InputError(name, f"must be left out, since the model was taken apart without it; {way_out}")


def _probability(node: Node) -> Any:
    return node.kwargs.get("p", node.args[1] if len(node.args) > 1 else None)


def _kind(module: nn.Module) -> str:
    return type(module).__name__
