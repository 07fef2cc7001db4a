from __future__ import annotations

import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from relgraph.datasets import load_dataset
from relgraph.datasets.ogb import COUNTS
from relgraph.datasets.ogb_library import import_ogb, ogb_table
from relgraph.errors import DataError
from relgraph.registry import METRICS
from tests.datasets import ogb_raw

MOLECULES = {"ogbg-molbace": 111536, "ogbg-molbbbp": 105842, "ogbg-molesol": 30856, "ogbg-molfreesolv": 10770}

pytestmark = pytest.mark.usefixtures("silent")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_names_are_those_of_ogb() -> None:
    assert set(COUNTS) == {
        *(set(ogb_table("nodeproppred")) - {"ogbn-papers100M"}),
        *(name for name in ogb_table("graphproppred") if name.startswith("ogbg-mol")),
    }


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products", "ogbn-proteins", "ogbn-mag", "ogbg-molclintox"])
def test_the_tensors_equal_those_of_ogbs_own_classes(tiny: Path, name: str) -> None:
    if name.startswith("ogbn-"):
        folder, classes = ogb_raw.MAKERS[name](tiny / name), import_ogb("nodeproppred").PygNodePropPredDataset
    else:
        labels = [[1.0, 0.0], [np.nan, 1.0], [np.nan, np.nan]]
        folder = ogb_raw.molecules(tiny / name, 3, labels)
        classes = import_ogb("graphproppred").PygGraphPropPredDataset
    ours = load_dataset(name, tiny)  # before ogb renames a file
    meta = {**ogb_table(classes.__module__.split(".")[1])[name], "dir_path": str(folder)}
    needed = [DataEdgeAttr, DataTensorAttr, GlobalStorage]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), torch.serialization.safe_globals(needed):
        theirs = classes(name, meta_dict=meta)
    split = theirs.get_idx_split()
    if name.startswith("ogbg-"):
        assert len(ours) == len(theirs) == 3
        for one, other, y in zip(ours.graphs, theirs, ours.y, strict=True):
            assert all(torch.equal(one[key], other[key]) for key in ("x", "edge_index", "edge_attr"))
            torch.testing.assert_close(y[None], other.y, equal_nan=True, rtol=0, atol=0)
        assert all(torch.equal(getattr(ours, part), split[key]) for part, key in zip(*_PARTS, strict=True))
        return
    graph = theirs[0]
    for part, key in zip(("train_mask", "val_mask", "test_mask"), _PARTS[1], strict=True):
        rows = split[key]["paper"] if name == "ogbn-mag" else split[key]
        assert torch.equal(ours[part].nonzero().view(-1), rows)
    if name == "ogbn-mag":
        edges, x, y = graph.edge_index_dict["paper", "cites", "paper"], graph.x_dict["paper"], graph.y_dict["paper"]
    else:
        edges, x, y = graph.edge_index, graph.x, graph.y
    assert torch.equal(ours.y, y.reshape(-1)) or torch.equal(ours.y, y.float())
    assert name == "ogbn-proteins" or torch.equal(ours.x, x)
    if name in ("ogbn-products", "ogbn-proteins"):
        assert torch.equal(ours.edge_index, edges)
    else:
        both = torch.cat([edges, edges.flip(0)], dim=1)
        assert sorted(ours.edge_index.T.tolist()) == sorted(map(list, {tuple(edge) for edge in both.T.tolist()}))


_PARTS = ("train", "validation", "test"), ("train", "valid", "test")


@pytest.mark.parametrize("name", MOLECULES)
def test_real_molecules_are_those_that_ogb_documents(real_data_root: Path, name: str) -> None:
    if not (real_data_root / name.replace("-", "_")).is_dir():
        pytest.skip(f"needs the raw files of {name}")
    graphs, counts = load_dataset(name, real_data_root), COUNTS[name]
    assert (len(graphs), len(graphs.train), len(graphs.validation), len(graphs.test)) == (counts.graphs, *counts.split)
    every = [graphs.graphs[position] for position in range(len(graphs))]
    assert (sum(one.num_nodes for one in every), sum(one.num_edges for one in every)) == (counts.nodes, MOLECULES[name])
    assert all(one.x.dtype == torch.int64 and one.x.size(1) == 9 and one.edge_attr.size(1) == 3 for one in every)
    assert graphs.y.dtype == torch.float32 and graphs.y.shape == (len(graphs), 1)
    together = torch.cat([graphs.train, graphs.validation, graphs.test]).sort().values
    assert torch.equal(together, torch.arange(len(graphs)))
    regression = name in ("ogbg-molesol", "ogbg-molfreesolv")
    task = graphs.task
    assert (task.mode, task.metric.name) == (("regression", "rmse") if regression else ("multilabel", "rocauc"))
    assert (graphs.name, task.level, graphs.source) == (name, "graph", "raw files in the folder given")


