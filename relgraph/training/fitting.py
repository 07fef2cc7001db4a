"""From data and a seed to a trained model: builds it, chooses the backend, trains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from relgraph.errors import DataError, InputError, RelgraphWarning, unknown_name, whole_number
from relgraph.io import make_folder
from relgraph.nn.model import Model
from relgraph.problems import EncoderLike, Head, Problem, make_problem
from relgraph.training.checkpoints import Checkpoints
from relgraph.training.executors import Executor, open_executor
from relgraph.training.fast.ensemble import can_train_ensemble
from relgraph.training.fast.sparse import can_use_sparse
from relgraph.training.job import Job, RunSpec, SeedPair
from relgraph.training.memory import runs_that_fit
from relgraph.training.settings import TrainSettings, keeps_runs
from relgraph.training.trainer import Backend, Progress, TrainedRun


class NotKeptWarning(RelgraphWarning):
    """A trained run could not be written to the cache; it is returned all the same."""


def fit(
    data: Any,
    encoder: EncoderLike = "gcn",
    *,
    seed: int = 0,
    head: Head = "linear",
    settings: TrainSettings | str | None = None,
    **others: Any,
) -> Model:
    """Train one model on a graph, a set of graphs or a problem, and return it in evaluation mode.

    The epoch of the best validation metric is kept. A graph without masks is split at random, the same way at every
    call (20 nodes of each class for training, 30 for validation).

    Args:
        data: A graph with features ``x`` ``(N, D)`` and labels ``y`` ``(N,)``, a set of graphs, or a problem. Features
            of another floating-point type are trained on in float32, and the model takes them in any.
        encoder: Name of an encoder, a module from ``(x, edge_index)`` to ``(N, F)`` (a copy of it is trained, and reset
            if it has ``reset_parameters``), or a function that makes one.
        seed: Seed of initialization, dropout and mini-batches. The global generator is left as it was.
        head: ``"linear"`` on the embeddings, or ``"relative-cosine"``, linear on their cosines with the graph's
            anchors (:class:`relgraph.AddAnchors`), which are embedded again at each step.
        settings: Settings, or the name of published ones, such as ``"kipf-welling"``; ``None`` for the defaults of the
            data (:meth:`TrainSettings.for_data <relgraph.training.TrainSettings.for_data>`).
        **others: Fields of :class:`~relgraph.training.TrainSettings` to set otherwise, such as ``epochs`` and ``lr``.

    Raises:
        InputError: If an argument breaks a rule, or labels are missing.
        DataError: If the graph does not fit in memory as one batch.

    Example:
        >>> import relgraph as rg
        >>> data = rg.load_dataset("digits")
        >>> model = rg.fit(data, "gcn", seed=0, epochs=5)
        >>> model.embed(data).shape
        torch.Size([1797, 64])
    """
    problem, seed = make_problem(data), whole_number("seed", seed)
    chosen = TrainSettings.for_data(problem, encoder, settings, **others)
    return fit_many(problem, encoder, [seed], head=head, settings=chosen)[0].model


def fit_many(
    data: Any,
    encoder: EncoderLike = "gcn",
    seeds: Sequence[int] = range(5),
    *,
    head: Head = "linear",
    settings: TrainSettings | str | None = None,
    training_seeds: Sequence[int] | None = None,
    backend: Literal["auto", "ensemble", "sparse", "loop"] = "auto",
    cache: Path | None = None,
    block: int = 1,
    executor: Executor | str = "local",
    progress: Progress | None = None,
) -> list[TrainedRun]:
    """Train the same model from several seeds, each as if it were trained alone.

    Args:
        data: As in :func:`fit`.
        encoder: As in :func:`fit`.
        seeds: One run for each.
        head: As in :func:`fit`.
        settings: Settings of all runs, as in :func:`fit`.
        training_seeds: For each run the seed of dropout and the order of mini-batches, where that is not the seed of
            its initialization; seeds may then repeat.
        backend: ``"ensemble"`` trains all seeds jointly (on one graph, any encoder of this package, GCN and GraphSAGE
            of two layers only, with a linear or relative-cosine head), ``"sparse"`` one after the other by sparse
            products over the full graph (GCN and GraphSAGE of any depth), ``"loop"`` anything. ``"auto"`` takes
            ``"sparse"`` from 50,000 nodes on, else ``"ensemble"``, where these can, else ``"loop"``.
        cache: Folder of finished runs (:mod:`relgraph.training.checkpoints`); a run that is there is read instead of
            trained.
        block: With a cache, how many runs are trained and kept together. They are trained jointly where the backend
            does so, which is faster and rounds otherwise than one run alone: runs of a block are kept for that block.
        executor: Where runs are trained: ``"local"``, in this process, or ``"ray"``, each as a task of Ray (extra
            ``ray``), or an :class:`~relgraph.training.executors.Executor`.
        progress: Called with the number of epochs done since the last call, summed over the runs.

    Returns:
        The runs in the order of ``seeds``.

    Raises:
        InputError: If an argument breaks a rule, or the backend cannot train the model.
        DataError: If the graph does not fit in memory as one batch, the folder of the cache cannot be made, or the
            executor cannot train.
    """
    options: dict[str, Any] = {"head": head, "settings": settings, "training_seeds": training_seeds}
    options |= {"backend": backend, "cache": cache, "block": block, "executor": executor, "progress": progress}
    return fit_grid(data, [encoder], seeds, **options)


def fit_grid(
    data: Any,
    encoders: Sequence[EncoderLike],
    seeds: Sequence[int],
    *,
    head: Head = "linear",
    settings: TrainSettings | str | None = None,
    training_seeds: Sequence[int] | None = None,
    backend: Literal["auto", "ensemble", "sparse", "loop"] = "auto",
    cache: Path | None = None,
    block: int = 1,
    executor: Executor | str = "local",
    progress: Progress | None = None,
) -> list[TrainedRun]:
    """Train every encoder from every seed; arguments are those of :func:`fit_many`.

    Returns:
        The runs, by encoder, then by seed.

    Example:
        >>> import relgraph as rg
        >>> runs = fit_grid(rg.load_dataset("digits"), ["gcn", "sage"], [0, 1], settings=rg.TrainSettings(epochs=1))
        >>> [(run.encoder, run.seed) for run in runs]
        [('gcn', 0), ('gcn', 1), ('sage', 0), ('sage', 1)]
    """
    problem, tell = make_problem(data), progress or (lambda epochs: None)
    seeds = [whole_number("seeds", seed) for seed in seeds]
    if not seeds:
        raise InputError("seeds", "must name at least one seed (got none)")
    if cache is not None:
        if not all(isinstance(encoder, str) for encoder in encoders):
            raise InputError(
                "cache", "must be left out for an encoder that is not given by its name; register it first"
            )
        make_folder(cache)  # before anything is trained for it
    pairs = _seed_pairs(problem, seeds, training_seeds)
    found: dict[tuple[int, int], TrainedRun] = {}
    parts: list[_Part] = []
    with open_executor(executor) as chosen:
        for place, encoder in enumerate(encoders):
            spec, first = _specify(problem, encoder, seeds[0], head, settings, backend)
            checkpoints = None if cache is None else Checkpoints(cache, spec, first)
            size = runs_that_fit(problem, spec.settings, sparse=spec.backend != "loop")
            if checkpoints is not None:
                size = min(block, size)
            elif chosen.distributed:  # a run is a job of its own where its process may be lost
                size = 1
            for start in range(0, len(pairs), size):
                numbers = range(start, min(start + size, len(pairs)))
                part = _Part(
                    Job(spec, [pairs[number] for number in numbers]),
                    [(place, number) for number in numbers],
                    checkpoints,
                )
                if (kept := part.kept()) is None:
                    parts.append(part)
                else:
                    found |= zip(part.places, kept, strict=True)
                    tell(len(kept) * spec.settings.epochs)
        with closing(chosen.train([part.job for part in parts], tell)) as finished:
            for index, runs in finished:
                found |= zip(parts[index].places, runs, strict=True)
                parts[index].keep(runs)
    return [found[place, number] for place in range(len(encoders)) for number in range(len(seeds))]


class _Part(NamedTuple):
    """A job, with the places of the encoder and the seed of each of its runs, and where these are kept."""

    job: Job
    places: list[tuple[int, int]]
    checkpoints: Checkpoints | None

    def kept(self) -> list[TrainedRun] | None:
        """The runs from their files; ``None`` unless all are there."""
        if self.checkpoints is None:
            return None
        found = [self.checkpoints.read(pair, *self._about()) for pair in self.job.seeds]
        known = [run for run in found if run is not None]
        return known if len(known) == len(found) else None

    def keep(self, runs: Sequence[TrainedRun]) -> None:
        """Write finished runs; a full disk does not cost them."""
        if self.checkpoints is None:
            return
        for run in runs:
            try:
                self.checkpoints.write(run, *self._about())
            except DataError as error:
                warnings.warn(f"{error}; the run of seed {run.seed} was not kept", NotKeptWarning, stacklevel=4)

    def _about(self) -> list[object]:
        """What determines a run beside its seeds: the runs that it is trained jointly with."""
        return [[list(pair) for pair in self.job.seeds]] if len(self.job.seeds) > 1 else []


def _seed_pairs(problem: Problem, seeds: Sequence[int], training_seeds: Sequence[int] | None) -> list[SeedPair]:
    """The seeds of every run."""
    if training_seeds is None:
        return [SeedPair(seed) for seed in seeds]
    if len(training_seeds) != len(seeds):
        got = f"(got {len(training_seeds)} for {len(seeds)} seeds)"
        raise InputError("training_seeds", f"must name one seed for each of 'seeds' {got}")
    pairs = zip(seeds, (whole_number("training_seeds", seed) for seed in training_seeds), strict=True)
    return [SeedPair(seed, None if seed == other and problem.restarts_stream else other) for seed, other in pairs]


def _specify(
    problem: Problem,
    encoder: EncoderLike,
    seed: int,
    head: Head,
    settings: TrainSettings | str | None,
    backend: str,
) -> tuple[RunSpec, Model]:
    """The specification of an encoder's runs, and the untrained model of a seed."""
    chosen = TrainSettings.for_data(problem, encoder, settings)
    model = problem.build(encoder, seed, chosen, head)
    name = encoder if isinstance(encoder, str) else type(model.encoder).__name__
    return RunSpec(problem, encoder, name, head, chosen, _choose(problem, model, backend, name)), model


def _choose(problem: Problem, model: Model, wanted: str, name: str) -> Backend:
    """The backend for a model, or an error if the one that is wanted cannot train it."""
    able: dict[Backend, bool] = {"ensemble": can_train_ensemble(problem, model), "loop": True}
    able["sparse"] = can_use_sparse(problem, model)
    possible = [backend for backend in get_args(Backend) if able[backend]]
    if wanted == "auto":
        slower: Backend = "ensemble" if keeps_runs(problem) else "sparse"
        return next(backend for backend in possible if backend != slower)
    if wanted not in able:
        raise unknown_name("backend", wanted, ("auto", *able))
    if wanted not in possible:
        raise InputError("backend", f"must be one of auto, {', '.join(possible)} for '{name}' (got '{wanted}')")
    return wanted
