from __future__ import annotations

import builtins
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from relgraph.datasets import load_dataset
from relgraph.datasets.ogb import COUNTS
from relgraph.datasets.ogb import _files as _raw_paths
from relgraph.datasets.ogb_library import import_ogb, ogb_table
from relgraph.errors import DataError, InputError
from relgraph.registry import DATASETS, METRICS
from tests.datasets import ogb_raw

MOLECULES = {"ogbg-molbace": 111536, "ogbg-molbbbp": 105842, "ogbg-molesol": 30856, "ogbg-molfreesolv": 10770}


@pytest.fixture(autouse=True)
def _silent(kept: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No question on the terminal, and no output to the end of each test."""

    def asked(*_: object) -> None:
        raise AssertionError("a question on the terminal")

    monkeypatch.setattr(builtins, "input", asked)
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The documented counts replaced by those of handmade files, and a folder for these."""
    for name, counts in ogb_raw.TINY.items():
        monkeypatch.setitem(COUNTS, name, counts)
    monkeypatch.setattr(DATASETS, "_entries", {**DATASETS._entries, "ogbn-proteins": DATASETS["ogbn-mag"]})
    return tmp_path / "root"


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


# --- errors ------------------------------------------------------------------------------------------------


def _raw_files(name: str, folder: Path) -> list[str]:
    """The files of a dataset that are read, and the release note."""
    read = sorted(_raw_paths(name, folder, features=True).values())
    assert set(read) <= _files(folder)
    return read


@pytest.mark.parametrize("name", ogb_raw.MAKERS)
def test_a_missing_file_is_named(tiny: Path, name: str) -> None:
    folder = ogb_raw.MAKERS[name](tiny / name)
    for file in _raw_files(name, folder):
        (folder / file).rename(folder / "aside")
        with pytest.raises(DataError, match="must hold all files of") as caught:
            load_dataset(name, tiny)
        assert Path(file).name.replace("species", "node_species") in str(caught.value)
        (folder / "aside").rename(folder / file)


def test_an_incomplete_or_damaged_copy_in_the_folder_given_is_named_though_there_is_another(tiny: Path) -> None:
    ogb_raw.molecules(tiny / "ogb" / "bace", 3, [1, 0, 1])
    load_dataset("ogbg-molbace", tiny)  # a good copy
    folder = ogb_raw.molecules(tiny / "ogbg_molbace", 3, [1, 0, 1])
    (folder / "raw/edge.csv.gz").unlink()
    with pytest.raises(DataError, match=r"'.*ogbg_molbace' must hold all files .*lacks raw/edge\.csv\.gz"):
        load_dataset("ogbg-molbace", tiny)
    (folder / "raw/edge.csv.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"ogbg_molbace.raw.edge\.csv\.gz' must be a whole gzip file"):
        load_dataset("ogbg-molbace", tiny)


@pytest.mark.parametrize("name", ogb_raw.MAKERS)
def test_every_file_truncated_or_of_another_dataset_is_named(tiny: Path, kept: Path, name: str) -> None:
    folder = ogb_raw.MAKERS[name](tiny / name)
    for file in _raw_files(name, folder):
        if not file.endswith(".gz"):
            continue
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=f"{Path(file).name}' must be a whole gzip file"):
            load_dataset(name, tiny)
        ogb_raw.write(folder / file, [[1, 2, 3, 4, 5]] * 5)
        with pytest.raises(DataError, match=rf"must hold .* to be of '{name}' and whole \(got "):
            load_dataset(name, tiny)
        (folder / file).write_bytes(whole)
    assert not kept.exists()
    load_dataset(name, tiny)


def test_a_folder_of_another_dataset_is_refused(tiny: Path) -> None:
    ogb_raw.molecules(tiny / "ogbg_molbbbp", 3, [1, 0, 1])
    with pytest.raises(DataError, match=r"num-node-list.csv.gz' must hold 4 graphs to be of 'ogbg-molbbbp'.*\(got 3\)"):
        load_dataset("ogbg-molbbbp", tiny)


@pytest.mark.parametrize(
    ("file", "table", "fault"),
    [
        ("raw/edge.csv.gz", [[0, 12]] * 13, "an edge to a node that is not there"),
        ("raw/edge.csv.gz", [["a", "b"]] * 13, "must hold integers .*other text"),
        ("raw/edge.csv.gz", [[0, 1.5]] * 13, "must hold integers"),
        ("raw/node-feat.csv.gz", [[1, 2, 3, ""]] * 12, "must hold finite numbers"),
        ("raw/node-feat.csv.gz", [[1, 2, 3, "inf"]] * 12, "must hold finite numbers"),
        ("raw/node-feat.csv.gz", ["1,2,3,4", "1,2,3,4,5"] * 6, "must hold a table"),
        ("raw/node-feat.csv.gz", [], "must hold 12 rows of 4"),
        ("raw/node-label.csv.gz", [0, ""] * 6, "must hold 12 rows of 1 .*got 6 rows of 1"),
        ("raw/node-label.csv.gz", [40] * 12, "must hold labels from 0 to 39 .*got labels from 40 to 40"),
        ("split/time/train.csv.gz", [0, 1, 2, 3, 4, 12], "numbers from 0 to 11"),
        ("split/time/train.csv.gz", [0, 1, 2, 3, 4, 6], "no row of another part"),
        ("split/time/train.csv.gz", list("abcdef"), "must hold integers"),
        ("split/time/train.csv.gz", [0, 1], "6 rows"),
    ],
)
def test_wrong_content_is_named(tiny: Path, kept: Path, file: str, table: list, fault: str) -> None:
    ogb_raw.write(ogb_raw.arxiv(tiny / "arxiv") / file, table)
    with pytest.raises(DataError, match=fault):
        load_dataset("ogbn-arxiv", tiny)
    assert not kept.exists()


def test_without_network_the_error_names_the_files_and_the_folder(tiny: Path, kept: Path) -> None:
    tiny.mkdir()
    with pytest.raises(DataError) as caught:
        load_dataset("ogbg-molbace", tiny)
    words = str(caught.value)
    assert str(tiny) in words and str(kept) in words and "no network here" in words and "bace.zip" in words
    assert "RELEASE_v1.txt" in words and "raw/graph-label.csv.gz" in words and "\n" not in words
    with pytest.raises(
        DataError, match="in FOLDER/ogbn_arxiv and give FOLDER as root .--data-root. or in RELGRAPH_DATA"
    ):
        load_dataset("ogbn-arxiv")


@pytest.mark.parametrize("name", ["ogbn-products", "ogbn-mag"])
def test_large_datasets_are_not_downloaded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", None)
    with pytest.raises(DataError, match=f"'{name}' is not in .* is not downloaded, being large.*zip in FOLDER/"):
        load_dataset(name)


def test_a_download_is_checked_and_kept(tiny: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ogb_raw.molecules(tiny / "bace", 3, [1, 0, 1])
    archive, addresses = Path(shutil.make_archive(str(tiny / "bace"), "zip", made.parent, "bace")), []

    def opened(address: str, **_: object) -> BytesIO:
        addresses.append(address)
        return BytesIO(archive.read_bytes())

    monkeypatch.setattr(urllib.request, "urlopen", opened)
    first, second = load_dataset("ogbg-molbace"), load_dataset("ogbg-molbace")
    assert first.source == second.source == "downloaded" and torch.equal(first.graphs[2].x, second.graphs[2].x)
    assert addresses == [ogb_table("graphproppred")["ogbg-molbace"]["url"]]
    assert [path.name for path in (kept / "ogb").iterdir()] == ["ogbg_molbace.safetensors"]
    (kept / "ogb/ogbg_molbace.safetensors").write_bytes(b"damaged")
    (made / "raw/edge.csv.gz").unlink()
    archive = Path(shutil.make_archive(str(tiny / "bace"), "zip", made.parent, "bace"))
    with pytest.raises(DataError, match=r"must hold all files of 'ogbg-molbace' \(it lacks raw/edge"):
        load_dataset("ogbg-molbace")


def test_a_folder_that_can_only_be_read_is_enough(tiny: Path, kept: Path) -> None:
    folder = ogb_raw.proteins(tiny / "proteins")
    kept.write_text("a file where the cache should be")
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert load_dataset("ogbn-proteins", tiny).num_nodes == 12
    finally:
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o755)


def test_a_name_that_is_nearly_right() -> None:
    with pytest.raises(InputError, match="did you mean 'ogbg-molbace'"):
        load_dataset("ogbg-molbaec")
