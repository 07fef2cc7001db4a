"""The files of an OGB set, checked before ogb's classes see them.

These classes ask on the terminal, delete folders or start a download when a file is missing, and read past rows that
do not fit. Here every file is read to its end once, and every number of rows is held against the others.

Hu et al., "Open Graph Benchmark: Datasets for Machine Learning on Graphs", NeurIPS 2020.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relgraph.errors import DataError

_NODES, _EDGES = "raw/num-node-list.csv.gz", "raw/num-edge-list.csv.gz"
PARTS = ("train", "valid", "test")
# In ogbn-mag papers have labels; the graph among them is the one relation that joins papers to papers.
PAPER, CITES = "paper", "paper___cites___paper"
_RELATIONS = (
    "author___affiliated_with___institution",
    "author___writes___paper",
    CITES,
    "paper___has_topic___field_of_study",
)


@dataclass(frozen=True)
class Counts:
    """The documented size of a set, as rows of its raw files: an undirected edge is one row. ``None``: not known."""

    graphs: int | None = 1
    nodes: int | None = None
    edges: int | None = None
    split: tuple[int, int, int] | None = None
    features: int | None = 9
    edge_features: int | None = 3


OGB_NODE_SETS = {
    "ogbn-arxiv": Counts(1, 169_343, 1_166_243, (90_941, 29_799, 48_603), 128, None),
    "ogbn-products": Counts(1, 2_449_029, 61_859_140, (196_615, 39_323, 2_213_091), 100, None),
    "ogbn-proteins": Counts(1, 132_534, 39_561_252, (86_619, 21_236, 24_679), None, 8),
    "ogbn-mag": Counts(1, 736_389, 5_416_271, (629_571, 64_879, 41_939), 128, None),
}

OGB_GRAPH_SETS = {
    "ogbg-molbace": Counts(1_513, 51_577, 55_768, (1_210, 151, 152)),
    "ogbg-molbbbp": Counts(2_039, 49_068, 52_921, (1_631, 204, 204)),
    "ogbg-molclintox": Counts(1_477),
    "ogbg-molmuv": Counts(93_087),
    "ogbg-molpcba": Counts(437_929),
    "ogbg-molsider": Counts(1_427),
    "ogbg-moltox21": Counts(7_831),
    "ogbg-moltoxcast": Counts(8_576),
    "ogbg-molhiv": Counts(41_127),
    "ogbg-molesol": Counts(1_128, 14_991, 15_428, (902, 113, 113)),
    "ogbg-molfreesolv": Counts(642, 5_600, 5_385, (513, 64, 65)),
    "ogbg-mollipo": Counts(4_200),
    "ogbg-molchembl": Counts(None),
}


@dataclass(frozen=True)
class OgbFiles:
    """The files of one set in one folder, as ogb's own table describes them.

    Args:
        name: The set, such as ``"ogbn-arxiv"``.
        meta: Its row of :func:`~relgraph.datasets.ogb_library.ogb_table`.
        folder: The folder that holds ``raw``, ``split`` and the release note.
        features: Whether the nodes' features are wanted, if the set has any.
    """

    name: str
    meta: dict[str, str]
    folder: Path
    features: bool = True

    @property
    def names(self) -> list[str]:
        """Every file that must be there, relative to the folder."""
        return [*self.tables, self._release]

    @property
    def tables(self) -> list[str]:
        """Those of them that are compressed tables."""
        return [*self._raw, *(f"{self._split}/{part}.csv.gz" for part in PARTS)]

    @property
    def missing(self) -> list[str]:
        """Those that are not there."""
        return [name for name in self.names if not (self.folder / name).is_file()]

    @property
    def mapping(self) -> list[str]:
        """Files that say what the numbers stand for, as many as there are."""
        return sorted(f"mapping/{path.name}" for path in (self.folder / "mapping").glob("*") if path.is_file())

    @property
    def feature_file(self) -> str | None:
        """The file of the nodes' features, if the set has one."""
        if self.meta["has_node_attr"] != "True":
            return None
        return f"raw/node-feat/{PAPER}/node-feat.csv.gz" if self._hetero else "raw/node-feat.csv.gz"

    def check(self) -> None:
        """Refuse files that are cut short, do not fit together or belong to another set.

        Raises:
            DataError: Naming the first such file, what it should hold and what it holds.
        """
        sizes = {name: self._size(name) for name in self.tables}
        for name, (rows, columns) in self._expected().items():
            got = sizes[name]
            if got != (rows, columns or got[1]):
                wanted = f"{rows:,} rows" + (f" of {columns}" if columns else "")
                raise self._refusal(name, wanted, f"{got[0]:,} rows of {got[1]}")
        self._check_split()

    @property
    def counts(self) -> Counts:
        """The documented size."""
        return {**OGB_NODE_SETS, **OGB_GRAPH_SETS}[self.name]

    @property
    def _hetero(self) -> bool:
        return self.meta.get("is hetero") == "True"

    @property
    def _release(self) -> str:
        return f"RELEASE_v{self.meta['version']}.txt"

    @property
    def _label(self) -> str:
        return "graph-label" if self.name.startswith("ogbg-") else "node-label"

    @property
    def _split(self) -> str:
        return f"split/{self.meta['split']}" + (f"/{PAPER}" if self._hetero else "")

    @property
    def _additional_node_files(self) -> list[str]:
        listed = self.meta["additional node files"]
        return [] if listed == "None" else listed.split(",")

    @property
    def _raw(self) -> list[str]:
        feature = [self.feature_file] if self.features and self.feature_file else []
        if self._hetero:
            heads = ["num-node-dict", "triplet-type-list", "nodetype-has-label"]
            papers = [
                f"node-label/{PAPER}/node-label",
                *(f"node-feat/{PAPER}/{it}" for it in self._additional_node_files),
            ]
            edges = [
                f"relations/{relation}/{part}"
                for relation in _RELATIONS
                for part in ("edge", "num-edge-list", "edge_reltype")
            ]
            split = f"split/{self.meta['split']}/nodetype-has-split.csv.gz"
            return [*(f"raw/{it}.csv.gz" for it in [*heads, *papers, *edges]), *feature, split]
        edge_features = ["edge-feat"] if self.meta["has_edge_attr"] == "True" else []
        plain = ["edge", "num-node-list", "num-edge-list", *edge_features, self._label]
        return [*(f"raw/{it}.csv.gz" for it in plain), *map(self._additional, self._additional_node_files), *feature]

    def _additional(self, name: str) -> str:
        # The published ogbn-proteins calls its species by this name; ogb renames the file when it reads it.
        old = f"raw/{name.removeprefix('node_')}.csv.gz"
        return old if (self.folder / old).is_file() else f"raw/{name}.csv.gz"

    def _expected(self) -> dict[str, tuple[int, int | None]]:
        """The rows and columns that follow from the lists of sizes, which are held against the documented ones."""
        if self._hetero:
            return self._expected_of_papers()
        nodes_of, edges_of = self.sizes()
        counts, graphs, nodes, edges = self.counts, len(nodes_of), int(nodes_of.sum()), int(edges_of.sum())
        self._check_documented(_NODES, graphs, counts.graphs or graphs, "graphs")
        self._check_documented(_NODES, nodes, counts.nodes or nodes, "nodes")
        self._check_documented(_EDGES, edges, counts.edges or edges, "edges")
        labelled = nodes if self._label == "node-label" else graphs
        expected: dict[str, tuple[int, int | None]] = {
            _EDGES: (graphs, 1),
            "raw/edge.csv.gz": (edges, 2),
            "raw/edge-feat.csv.gz": (edges, counts.edge_features),
            "raw/node-feat.csv.gz": (nodes, counts.features),
            f"raw/{self._label}.csv.gz": (labelled, int(self.meta["num tasks"])),
            **{self._additional(name): (nodes, 1) for name in self._additional_node_files},
        }
        return {name: size for name, size in expected.items() if name in self.tables}

    def _expected_of_papers(self) -> dict[str, tuple[int, int | None]]:
        counts, papers = self.counts, self.papers()
        self._check_documented("raw/num-node-dict.csv.gz", papers, counts.nodes or papers, "papers")
        expected: dict[str, tuple[int, int | None]] = {f"raw/node-label/{PAPER}/node-label.csv.gz": (papers, 1)}
        expected |= {f"raw/node-feat/{PAPER}/{name}.csv.gz": (papers, 1) for name in self._additional_node_files}
        if self.features and self.feature_file:
            expected[self.feature_file] = (papers, counts.features)
        for relation in _RELATIONS:
            sizes = f"raw/relations/{relation}/num-edge-list.csv.gz"
            edges = int(self.integers(sizes).sum())
            if relation == CITES:
                self._check_documented(sizes, edges, counts.edges or edges, "edges")
            expected[f"raw/relations/{relation}/edge.csv.gz"] = (edges, 2)
            expected[f"raw/relations/{relation}/edge_reltype.csv.gz"] = (edges, 1)
        return expected

    def papers(self) -> int:
        """The number of papers of ogbn-mag."""
        name = "raw/num-node-dict.csv.gz"
        header, row = ([*line.split(","), ""] for line in [*self._text(name).split("\n"), "", ""][:2])
        sizes = dict(zip(header, row, strict=False))
        if not sizes.get(PAPER, "").strip().isdigit():
            raise self._refusal(name, f"a column '{PAPER}' with their number", f"the columns {','.join(header)}")
        return int(sizes[PAPER])

    def _check_documented(self, file: str, got: int, expected: int, what: str) -> None:
        if got != expected:
            raise self._refusal(file, f"{expected:,} {what}", f"{got:,}")

    def _check_split(self) -> None:
        labelled = self._size(self._labels_file)[0]
        parts = {part: self.integers(f"{self._split}/{part}.csv.gz") for part in PARTS}
        for index, (part, rows) in enumerate(parts.items()):
            name = f"{self._split}/{part}.csv.gz"
            if rows.size and not (0 <= int(rows.min()) <= int(rows.max()) < labelled):
                raise self._refusal(name, f"numbers from 0 to {labelled - 1:,}", f"{rows.min():,} to {rows.max():,}")
            if self.counts.split:
                self._check_documented(name, rows.size, self.counts.split[index], "rows")
        together = np.concatenate(list(parts.values()))
        if len(np.unique(together)) != together.size:
            raise self._refusal(
                f"{self._split}/test.csv.gz", "no row of train or valid, and none twice", "repeated rows"
            )

    @property
    def _labels_file(self) -> str:
        return f"raw/node-label/{PAPER}/node-label.csv.gz" if self._hetero else f"raw/{self._label}.csv.gz"

    def split(self) -> list[np.ndarray]:
        """The rows for training, choosing and testing."""
        return [self.integers(f"{self._split}/{part}.csv.gz") for part in PARTS]

    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """The number of nodes and the number of edges of every graph."""
        return self.integers(_NODES), self.integers(_EDGES)

    def sizes_of_papers(self) -> tuple[np.ndarray, np.ndarray]:
        """The same for ogbn-mag, as one graph of papers."""
        return np.array([self.papers()]), self.integers(f"raw/relations/{CITES}/num-edge-list.csv.gz")

    def integers(self, name: str) -> np.ndarray:
        """The numbers in a file with one integer per row."""
        words = self._text(name).split()
        try:
            return np.array([int(word) for word in words], dtype=np.int64)
        except ValueError as error:
            raise self._refusal(name, "one integer per row", "other text") from error

    def _text(self, name: str) -> str:
        try:
            with gzip.open(self.folder / name, "rt", encoding="utf-8") as file:
                return file.read()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise self._damaged(name, error) from error

    def _size(self, name: str) -> tuple[int, int]:
        """Rows, and columns of the first row, of a table that is read to its end."""
        rows, last, first = 0, b"\n", b""
        try:
            with gzip.open(self.folder / name, "rb") as file:
                while block := file.read(1 << 20):
                    first = first or block.split(b"\n", 1)[0]
                    rows += block.count(b"\n")
                    last = block[-1:]
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(name, error) from error
        return rows + (last != b"\n"), first.count(b",") + 1 if first else 0

    def _damaged(self, name: str, error: Exception) -> DataError:
        return DataError(
            f"the file '{self.folder / name}' must be a whole gzip file (got {type(error).__name__}: {error}); "
            f"take the files of '{self.name}' from {self.meta['url']} again"
        )

    def _refusal(self, name: str, wanted: str, got: str) -> DataError:
        return DataError(
            f"the file '{self.folder / name}' must hold {wanted} to be of '{self.name}' and whole (got {got}); "
            f"take the files of '{self.name}' from {self.meta['url']} again"
        )
