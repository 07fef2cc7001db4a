"""The node types of tensors in a traced module of heterogeneous graphs."""

from __future__ import annotations

from collections.abc import Mapping

from torch.fx import GraphModule, Node

from relgraph.errors import unknown_name
from relgraph.nn.in_place import output


def of_type(traced: GraphModule, node_type: str | None) -> GraphModule:
    """The graph itself, or, if it returns a dictionary by node type, one that returns the tensor of this type.

    Raises:
        InputError: If the dictionary has no such type.
    """
    last = output(traced)
    returned = last.args[0]
    if node_type is None or not isinstance(returned, Mapping):
        return traced
    if node_type not in returned:
        raise unknown_name("node_type", node_type, map(str, returned))
    graph = type(traced.graph)()
    copied: dict[Node, Node] = {}
    for node in traced.graph.nodes:
        if node is not last:
            copied[node] = graph.node_copy(node, copied.__getitem__)
    element = returned[node_type]
    graph.output(copied[element] if isinstance(element, Node) else element)
    made = GraphModule(traced, graph, type(traced).__name__)
    made.meta["ends"] = {path: copied[node].name for path, node in _ends(traced).items()}
    return made


def node_types(traced: GraphModule) -> dict[Node, str]:
    """The type of each tensor of which the graph shows it.

    It is the key with which the tensor was taken from a dictionary, or what ``to_hetero`` names a submodule after: a
    type, or the three parts of an edge type, the last of which is that of the result. Other results have the type of
    what they are computed from, if that is one.
    """
    found: dict[Node, str] = {}
    keys = {key for node in traced.graph.nodes if (key := _key(node)) is not None}
    for node in traced.graph.nodes:
        own = _key(node)
        if node.op == "call_module":
            last = str(node.target).rpartition(".")[2]
            ends = last.split("__")
            own = ends[-1] if len(ends) == 3 else last if last in keys else None
        inputs = {found.get(one) for one in node.all_input_nodes} - {None}
        pair = bool(node.args) and isinstance(node.args[0], tuple)  # as of a layer between two types
        if own is None and len(inputs) == 1 and not pair:
            (own,) = inputs
        if own is not None:
            found[node] = own
    return found


def _key(node: Node) -> str | None:
    """The key of a look-up in a dictionary, if that is a string."""
    looks_up = getattr(node.target, "__name__", node.target) in ("getitem", "get") and node.op.startswith("call")
    key = node.args[1] if looks_up and len(node.args) > 1 else None
    return key if isinstance(key, str) else None


def _ends(traced: GraphModule) -> dict[str, Node]:
    """The last node of each submodule that is called."""
    nodes = {node.name: node for node in traced.graph.nodes}
    return {path: nodes[name] for path, name in traced.meta["ends"].items() if name in nodes}
