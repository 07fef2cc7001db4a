"""Cutting the graph of a traced module at one tensor."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.nn.parameter import UninitializedParameter

from relgraph.errors import InputError, unknown_name
from relgraph.nn.in_place import changed_behind, needed, output
from relgraph.nn.node_types import node_types, of_type
from relgraph.nn.tracing import ALTERNATIVE, Edges, Features, first_given, refuse, step

At: TypeAlias = int | str | None


def layers(traced: GraphModule) -> list[Node]:
    """The calls that have a weight matrix, in the order of calls."""
    found, used = [], needed(output(traced))
    for node in traced.graph.nodes:
        if node not in used:
            continue
        if node.op == "call_module":
            weights: Iterator[Any] = traced.get_submodule(node.target).parameters()
        else:
            read = (one for one in node.all_input_nodes if one.op == "get_attr")
            weights = (_attribute(traced, one) for one in read)
        parameters = [one for one in weights if isinstance(one, nn.Parameter)]
        if any(isinstance(one, UninitializedParameter) or one.dim() > 1 for one in parameters):
            found.append(node)
    return found


def cut(traced: GraphModule, at: At = None, node_type: str | None = None) -> tuple[GraphModule, nn.Module]:
    """The graph up to one tensor, and the rest of it; a rest of one module on that tensor alone is the module itself.

    Args:
        traced: A result of :func:`relgraph.nn.tracing.trace`.
        at: ``None`` for the last tensor before the last layer; ``k`` for the last one behind layer ``k`` and before the
            next, from 1; a name for the output of the submodule of that name.
        node_type: In a graph of several node types, that of the tensor, and of the output if it is a dictionary.

    Raises:
        InputError: If there is no such point, other tensors cross there, or the type is unknown.
    """
    traced = of_type(traced, node_type)
    types = {} if node_type is None else node_types(traced)
    if types and node_type not in types.values():
        raise unknown_name("node_type", node_type, set(types.values()))
    node = _point(traced, at, {one for one, found in types.items() if found != node_type})
    if types.get(node, node_type) != node_type:
        found = f"got {at!r}, the output of {_label(node, layers(traced))} on {types[node]} nodes"
        raise InputError(
            "at", f"must be a point where a tensor of '{node_type}' nodes crosses ({found}); choose another"
        )
    crossing = _crossing(traced, node)
    if crossing:
        calls = layers(traced)
        others = ", ".join(_label(one, calls) for one in crossing)
        found = f"got {at!r}, where besides the output of {_label(node, calls)} also those of {others} are used later"
        raise InputError("at", f"must be a point that one tensor crosses ({found}); choose another, or {ALTERNATIVE}")
    return _until(traced, node), _behind(traced, node)


def _point(traced: GraphModule, at: At, others: Set[Node]) -> Node:
    """The node at which the graph is cut, none of the others if possible."""
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
    points = [node for node in nodes[first:last] if node in bound - others and not _unpacked(node)]
    whole = [node for node in points if not _crossing(traced, node) and _reaches(traced, node)]
    if whole:
        return whole[-1]
    if at is None:
        hint = "at=1 cuts behind its only layer, or " if len(calls) == 1 else ""
        raise InputError("model", f"must have a point between two layers that one tensor crosses; {hint}{ALTERNATIVE}")
    return points[-1] if points else calls[at - 1]


def _named(traced: GraphModule, name: str) -> Node:
    nodes: list[Node] = list(traced.graph.nodes)
    ends = traced.meta["ends"]
    if name not in ends:
        near = difflib.get_close_matches(name, ends, n=5, cutoff=0.0)
        listed = ", ".join(f"'{one}'" for one in near)
        raise InputError("at", f"must be a submodule that is called (got '{name}'); the nearest names are {listed}")
    return next(one for one in nodes if one.name == ends[name])


def _reaches(traced: GraphModule, node: Node) -> bool:
    return node in needed(output(traced))


def _learned(traced: GraphModule) -> set[Node]:
    """Nodes that depend on an input and on a parameter or a buffer; all others can be computed again behind a cut."""
    state: set[Node] = set()
    inputs: set[Node] = set()
    for node in traced.graph.nodes:
        own = node.op == "get_attr" and not node.target.endswith("training")
        if node.op == "call_module":
            module = traced.get_submodule(node.target)
            own = any(True for _ in (*module.parameters(), *module.buffers()))
        for found, here in ((state, own), (inputs, node.op == "placeholder")):
            if here or any(one in found for one in node.all_input_nodes):
                found.add(node)
    return state & inputs


def _crossing(traced: GraphModule, node: Node) -> list[Node]:
    """Nodes before a cut, besides the cut node, that are used behind it and cannot be computed again."""
    before, behind = needed(node), needed(output(traced), node)
    kept = before & behind & _learned(traced)
    return [one for one in traced.graph.nodes if one in kept and any(user in behind - before for user in one.users)]


def _unpacked(node: Node) -> bool:
    """Whether a node is a tuple, of which only the parts are used."""
    return bool(node.users) and all(getattr(user.target, "__name__", "") == "getitem" for user in node.users)


def _until(traced: GraphModule, node: Node) -> GraphModule:
    graph = Graph()
    copied: dict[Node, Node] = {}
    kept = needed(node) | {one for one in traced.graph.nodes if one.target is refuse}
    kept |= {one for refusal in kept for one in refusal.all_input_nodes}
    for one in traced.graph.nodes:
        if one in kept:
            copied[one] = graph.node_copy(one, copied.__getitem__)
    graph.output(graph.call_function(_checked, (copied[node], _label(node, layers(traced)))))
    return _module(traced, graph, "Encoder")


def _behind(traced: GraphModule, node: Node) -> nn.Module:
    graph = Graph()
    copied = {node: graph.placeholder("h")}
    kept = needed(output(traced), node)
    _arguments(traced, graph, kept, copied)
    if changed_behind(traced, node, kept):  # what the caller passes is left as it is
        copied[node] = graph.call_method("clone", (copied[node],))
    for one in traced.graph.nodes:
        if one in kept and one not in copied:
            copied[one] = graph.node_copy(one, copied.__getitem__)
    start, *rest = graph.nodes
    if rest[-1].args == (start,):
        return nn.Identity()
    if len(rest) == 2 and rest[0].op == "call_module" and rest[0].args == (start,) and rest[1].args == (rest[0],):
        return traced.get_submodule(rest[0].target)
    return _module(traced, graph, "Head")


def _arguments(traced: GraphModule, graph: Graph, kept: Set[Node], copied: dict[Node, Node]) -> None:
    """Arguments of a head, which are given by name: what stands for features or edges is optional under both names."""
    given = [one for one in traced.graph.nodes if one in kept and one.op == "placeholder"]
    either = [one for one in given if one.type in (Features, Edges)]
    names = {one.target for one in given}
    for one in given:
        if one not in either and not one.args:
            copied[one] = graph.node_copy(one)
    pairs = []
    for one in either:
        name = "edge_index" if one.type is Edges else "x"
        pairs.append((one, graph.placeholder(one.target, default_value=None), name))
    parts = {name: graph.placeholder(name, default_value=None) for *_, name in pairs if name not in names}
    for one in given:
        if one not in either and one.args:
            copied[one] = graph.node_copy(one)
    parts |= {str(one.target): copied[one] for one in given if one in copied}
    for one, own, name in pairs:
        copied[one] = graph.call_function(first_given, (own, parts[name], one.target))


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


def _attribute(module: nn.Module, node: Node) -> Any:
    path, _, name = str(node.target).rpartition(".")
    return getattr(module.get_submodule(path), name)


@step
def _checked(value: Any, label: str) -> Tensor:
    """The tensor that crosses a cut; only a call shows whether it is one."""
    if isinstance(value, Tensor):
        return value
    several = f"of {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
    found = f"got a {type(value).__name__} {several}".rstrip()
    raise InputError("at", f"must be a point that one tensor crosses ({found} behind {label}); {ALTERNATIVE}")
