"""Runs of models that a user has trained: modules, pairs of encoder and head, or models of relgraph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from torch import nn

from relgraph.errors import InputError
from relgraph.nn.model import Model
from relgraph.nn.splitting import split as split_module
from relgraph.problems import Problem, make_problem
from relgraph.problems.splits import has_masks
from relgraph.studies.material import Material
from relgraph.studies.training import check_task, runs_of

KINDS = "must hold models: torch modules, pairs (encoder, head) or relgraph.Model"


def model_runs(
    models: Any, data: Any, *, task: str | None = None, split: str | None = None, split_seed: int = 0
) -> Material:
    """Outputs of trained models on the test rows, with the models themselves.

    A module that :func:`relgraph.split` can take apart has embeddings, which is what the section of representations
    compares. Of another module the outputs are used; pass it as a pair (encoder, head) to have its embeddings compared.
    No model is changed.

    Args:
        models: For each architecture, by its name, the models of its runs; or the models of one architecture.
        data: A graph with masks, a set of graphs, or a problem.
        task, split, split_seed: As of :func:`relgraph.problems.make_problem`; a graph without masks needs ``split``,
            the one that the models were trained with.

    Raises:
        InputError: If there is no model or something else, the data do not say which rows are for testing, a row has
            no one class, or a model cannot be called with the data, or has not as many outputs as there are classes.
    """
    groups = _groups(models)
    problem = _problem(data, task, split, split_seed)
    check_task(problem)
    found: dict[str, list[Model]] = {}
    reasons: list[str] = []
    for name, group in groups.items():
        for number, one in enumerate(group):
            where = f"run {number} of '{name}'"
            model, reason = _taken_apart(one, where)
            _check_call(problem, model, where)
            found.setdefault(name, []).append(model)
            reasons += [f"{where} cannot be taken apart ({reason})"] if reason else []
    seeds = {name: list(range(len(group))) for name, group in found.items()}
    given = () if reasons else tuple(chain.from_iterable(found.values()))
    return Material(runs_of(problem, found, seeds), problem, given=given, whole=reasons[0] if reasons else "")


def _groups(models: Any) -> dict[str, list[Any]]:
    """Models of every architecture by its name."""
    if isinstance(models, str) or not isinstance(models, Iterable | nn.Module):
        raise InputError("models", f"{KINDS} (got {type(models).__name__}); pass a list, or a dictionary of lists")
    groups = models if isinstance(models, Mapping) else {"model": models}
    found: dict[str, list[Any]] = {}
    for name, group in groups.items():
        if not isinstance(group, nn.ModuleList) and (isinstance(group, nn.Module) or not isinstance(group, Iterable)):
            got = f"got a single {type(group).__name__} of '{name}'"
            raise InputError("models", f"must be a list of models, or one for each name ({got}); pass several runs")
        found[str(name)] = list(group)
        if len(found[str(name)]) < 2:
            got = f"got {len(found[str(name)]) or 'none'} of '{name}'"
            raise InputError("models", f"must hold at least two runs of every name ({got}); add one")
    if not found:
        raise InputError("models", f"{KINDS} (got none)")
    return found


def _problem(data: Any, task: str | None, split: str | None, split_seed: int) -> Problem:
    if data is None:
        raise InputError("data", "must be given with 'models' (got none); pass the graph that they predict on")
    if isinstance(data, Problem):
        return data
    if split is None and not hasattr(data, "graphs") and not has_masks(data):
        rule = "must have train_mask, val_mask and test_mask for models that are trained already"
        raise InputError("data", f"{rule} (got none); set those they were trained with, or name the 'split'")
    problem = make_problem(data, task, split=split, seed=split_seed)
    if problem.test.numel() == 0:
        raise InputError("data", "must have labeled test rows (got none); mark some")
    return problem


def _taken_apart(one: Any, where: str) -> tuple[Model, str]:
    """A model, and why it has no embeddings; empty if it has."""
    if isinstance(one, Model):
        return one, ""
    if isinstance(one, (tuple, list)) and len(one) == 2 and all(isinstance(part, nn.Module) for part in one):
        return Model(*one).train(one[0].training and one[1].training), ""
    if not isinstance(one, nn.Module):
        raise InputError("models", f"{KINDS} (got {type(one).__name__} as {where})")
    try:
        return split_module(one), ""
    except InputError as error:
        whole = Model(one, nn.Identity())
        whole.training = one.training
        return whole, str(error)


def _check_call(problem: Problem, model: Model, where: str) -> None:
    """Refuse a model that cannot be called with the data, or whose outputs are of other classes."""
    place = next((parameter.device for parameter in model.parameters()), problem.device)
    if place != problem.device:
        raise InputError("models", f"must be where 'data' is, on {problem.device} (got {place} in {where}); move one")
    try:
        outputs = problem.outputs(model, problem.test)
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError("models", f"must be callable with 'data' (got from {where}: {reason})") from error
    rows = f"must have outputs ({problem.test.numel()}, C) on test rows, C at least {problem.num_outputs}"
    if outputs.dim() != 2 or outputs.size(1) < problem.num_outputs:
        raise InputError("models", f"{rows} (got shape {tuple(outputs.shape)} of {where}); pass models of this task")