@pytest.mark.slow
def test_real_arxiv_without_its_feature_file(real_data_root: Path) -> None:
    if not (real_data_root / "ogbn_arxiv").is_dir():
        pytest.skip("needs the raw files of ogbn-arxiv")
    if not (real_data_root / "ogbn_arxiv/raw/node-feat.csv.gz").is_file():
        with pytest.raises(
            DataError, match=r"lacks raw/node-feat.csv.gz.*features=\"spectral\" or features=\"fastrp\""
        ):
            load_dataset("ogbn-arxiv", real_data_root)
    data = load_dataset("ogbn-arxiv", real_data_root, features="fastrp")
    assert (data.num_nodes, data.num_edges, int(data.y.max()) + 1) == (169343, 2315598, 40)
    assert [int(data[f"{part}_mask"].sum()) for part in ("train", "val", "test")] == [90941, 29799, 48603]
    assert data.is_undirected() and data.y.dtype == torch.int64 and data.y.shape == (169343,)
    assert int(data.node_year[data.train_mask].max()) == 2017 and int(data.node_year[data.test_mask].min()) == 2019
    assert data.x.shape == (169343, 129)
    assert data.features == "fastrp"


@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products", "ogbn-mag"])
def test_node_datasets_with_one_class_per_node(tiny: Path, name: str) -> None:
    ogb_raw.MAKERS[name](tiny / name.replace("-", "_"))
    data = load_dataset(name, tiny)
    ring = torch.from_numpy(ogb_raw.RING).T
    both = torch.cat([ring, ring.flip(0)], 1)
    assert sorted(data.edge_index.T.tolist()) == sorted(both.T.tolist())
    assert torch.equal(data.x, torch.arange(48).view(12, 4) / 4) and data.x.dtype == torch.float32
    assert torch.equal(data.y, torch.arange(12) % 3)
    assert data.train_mask.nonzero().flatten().tolist() == list(range(6))
    assert data.val_mask.nonzero().flatten().tolist() == [6, 7]
    assert data.test_mask.nonzero().flatten().tolist() == [8, 9, 10, 11]
    assert ("node_year" in data) == (name != "ogbn-products")
    if "node_year" in data:
        assert torch.equal(data.node_year, 2010 + torch.arange(12))
    assert (data.dataset_name, data.source, data.features) == (name, "raw files in the folder given", "raw")
    assert torch.equal(load_dataset(name, tiny, features="raw").x, data.x)


def test_proteins_have_the_mean_of_their_edges_and_many_labels(tiny: Path) -> None:
    ogb_raw.proteins(tiny / "proteins")
    data = load_dataset("ogbn-proteins", tiny)
    # Node i ends the edges i - 1 and i of the ring, which carry these numbers.
    expected = torch.tensor([(11 + 0) / 2, *(node - 0.5 for node in range(1, 12))])
    torch.testing.assert_close(data.x, expected[:, None].expand(-1, 8))
    assert data.y.shape == (12, 112) and data.y.dtype == torch.float32
    assert torch.equal(data.y, (torch.arange(12 * 112).view(12, 112) % 2).float())
    assert data.node_species.tolist() == [9606] * 12
    assert data.num_edges == 24 and data.is_undirected() and "edge_attr" not in data
    assert data.features == "edge-mean"
    assert (tiny / "proteins/raw/species.csv.gz").is_file()  # ogb's own class renames it


def test_a_class_that_is_missing_is_in_no_mask(tiny: Path) -> None:
    labels = [0.0, float("nan"), 1, 2, 0, 1, float("nan"), 2, 0, 1, 2, 0]
    ogb_raw.arxiv(tiny / "arxiv", labels)
    data = load_dataset("ogbn-arxiv", tiny)
    assert data.y.dtype == torch.int64 and data.y.tolist() == [0, -1, 1, 2, 0, 1, -1, 2, 0, 1, 2, 0]
    assert data.train_mask.nonzero().flatten().tolist() == [0, 2, 3, 4, 5]
    assert data.val_mask.nonzero().flatten().tolist() == [7]


