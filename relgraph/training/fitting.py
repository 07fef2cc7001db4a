"""From data and a seed to a trained model: builds it, chooses the backend, trains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from relgraph.errors import DataError, InputError, RelgraphWarning, unknown_name
from relgraph.io import make_folder
from relgraph.modes import seeded
from relgraph.nn.model import Model
from relgraph.problems import EncoderLike, Head, Problem, make_problem
from relgraph.training.checkpoints import Checkpoints
from relgraph.training.fast.ensemble import can_train_ensemble, train_ensemble
from relgraph.training.fast.sparse import SparseNodes, can_use_sparse
from relgraph.training.memory import runs_that_fit
from relgraph.training.settings import TrainSettings, keeps_runs
from relgraph.training.trainer import Backend, Progress, TrainedRun, train

Pair = tuple[int, int | None]


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
            anchors (:class:`relgraph.AddAnchors`), which are embedded again at each step; ``"frozen"`` for a linear
            head that is drawn once for all seeds and not trained.
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
    training_seeds: Sequence[int] | None = None,
    backend: Literal["auto", "ensemble", "sparse", "loop"] = "auto",
    cache: Path | None = None,
    block: int = 1,
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
        progress: Called with the number of epochs done since the last call, summed over the runs.

    Returns:
        The runs in the order of ``seeds``.

    Raises:
        InputError: If an argument breaks a rule, or the backend cannot train the model.
        DataError: If the graph does not fit in memory as one batch, or the folder of the cache cannot be made.
    """
    problem, seeds = make_problem(data), list(seeds)
    if not seeds:
        raise InputError("seeds", "must name at least one seed (got none)")
    pairs = _seed_pairs(problem, seeds, training_seeds)
    if cache is not None and not isinstance(encoder, str):
        raise InputError("cache", "must be left out for an encoder that is not given by its name; register it first")
    settings = TrainSettings.for_data(problem, encoder, settings)
    first = problem.build(encoder, seeds[0], settings, head)
    name = encoder if isinstance(encoder, str) else type(first.encoder).__name__
    chosen = _choose(problem, first, backend, name)
    size = runs_that_fit(problem, settings, sparse=chosen != "loop")
    trained = SparseNodes(problem) if chosen == "sparse" else problem
    if cache is None:
        parts = _parts(pairs, size)
        return [run for part in parts for run in _train(trained, encoder, part, head, settings, chosen, name, progress)]
    checkpoints = Checkpoints(cache, problem, name, first, head, settings, chosen)
    make_folder(checkpoints.folder)  # before anything is trained for it
    runs: list[TrainedRun] = []
    for part in _parts(pairs, min(block, size)):
        abouts = [_about(pair, part) for pair in part]
        read = [checkpoints.read(seed, *about) for (seed, _), about in zip(part, abouts, strict=True)]
        found = [replace(run, training_seed=other) for run, (_, other) in zip(read, part, strict=True) if run]
        if len(found) == len(part):
            if progress is not None:
                progress(settings.epochs * len(part))
        else:
            found = _train(trained, encoder, part, head, settings, chosen, name, progress)
            for run, about in zip(found, abouts, strict=True):
                try:
                    checkpoints.write(run, *about)
                except DataError as error:  # a full disk must not cost the run
                    warnings.warn(f"{error}; the run of seed {run.seed} was not kept", NotKeptWarning, stacklevel=3)
        runs += found
    return runs


def _seed_pairs(problem: Problem, seeds: Sequence[int], training_seeds: Sequence[int] | None) -> list[Pair]:
    """The seed of initialization and that of training of every run, the latter ``None`` where both are one stream."""
    if training_seeds is None:
        return [(seed, None) for seed in seeds]
    if len(training_seeds) != len(seeds):
        got = f"(got {len(training_seeds)} for {len(seeds)} seeds)"
        raise InputError("training_seeds", f"must name one seed for each of 'seeds' {got}")
    pairs = zip(seeds, training_seeds, strict=True)
    return [(seed, None if seed == other and problem.restarts_stream else other) for seed, other in pairs]


def _parts(pairs: Sequence[Pair], size: int) -> list[Sequence[Pair]]:
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def _about(pair: Pair, part: Sequence[Pair]) -> list[object]:
    """What determines a run beside its seed; nothing of a run that has one seed and is trained alone."""
    other = [] if pair[1] is None else [pair[1]]
    return [*other, [list(one) for one in part]] if len(part) > 1 else [*other]


def _train(
    problem: Problem,
    encoder: EncoderLike,
    pairs: Sequence[Pair],
    head: Head,
    settings: TrainSettings,
    backend: Backend,
    name: str,
    progress: Progress | None,
) -> list[TrainedRun]:
    if backend == "ensemble":
        models = [problem.build(encoder, seed, settings, head) for seed, _ in pairs]
        streams = [seed if other is None else other for seed, other in pairs]
        found = train_ensemble(problem, models, streams, settings, name, progress)
        return [replace(run, seed=seed, training_seed=other) for run, (seed, other) in zip(found, pairs, strict=True)]
    runs = []
    for seed, other in pairs:
        with seeded(seed, problem.device):
            model = problem.initialize(encoder, settings, head)
            if other is not None or problem.restarts_stream:
                torch.manual_seed(seed if other is None else other)
            run = train(problem, model, seed, settings, name, progress, backend)
            runs.append(replace(run, training_seed=other))
    return runs


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
