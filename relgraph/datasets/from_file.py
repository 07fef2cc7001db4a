"""A user's own graph: a file of ``torch.save``, read without running anything in it, or a graph of networkx."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.errors import DataError, InputError
from relgraph.graph import graph_edges

if TYPE_CHECKING:
    from torch_geometric.data import Data

_STRINGS = ("dataset_name", "source", "features")
_MASKS = ("train_mask", "val_mask", "test_mask")


def load_file(path: Path) -> Data:
    """Load a saved PyG ``Data``, or a saved dictionary of its tensors.

    The file is read with ``weights_only=True``; beyond tensors, only the classes that make up a ``Data`` are known
    while it is read, and there is no second attempt with more trust. The graph is on the CPU, and its ``x``,
    ``edge_index``, ``y`` and masks are those of :func:`relgraph.load_dataset`; other attributes are kept.

    Raises:
        DataError: If there is no such file, or it cannot be read without running foreign code.
        InputError: If the graph in it breaks a rule.

    Example:
        >>> import tempfile
        >>> from torch_geometric.data import Data
        >>> graph = Data(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([[0], [1]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(graph, f"{folder}/pair.pt")
        ...     load_file(Path(folder) / "pair.pt")
        Data(x=[2, 2], edge_index=[2, 2], y=[2], features='raw', dataset_name='pair', source='the saved graph pair.pt')
    """
    from torch_geometric.data import Data

    loaded, graph = _read(path), f"the graph in '{path}'"
    if isinstance(loaded, Data):
        try:
            loaded = dict(loaded.to_dict())
        except Exception as error:  # a crafted file can hold a Data without its storage
            raise DataError(f"'{path}' holds a damaged PyG Data; write it again with torch.save(data, path)") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        got = type(loaded).__name__
        raise InputError(str(path), f"must hold one PyG Data, or a dictionary of its tensors by name (got a {got})")
    data = _checked(loaded, graph)
    data.dataset_name, data.source = path.stem, f"the saved graph {path.name}"
    return data


def from_networkx(graph: Any, *, bare: bool = False) -> Data:
    """A graph of networkx with the node attribute ``x``, and optionally ``y`` and masks, as a PyG ``Data``.

    With ``bare`` it may lack ``x`` as well.

    It is converted by PyG's ``from_networkx``. The edge attribute ``weight`` becomes ``edge_weight``; nodes that are
    integers become ``node_id``.

    Raises:
        InputError: If the graph breaks a rule, or an attribute is missing from some nodes or edges.

    Example:
        >>> import networkx as nx
        >>> graph = nx.path_graph([10, 20, 30])
        >>> nx.set_node_attributes(graph, {10: [1.0], 20: [0.0], 30: [2.0]}, "x")
        >>> data = from_networkx(graph)
        >>> data.edge_index.tolist(), data.node_id.tolist()
        ([[0, 1, 1, 2], [1, 0, 2, 1]], [10, 20, 30])
    """
    from torch_geometric.utils import from_networkx as convert

    try:
        values = dict(convert(graph).to_dict())
    except ValueError as error:  # attributes that only some nodes or edges have
        raise InputError("name", f"must be a graph whose nodes have the same attributes ({error})") from error
    if "weight" in values:
        values["edge_weight"] = values.pop("weight")
    if "node_id" not in values and all(type(node) is int for node in graph.nodes):
        values["node_id"] = torch.tensor(list(graph.nodes))
    if bare and "x" not in values:
        values["num_nodes"] = graph.number_of_nodes()
    data = _checked(values, "the graph given", bare=bare)
    data.dataset_name, data.source = str(graph.name or "networkx"), "a graph of networkx"
    return data


def _read(path: Path) -> object:
    """What a file of ``torch.save`` holds; the classes of a PyG ``Data`` are known to torch meanwhile only."""
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    if path.is_dir():
        raise DataError(f"'{path}' must be a file (got a folder); pass a folder of raw files as root (--data-root)")
    if not path.is_file():
        raise DataError(f"'{path}' must be a file that exists; write one with torch.save(data, path)")
    before = torch.serialization.get_safe_globals()  # torch forgets those given, so these are not given again
    needed = [kind for kind in (Data, DataEdgeAttr, DataTensorAttr, GlobalStorage) if kind not in before]
    try:
        with torch.serialization.safe_globals(needed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"'{path}' is refused: it is no file of torch.save, or holds more than tensors and a PyG Data, which could "
            "run foreign code; save torch.save(data.to_dict(), path) with tensors only"
        ) from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error}); make it readable") from error
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises nearly any error if torch did not write the file
        raise DataError(
            f"'{path}' is damaged or no file of torch.save; write it again with torch.save(data, path)"
        ) from error


def _checked(given: dict[str, Any], graph: str, *, bare: bool = False) -> Data:
    """The graph with x, edge_index, y, edge_weight and masks in their usual shapes and types, or an error."""
    from torch_geometric.data import Data

    values = {key: value for key, value in given.items() if value is not None}
    if bare and "x" not in values:
        num_nodes = int(values["num_nodes"])
    else:
        values["x"] = _features(values, graph)
        num_nodes = values["x"].size(0)
    if values.get("num_nodes", num_nodes) != num_nodes:
        raise _wrong(graph, "one row of 'x' per node", f"{num_nodes} for {values['num_nodes']} nodes")
    if "edge_index" not in values and "adj_t" in values:
        values["edge_index"], weight = graph_edges(Data(adj_t=values.pop("adj_t"), num_nodes=num_nodes))
        values |= {} if weight is None else {"edge_weight": weight}
    values["edge_index"] = _edges(_tensor(values, "edge_index", graph), num_nodes, graph)
    if "y" in values:
        values["y"] = _labels(_tensor(values, "y", graph, column=True), num_nodes, graph)
    if "edge_weight" in values:
        weight = values["edge_weight"] = _tensor(values, "edge_weight", graph, column=True)
        if weight.shape != values["edge_index"].shape[1:]:
            raise _wrong(graph, "one 'edge_weight' per edge", _looks(weight))
        _check_finite("edge_weight", weight, graph)
    for name in _MASKS:
        if name in values:
            values[name] = _mask(name, _tensor(values, name, graph, column=True), num_nodes, graph)
    for name in _STRINGS:
        if not isinstance(values.get(name, ""), str):
            raise _wrong(graph, f"a string as '{name}'", f"a {type(values[name]).__name__}", "; rename it")
    if "x" in values:
        values["features"] = values.pop("features", "raw")
    return Data.from_dict(values)


def _features(values: dict[str, Any], graph: str) -> Tensor:
    x = _tensor(values, "x", graph)
    x = x if x.layout == torch.strided else x.to_dense()
    if x.dim() != 2 or len(x) == 0 or x.is_complex():
        raise _wrong(graph, "'x' of shape (N, F), real numbers, and at least one node", _looks(x))
    _check_finite("x", x, graph)
    return x.to(torch.float32)


def _edges(edges: Tensor, num_nodes: int, graph: str) -> Tensor:
    integer = not (edges.is_floating_point() or edges.is_complex() or edges.dtype == torch.bool)
    if edges.dim() != 2 or edges.size(0) != 2 or edges.layout != torch.strided or not integer:
        raise _wrong(graph, "'edge_index' of shape (2, E), integers", _looks(edges))
    if edges.numel() and (int(edges.min()) < 0 or int(edges.max()) >= num_nodes):
        worst = int(edges.min()) if int(edges.min()) < 0 else int(edges.max())
        raise _wrong(graph, f"'edge_index' within 0..{num_nodes - 1}, the rows of 'x'", str(worst))
    return edges.to(torch.int64)


def _labels(y: Tensor, num_nodes: int, graph: str) -> Tensor:
    if y.shape != (num_nodes,):
        way_out = "; one-hot labels become classes by y.argmax(1)" if y.dim() == 2 and y.size(0) == num_nodes else ""
        raise _wrong(graph, f"one class per node in 'y', shape ({num_nodes},)", _looks(y), way_out)
    if y.is_complex() or (y.is_floating_point() and not torch.equal(y, y.round())) or bool((y < -1).any()):
        way_out = "; give nodes without a label the class -1"
        raise _wrong(graph, "classes counted from 0 in 'y'", f"{_looks(y)} with other numbers in it", way_out)
    return y.to(torch.int64)


def _mask(name: str, mask: Tensor, num_nodes: int, graph: str) -> Tensor:
    if mask.dim() == 2 and mask.size(0) == num_nodes:
        raise _wrong(graph, "one split", f"'{name}' of {mask.size(1)}", "; keep one column of each mask")
    if mask.shape != (num_nodes,) or not bool(((mask == 0) | (mask == 1)).all()):
        raise _wrong(graph, f"one true or false per node in '{name}'", _looks(mask))
    return mask.to(torch.bool)


def _tensor(values: dict[str, Any], name: str, graph: str, *, column: bool = False) -> Tensor:
    """One tensor; a ``column`` without its second dimension if that has size 1."""
    if name not in values:
        raise _wrong(graph, f"'{name}'", ", ".join(sorted(values)) or "nothing")
    value = values[name]
    if not isinstance(value, Tensor):
        raise _wrong(graph, f"a tensor as '{name}'", f"a {type(value).__name__}")
    return value.detach().squeeze(1) if column and value.dim() == 2 and value.size(1) == 1 else value.detach()


def _check_finite(name: str, value: Tensor, graph: str) -> None:
    bad = int((~torch.isfinite(value)).sum())
    if bad:
        raise _wrong(graph, f"finite numbers in '{name}'", f"{bad} NaN or infinite", "; replace them first")


def _wrong(graph: str, rule: str, got: str, way_out: str = "") -> InputError:
    return InputError("", f"{graph} must have {rule} (got {got}){way_out}")


def _looks(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
