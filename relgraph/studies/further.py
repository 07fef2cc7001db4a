"""Further training runs that some sections of a study need, read from checkpoints where they are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relgraph.anchors import AnchorSet, publish
from relgraph.errors import InputError
from relgraph.io import cache_folder
from relgraph.maps import fit_map
from relgraph.problems import Problem
from relgraph.problems.node import NodeProblem
from relgraph.stitching import Run
from relgraph.stitching.experiment import Progress
from relgraph.studies.material import Material
from relgraph.studies.runs import Array
from relgraph.studies.sources import Varied
from relgraph.studies.teams import ensemble_outputs, team_size, teams_of
from relgraph.training import Executor, TrainedRun, TrainSettings, default_anchors, fit_many

BLOCK = 5
"""Runs that are trained jointly and kept together."""
FEWEST = 2


@dataclass(frozen=True)
class Trainer:
    """Trains and keeps further runs of a study.

    Args:
        train: Settings of every training run.
        cache: Folder of finished runs.
        executor: Where runs are trained.
        report: Called with the epochs done since its last call.
    """

    train: TrainSettings
    cache: Path
    executor: Executor | str
    report: Callable[[int], None]

    def __call__(self, problem: Problem, encoder: str, seeds: Sequence[int], **others: Any) -> list[TrainedRun]:
        """Runs of an encoder, as of :func:`relgraph.training.fit_many`."""
        about: dict[str, Any] = {"settings": self.train, "cache": self.cache, "executor": self.executor}
        return fit_many(problem, encoder, seeds, **about, progress=self.report, **others)


def train_further(
    material: Material,
    *,
    sources: int = 0,
    remedies: bool = False,
    cache: Path | None = None,
    executor: Executor | str = "local",
    progress: Progress | None = None,
) -> Material:
    """The material with the runs of the sections that need further ones.

    Args:
        material: Runs that relgraph trained.
        sources: Runs of every source of variation; 0 for none.
        remedies: Whether to train what remedies need: encoders with a frozen head, and distilled ensembles.
        cache: Folder of finished runs; ``None`` for the one of :func:`relgraph.io.cache_folder`.
        progress: Called with ``"sources"`` or ``"remedies"``, the epochs done since its last call, and all epochs.

    Raises:
        InputError: If there is one run of a source.
    """
    report, place = progress or (lambda stage, done, total: None), cache_folder() / "runs" if cache is None else cache
    problem, train, encoders = material.problem, material.train, material.runs.names
    assert problem is not None and train is not None
    if check_sources(sources):
        kinds = 4 if _drawn(problem) else 3
        total = len(encoders) * kinds * sources * train.epochs
        report("sources", 0, total)
        trainer = Trainer(train, place, executor, lambda done: report("sources", done, total))
        varied = {encoder: vary(problem, _of(material, encoder), sources, trainer) for encoder in encoders}
        material = replace(material, varied=varied)
    if remedies:
        each = {encoder: _of(material, encoder) for encoder in encoders}
        total = train.epochs * sum(len(runs) + _students(problem, len(runs)) for runs in each.values())
        report("remedies", 0, total)
        trainer = Trainer(train, place, executor, lambda done: report("remedies", done, total))
        further = {encoder: train_remedies(problem, runs, trainer) for encoder, runs in each.items()}
        material = replace(material, further=further)
    return material


def check_sources(count: int) -> int:
    """The number of runs of a source, which is 0 or at least two."""
    if count != 0 and count < FEWEST:
        raise InputError("sources", f"must be at least {FEWEST}, the runs of each source, or 0 (got {count})")
    return count


def vary(problem: Problem, trained: Sequence[TrainedRun], count: int, trainer: Trainer) -> dict[str, Varied]:
    """Runs of every source of variation of one encoder.

    A source that does not vary has the seed of the first run, and the split of the problem. Where the split was drawn,
    it is drawn again from further seeds; one that comes with the data stays.

    Args:
        problem: The problem.
        trained: Runs of the encoder.
        count: Runs of every source.
        trainer: Trains them.
    """
    encoder, first = trained[0].encoder, trained[0].seed
    seeds, same = further_seeds([run.seed for run in trained], count), [first] * count
    found = {
        "initialization": _on_test(problem, trainer(problem, encoder, seeds, training_seeds=same, block=BLOCK)),
        "training": _on_test(problem, trainer(problem, encoder, same, training_seeds=seeds, block=BLOCK)),
    }
    if not _drawn(problem):
        # As the runs of the study, one after the other: most of these are there.
        found["together"] = _on_test(problem, trainer(problem, encoder, seeds))
    else:
        splits = [resplit(problem, number) for number in range(count)]
        for name, numbers in (("split", same), ("together", seeds)):
            runs = [trainer(part, encoder, [seed])[0] for part, seed in zip(splits, numbers, strict=True)]
            found[name] = _on_splits(splits, runs)
    return found | {"anchors": vary_anchors(problem, trained, count)}


def vary_anchors(problem: Problem, trained: Sequence[TrainedRun], count: int) -> Varied:
    """The head of the first run converted to the encoder of the second, by so many random draws of anchors.

    Args:
        problem: The problem.
        trained: At least two runs.
        count: Number of draws; each has :func:`relgraph.training.default_anchors`.
    """
    old, new = (Run.of(problem, one) for one in trained[:2])
    records = []
    for seed in range(count):
        rows = problem.choose_anchors(default_anchors(problem), seed=seed)
        head = publish(old.head, AnchorSet.from_rows(old.z, rows))
        converted = fit_map(AnchorSet.from_rows(new.z, rows), head)[0]
        records.append(problem.task.record(problem.read(converted, new.z, problem.test)))
    return _varied(problem, np.stack(records))


def further_seeds(seeds: Sequence[int], count: int) -> list[int]:
    """So many seeds: the given ones, then those that follow the largest.

    Example:
        >>> further_seeds([0, 7], 4)
        [0, 7, 8, 9]
    """
    return [*seeds[:count], *range(max(seeds) + 1, max(seeds) + 1 + count - len(seeds))]


def resplit(problem: Problem, number: int) -> Problem:
    """The same problem with another draw of its split; number 0 is the split that it has."""
    assert isinstance(problem, NodeProblem) and problem.split.seed is not None
    return NodeProblem(problem.data, problem.split.name, seed=problem.split.seed + number)


def train_remedies(problem: Problem, trained: Sequence[TrainedRun], trainer: Trainer) -> dict[str, Array]:
    """Classes on test rows of models that remedies need, of one encoder.

    ``"frozen"`` ``(R, n)``: encoders trained from the seeds of the runs with one frozen head. ``"distilled"``
    ``(T, n)``: for each team a model from a further seed, trained on the probabilities of the team's ensemble for all
    rows; there are none without teams, or of other rows than nodes.
    """
    encoder, seeds = trained[0].encoder, [run.seed for run in trained]
    frozen = trainer(problem, encoder, seeds, head="frozen", block=BLOCK)
    found = {"frozen": _classes(problem, frozen)}
    students = _students(problem, len(trained))
    if students:
        teams = teams_of([Run.of(problem, one) for one in trained], team_size(len(trained)))
        targets = [ensemble_outputs(team).softmax(dim=1) for team in teams]
        fresh = further_seeds(seeds, len(seeds) + students)[len(seeds) :]
        posed = [problem.with_soft_targets(soft) for soft in targets]
        runs = [trainer(one, encoder, [seed])[0] for one, seed in zip(posed, fresh, strict=True)]
        found["distilled"] = _classes(problem, runs)
    return found


def _students(problem: Problem, runs: int) -> int:
    """Number of distilled models of one encoder."""
    size = team_size(runs)
    return runs // size if size > 1 and isinstance(problem, NodeProblem) else 0


def _drawn(problem: Problem) -> bool:
    return isinstance(problem, NodeProblem) and problem.split.seed is not None


def _of(material: Material, encoder: str) -> list[TrainedRun]:
    return [run for run in material.trained if run.encoder == encoder]


def _classes(problem: Problem, runs: Sequence[TrainedRun]) -> Array:
    """Classes of the test rows, ``(R, n)``."""
    return np.stack([problem.task.record(problem.outputs(run.model, problem.test)) for run in runs])


def _on_test(problem: Problem, runs: Sequence[TrainedRun]) -> Varied:
    return _varied(problem, _classes(problem, runs))


def _varied(problem: Problem, classes: Array) -> Varied:
    y = problem.y[problem.test].cpu().numpy()
    return Varied(classes.astype(np.int64), y, np.ones(classes.shape, dtype=bool))


def _on_splits(problems: Sequence[Problem], runs: Sequence[TrainedRun]) -> Varied:
    """Runs of different splits, on all rows that some split tests."""
    test = torch.zeros(len(problems), problems[0].y.size(0), dtype=torch.bool)
    for rows, problem in zip(test, problems, strict=True):
        rows[problem.test.cpu()] = True
    seen = test.any(dim=0).nonzero().view(-1)
    outputs = [one.outputs(run.model, seen.to(one.device)) for one, run in zip(problems, runs, strict=True)]
    classes = np.stack([problems[0].task.record(one) for one in outputs]).astype(np.int64)
    return Varied(classes, problems[0].y.cpu()[seen].numpy(), test[:, seen].numpy())
