"""Trained graph-level runs, kept on disk: a benchmark that is killed goes on where it stopped.

A run is one file in ``--cache``, named after what determines it: the data set, the encoder, the seed and all settings.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from relgraph.training import History, TrainedRun, fit_graphs
from relgraph.training.graphs import make_graph_model

CACHE = Path("runs") / "molecules"


def trained(dataset, encoder, seeds, settings, cache=CACHE, tell=lambda line: None):
    """The runs of an encoder on a data set, from disk where they are there.

    Args:
        dataset: What ``relgraph.load_graphs`` returns.
        encoder: Name of the encoder.
        seeds: One run for each.
        settings: ``GraphTrainSettings`` of all runs.
        cache: Folder of the runs.
        tell: Called with a line after every run that had to be trained.
    """
    cache.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in seeds:
        path = cache / f"{dataset.name}-{encoder}-{seed}-{key(dataset, encoder, seed, settings)}.safetensors"
        if not path.exists():
            (run,) = fit_graphs(dataset, encoder, [seed], settings=settings)
            save(run, path)
            tell(f"{path.stem}: {run.seconds:.0f} s, epoch {run.best_epoch}, validation {run.validation:.4f}")
        runs.append(load(path, dataset, encoder, seed, settings))
    return runs


def key(dataset, encoder, seed, settings):
    """Twelve digits of everything that determines a run but the code and the machine."""
    parts = [dataset.y, dataset.train, dataset.validation]
    digest = hashlib.sha256(json.dumps([dataset.name, encoder, seed, settings.to_dict()]).encode())
    for part in parts:
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:12]


def save(run, path):
    """Write a run whole, then give it its name."""
    part = path.with_suffix(".part")
    figures = {"best_epoch": run.best_epoch, "validation": run.validation, "seconds": run.seconds}
    figures["history"] = run.history.validation
    tensors = {name: value.contiguous() for name, value in run.model.state_dict().items()}
    save_file(tensors, part, metadata={"figures": json.dumps(figures)})
    part.replace(path)


def load(path, dataset, encoder, seed, settings):
    """Read a run."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        figures = json.loads(file.metadata()["figures"])
    with torch.random.fork_rng(devices=[]):  # weights are drawn here only to be overwritten
        model = make_graph_model(dataset, encoder, settings)
    model.load_state_dict(load_file(path))
    history = History(validation=figures["history"])
    return TrainedRun(
        model.eval(), encoder, seed, "loop", figures["best_epoch"], figures["validation"], history, figures["seconds"]
    )
