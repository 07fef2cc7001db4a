"""Files of an experiment beside its report: models, spaces, heads and predictions, readable without pickle.

They are named ``ENCODER-SEED.safetensors``, with the kind of the head of a model if it is not linear. Every function
raises a :class:`relgraph.errors.DataError` if a file or folder cannot be written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from relgraph.io import atomic_path, make_folder, save_record
from relgraph.stitching.experiment import Experiment
from relgraph.stitching.run import Run

MODEL_FORMAT = "relgraph.model/1"


def save_models(experiment: Experiment, folder: Path) -> None:
    """Write the weights of every model, and in the header what is needed to build it again."""
    problem = experiment.problem
    shared = {"settings": experiment.train.to_dict(), "dataset": problem.describe(), "split": problem.split.to_dict()}
    make_folder(folder)
    for head, runs in {"linear": experiment.runs, **experiment.others}.items():
        for run in runs:
            assert run.trained is not None
            about = json.dumps({"encoder": run.encoder, "head": head, "seed": run.seed, **shared})
            path = _file(folder, run, "" if head == "linear" else f"-{head}")
            save_record(path, MODEL_FORMAT, run.trained.model.state_dict(), {"about": about})


def save_spaces(experiment: Experiment, folder: Path) -> None:
    """Write the published space of every absolute run, to be read by :meth:`relgraph.AnchorSet.load`."""
    make_folder(folder)
    for run, space in zip(experiment.runs, experiment.spaces, strict=True):
        space.save(_file(folder, run))


def save_heads(experiment: Experiment, folder: Path) -> None:
    """Write the published head of every absolute run, to be read by :meth:`relgraph.PublishedHead.load`, if any."""
    for run, head in zip(experiment.runs, experiment.heads, strict=False):
        make_folder(folder)
        head.save(_file(folder, run))


def save_predictions(experiment: Experiment, path: Path) -> None:
    """Write records of all test rows to one ``.npz`` file, which ``numpy.load`` reads without pickle.

    Arrays: ``rows`` and ``targets`` of the test rows, their stable ``ids`` if they are embedded rows, ``encoders`` and
    ``seeds`` of the runs, ``own`` records of the runs, and ``stitched/METHOD`` records ``(R, R, n, ...)``, the run of
    the encoder first.
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


def _file(folder: Path, run: Run, suffix: str = "") -> Path:
    return folder / f"{run.encoder}-{run.seed}{suffix}.safetensors"
