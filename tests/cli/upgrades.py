"""Files of an upgrade that is known to be good, for the tests of its command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

import relgraph as rg

ROWS, OLD, WIDTH, CLASSES = 600, 400, 6, 3


def make_files(folder: Path) -> Path:
    """A head of the old version, anchors of the new one, tables of new embeddings and old answers, and labels."""
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(ROWS, WIDTH, generator=generator)
    after = before @ torch.randn(WIDTH, WIDTH, generator=generator)
    weight = 3 * torch.randn(WIDTH, CLASSES, generator=generator)
    outputs, anchors = before @ weight, torch.arange(150)
    rg.PublishedHead(anchors, outputs[anchors], outputs.mean(dim=0)).save(folder / "head.safetensors")
    rg.AnchorSet.from_rows(after, anchors).save(folder / "space.safetensors")
    for name, rows in (("old", before[:OLD]), ("rows", after), ("kept", outputs)):
        np.save(folder / f"{name}.npy", rows.numpy())
    known = np.arange(300)
    labels = outputs.argmax(dim=1).numpy()
    pd.DataFrame({"id": known, "label": labels[:300], "train": known < 100}).to_csv(folder / "labels.csv", index=False)
    np.save(folder / "answers.npy", outputs.numpy())
    return folder
