from __future__ import annotations

import builtins
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import ogb_raw
import pytest
import torch

import relgraph as rg
from relgraph.datasets import load_dataset, load_graphs
from relgraph.datasets.ogb_files import OGB_GRAPH_SETS, OGB_NODE_SETS
from relgraph.datasets.ogb_library import import_ogb, ogb_table
from relgraph.errors import DataError, InputError

MOLECULES = {"ogbg-molbace": 111536, "ogbg-molbbbp": 105842, "ogbg-molesol": 30856, "ogbg-molfreesolv": 10770}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """A cache of its own for every test, no network, nobody at the terminal, and silence to the end of each test."""

    def offline(*_: object) -> None:
        raise URLError("no network here")

    def asked(*_: object) -> None:
        raise AssertionError("a question on the terminal")

    url = import_ogb("utils.url")
    monkeypatch.setattr(url.ur, "urlopen", offline)
    monkeypatch.setattr(builtins, "input", asked)
    monkeypatch.delenv("RELGRAPH_DATA", raising=False)
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "kept"))
    yield tmp_path / "kept"
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The documented counts replaced by those of handmade files, and a folder for these."""
    for name, counts in ogb_raw.TINY.items():
        monkeypatch.setitem(OGB_NODE_SETS if name in OGB_NODE_SETS else OGB_GRAPH_SETS, name, counts)
    return tmp_path / "root"


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _structural(monkeypatch: pytest.MonkeyPatch) -> None:
    """Structural features that are the degree, in place of the module that makes them."""
    module = type(sys)("relgraph.datasets.structural")
    module.structural_features = lambda edge_index, num_nodes, kind: (
        edge_index[1].bincount(minlength=num_nodes).float()[:, None].expand(-1, len(kind))
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_the_tables_are_those_of_ogb() -> None:
    assert {*OGB_NODE_SETS, "ogbn-papers100M"} == set(ogb_table("nodeproppred"))
    assert set(OGB_GRAPH_SETS) == {name for name in ogb_table("graphproppred") if name.startswith("ogbg-mol")}


@pytest.mark.parametrize("name", MOLECULES)
def test_real_molecules_are_those_that_ogb_documents(real_data_root: Path, name: str) -> None:
    if not (real_data_root / name.replace("-", "_")).is_dir():
        pytest.skip(f"needs the raw files of {name}")
    graphs, counts = load_graphs(name, real_data_root), OGB_GRAPH_SETS[name]
    assert (len(graphs), len(graphs.train), len(graphs.validation), len(graphs.test)) == (counts.graphs, *counts.split)
    every = [graphs.graphs[position] for position in range(len(graphs))]
    assert (sum(one.num_nodes for one in every), sum(one.num_edges for one in every)) == (counts.nodes, MOLECULES[name])
    assert all(one.x.dtype == torch.int64 and one.x.size(1) == 9 and one.edge_attr.size(1) == 3 for one in every)
    assert graphs.y.dtype == torch.float32 and torch.equal(graphs.y, torch.cat([one.y for one in every]).float())
    together = torch.cat([graphs.train, graphs.validation, graphs.test]).sort().values
    assert torch.equal(together, torch.arange(len(graphs)))
    regression = name in ("ogbg-molesol", "ogbg-molfreesolv")
    assert (graphs.task, graphs.metric) == (("regression", "rmse") if regression else ("binary", "rocauc"))
    assert (graphs.name, graphs.num_tasks, graphs.source) == (name, 1, "raw files in the folder given")


def test_real_arxiv_without_its_feature_file(real_data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (real_data_root / "ogbn_arxiv").is_dir():
        pytest.skip("needs the raw files of ogbn-arxiv")
    if not (real_data_root / "ogbn_arxiv/raw/node-feat.csv.gz").is_file():
        with pytest.raises(
            DataError, match=r"lacks raw/node-feat.csv.gz.*features=\"spectral\" or features=\"fastrp\""
        ):
            load_dataset("ogbn-arxiv", real_data_root)
    _structural(monkeypatch)
    data = load_dataset("ogbn-arxiv", real_data_root, features="spectral")
    assert (data.num_nodes, data.num_edges, int(data.y.max()) + 1) == (169343, 2315598, 40)
    assert [int(data[f"{part}_mask"].sum()) for part in ("train", "val", "test")] == [90941, 29799, 48603]
    assert data.is_undirected() and data.y.dtype == torch.int64 and data.y.shape == (169343,)
    assert int(data.node_year[data.train_mask].max()) == 2017 and int(data.node_year[data.test_mask].min()) == 2019
    assert data.x.shape == (169343, 8)
    assert data.features == "spectral (structural, not the published ones)"


@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products", "ogbn-mag"])
def test_node_sets_with_one_class_a_node(tiny: Path, name: str) -> None:
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
    assert torch.equal(load_dataset(name, tiny, features="file").x, data.x)


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
    assert "mean" in data.features
    assert torch.equal(load_dataset("ogbn-proteins").x, data.x)
    assert (tiny / "proteins/raw/species.csv.gz").is_file()  # ogb renames it where it reads it, in the cache


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
    graphs = load_graphs("ogbg-molclintox", tiny)
    torch.testing.assert_close(graphs.y, torch.tensor(labels), equal_nan=True)
    assert graphs.num_tasks == 2
    assert graphs.graphs[1].edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert (graphs.train.tolist(), graphs.validation.tolist(), graphs.test.tolist()) == ([0], [1], [2])


@pytest.mark.parametrize("below", ["ogbn_arxiv", "arxiv", "ogbn-arxiv", "ogb/arxiv", ""])
def test_a_set_is_found_copied_and_kept(tiny: Path, kept: Path, below: str) -> None:
    folder = ogb_raw.arxiv(tiny / below)
    (folder / "processed").mkdir()
    (folder / "processed/geometric_data_processed.pt").write_text("never to be read")
    (folder / "raw/notes.txt").write_text("not a file of the set")
    before = _files(tiny)
    data = load_dataset("ogbn-arxiv", tiny)
    assert _files(tiny) == before
    (entry,) = (kept / "ogb").iterdir()
    assert {file for file in _files(entry) if not file.startswith("processed/")} == {
        *("raw/edge.csv.gz", "raw/node-feat.csv.gz", "raw/node-label.csv.gz", "raw/node_year.csv.gz"),
        *("raw/num-node-list.csv.gz", "raw/num-edge-list.csv.gz", "mapping/ids.csv.gz", "RELEASE_v1.txt"),
        *(f"split/time/{part}.csv.gz" for part in ("train", "valid", "test")),
    }
    again = load_dataset("ogbn-arxiv")
    assert again.source == "raw files in the cache" and torch.equal(again.x, data.x)
    (entry / "processed/geometric_data_processed.pt").write_bytes(b"damaged")
    assert torch.equal(load_dataset("ogbn-arxiv").x, data.x)
    (entry / "raw/edge.csv.gz").write_bytes(b"damaged")
    (entry / "processed/geometric_data_processed.pt").write_bytes(b"damaged")
    with pytest.raises(DataError, match="edge.csv.gz' must be a whole gzip file"):
        load_dataset("ogbn-arxiv")
    assert torch.equal(load_dataset("ogbn-arxiv", tiny).x, data.x)
    assert [path.name for path in kept.iterdir()] == ["ogb"]


def test_relgraph_data_names_the_folder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ogb_raw.molecules(tiny / "ogbg_molbace", 3, [1, 0, 1])
    monkeypatch.setenv("RELGRAPH_DATA", str(tiny))
    assert rg.load_graphs("ogbg-molbace").source == "raw files in the folder of RELGRAPH_DATA"


@pytest.mark.parametrize("features", ["spectral", "fastrp"])
@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-mag"])
def test_structural_features_need_no_file(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str, present: bool, features: str
) -> None:
    folder = ogb_raw.MAKERS[name](tiny / name)
    (file,) = folder.rglob("node-feat.csv.gz")
    if present:
        load_dataset(name, tiny)
    else:
        file.unlink()
        with pytest.raises(DataError, match=r"lacks raw/.*node-feat.csv.gz\).*features=\"spectral\""):
            load_dataset(name, tiny)
    _structural(monkeypatch)
    for root in (tiny, None):
        data = load_dataset(name, root, features=features)
        assert torch.equal(data.x, torch.full((12, len(features)), 2.0))
        assert data.features == f"{features} (structural, not the published ones)"
    if present:  # asking for less must not have taken the file from the cache
        shutil.rmtree(tiny)
        assert torch.equal(load_dataset(name).x, torch.arange(48).view(12, 4) / 4)


def test_structural_features_of_other_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    _structural(monkeypatch)
    data = load_dataset("digits", features="fastrp")
    assert data.x.shape == (1797, 6) and data.features.startswith("fastrp (structural")


def test_user_trust_survives(tiny: Path) -> None:
    class Mine:
        pass

    ogb_raw.arxiv(tiny / "arxiv")
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([Mine]):
        load_dataset("ogbn-arxiv", tiny)
        assert set(torch.serialization.get_safe_globals()) == before | {Mine}


def test_importing_ogb_asks_nobody_and_leaves_no_trace() -> None:
    code = (
        "import sys, threading, relgraph; assert 'ogb' not in sys.modules\n"
        "from relgraph.datasets.ogb_library import import_ogb\n"
        "import_ogb('nodeproppred'), import_ogb('graphproppred')\n"
        "assert 'outdated' not in sys.modules and threading.active_count() == 1\n"
        "import outdated\n"
        "import_ogb('io'); assert sys.modules['outdated'] is outdated"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ogb_raw.MAKERS)
def test_every_file_is_missed_by_name(tiny: Path, name: str) -> None:
    folder = ogb_raw.MAKERS[name](tiny / name)
    for file in sorted(_files(folder)):
        if file.startswith("mapping/"):
            continue
        (folder / file).rename(folder / "aside")
        with pytest.raises(DataError, match="must hold all files of") as caught:
            load_dataset(name, tiny)
        assert Path(file).name.replace("species", "node_species") in str(caught.value)
        (folder / "aside").rename(folder / file)


def test_an_incomplete_or_damaged_copy_in_the_folder_given_is_named_though_there_is_another(tiny: Path) -> None:
    ogb_raw.molecules(tiny / "ogb" / "bace", 3, [1, 0, 1])
    load_graphs("ogbg-molbace", tiny)  # the cache has it from here on
    folder = ogb_raw.molecules(tiny / "ogbg_molbace", 3, [1, 0, 1])
    (folder / "raw/edge.csv.gz").unlink()
    with pytest.raises(DataError, match=r"'.*ogbg_molbace' must hold all files .*lacks raw/edge\.csv\.gz"):
        load_graphs("ogbg-molbace", tiny)
    (folder / "raw/edge.csv.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"ogbg_molbace.raw.edge\.csv\.gz' must be a whole gzip file"):
        load_graphs("ogbg-molbace", tiny)


@pytest.mark.parametrize("name", ogb_raw.MAKERS)
def test_every_file_cut_short_or_of_another_set_is_named(tiny: Path, kept: Path, name: str) -> None:
    folder = ogb_raw.MAKERS[name](tiny / name)
    types = ("nodetype", "triplet")  # tables without numbers that follow from others; ogb reads them
    for file in sorted(_files(folder)):
        if not file.endswith(".gz") or file.startswith("mapping/"):
            continue
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=f"{Path(file).name}' must be a whole gzip file"):
            load_dataset(name, tiny)
        if not Path(file).name.startswith(types):
            ogb_raw.write(folder / file, [[1, 2, 3, 4, 5]] * 5)
            with pytest.raises(DataError, match=rf"must hold .* to be of '{name}' and whole \(got "):
                load_dataset(name, tiny)
        (folder / file).write_bytes(whole)
    assert not list(kept.glob("ogb/*"))
    load_dataset(name, tiny)


def test_a_folder_of_another_set_is_refused(tiny: Path) -> None:
    ogb_raw.molecules(tiny / "ogbg_molbbbp", 3, [1, 0, 1])
    with pytest.raises(DataError, match=r"num-node-list.csv.gz' must hold 4 graphs to be of 'ogbg-molbbbp'.*\(got 3\)"):
        load_graphs("ogbg-molbbbp", tiny)


@pytest.mark.parametrize(
    ("file", "table", "fault"),
    [
        ("raw/edge.csv.gz", [[0, 12]] * 13, "an edge to a node that is not there"),
        ("raw/edge.csv.gz", [["a", "b"]] * 13, "ValueError while reading"),
        ("raw/node-label.csv.gz", [0, ""] * 6, "6 rows of 'y' where 12 belong"),
        ("raw/node-label.csv.gz", [40] * 12, "labels from 40 to 40 where 0 to 39 are known"),
        ("split/time/train.csv.gz", [0, 1, 2, 3, 4, 12], "numbers from 0 to 11"),
        ("split/time/train.csv.gz", [0, 1, 2, 3, 4, 6], "no row of train or valid"),
        ("split/time/train.csv.gz", list("abcdef"), "one integer per row"),
        ("split/time/train.csv.gz", [0, 1], "6 rows"),
    ],
)
def test_rows_that_are_enough_but_wrong(tiny: Path, kept: Path, file: str, table: list, fault: str) -> None:
    ogb_raw.write(ogb_raw.arxiv(tiny / "arxiv") / file, table)
    with pytest.raises(DataError, match=fault):
        load_dataset("ogbn-arxiv", tiny)
    assert not list(kept.glob("ogb/*"))


def test_without_network_the_error_says_what_to_put_where(tiny: Path, kept: Path) -> None:
    tiny.mkdir()
    with pytest.raises(DataError) as caught:
        load_graphs("ogbg-molbace", tiny)
    words = str(caught.value)
    assert str(tiny) in words and str(kept) in words and "no network here" in words and "bace.zip" in words
    assert "RELEASE_v1.txt" in words and "raw/graph-label.csv.gz" in words
    with pytest.raises(DataError, match="as FOLDER/ogbn_arxiv and name FOLDER as root or in RELGRAPH_DATA"):
        load_dataset("ogbn-arxiv")


@pytest.mark.parametrize("name", ["ogbn-products", "ogbn-proteins", "ogbn-mag"])
def test_large_sets_are_not_downloaded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr(import_ogb("utils.url"), "download_url", never)
    with pytest.raises(DataError, match=f"'{name}' is not in .* is not downloaded unasked.*zip as FOLDER/"):
        load_dataset(name)


def test_what_was_downloaded_is_checked_and_kept(tiny: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, folder: str) -> str:
        sys.stdout.write(f"Downloading {url}")
        made = ogb_raw.molecules(tiny / "bace", 3, [1, 0, 1])
        return shutil.make_archive(f"{folder}/bace", "zip", made.parent, "bace")

    monkeypatch.setattr(import_ogb("utils.url"), "download_url", fetch)
    assert load_graphs("ogbg-molbace").source == "downloaded by ogb"
    shutil.rmtree(tiny)
    monkeypatch.setattr(import_ogb("utils.url"), "download_url", None)
    assert load_graphs("ogbg-molbace").source == "downloaded by ogb"
    assert [path.name for path in (kept / "ogb").iterdir()] == ["ogbg_molbace-downloaded"]


def test_a_folder_that_can_only_be_read_is_enough(tiny: Path) -> None:
    folder = ogb_raw.proteins(tiny / "proteins")
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert load_dataset("ogbn-proteins", tiny).num_nodes == 12
    finally:
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o755)


def test_a_cache_that_cannot_be_written(tiny: Path, kept: Path) -> None:
    ogb_raw.arxiv(tiny / "arxiv")
    kept.write_text("a file where the cache should be")
    with pytest.raises(DataError, match="relgraph's cache .* cannot be written .*RELGRAPH_CACHE"):
        load_dataset("ogbn-arxiv", tiny)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_cache_that_can_only_be_read(tiny: Path, kept: Path) -> None:
    ogb_raw.arxiv(tiny / "arxiv")
    kept.mkdir(mode=0o555)
    with pytest.raises(DataError, match="relgraph's cache .* cannot be written"):
        load_dataset("ogbn-arxiv", tiny)


def test_each_function_names_the_other() -> None:
    with pytest.raises(InputError, match=r"use load_graphs\('ogbg-molhiv'\)"):
        load_dataset("ogbg-molhiv")
    with pytest.raises(InputError, match=r"use load_dataset\('ogbn-arxiv'\)"):
        load_graphs("ogbn-arxiv")
    with pytest.raises(InputError, match="did you mean 'ogbg-molbace'"):
        load_graphs("ogbg-molbaec")
    with pytest.raises(InputError, match="'ogbn-papers100M' cannot be loaded"):
        load_dataset("ogbn-papers100M")
    with pytest.raises(DataError, match="'root' must be a folder that exists"):
        load_graphs("ogbg-molbace", "no/such/folder")
