"""Remedies against predictions that change with the seed, beside plain retraining: what each changes and costs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from relgraph.nn.model import head_arguments
from relgraph.problems import Problem
from relgraph.problems.node import NodeProblem
from relgraph.stitching import Run, View
from relgraph.stitching.methods import CLASS_CENTROID
from relgraph.studies.material import Material
from relgraph.studies.runs import Array, Floats
from relgraph.studies.teams import (
    ArmFigures,
    Team,
    accuracies_of,
    consensus_outputs,
    decided,
    ensemble_outputs,
    kept_accuracies,
    kept_heads,
    later_runs,
    team_disagreements,
    team_size,
    teams_of,
)
from relgraph.training import fit_linear_head
from relgraph.training.fast.views import Graph

HOPS = 2

NOT_ASKED = "further models were not asked for (remedies, --remedies)"
OF_NODES = "it needs the nodes of one graph"
NO_TRAINING = "it needs training and validation rows"


@dataclass(frozen=True)
class Arm:
    """One way to go on after everything is trained anew.

    Args:
        name: The name in the document.
        matrix: Disagreement of every two models or teams, ``(T, T)``.
        right: Their accuracies, ``(T,)``.
        pairs: Ordered pairs that count.
        encoders: Encoders that one prediction needs.
        trainings: Training runs that a new version costs.
    """

    name: str
    matrix: Floats
    right: Floats
    pairs: Array
    encoders: int
    trainings: int


def remedies_section(material: Material) -> dict[str, Any]:
    """Accuracy, disagreement and cost of every remedy that applies, for every encoder.

    ``titles`` of the remedies; every encoder of ``models`` has ``runs``, ``team_size`` and ``teams``; ``remedies`` by
    name, in the order of :data:`TITLES`; and ``left_out``, the reason by name. A remedy has ``disagreement`` of two
    models that share no training run on test rows, its ``ratio`` to plain retraining, ``accuracy``, the ``gain`` over
    plain models of the same runs, ``of`` (``"runs"`` or ``"teams"``, between which it is measured), ``encoders`` at
    inference and ``trainings`` of a version. No label of a test row is used but to count.

    Args:
        material: Runs whose models are there.
    """
    names = material.runs.names
    found = {name: model_remedies(_runs(material, name), material.further.get(name, {})) for name in names}
    return {"titles": dict(TITLES), "models": found}


def why_not(material: Material) -> str | None:
    """Why no remedy applies, empty where another section says so; ``None`` if some do."""
    problem = material.problem
    if problem is None or not material.models:
        return ""
    if isinstance(problem, NodeProblem) and any(head_arguments(one.head, problem.data) for one in material.models):
        return "Remedies need heads that read one row at a time, not a convolution: pass pairs (encoder, head)."
    return None


def _runs(material: Material, name: str) -> list[Run]:
    """The runs of one model, in evaluation mode whatever mode the models are in."""
    problem, found = material.problem, []
    assert problem is not None
    for place in material.runs.rows_of(name):
        model = material.models[place]
        head = copy.deepcopy(problem.cut(model)[1]).eval().requires_grad_(False)
        found.append(Run(problem, problem.embed(model), head, name))
    return found


def model_remedies(runs: Sequence[Run], further: Mapping[str, Array]) -> dict[str, Any]:
    """The remedies of one encoder; see :func:`remedies_section`.

    Args:
        runs: Its runs.
        further: Classes of models trained for remedies on test rows: ``"frozen"`` ``(R, n)``, one for each run, and
            ``"distilled"`` ``(T, n)``, one for each team.
    """
    problem, size = runs[0].problem, team_size(len(runs))
    teams = teams_of(runs, size)
    y = problem.y[problem.test].cpu().numpy()
    found: dict[str, Any] = {}
    for arms, of in ((run_arms(runs, y, further), "runs"), (team_arms(teams, y, further), "teams")):
        plain: tuple[Floats, Floats] | None = None
        for arm in arms:
            if plain is None:
                plain = (arm.matrix, arm.right)
            if arm.name in found:  # plain models of the members, which teams are compared with
                continue
            figures = ArmFigures.of(arm.matrix, arm.right, arm.pairs, plain, [runs[0].encoder] * len(arm.right))
            found[arm.name] = asdict(figures) | {"of": of, "encoders": arm.encoders, "trainings": arm.trainings}
    return {
        "runs": len(runs),
        "team_size": size if size > 1 else None,
        "teams": len(teams) if size > 1 else 0,
        "remedies": {name: found[name] for name in TITLES if name in found},
        "left_out": {name: _why_not(name, problem, len(runs)) for name in TITLES if name not in found},
    }


def run_arms(runs: Sequence[Run], y: Array, further: Mapping[str, Array]) -> Iterator[Arm]:
    """The arms of single runs; plain retraining first."""
    problem, count = runs[0].problem, len(runs)
    every = ~np.eye(count, dtype=bool)

    def arm(name: str, records: Sequence[Array], encoders: int = 1) -> Arm:
        return Arm(name, team_disagreements(records), accuracies_of(records, y), every, encoders, 1)

    plain = arm("plain", [decided(problem, [run.head(run.z)]) for run in runs])
    yield plain
    pairs = later_runs(count)
    differs, right = kept_heads(runs, pairs)
    yield Arm("kept", differs, kept_accuracies(plain.right, right, pairs), pairs, 1, 1)
    if "frozen" in further:
        yield arm("frozen", [one[None] for one in further["frozen"]])
    if problem.train.numel():
        yield arm("centroid", [centroid_classes(run)[None] for run in runs])
    if isinstance(problem, NodeProblem) and problem.train.numel() and problem.validation.numel():
        yield arm("convex", [convex_classes(problem)[None]] * count, encoders=0)


def team_arms(teams: Sequence[Team], y: Array, further: Mapping[str, Array]) -> Iterator[Arm]:
    """The arms of teams of at least two runs; plain models of the members first."""
    size = len(teams[0])
    if size < 2:
        return
    problem, every = teams[0][0].problem, ~np.eye(len(teams), dtype=bool)

    def arm(name: str, records: Sequence[Array], encoders: int, trainings: int) -> Arm:
        return Arm(name, team_disagreements(records), accuracies_of(records, y), every, encoders, trainings)

    yield arm("plain", [decided(problem, [run.head(run.z) for run in team]) for team in teams], 1, 1)
    yield arm("consensus", [decided(problem, [consensus_outputs(team)]) for team in teams], 1, size)
    yield arm("ensemble", [decided(problem, [ensemble_outputs(team)]) for team in teams], size, size)
    if "distilled" in further:
        yield arm("distilled", [one[None] for one in further["distilled"]], 1, size + 1)


def centroid_classes(run: Run) -> Array:
    """Class of the nearest mean of the run's own training embeddings, on test rows ``(n,)``."""
    problem = run.problem
    view = CLASS_CENTROID.prepare(View(run, problem.train[:0]))
    with torch.no_grad():
        return np.asarray(problem.task.record(view.read(view.run.head, problem.test)))


