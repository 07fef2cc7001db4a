"""False discoveries of ``relgraph.drift`` where seeds move some rows much less than others, and nothing changed.

    python -m benchmarks.versions.uneven

Runs are a Gaussian table of four dimensions with Gaussian noise, each in coordinates of its own (six random
combinations); the noise of 60 % of the rows is multiplied by ``quiet``. In a share of at most 0.05 of the draws, some
row may count as moved (``any``); ``most`` is the largest number of such rows. ``alarms`` is the share of the other rows
with p below .05. ``damaged`` rows of the first old run are those of other rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
import torch
from scipy.stats import false_discovery_control

from benchmarks.study import Row, Study
from relgraph.versions.movement import movement

DIMENSIONS, WIDTH, NOISE, SHARE, LEVEL = 4, 6, 0.1, 0.6, 0.05


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Shares over the draws."""
    alarms, moved = [], []
    quiet = np.arange(cell["rows"]) < SHARE * cell["rows"]
    scale = np.where(quiet, cell["quiet"], 1.0)[:, None] * NOISE
    for draw in range(options.draws):
        rng = np.random.default_rng(draw)
        space = rng.normal(size=(cell["rows"], DIMENSIONS))
        tables = []
        for _ in range(cell["old"] + 1):
            run = space + scale * rng.normal(size=space.shape)
            tables.append(torch.from_numpy(run @ rng.normal(size=(DIMENSIONS, WIDTH))))
        if count := cell["damaged"]:
            wrong = rng.choice(cell["rows"], count, replace=False)
            tables[0][wrong] = tables[0][np.roll(wrong, 1)] if count > 1 else 5 * tables[0][wrong]
        p = movement(tables[:-1], tables[-1:]).p_values()
        alarms.append(float((p[~quiet] < LEVEL).mean()))
        moved.append(int((false_discovery_control(p) <= LEVEL).sum()))
    yield {
        "alarms": float(np.mean(alarms)),
        "any": float(np.mean(np.array(moved) > 0)),
        "most": max(moved),
        "draws": options.draws,
    }


STUDY = Study(
    __file__,
    measure,
    {"rows": (600, 1000), "old": (2, 3, 5), "quiet": (1.0, 0.1, 0.03), "damaged": (0, 1, 5)},
    settings={"draws": 60},
    needs_data=False,
    exists=lambda cell: cell["damaged"] == 0 or cell["quiet"] == 1.0,
)

if __name__ == "__main__":
    STUDY.main()