def test_a_missing_label_of_a_molecule_is_nan(tiny: Path) -> None:
    labels = [[1.0, 0.0], [float("nan"), 1.0], [float("nan"), float("nan")]]
    ogb_raw.molecules(tiny / "clintox", 3, labels)
    graphs = load_dataset("ogbg-molclintox", tiny)
    torch.testing.assert_close(graphs.y, torch.tensor(labels), equal_nan=True)
    assert graphs.graphs[1].edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert (graphs.train.tolist(), graphs.validation.tolist(), graphs.test.tolist()) == ([0], [1], [2])


@pytest.mark.parametrize("below", ["ogbn_arxiv", "arxiv", "ogbn-arxiv", "ogb/arxiv", ""])
def test_files_are_found_and_only_read_and_tables_are_cached(
    tiny: Path, kept: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ogb_raw.arxiv(tiny / below)
    (folder / "processed").mkdir()
    (folder / "processed/geometric_data_processed.pt").write_text("never to be read")
    before = _files(tiny)
    data = load_dataset("ogbn-arxiv", tiny)
    assert _files(tiny) == before
    (entry,) = (kept / "ogb").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(pd, "read_csv", None)  # from the cache
        again = load_dataset("ogbn-arxiv", tiny)
    assert again.source == data.source and torch.equal(again.x, data.x) and torch.equal(again.y, data.y)
    entry.write_bytes(entry.read_bytes()[:-1])
    assert torch.equal(load_dataset("ogbn-arxiv", tiny).x, data.x)
    ogb_raw.write(folder / "raw/node-feat.csv.gz", np.ones((12, 4)))
    assert torch.equal(load_dataset("ogbn-arxiv", tiny).x, torch.ones(12, 4))  # changed files are read again


def test_relgraph_data_names_the_folder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ogb_raw.molecules(tiny / "ogbg_molbace", 3, [1, 0, 1])
    monkeypatch.setenv("RELGRAPH_DATA", str(tiny))
    assert load_dataset("ogbg-molbace").source == "raw files in the folder of RELGRAPH_DATA"


@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-mag"])
def test_structural_features_need_no_feature_file(tiny: Path, name: str) -> None:
    folder = ogb_raw.MAKERS[name](tiny / name)
    with_file = load_dataset(name, tiny, features="fastrp").x
    (file,) = folder.rglob("node-feat.csv.gz")
    file.unlink()
    with pytest.raises(DataError, match=r"lacks raw/.*node-feat.csv.gz\).*features=\"spectral\""):
        load_dataset(name, tiny)
    data = load_dataset(name, tiny, features="fastrp")
    assert data.features == "fastrp" and data.x.shape == (12, 12) and torch.equal(data.x, with_file)


@pytest.mark.slow
def test_importing_ogb_starts_no_thread_and_leaves_no_trace() -> None:
    code = (
        "import sys, threading, relgraph; assert 'ogb' not in sys.modules\n"
        "from relgraph.datasets.ogb_library import import_ogb\n"
        "import_ogb('nodeproppred'), import_ogb('graphproppred')\n"
        "assert 'outdated' not in sys.modules and threading.active_count() == 1\n"
        "import outdated\n"
        "import_ogb('io'); assert sys.modules['outdated'] is outdated"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "columns", "metric"),
    [
        ("ogbn-arxiv", 1, "accuracy"),
        ("ogbn-proteins", 112, "rocauc"),
        ("ogbg-moltox21", 12, "rocauc"),
        ("ogbg-molmuv", 17, "ap"),
        ("ogbg-molesol", 1, "rmse"),
    ],
)
def test_metrics_equal_those_of_ogbs_evaluators(name: str, columns: int, metric: str) -> None:
    part, generator = "graphproppred" if name.startswith("ogbg-") else "nodeproppred", np.random.default_rng(0)
    y, outputs = generator.normal(size=(2, 60, columns))
    if metric == "accuracy":
        y, outputs = (generator.integers(4, size=(60, 1)) for _ in range(2))
    elif metric != "rmse":
        y = (y > 0).astype(float)
    if columns > 1 and part == "graphproppred":
        y[:7, 0] = np.nan
    value = (
        import_ogb(part).Evaluator(name).eval({"y_true": y, "y_pred": outputs})[ogb_table(part)[name]["eval metric"]]
    )
    if metric == "accuracy":
        y, outputs = y[:, 0], outputs[:, 0]
    assert METRICS.resolve(metric).value(y, outputs) == pytest.approx(value)
