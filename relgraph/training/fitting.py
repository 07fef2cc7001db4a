"""From data and a seed to a trained model: builds it, chooses the backend, trains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from relgraph.errors import DataError, InputError, RelgraphWarning, unknown_name
from relgraph.io import make_folder
from relgraph.nn.model import Model
from relgraph.problems import EncoderLike, Head, Problem, make_problem
from relgraph.training.checkpoints import Checkpoints
from relgraph.training.executors import Executor, open_executor
from relgraph.training.fast.ensemble import can_train_ensemble
from relgraph.training.fast.sparse import can_use_sparse
from relgraph.training.job import Job, RunSpec
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
        data: A graph with features ``x`` ``(N, D)`` and labels ``y`` ``(N,)``, a set of graphs, or a problem.
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
    problem = make_problem(data)
    chosen = TrainSettings.for_data(problem, encoder, settings, **others)
    return fit_many(problem, encoder, [seed], head=head, settings=chosen)[0].model


def fit_many(
    data: Any,
    encoder: EncoderLike = "gcn",
    seeds: Sequence[int] = range(5),
    *,
    head: Head = "linear",
    settings: TrainSettings | str | None = None,
    backend: Literal["auto", "ensemble", "sparse", "loop"] = "auto",
    cache: Path | None = None,
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
        backend: ``"ensemble"`` trains all seeds jointly (on one graph, any encoder of this package, GCN and GraphSAGE
            of two layers only, with a linear or relative-cosine head), ``"sparse"`` one after the other by sparse
            products over the full graph (GCN and GraphSAGE of any depth), ``"loop"`` anything. ``"auto"`` takes
            ``"sparse"`` from 50,000 nodes on, else ``"ensemble"``, where these can, else ``"loop"``.
        cache: Folder of finished runs (:mod:`relgraph.training.checkpoints`); a run that is there is read instead of
            trained. Runs are then trained one after the other.
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
    options: dict[str, Any] = {"head": head, "settings": settings, "backend": backend, "cache": cache}
    return fit_grid(data, [encoder], seeds, **options, executor=executor, progress=progress)


def fit_grid(
    data: Any,
    encoders: Sequence[EncoderLike],
    seeds: Sequence[int],
    *,
    head: Head = "linear",
    settings: TrainSettings | str | None = None,
    backend: Literal["auto", "ensemble", "sparse", "loop"] = "auto",
    cache: Path | None = None,
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
    problem, seeds, tell = make_problem(data), list(seeds), progress or (lambda epochs: None)
    if not seeds:
        raise InputError("seeds", "must name at least one seed (got none)")
    if cache is not None:
        if not all(isinstance(encoder, str) for encoder in encoders):
            raise InputError(
                "cache", "must be left out for an encoder that is not given by its name; register it first"
            )
        make_folder(cache)  # before anything is trained for it
    found: dict[tuple[int, int], TrainedRun] = {}
    parts: list[_Part] = []
    with open_executor(executor) as chosen:
        for place, encoder in enumerate(encoders):
            spec, first = _specify(problem, encoder, seeds[0], head, settings, backend)
            checkpoints = None if cache is None else Checkpoints(cache, spec, first)
            missing = list(range(len(seeds)))
            if checkpoints is not None:
                kept = {number: run for number in missing if (run := checkpoints.read(seeds[number])) is not None}
                found |= {(place, number): run for number, run in kept.items()}
                missing = [number for number in missing if number not in kept]
                if kept:
                    tell(len(kept) * spec.settings.epochs)
            # A run is a job of its own where it is kept as soon as it is finished, or where its process may be lost.
            together = runs_that_fit(problem, spec.settings, sparse=spec.backend != "loop")
            size = together if checkpoints is None and not chosen.distributed else 1
            for start in range(0, len(missing), size):
                numbers = missing[start : start + size]
                job = Job(spec, [seeds[number] for number in numbers])
                parts.append(_Part(job, [(place, number) for number in numbers], checkpoints))
        with closing(chosen.train([part.job for part in parts], tell)) as finished:
            for index, runs in finished:
                found |= zip(parts[index].places, runs, strict=True)
                _keep(parts[index].checkpoints, runs)
    return [found[place, number] for place in range(len(encoders)) for number in range(len(seeds))]


class _Part(NamedTuple):
    """A job, with the places of the encoder and the seed of each of its runs, and where these are kept."""

    job: Job
    places: list[tuple[int, int]]
    checkpoints: Checkpoints | None


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


def _keep(checkpoints: Checkpoints | None, runs: Sequence[TrainedRun]) -> None:
    if checkpoints is None:
        return
    for run in runs:
        try:
            checkpoints.write(run)
        except DataError as error:  # a full disk must not cost the run
            warnings.warn(f"{error}; the run of seed {run.seed} was not kept", NotKeptWarning, stacklevel=4)


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
