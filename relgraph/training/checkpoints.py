"""Finished runs on disk, each named by a digest of everything that determines it: a killed job resumes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import torch_geometric

from relgraph.errors import DataError
from relgraph.io import digest, load_record, save_record
from relgraph.nn.model import Model
from relgraph.problems import Head, Problem
from relgraph.training.settings import TrainSettings
from relgraph.training.trainer import Backend, History, TrainedRun

FORMAT = "relgraph.run/2"

VERSION = 2
"""Raised when the library trains another model from the same settings."""

_FIELDS = ("backend", "best_epoch", "validation", "seconds")


class Checkpoints:
    """Reads and writes the runs of one problem, encoder, head, settings and backend; they differ in their seeds.

    The file name of a run holds a digest of all tensors that training reads, of task, split, settings, encoder, head,
    seed and backend, of the source code and parameter shapes of the model, and of the versions of torch, PyG and
    relgraph's training. Damaged files are ignored, and replaced by the next :meth:`write`. Arguments are those of
    :func:`relgraph.training.fit_many`, and any model of the encoder and head.
    """

    def __init__(
        self,
        folder: Path,
        problem: Problem,
        encoder: str,
        model: Model,
        head: Head,
        settings: TrainSettings,
        backend: Backend,
    ) -> None:
        self.folder = folder
        self._build: Callable[[int], Model] = lambda seed: problem.build(encoder, seed, settings, head)
        self._device, self._encoder = problem.device, encoder
        versions = [VERSION, torch.__version__, torch_geometric.__version__]
        about = [versions, encoder, head, settings.to_dict(), backend, problem.device.type]
        self._key = digest(about, problem.digest(head), code_digest(model))

    def path(self, seed: int, *about: object) -> Path:
        """The file of a seed's run.

        Args:
            seed: The seed.
            *about: What else determines the run, as values of JSON: another seed of training, the runs trained jointly.
        """
        return self.folder / f"{self._encoder}-{seed}-{digest([self._key, seed, *about])[:16]}.safetensors"

    def read(self, seed: int, *about: object) -> TrainedRun | None:
        """The run of a seed; ``None`` if there is no intact file."""
        try:
            state, header = load_record(self.path(seed, *about), FORMAT)
            run = json.loads(header["run"])
            model = self._build(seed)
            model.load_state_dict(state)
            history = History(**run.pop("history"))
            return TrainedRun(model.to(self._device).eval(), self._encoder, seed, history=history, **run)
        except (DataError, KeyError, TypeError, ValueError, RuntimeError):
            return None

    def write(self, run: TrainedRun, *about: object) -> None:
        """Write a run, whole or not at all."""
        kept: dict[str, object] = {name: getattr(run, name) for name in _FIELDS}
        kept["history"] = asdict(run.history)
        save_record(self.path(run.seed, *about), FORMAT, run.model.state_dict(), {"run": json.dumps(kept)})


def code_digest(model: torch.nn.Module) -> str:
    """SHA-256 over the structure of a model and the source code of its classes and their bases but torch's and PyG's.

    Of a class without source code, such as one typed into an interpreter, the compiled functions stand in.
    """
    kinds = {kind for module in model.modules() for kind in type(module).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("builtins", "torch", "torch_geometric")]
    code = sorted((f"{kind.__module__}.{kind.__qualname__}", _source(kind)) for kind in own)
    shapes = [(name, list(value.shape), str(value.dtype)) for name, value in model.state_dict().items()]
    return digest(code, shapes, [type(module).__qualname__ for module in model.modules()])


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        codes = {name: value.__code__ for name, value in sorted(vars(kind).items()) if inspect.isfunction(value)}
        return repr([(name, code.co_code, code.co_names, code.co_varnames) for name, code in codes.items()])
