"""Files of an experiment beside its report: models, spaces, heads and predictions, readable without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from relgraph.io import atomic_path, save_record, unwritable
from relgraph.stitching.experiment import Experiment
from relgraph.stitching.run import Run

MODEL_FORMAT = "relgraph.model/1"


def save_models(experiment: Experiment, folder: Path) -> None:
    """Write the weights of every model to ``ENCODER-SEED.safetensors``, with the kind of the head if it is not linear.

    The header holds what is needed to build the model again: encoder, kind of head, seed, settings and dataset.

    Raises:
        DataError: If a file cannot be written.
    """
    problem = experiment.problem
    shared = {"settings": experiment.train.to_dict(), "dataset": problem.describe(), "split": problem.split.to_dict()}
    _make(folder)
    for head, runs in {"linear": experiment.runs, **experiment.others}.items():
        for run in runs:
            assert run.trained is not None
            about = json.dumps({"encoder": run.encoder, "head": head, "seed": run.seed, **shared})
            path = _file(folder, run, "" if head == "linear" else f"-{head}")
            save_record(path, MODEL_FORMAT, run.trained.model.state_dict(), {"about": about})


def save_spaces(experiment: Experiment, folder: Path) -> None:
    """Write the published space of every absolute run, to be read by :meth:`relgraph.AnchorSet.load`.

    Raises:
        DataError: If a file cannot be written.
    """
    _make(folder)
    for run, space in zip(experiment.runs, experiment.spaces, strict=True):
        space.save(_file(folder, run))


def save_heads(experiment: Experiment, folder: Path) -> None:
    """Write the published head of every absolute run, to be read by :meth:`relgraph.PublishedHead.load`.

    There are none, and no folder, where heads do not read one row at a time.

    Raises:
        DataError: If a file cannot be written.
    """
    for run, head in zip(experiment.runs, experiment.heads, strict=False):
        _make(folder)
        head.save(_file(folder, run))


def save_predictions(experiment: Experiment, path: Path) -> None:
    """Write records of all test rows to one ``.npz`` file, which ``numpy.load`` reads without pickle.

    Arrays: ``rows`` and ``targets`` of the test rows, their stable ``ids`` if they are embedded rows, ``encoders`` and
    ``seeds`` of the runs, ``own`` records of the runs, and ``stitched/METHOD`` records ``(R, R, n, ...)``, the run of
    the encoder first.

    Raises:
        DataError: If the file cannot be written.
    """
    problem = experiment.problem
    arrays: dict[str, Any] = {
        "rows": problem.test.cpu().numpy(),
        "targets": problem.y[problem.test].cpu().numpy(),
        "encoders": np.array(experiment.encoders),
        "seeds": np.array([run.seed for run in experiment.runs]),
        "own": experiment.own,
    }
    if problem.task.level != "edge":
        arrays["ids"] = problem.ids.cpu()[problem.test.cpu()].numpy()
    arrays |= {f"stitched/{name}": crossing.outputs for name, crossing in experiment.stitched.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable("folder", folder, error) from error


def _file(folder: Path, run: Run, suffix: str = "") -> Path:
    return folder / f"{run.encoder}-{run.seed}{suffix}.safetensors"
