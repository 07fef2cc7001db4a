"""Validation accuracy of candidates for the default settings of node-level training.

    python -m benchmarks.training.tune --data-root DIR

The candidates are the published settings of Kipf and Welling (2017), the defaults, and the defaults with one change.
Every one but the first trains until the validation metric stops improving. Seeds from 100 on are used for nothing else;
on Photo and digits each seed has a random split of its own. No test node is used. On PubMed and Photo, which take
longer, fewer candidates are measured, on Photo in three splits. ``photo-normalized`` is Photo with features whose rows
sum to one, which is customary for bags of words and was the default before, ``photo-unit`` with rows of length 1.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable

import torch.nn.functional as F

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.problems import make_problem
from relgraph.problems.splits import has_masks
from relgraph.training import TrainSettings, fit_many

FIRST_SEED = 100
CANDIDATES = {
    "kipf-welling": TrainSettings.named("kipf-welling"),
    "default": TrainSettings(),
    "weight decay 5e-5": TrainSettings(weight_decay=5e-5),
    "weight decay 5e-4": TrainSettings(weight_decay=5e-4),
    "learning rate 0.02": TrainSettings(lr=0.02),
    "dropout 0.8": TrainSettings(dropout=0.8),
    "input dropout 0.5": TrainSettings(input_dropout=0.5),
}
FEW = {
    "pubmed": ("kipf-welling", "default", "weight decay 5e-4"),
    "photo": ("kipf-welling", "default"),
    "photo-normalized": ("default",),
    "photo-unit": ("default",),
}
MOST_SEEDS = {"photo": 3, "photo-normalized": 3, "photo-unit": 3}
NORMS = {"normalized": 1, "unit": 2}


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Mean and standard error over seeds of the best validation accuracy; epochs and seconds of a run."""
    name, _, scaled = cell["dataset"].partition("-")
    data, settings = rg.load_dataset(name, options.data_root), CANDIDATES[cell["settings"]]
    if scaled:
        data.x = F.normalize(data.x, NORMS[scaled])
    if options.epochs:
        settings = TrainSettings.for_data(data, settings=settings, epochs=options.epochs)
    count = min(options.seeds, MOST_SEEDS.get(cell["dataset"], options.seeds))
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    if has_masks(data):
        runs = fit_many(make_problem(data), cell["encoder"], seeds, settings=settings)
    else:
        drawn = ((make_problem(data, seed=seed), seed) for seed in seeds)
        runs = [run for problem, seed in drawn for run in fit_many(problem, cell["encoder"], [seed], settings=settings)]
    found = [run.validation for run in runs]
    yield {
        "validation": statistics.mean(found),
        "error": statistics.stdev(found) / len(found) ** 0.5,
        "seeds": count,
        "epochs": statistics.mean(len(run.history.validation) for run in runs),
        "seconds": statistics.mean(run.seconds for run in runs),
    }


STUDY = Study(
    __file__,
    measure,
    {
        "dataset": ("cora", "citeseer", "digits", "pubmed", "photo", "photo-normalized", "photo-unit"),
        "encoder": ("gcn", "sage", "gat"),
        "settings": tuple(CANDIDATES),
    },
    settings={"seeds": 5, "epochs": 0},
    exists=lambda cell: cell["settings"] in FEW.get(cell["dataset"], CANDIDATES),
)

if __name__ == "__main__":
    STUDY.main()
