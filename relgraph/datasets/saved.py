"""A graph that a user saved with ``torch.save``, read without running anything that the file says."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.datasets.trust import pyg_classes
from relgraph.errors import DataError, InputError

if TYPE_CHECKING:
    from torch_geometric.data import Data

_OWN_WORDS = ("dataset_name", "source", "features")


def load_saved(path: Path) -> Data:
    """Load a saved PyG ``Data``, or a saved dictionary of its tensors.

    The file is read with ``weights_only=True``; beyond tensors, only the classes that make up a ``Data`` are known
    while it is read, and there is no second attempt with more trust. Whatever else the graph carries (``edge_weight``,
    ``node_id``, masks, ...) stays.

    Args:
        path: The file.

    Returns:
        The graph on the CPU, with ``x`` float32 ``(N, F)``, ``edge_index`` int64 ``(2, E)``, ``y`` int64 ``(N,)`` if
        there are labels, and masks ``(N,)``, boolean.

    Raises:
        DataError: If there is no such file, or it cannot be read without running foreign code.
        InputError: If the graph in it breaks a rule.

    Example:
        >>> import tempfile
        >>> from torch_geometric.data import Data
        >>> graph = Data(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([[0], [1]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(graph, f"{folder}/pair.pt")
        ...     load_saved(Path(folder) / "pair.pt")
        Data(x=[2, 2], edge_index=[2, 2], y=[2], dataset_name='pair', source='the saved graph pair.pt', features='raw')
    """
    from torch_geometric.data import Data

    values = _attributes(_read(path), path)
    checked = _checked(values, f"the graph in '{path}'")
    for word in _OWN_WORDS:
        if word in checked and not isinstance(checked[word], str):
            kind = type(checked[word]).__name__
            raise InputError(
                "", f"the graph in '{path}' must keep '{word}' for a line of words (got a {kind}); rename it"
            )
    data = Data.from_dict(checked)
    data.dataset_name = path.stem
    data.source = f"the saved graph {path.name}"
    data.features = checked.get("features", "raw")
    return data


def _read(path: Path) -> object:
    if path.is_dir():
        raise DataError(f"'{path}' must be a file (got a folder); pass folders of raw files as root, with a set's name")
    if not path.is_file():
        raise DataError(f"'{path}' must be a file that exists; write one with torch.save(data, path)")
    try:
        with pyg_classes(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"'{path}' is refused: it is no file of torch.save, or holds more than tensors and a PyG Data, which could "
            "run foreign code; save torch.save(data.to_dict(), path) with tensors only"
        ) from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error})") from error
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises nearly anything on bytes that it did not write
        raise DataError(
            f"'{path}' is damaged or no file of torch.save; write it again with torch.save(data, path)"
        ) from error


def _attributes(loaded: object, path: Path) -> dict[str, Any]:
    from torch_geometric.data import Data

    if isinstance(loaded, Data):
        try:
            loaded = dict(loaded.to_dict())
        except Exception as error:  # a crafted file can hold a Data without its storage
            raise DataError(f"'{path}' holds a damaged PyG Data; write it again with torch.save(data, path)") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        kind = type(loaded).__name__
        raise InputError(path, f"must hold one PyG Data, or a dictionary of its tensors by name (got a {kind})")
    return {key: value for key, value in loaded.items() if value is not None}


def _checked(values: dict[str, Any], graph: str) -> dict[str, Any]:
    """The attributes with x, edge_index, y, edge_weight and masks in their usual shapes and types, or an error."""
    x = _tensor(values, "x", graph)
    x = x if x.layout == torch.strided else x.to_dense()
    if x.dim() != 2 or x.is_complex():
        raise InputError("", f"{graph} must have 'x' of shape (N, F), real numbers (got {_looks(x)})")
    num_nodes = x.size(0)
    if num_nodes == 0:
        raise InputError("", f"{graph} must have at least one node (got 'x' of shape {tuple(x.shape)})")
    _finite("x", x, graph)
    checked = {**values, "x": x.to(torch.float32), "edge_index": _edges(values, num_nodes, graph)}
    if "num_nodes" in values and values["num_nodes"] != num_nodes:
        raise InputError(
            "", f"{graph} must have one row of 'x' per node (got {num_nodes} for {values['num_nodes']} nodes)"
        )
    if "y" in values:
        checked["y"] = _labels(_tensor(values, "y", graph), num_nodes, graph)
    if "edge_weight" in values:
        weight = _tensor(values, "edge_weight", graph)
        weight = weight.squeeze(1) if weight.dim() == 2 and weight.size(1) == 1 else weight
        if weight.dim() != 1 or weight.size(0) != checked["edge_index"].size(1):
            raise InputError("", f"{graph} must have one 'edge_weight' per edge (got {_looks(weight)})")
        _finite("edge_weight", weight, graph)
        checked["edge_weight"] = weight
    for name in ("train_mask", "val_mask", "test_mask"):
        if name in values:
            checked[name] = _mask(name, _tensor(values, name, graph), num_nodes, graph)
    return checked


def _edges(values: dict[str, Any], num_nodes: int, graph: str) -> Tensor:
    edges = _tensor(values, "edge_index", graph)
    if edges.dim() != 2 or edges.size(0) != 2 or edges.layout != torch.strided or not _is_integer(edges):
        raise InputError("", f"{graph} must have 'edge_index' of shape (2, E), integers (got {_looks(edges)})")
    if edges.numel() and (int(edges.min()) < 0 or int(edges.max()) >= num_nodes):
        worst = int(edges.min()) if int(edges.min()) < 0 else int(edges.max())
        raise InputError("", f"{graph} must have 'edge_index' within 0..{num_nodes - 1}, the rows of 'x' (got {worst})")
    return edges.to(torch.int64)


def _labels(y: Tensor, num_nodes: int, graph: str) -> Tensor:
    y = y.squeeze(1) if y.dim() == 2 and y.size(1) == 1 else y
    if y.dim() != 1 or y.size(0) != num_nodes:
        way_out = "; one-hot labels become classes by y.argmax(1)" if y.dim() == 2 and y.size(0) == num_nodes else ""
        raise InputError(
            "", f"{graph} must have one class per node in 'y', shape ({num_nodes},) (got {_looks(y)}){way_out}"
        )
    if y.is_complex() or (y.is_floating_point() and not torch.equal(y, y.round())) or bool((y < 0).any()):
        raise InputError(
            "",
            f"{graph} must have classes counted from 0 in 'y' (got {_looks(y)} with other numbers in it); "
            "leave nodes without a label out of the masks and give them any class",
        )
    return y.to(torch.int64)


def _mask(name: str, mask: Tensor, num_nodes: int, graph: str) -> Tensor:
    mask = mask.squeeze(1) if mask.dim() == 2 and mask.size(1) == 1 else mask
    if mask.dim() == 2 and mask.size(0) == num_nodes:
        raise InputError(
            "", f"{graph} must have one split (got '{name}' of {mask.size(1)}); keep one column of each mask"
        )
    if mask.shape != (num_nodes,) or not bool(((mask == 0) | (mask == 1)).all()):
        raise InputError("", f"{graph} must have one true or false per node in '{name}' (got {_looks(mask)})")
    return mask.to(torch.bool)


def _tensor(values: dict[str, Any], name: str, graph: str) -> Tensor:
    if name not in values:
        raise InputError("", f"{graph} must have '{name}' (got {', '.join(sorted(values)) or 'nothing'})")
    value = values[name]
    if not isinstance(value, Tensor):
        raise InputError("", f"{graph} must have a tensor as '{name}' (got a {type(value).__name__})")
    return value.detach()


def _finite(name: str, value: Tensor, graph: str) -> None:
    bad = int((~torch.isfinite(value)).sum())
    if bad:
        raise InputError(
            "", f"{graph} must have finite numbers in '{name}' (got {bad} NaN or infinite); replace them first"
        )


def _is_integer(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)


def _looks(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
