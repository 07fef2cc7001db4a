"""Trained runs kept on disk, each known by a hash of what determines it: a killed study goes on where it was."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from relgraph.errors import DataError
from relgraph.nn.model import Model
from relgraph.training.fitting import Head, build, fit_many
from relgraph.training.settings import History, TrainedRun, TrainSettings

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Raised when the same settings come to train another model.
VERSION = 1


def fit_kept(
    data: Data,
    encoder: str,
    seeds: Sequence[int],
    folder: Path,
    *,
    head: Head = "linear",
    settings: TrainSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[TrainedRun]:
    """As :func:`relgraph.training.fit_many`, but a run that the folder holds is read and not trained again.

    Runs are trained one after the other and each is written when it is finished, whole, and then renamed. A file that
    is damaged is trained anew.

    Args:
        data: The graph with its masks.
        encoder: Name of the encoder.
        seeds: One run for each.
        folder: Where the runs lie; it is made if it is not there.
        head: As in :func:`relgraph.training.fit_many`.
        settings: Settings of all runs.
        progress: Called with the number of epochs done since the last call, those of a run that was read at once.

    Raises:
        DataError: If the folder cannot be written.

    Example:
        >>> import relgraph as rg
        >>> data, settings = rg.load_dataset("digits"), TrainSettings(epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = fit_kept(data, "gcn", [0], Path(folder), settings=settings)[0]
        ...     again = fit_kept(data, "gcn", [0], Path(folder), settings=settings)[0]
        >>> first.seconds == again.seconds
        True
    """
    settings = settings or TrainSettings()
    graph = _digest(data, head)
    runs = []
    for seed in seeds:
        what = {"version": VERSION, "graph": graph, "encoder": encoder, "head": head, "seed": seed}
        what |= {"settings": settings.to_dict()}
        name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
        path = folder / f"{encoder}-{seed}-{name}.safetensors"
        run = _read(path, data, encoder, seed, head, settings)
        if run is None:
            run = fit_many(data, encoder, [seed], head=head, settings=settings, progress=progress)[0]
            _write(run, path)
        elif progress is not None:
            progress(settings.epochs)
        runs.append(run)
    return runs


def _digest(data: Data, head: Head) -> str:
    """Hash of all that training reads of a graph: features, edges, weights, labels, masks, and anchors if any."""
    total, anchors = hashlib.sha256(), ("anchor_rank",) if head != "linear" else ()
    for name in ("x", "edge_index", "edge_weight", "y", "train_mask", "val_mask", "test_mask", *anchors):
        value = data.get(name)
        if isinstance(value, Tensor):
            array = np.ascontiguousarray(value.detach().cpu().numpy())
            total.update(f"{name}:{array.dtype}:{array.shape}:".encode() + array.tobytes())
    return total.hexdigest()


def _read(path: Path, data: Data, encoder: str, seed: int, head: Head, settings: TrainSettings) -> TrainedRun | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads(file.metadata()["run"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dictionary
        model: Model = build(data, encoder, seed, head, settings)
        model.load_state_dict(state)
        history = History(**told.pop("history"))
        return TrainedRun(model.to(data.x.device).eval(), encoder, seed, history=history, **told)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        return None  # not there, cut short, or of another version


def _write(run: TrainedRun, path: Path) -> None:
    from safetensors.torch import save_file

    told: dict[str, object] = {"path": run.path, "best_epoch": run.best_epoch, "validation": run.validation}
    told |= {"seconds": run.seconds, "history": asdict(run.history)}
    state = {name: value.detach().cpu().contiguous() for name, value in run.model.state_dict().items()}
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
        save_file(state, part, metadata={"run": json.dumps(told)})
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DataError(
            f"the folder of trained runs '{path.parent}' cannot be written ({error.strerror or error}); name another"
        ) from error
