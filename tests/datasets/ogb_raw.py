"""Small raw folders in OGB's own format, for datasets whose files are too large to keep."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from relgraph.datasets.ogb import Counts

# Twelve nodes in a ring, or a few molecules, in place of the documented sizes.
TINY = {
    "ogbn-arxiv": Counts(1, 12, 13, (6, 2, 4), 4, None),
    "ogbn-products": Counts(1, 12, 12, (6, 2, 4), 4, None),
    "ogbn-proteins": Counts(1, 12, 12, (6, 2, 4), None, 8),
    "ogbn-mag": Counts(1, 12, 13, (6, 2, 4), 4, None),
    "ogbg-molbace": Counts(3, 9, 6, (1, 1, 1)),
    "ogbg-molclintox": Counts(3, 9, 6),
    "ogbg-molbbbp": Counts(4, 12, 8, (2, 1, 1)),
}
RING = np.stack([np.arange(12), (np.arange(12) + 1) % 12], 1)


def write(path: Path, table: object, header: str = "") -> None:
    """A compressed table without a header, as OGB writes them; NaN is an empty cell, or a word where it is alone."""
    rows = np.atleast_2d(np.array(table)).tolist() if np.ndim(table) != 1 else [[cell] for cell in table]
    lines = [",".join("" if cell != cell and len(row) > 1 else str(cell) for cell in row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a time in its header the same table gives the same bytes.
    path.write_bytes(
        gzip.compress("".join(f"{line}\n" for line in [*filter(None, [header]), *lines]).encode(), mtime=0)
    )


def _split(folder: Path) -> None:
    for part, rows in {"train": range(6), "valid": [6, 7], "test": range(8, 12)}.items():
        write(folder / f"{part}.csv.gz", list(rows))


def _labels(classes: int = 3) -> list[float]:
    return [float(node % classes) for node in range(12)]


def _plain(folder: Path, edges: np.ndarray, split: str) -> Path:
    write(folder / "raw/edge.csv.gz", edges)
    write(folder / "raw/num-node-list.csv.gz", [12])
    write(folder / "raw/num-edge-list.csv.gz", [len(edges)])
    _split(folder / "split" / split)
    write(folder / "mapping/ids.csv.gz", range(12))
    (folder / "RELEASE_v1.txt").write_text("v1")
    return folder


def arxiv(folder: Path, labels: list[float] | None = None) -> Path:
    """A directed ring with one edge in both directions."""
    _plain(folder, np.concatenate([RING, [[1, 0]]]), "time")
    write(folder / "raw/node-feat.csv.gz", np.arange(48).reshape(12, 4) / 4)
    write(folder / "raw/node-label.csv.gz", labels or [int(label) for label in _labels()])
    write(folder / "raw/node_year.csv.gz", [2010 + node for node in range(12)])
    return folder


def products(folder: Path) -> Path:
    """A ring that OGB makes undirected."""
    _plain(folder, RING, "sales_ranking")
    write(folder / "raw/node-feat.csv.gz", np.arange(48).reshape(12, 4) / 4)
    write(folder / "raw/node-label.csv.gz", [int(label) for label in _labels()])
    return folder


def proteins(folder: Path) -> Path:
    """A ring whose edge ``i`` has the features ``i``; the species under the name of the published archive."""
    _plain(folder, RING, "species")
    write(folder / "raw/edge-feat.csv.gz", np.repeat(np.arange(12.0)[:, None], 8, 1))
    write(folder / "raw/node-label.csv.gz", np.arange(12 * 112).reshape(12, 112) % 2)
    write(folder / "raw/species.csv.gz", [9606] * 12)
    return folder


def mag(folder: Path) -> Path:
    """Twelve papers in a ring of citations, beside authors, institutions, fields and their relations."""
    raw, kinds = folder / "raw", "author,field_of_study,institution,paper"
    write(raw / "num-node-dict.csv.gz", [[5, 3, 2, 12]], kinds)
    relations = {
        "author___affiliated_with___institution": [[0, 0], [4, 1]],
        "author___writes___paper": [[0, 11], [1, 3], [4, 2]],
        "paper___cites___paper": np.concatenate([RING, [[1, 0]]]),
        "paper___has_topic___field_of_study": [[0, 2]],
    }
    write(raw / "triplet-type-list.csv.gz", [relation.split("___") for relation in relations])
    for kind, (relation, edges) in enumerate(relations.items()):
        write(raw / "relations" / relation / "edge.csv.gz", edges)
        write(raw / "relations" / relation / "num-edge-list.csv.gz", [len(edges)])
        write(raw / "relations" / relation / "edge_reltype.csv.gz", [kind] * len(edges))
    for file in (raw / "nodetype-has-label.csv.gz", folder / "split/time/nodetype-has-split.csv.gz"):
        write(file, [[False, False, False, True]], kinds)
    write(raw / "node-label/paper/node-label.csv.gz", [int(label) for label in _labels()])
    write(raw / "node-feat/paper/node-feat.csv.gz", np.arange(48).reshape(12, 4) / 4)
    write(raw / "node-feat/paper/node_year.csv.gz", [2010 + node for node in range(12)])
    _split(folder / "split/time/paper")
    (folder / "RELEASE_v2.txt").write_text("v2")
    return folder


def molecules(folder: Path, graphs: int, labels: object) -> Path:
    """Chains of three atoms."""
    write(folder / "raw/edge.csv.gz", [[0, 1], [1, 2]] * graphs)
    write(folder / "raw/edge-feat.csv.gz", [[0, 0, 1]] * 2 * graphs)
    write(folder / "raw/node-feat.csv.gz", [[5, 0, 4, 5, 3, 0, 2, 0, 0]] * 3 * graphs)
    write(folder / "raw/num-node-list.csv.gz", [3] * graphs)
    write(folder / "raw/num-edge-list.csv.gz", [2] * graphs)
    write(folder / "raw/graph-label.csv.gz", labels)
    train = graphs - 2
    for part, rows in {"train": range(train), "valid": [train], "test": [train + 1]}.items():
        write(folder / f"split/scaffold/{part}.csv.gz", list(rows))
    (folder / "RELEASE_v1.txt").write_text("v1")
    return folder


MAKERS = {"ogbn-arxiv": arxiv, "ogbn-products": products, "ogbn-proteins": proteins, "ogbn-mag": mag}
