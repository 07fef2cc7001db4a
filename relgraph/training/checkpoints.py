"""Finished runs on disk, each named by a digest of everything that determines it: a killed job resumes."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import torch
import torch_geometric

from relgraph.errors import DataError
from relgraph.io import digest, load_record, save_record
from relgraph.nn.model import Model
from relgraph.training.job import RunRecord, RunSpec, SeedPair
from relgraph.training.trainer import TrainedRun

FORMAT = "relgraph.run/2"

VERSION = 2
"""Raised when the library trains another model from the same settings."""


class Checkpoints:
    """Reads and writes the runs of one specification; they differ in their seeds.

    The file name of a run holds a digest of all tensors that training reads, of task, split, settings, encoder, head,
    seed and backend, of the source code and parameter shapes of the model, and of the versions of torch, PyG and
    relgraph's training. Damaged files are ignored, and replaced by the next :meth:`write`.

    Args:
        folder: The folder of all files.
        spec: The specification, of an encoder that is given by its name.
        model: Any model of it.
    """

    def __init__(self, folder: Path, spec: RunSpec, model: Model) -> None:
        self.folder, self._spec = folder, spec
        versions = [VERSION, torch.__version__, torch_geometric.__version__]
        about = [versions, spec.name, spec.head, spec.settings.to_dict(), spec.backend, spec.problem.device.type]
        self._key = digest(about, spec.problem.digest(spec.head), code_digest(model))

    def path(self, seeds: SeedPair, *about: object) -> Path:
        """The file of a run.

        Args:
            seeds: Its seeds.
            *about: What else determines the run, as values of JSON, such as the runs that it was trained jointly with.
        """
        known = [seeds.seed] if seeds.training is None else list(seeds)
        return self.folder / f"{self._spec.name}-{seeds.seed}-{digest([self._key, *known, *about])[:16]}.safetensors"

    def read(self, seeds: SeedPair, *about: object) -> TrainedRun | None:
        """A run; ``None`` if there is no intact file."""
        try:
            state, header = load_record(self.path(seeds, *about), FORMAT)
            return self._spec.restore(seeds, RunRecord(state, json.loads(header["run"])))
        except (DataError, KeyError, TypeError, ValueError, RuntimeError):
            return None

    def write(self, run: TrainedRun, *about: object) -> None:
        """Write a run, whole or not at all."""
        record = RunRecord.of(run)
        path = self.path(SeedPair(run.seed, run.training_seed), *about)
        save_record(path, FORMAT, record.state, {"run": json.dumps(record.about)})


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
