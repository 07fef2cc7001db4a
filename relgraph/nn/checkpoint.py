"""Weights from a file into a module, without unpickling."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from relgraph.errors import DataError, InputError
from relgraph.io import PathLike

WRAPPERS = ("state_dict", "model_state_dict")
"""Keys under which training scripts keep a state dict beside other values."""
PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before the name of every parameter."""
_SHOWN = 3


def load_weights(module: nn.Module, path: PathLike) -> None:
    """Load a state dict into a module: all of it, or nothing and an error.

    Args:
        module: Any module of the architecture that was saved.
        path: A file ``.safetensors``, or one that ``torch.save`` wrote, read with ``weights_only=True``: a state dict,
            alone or under one of the keys :data:`WRAPPERS`. A prefix of :data:`PREFIXES` before all names is dropped.

    Raises:
        DataError: If the file is missing, damaged, or holds other objects than tensors, which are named.
        InputError: If names or shapes in the file differ from those of the module, or weights are NaN or integers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(nn.Linear(2, 3).state_dict(), f"{folder}/a.pt")
        ...     load_weights(nn.Linear(2, 4), f"{folder}/a.pt")
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'model' must have the parameters of 'a.pt' (got of other shapes weight (4, 2) for
        (3, 2) and bias (4,) for (3,)); build the architecture that was saved
    """
    own = module.state_dict()
    found = _unwrapped(read_state(path), own)
    wrong = {
        "missing from the file": [name for name in own if name not in found],
        "unexpected in the file": [name for name in found if name not in own],
        "of other shapes": [
            f"{name} {tuple(value.shape)} for {tuple(found[name].shape)}"
            for name, value in own.items()
            if name in found and not isinstance(value, UninitializedParameter) and value.shape != found[name].shape
        ],
    }
    said = "; ".join(f"{what} {_listed(names)}" for what, names in wrong.items() if names)
    if said:
        rule = f"must have the parameters of '{Path(path).name}' (got {said})"
        raise InputError("model", f"{rule}; build the architecture that was saved")
    useless = {
        "no floating-point numbers": [
            name for name, value in own.items() if value.is_floating_point() and not found[name].is_floating_point()
        ],
        "NaN": [name for name, value in found.items() if value.is_floating_point() and bool(value.isnan().any())],
    }
    said = "; ".join(f"{what} in {_listed(names)}" for what, names in useless.items() if names)
    if said:
        raise InputError(
            "path", f"must hold usable weights (got {said}); give a checkpoint of a training that went well"
        )
    module.load_state_dict(found)


def _unwrapped(found: dict[str, Tensor], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors without the prefixes that a wrapper put before every name."""
    for _ in PREFIXES:
        for prefix in PREFIXES:
            if not found.keys() & own.keys() and all(name.startswith(prefix) for name in found):
                found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def read_state(path: PathLike) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU; see :func:`load_weights`."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"'{path}' does not exist; give the path of a file .safetensors or of torch.save")
    state = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    for key in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise DataError(f"'{path}' must hold a state dict (got a {type(state).__name__}); save model.state_dict()")
    others = [f"{name} ({type(value).__name__})" for name, value in state.items() if not isinstance(value, Tensor)]
    if others or not state:
        keys = " or ".join(f"'{key}'" for key in WRAPPERS)
        got = f"got {_listed(others)}" if others else "got none"
        raise DataError(f"'{path}' must hold tensors by name, alone or under {keys} ({got}); save model.state_dict()")
    return {str(name): value for name, value in state.items()}


def _safetensors(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"'{file}' is damaged or no safetensors file ({error}); save it again") from error


def _pickled(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = sorted(set(re.findall(r"GLOBAL (\S+)", str(error))))
        if names:
            rule = f"must hold tensors only (got the object {_listed(names)}, which is not loaded)"
            raise DataError(f"'{file}' {rule}; save model.state_dict()") from error
        raise _damaged(file, error) from error
    except Exception as error:  # a damaged archive raises whatever the zip reader or the unpickler does
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> DataError:
    reason = str(error).strip().split("\n")[0].rstrip(".")
    return DataError(f"'{file}' is damaged or no file of torch.save ({reason}); save it again")


def _listed(names: list[str]) -> str:
    """The first few names, and the number of the others."""
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) if more > 0 else ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]
    return shown + (f" and {more} more" if more > 0 else "")
