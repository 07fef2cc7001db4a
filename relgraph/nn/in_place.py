"""Changes of tensors in place in a traced graph, which would be lost or repeated if the graph were taken apart."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.fx import GraphModule, Node

OPERATORS = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor")
"""Names of the operators that change a tensor in place, such as ``+=``; torch.fx takes them for ``+``."""
# What may return its argument, or a view of its memory.
_VIEWS = frozenset((
    "getitem", "view", "view_as", "reshape", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "t",
    "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "permute", "expand", "expand_as", "broadcast_to",
    "narrow", "select", "chunk", "split", "tensor_split", "unbind", "unfold", "diagonal", "real", "imag", "contiguous",
    "detach", "alias", "to", "type", "type_as", "float", "double", "half", "bfloat16", "long", "int", "bool",
    "dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "dropout1d", "dropout2d", "dropout3d",
))  # fmt: skip
_NO_MEMORY = ("shape", "dtype", "device", "ndim", "is_cuda", "num_nodes", "num_edges")
_VIEW_MODULES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)


def needed(node: Node, *stops: Node) -> set[Node]:
    """A node and all that it is computed from, without what only the stops are computed from."""
    found: set[Node] = set()
    ahead = [node]
    while ahead:
        one = ahead.pop()
        if one not in found and one not in stops:
            found.add(one)
            ahead += one.all_input_nodes
    return found


def output(traced: GraphModule) -> Node:
    """The node of what a graph returns."""
    node: Node = next(iter(reversed(traced.graph.nodes)))
    return node


def changed_behind(traced: GraphModule, start: Node, behind: set[Node]) -> bool:
    """Whether a step behind a cut changes the tensor that crosses it."""
    return any(_changes(traced, node) and start in _shared(traced, node) for node in behind)


def wrong_change(traced: GraphModule) -> str:
    """What a graph does that cannot be taken apart: the first such change in place, or an empty string.

    A change whose result is not used is no part of what the output is computed from, and would be left out although
    the tensor itself is read; a change of an input would be made in both parts. Any other change is a step like all
    others, since both parts keep the order of steps, and a tensor that is read on both sides of a cut is refused there.
    """
    used = needed(output(traced))
    for node in traced.graph.nodes:
        if not _changes(traced, node):
            continue
        shared = list(_shared(traced, node))
        if node not in used and any(one in used for one in shared):
            return f"calls '{_name(node)}' on one and does not use what it returns"
        given = [one for one in shared if one.op == "placeholder"]
        if given and not _drops(traced, node):
            return f"calls '{_name(node)}' on its argument '{given[0].target}'"
    return ""


def _changes(traced: GraphModule, node: Node) -> bool:
    """Whether a call changes a tensor in place."""
    if node.op == "call_module":
        return bool(getattr(traced.get_submodule(str(node.target)), "inplace", False))
    if not node.op.startswith("call"):
        return False
    name = _name(node)
    return name in OPERATORS or name.endswith("_") or bool(node.kwargs.get("inplace")) or "out" in node.kwargs


def _shared(traced: GraphModule, node: Node) -> Iterator[Node]:
    """Nodes whose memory a change in place may change, from the changed one back to where it was made."""
    changed = node.kwargs.get("out", node.all_input_nodes[0] if node.all_input_nodes else None)
    while isinstance(changed, Node):
        yield changed
        inputs = changed.all_input_nodes
        changed = inputs[0] if inputs and _may_share(traced, changed) else None


def _may_share(traced: GraphModule, node: Node) -> bool:
    """Whether a result may share the memory of the first argument."""
    if _changes(traced, node):
        return True
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), _VIEW_MODULES)
    if _name(node) == "getattr":
        return node.args[1] not in _NO_MEMORY
    return _name(node) in _VIEWS


def _drops(traced: GraphModule, node: Node) -> bool:
    """Whether this is dropout, which changes nothing in evaluation mode."""
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.modules.dropout._DropoutNd)
    return "dropout" in _name(node)


def _name(node: Node) -> str:
    if node.op == "call_module":
        return node.name
    name = str(getattr(node.target, "__name__", node.target))
    return str(node.args[2]) if name == "change" else name