def convex_classes(problem: Problem) -> Array:
    r"""Classes of logistic regression on propagated features on test rows, ``(n,)``: convex, so no seed changes them.

    .. math:: \hat{y} = \mathrm{argmax} \, (\hat{A}^2 X W + b), \qquad \hat{A} = D^{-1/2} (A + I) D^{-1/2}

    of `Wu et al. (2019) <https://arxiv.org/abs/1902.07153>`_. The penalty is the best on validation rows
    (:func:`relgraph.training.fit_linear_head`).

    Args:
        problem: Classes of the nodes of a graph.

    Example:
        >>> import relgraph as rg
        >>> from relgraph.problems import make_problem
        >>> problem = make_problem(rg.load_dataset("digits"))
        >>> bool((convex_classes(problem) == problem.y[problem.test].numpy()).mean() > 0.9)
        True
    """
    parts = [rows.cpu() for rows in (problem.train, problem.validation, problem.test)]
    used, places = torch.unique(torch.cat(parts), return_inverse=True)
    train, validation, test = places.split([part.numel() for part in parts])
    graph = Graph(problem.data)
    propagated = graph.features
    adjacency = graph.propagation("normalized")
    for hop in range(1, HOPS + 1):
        propagated = (adjacency if hop < HOPS else adjacency[used.numpy()]) @ propagated
    x, y = torch.from_numpy(propagated.toarray()), problem.y.cpu()[used]
    head = fit_linear_head(x, y, train, validation, problem.num_outputs)
    with torch.no_grad():
        return np.asarray(problem.task.record(head(x[test])))


TITLES: Mapping[str, str] = {
    "plain": "plain",
    "kept": "kept head",
    "consensus": "consensus",
    "ensemble": "ensemble",
    "distilled": "distilled",
    "frozen": "frozen head",
    "centroid": "centroid",
    "convex": "convex (SGC)",
}
"""What the remedies are called, in their order.

``plain``: everything trained anew. ``kept``: the old head converted to the encoder of a later run. ``consensus``: the
mean of a team's heads on one of its encoders. ``ensemble``: all of a team. ``distilled``: one new model trained on the
ensemble's probabilities of all nodes. ``frozen``: encoders trained anew with one random head, the same for all.
``centroid``: the class with the nearest mean of the run's own training embeddings. ``convex``: :func:`convex_classes`.
"""


def _why_not(name: str, problem: Problem, runs: int) -> str:
    """Why a remedy that was not computed does not apply."""
    if name in ("distilled", "convex") and not isinstance(problem, NodeProblem):
        return OF_NODES
    if name in ("centroid", "convex"):
        return NO_TRAINING
    if name in ("consensus", "ensemble", "distilled") and team_size(runs) < 2:
        return f"two teams need at least four runs (got {runs})"
    return NOT_ASKED
