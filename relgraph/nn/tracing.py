"""Tracing a module into a graph of calls, and cutting that graph at one tensor."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
import torch_geometric.nn.pool
import torch_geometric.utils
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node, Proxy, Tracer
from torch.nn.parameter import UninitializedParameter
from torch_geometric.nn import Aggregation, JumpingKnowledge, MessagePassing, Sequential
from torch_geometric.nn.conv import gcn_conv
from torch_geometric.nn.pool import glob

from relgraph.errors import InputError

At: TypeAlias = int | str | None
ALTERNATIVE = "pass its two parts, relgraph.Model(encoder, head)"
WHOLE = ("data", "graph")
"""Names of parameters that are given a whole graph."""
PARTS = (
    "x", "edge_index", "edge_weight", "edge_attr", "edge_type", "adj_t", "batch", "batch_size", "ptr", "pos", "y",
    "x_dict", "edge_index_dict",
)  # fmt: skip
"""Parameters of these names are never given another part of a graph."""

# Functions of PyG branch on values and types; a call of one is one step of the traced graph.
_MODULES = (torch_geometric.utils, torch_geometric.nn.pool, gcn_conv)
_STEPS = tuple({value for module in _MODULES for value in vars(module).values() if inspect.isfunction(value)})


def trace(module: nn.Module, given: Sequence[str] = (), argument: str = "model") -> GraphModule:
    """The module as a graph of calls, with shared parameters; its arguments are named as parts of a graph.

    A graph of this kind is returned as it is. Layers (modules of ``torch.nn`` and message-passing layers) are one step each; every other module is traced into,
    or is one step if that fails. An optional argument on whose presence the control flow depends keeps its default,
    unless it is in ``given``.

    Raises:
        InputError: If the module cannot be traced; ``argument`` is the one that holds it.
    """
    if isinstance(module, GraphModule) and "ends" in module.meta:
        return module
    names, defaults = _arguments(module)
    unknown = [name for name in given if name not in names.values()]
    if unknown:
        raise InputError("given", f"must name arguments of {_kind(module)}, {', '.join(names)} (got '{unknown[0]}')")
    for name in given:
        defaults.pop(name, None)
    try:
        tracing = plain = _Tracing(module, names, defaults, free=())
    except _Untraceable as error:
        found = f"got a {_kind(module)}: {error}"
        raise InputError(argument, f"must be traceable by torch.fx ({found}); {ALTERNATIVE}") from error
    free: tuple[str, ...] = ()
    for name in defaults:
        try:
            wider = _Tracing(module, names, defaults, (*free, name))
        except _Untraceable:
            continue  # control flow on this argument
        if _steps(wider.graph) == _steps(plain.graph):
            tracing, free = wider, (*free, name)
    traced = GraphModule(module, tracing.graph, _kind(module))
    traced.meta["ends"] = tracing.ends
    return traced


def layers(traced: GraphModule) -> list[Node]:
    """The calls that have a weight matrix, in the order of calls."""
    found, used = [], _needed(_output(traced))
    for node in traced.graph.nodes:
        if node not in used:
            continue
        if node.op == "call_module":
            weights: Iterator[Any] = traced.get_submodule(node.target).parameters()
        else:
            read = (one for one in node.all_input_nodes if one.op == "get_attr")
            weights = (_attribute(traced, one) for one in read)
        if any(isinstance(one, UninitializedParameter) or one.dim() > 1 for one in weights if _is_parameter(one)):
            found.append(node)
    return found


def cut(traced: GraphModule, at: At = None) -> tuple[GraphModule, nn.Module]:
    """The graph up to one tensor, and the rest of it; a rest of one module on that tensor alone is the module itself.

    Args:
        traced: A result of :func:`trace`.
        at: ``None`` for the last tensor before the last layer; ``k`` for the last one behind layer ``k`` and before the
            next, from 1; a name for the output of the submodule of that name.

    Raises:
        InputError: If there is no such point, or other tensors cross there.
    """
    node = _point(traced, at)
    crossing = _crossing(traced, node)
    if crossing:
        calls = layers(traced)
        others = ", ".join(_label(one, calls) for one in crossing)
        found = f"got {at!r}, where besides the output of {_label(node, calls)} also those of {others} are used later"
        raise InputError("at", f"must be a point that one tensor crosses ({found}); choose another, or {ALTERNATIVE}")
    return _until(traced, node), _behind(traced, node)


def _point(traced: GraphModule, at: At) -> Node:
    """The node at which the graph is cut."""
    if isinstance(at, str):
        return _named(traced, at)
    calls = layers(traced)
    nodes: list[Node] = list(traced.graph.nodes)
    place = {node: number for number, node in enumerate(nodes)}
    if at is not None and (isinstance(at, bool) or not isinstance(at, int) or not 1 <= at <= len(calls)):
        listed = ", ".join(_label(node, calls) for node in calls)
        raise InputError("at", f"must be from 1 to {len(calls)}, the layers {listed}, or their names (got {at!r})")
    if at is None:
        first, last = 0, place[calls[-1]] if calls else 0
    else:
        first, last = place[calls[at - 1]], place[calls[at]] if at < len(calls) else len(nodes) - 1
    bound = _learned(traced)
    points = [one for one in nodes[first:last] if one in bound and one.op != "get_attr" and not _unpacked(one)]
    whole = [node for node in points if not _crossing(traced, node) and _reaches(traced, node)]
    if whole:
        return whole[-1]
    if at is None:
        raise InputError("model", f"must have a point between two layers that one tensor crosses; {ALTERNATIVE}")
    return points[-1] if points else calls[at - 1]


def _named(traced: GraphModule, name: str) -> Node:
    nodes: list[Node] = list(traced.graph.nodes)
    ends = traced.meta["ends"]
    if name not in ends:
        near = difflib.get_close_matches(name, ends, n=5, cutoff=0.0)
        listed = ", ".join(f"'{one}'" for one in near)
        raise InputError("at", f"must be a submodule that is called (got '{name}'); the nearest names are {listed}")
    return next(one for one in nodes if one.name == ends[name])


def _needed(node: Node, *stops: Node) -> set[Node]:
    """A node and all that it is computed from, without what only the stops are computed from."""
    found: set[Node] = set()
    ahead = [node]
    while ahead:
        one = ahead.pop()
        if one not in found and one not in stops:
            found.add(one)
            ahead += one.all_input_nodes
    return found


def _output(traced: GraphModule) -> Node:
    node: Node = next(iter(reversed(traced.graph.nodes)))
    return node


def _reaches(traced: GraphModule, node: Node) -> bool:
    return node in _needed(_output(traced))


def _learned(traced: GraphModule) -> set[Node]:
    """Nodes that depend on a parameter or a buffer; all others can be computed again behind a cut."""
    found: set[Node] = set()
    for node in traced.graph.nodes:
        own = node.op == "get_attr" and not node.target.endswith("training")
        if node.op == "call_module":
            module = traced.get_submodule(node.target)
            own = any(True for _ in (*module.parameters(), *module.buffers()))
        if own or any(one in found for one in node.all_input_nodes):
            found.add(node)
    return found


def _crossing(traced: GraphModule, node: Node) -> list[Node]:
    """Nodes before a cut, besides the cut node, that are used behind it and cannot be computed again."""
    before, behind = _needed(node), _needed(_output(traced), node)
    kept = before & behind & _learned(traced)
    return [one for one in traced.graph.nodes if one in kept and any(user in behind - before for user in one.users)]


def _unpacked(node: Node) -> bool:
    """Whether a node is a tuple, of which only the parts are used."""
    return bool(node.users) and all(getattr(user.target, "__name__", "") == "getitem" for user in node.users)


def _until(traced: GraphModule, node: Node) -> GraphModule:
    graph = Graph()
    copied: dict[Node, Node] = {}
    kept = _needed(node) | {one for one in traced.graph.nodes if one.target is _refuse}
    kept |= {one for refusal in kept for one in refusal.all_input_nodes}
    for one in traced.graph.nodes:
        if one in kept:
            copied[one] = graph.node_copy(one, copied.__getitem__)
    graph.output(graph.call_function(_checked, (copied[node], _label(node, layers(traced)))))
    return _module(traced, graph, "Encoder")


def _behind(traced: GraphModule, node: Node) -> nn.Module:
    graph = Graph()
    copied = {node: graph.placeholder("h")}
    kept = _needed(_output(traced), node)
    for one in traced.graph.nodes:
        if one in kept:
            copied[one] = graph.node_copy(one, copied.__getitem__)
    start, *rest = graph.nodes
    if rest[-1].args == (start,):
        return nn.Identity()
    if len(rest) == 2 and rest[0].op == "call_module" and rest[0].args == (start,) and rest[1].args == (rest[0],):
        return traced.get_submodule(rest[0].target)
    return _module(traced, graph, "Head")


def _module(traced: GraphModule, graph: Graph, role: str) -> GraphModule:
    graph.lint()
    made = GraphModule(traced, graph, f"{type(traced).__name__}{role}")
    names = {node.name for node in graph.nodes}
    made.meta["ends"] = {path: name for path, name in traced.meta["ends"].items() if name in names}
    return made


def _label(node: Node, calls: Sequence[Node]) -> str:
    """The name of a node, and of the layer before it."""
    name = str(node.target) if node.op in ("call_module", "get_attr") else node.name
    before = node
    while before not in calls and before.all_input_nodes:
        before = before.all_input_nodes[0]
    return f"'{name}'" if before is node or before not in calls else f"'{name}' after {_label(before, calls)}"


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def _attribute(module: nn.Module, node: Node) -> Any:
    path, _, name = str(node.target).rpartition(".")
    return getattr(module.get_submodule(path), name)


def _is_parameter(value: Any) -> bool:
    return isinstance(value, nn.Parameter)


# ---- Tracing.


class _Untraceable(Exception):
    """The reason why a module cannot be traced."""


class _Tracing:
    """One trace of a module, in which the optional arguments that are not free have their defaults."""

    def __init__(
        self, module: nn.Module, names: dict[str, str], defaults: dict[str, Any], free: Sequence[str]
    ) -> None:
        tracer = _Tracer(names, defaults, free)
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
    def __init__(self, names: dict[str, str], defaults: dict[str, Any], free: Sequence[str]) -> None:
        super().__init__(autowrap_functions=_STEPS)
        self._autowrap_search.append(glob)  # its functions are attributes of a PyG Sequential
        self.names, self.defaults, self.free = names, defaults, free
        self.ends: dict[str, str] = {}

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        named: dict[str, Any] = {}
        placed: list[Any] = []
        for own, name in self.names.items():
            default = (self.defaults[name],) if name in self.defaults else ()
            if default and not isinstance(default[0], (int, float, str, type(None))):
                continue  # no literal: it keeps its default
            proxy = self.create_proxy("placeholder", name, default, {})
            if not default or name in self.free:
                named[own] = proxy
            else:
                self.create_proxy("call_function", _refuse, (proxy, *default, name), {})
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

    def to_bool(self, obj: Proxy) -> bool:
        if obj.node.op == "get_attr" and str(obj.node.target).endswith("training"):
            return False  # a branch on the mode: that of evaluation
        return bool(super().to_bool(obj))


@contextmanager
def _recorded(module: nn.Module, tracer: _Tracer) -> Iterator[None]:
    """Record reads of ``self.training``, and calls of aggregations, which torch.fx does not see."""
    modes = [(name, part, part.training) for name, part in module.named_modules()]
    called = Aggregation.__call__
    make = tracer.create_args_for_root

    def create_args_for_root(*args: Any) -> Any:
        for name, part, _ in modes:
            if name == "" or not tracer.is_leaf_module(part, name):
                target = f"{name}.training" if name else "training"
                part.__dict__["training"] = tracer.create_proxy("get_attr", target, (), {})
        return make(*args)

    def call(aggregation: Any, *args: Any, **kwargs: Any) -> Any:
        return tracer.call_module(aggregation, aggregation.forward, args, kwargs)

    tracer.create_args_for_root = create_args_for_root  # type: ignore[assignment]
    Aggregation.__call__ = call
    try:
        yield
    finally:
        Aggregation.__call__ = called
        for _, part, training in modes:
            part.training = training


def _arguments(module: nn.Module) -> tuple[dict[str, str], dict[str, Any]]:
    """The module's own names of arguments with those of the graph's parts, and defaults by the latter."""
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
            if name not in PARTS + WHOLE and (place == 0 or (place == 1 and required)):
                name = "edge_index" if place else "x"
            names[parameter.name] = name
            if not required:
                defaults[name] = parameter.default
    return names, defaults


def _steps(graph: Graph) -> list[tuple[str, str]]:
    """What is called, in order."""
    calls = (node for node in graph.nodes if node.op not in ("placeholder", "get_attr"))
    return [(node.op, str(node.target)) for node in calls if node.target is not _refuse]


def _refuse(value: Any, default: Any, name: str) -> None:
    """Refuse an argument that has no part in the traced graph."""
    if value is not default and value != default:
        way_out = f"use relgraph.split(model, given=['{name}'])"
        raise InputError(name, f"must be left out, since the model was taken apart without it; {way_out}")


def _checked(value: Any, label: str) -> Tensor:
    """The tensor that crosses a cut; only a call shows whether it is one."""
    if isinstance(value, Tensor):
        return value
    several = f"of {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
    found = f"got a {type(value).__name__} {several}".rstrip()
    raise InputError("at", f"must be a point that one tensor crosses ({found} behind {label}); {ALTERNATIVE}")


def _probability(node: Node) -> Any:
    return node.kwargs.get("p", node.args[1] if len(node.args) > 1 else None)


