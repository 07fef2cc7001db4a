from __future__ import annotations

import dataclasses
import inspect
import pickle
import shutil
import urllib.request
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch_geometric.datasets
from torch_geometric.transforms import NormalizeFeatures

from relgraph.datasets import load_dataset
from relgraph.datasets.pyg import PYG_DATASETS
from relgraph.errors import DataError

NODES, FEATURES = 640, 5


def _csr(prefix: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    csr = sp.csr_matrix(matrix)
    arrays = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr, "shape": np.array(csr.shape)}
    return {f"{prefix}_{name}": array for name, array in arrays.items()}


def _ring_npz(raw: Path, name: str, nodes: int = 12) -> Path:
    raw.mkdir(parents=True, exist_ok=True)
    ring = np.roll(np.eye(nodes), 1, axis=1)
    words = (np.arange(nodes)[:, None] % np.array([2, 3, 5]) == 0).astype(float)
    np.savez(raw / name, **_csr("adj", ring), **_csr("attr", words), labels=np.arange(nodes) % 3)
    return raw / name


def _ring_planetoid(raw: Path, name: str) -> Path:
    """640 nodes: 6 for training, 540 known, the last 100 for testing in shuffled order."""
    raw.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    x = (generator.random((NODES, FEATURES)) < 0.4).astype(np.float32)
    y = np.eye(3, dtype=np.int32)[np.arange(NODES) % 3]
    order = 540 + generator.permutation(100)
    graph = {node: [(node - 1) % NODES, (node + 1) % NODES] for node in range(NODES)}
    parts = {"x": sp.csr_matrix(x[:6]), "allx": sp.csr_matrix(x[:540]), "tx": sp.csr_matrix(x[order])}
    parts |= {"y": y[:6], "ally": y[:540], "ty": y[order], "graph": graph}
    for part, content in parts.items():
        (raw / f"ind.{name}.{part}").write_bytes(pickle.dumps(content, protocol=2))
    (raw / f"ind.{name}.test.index").write_text("".join(f"{node}\n" for node in order))
    return raw


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented counts of three datasets replaced by those of the handmade files."""
    small = {"nodes": 12, "edges": 24, "features": 3, "classes": 3}
    for short in ("photo", "cora-full"):
        monkeypatch.setitem(PYG_DATASETS, short, dataclasses.replace(PYG_DATASETS[short], **small))
    counts = {"nodes": NODES, "edges": 2 * NODES, "features": FEATURES, "classes": 3, "split": (6, 500, 100)}
    monkeypatch.setitem(PYG_DATASETS, "cora", dataclasses.replace(PYG_DATASETS["cora"], **counts))


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("short", PYG_DATASETS)
def test_the_table_equals_that_of_pyg(short: str) -> None:
    spec = PYG_DATASETS[short]
    kind = getattr(torch_geometric.datasets, spec.family)
    dataset = kind.__new__(kind)
    dataset.root, dataset.split = "ROOT", "public"
    # Coauthor keeps the name as it is, Amazon and CitationFull in small letters.
    dataset.name = spec.name.lower() if spec.family in ("Amazon", "CitationFull") else spec.name
    names = dataset.raw_file_names
    assert spec.raw_files == ((names,) if isinstance(names, str) else tuple(names))
    assert Path(dataset.raw_dir) == Path("ROOT") / spec.name / "raw"
    if spec.family == "CitationFull":
        assert f"{spec.url}/{spec.raw_files[0]}" == kind.url.format(dataset.name)
    else:
        assert spec.url == kind.url.rstrip("/")
    rows = [row.strip() for row in inspect.getdoc(kind).split("* - ")]
    row = next(row for row in rows if row.split()[0].lower() == spec.name.lower())
    counts = [int(cell.replace(",", "")) for cell in row.replace(" ", "").split("\n-")[1:]]
    assert counts == [spec.nodes, spec.edges, spec.features, spec.classes]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("below", ["Photo/raw", "photo/raw", "Amazon/Photo/raw", "amazon/PHOTO/raw", "raw"])
def test_raw_files_are_found_and_only_read(tmp_path: Path, kept: Path, below: str) -> None:
    root = tmp_path / "root"
    file = _ring_npz(root / below, "amazon_electronics_photo.npz")
    (file.parent / "notes.txt").write_text("not a raw file of the dataset")
    (file.parent.parent / "processed").mkdir()
    (file.parent.parent / "processed" / "data.pt").write_text("never to be read")
    before = _files(root)
    data, raw = load_dataset("photo", root), load_dataset("photo", root, features="raw")
    assert (data.num_nodes, data.num_edges, data.num_features) == (12, 24, 3)
    assert data.x.dtype == torch.float32 and data.y.dtype == torch.int64 and data.y.shape == (12,)
    assert (data.dataset_name, data.source) == ("photo", "raw files in the folder given")
    assert (data.features, raw.features) == ("raw", "raw")
    assert torch.equal(data.x, raw.x)
    assert _files(root) == before
    assert not kept.exists()


@pytest.mark.usefixtures("tiny")
def test_planetoid_files_give_the_public_split_quietly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _ring_planetoid(tmp_path / "root" / "Cora" / "raw", "cora")
    data = load_dataset("cora", tmp_path / "root")
    assert torch.equal(data.y, torch.arange(NODES) % 3)
    assert data.train_mask.nonzero().view(-1).tolist() == list(range(6))
    assert data.test_mask.nonzero().view(-1).tolist() == list(range(540, NODES))
    assert data.val_mask.dtype == torch.bool and data.val_mask.shape == (NODES,)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("tiny")
def test_two_datasets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _ring_planetoid(root / "Cora" / "raw", "cora")
    with pytest.raises(DataError, match="'cora-full' is not in"):
        load_dataset("cora-full", root)
    _ring_npz(root / "Cora" / "raw", "cora.npz")
    assert load_dataset("cora", root).num_nodes == NODES
    data, raw = load_dataset("cora-full", root), load_dataset("cora-full", root, features="raw")
    assert (data.num_nodes, data.features, raw.features) == (12, "row-normalized", "raw")
    torch.testing.assert_close(data.x, raw.x / raw.x.sum(1, keepdim=True).clamp(min=1))
    assert bool((raw.x.sum(1) > 1).any())  # the two differ


@pytest.mark.usefixtures("tiny")
def test_root_comes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ring_npz(tmp_path / "root" / "raw", "amazon_electronics_photo.npz")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("RELGRAPH_DATA", str(tmp_path / "root"))
    with pytest.raises(DataError, match=r"is not in '.*empty' or '.*kept"):
        load_dataset("photo", tmp_path / "empty")  # an explicit root replaces the variable's
    assert load_dataset("photo").source == "raw files in the folder of RELGRAPH_DATA"


@pytest.mark.usefixtures("tiny")
def test_changed_raw_files_give_a_changed_graph(tmp_path: Path) -> None:
    file = _ring_npz(tmp_path / "root" / "raw", "amazon_electronics_photo.npz")
    before = load_dataset("photo", tmp_path / "root").y
    with np.load(file) as archive:
        changed = {name: archive[name] for name in archive.files}
    changed["labels"] = changed["labels"][::-1]
    np.savez(file, **changed)
    after = load_dataset("photo", tmp_path / "root").y
    assert torch.equal(after, before.flip(0)) and not torch.equal(after, before)


def _downloads(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Every download gives this content; the addresses."""
    addresses: list[str] = []

    def opened(address: str, **_: object) -> BytesIO:
        addresses.append(address)
        return BytesIO(content)

    monkeypatch.setattr(urllib.request, "urlopen", opened)
    return addresses


@pytest.mark.usefixtures("tiny")
def test_a_download_is_kept_and_repeated_if_it_is_damaged(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content = _ring_npz(tmp_path, "amazon_electronics_photo.npz").read_bytes()
    addresses = _downloads(monkeypatch, content)
    first, second = load_dataset("photo"), load_dataset("photo", tmp_path)
    url = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz/amazon_electronics_photo.npz"
    assert addresses == [url] and first.source == second.source == "downloaded"
    assert torch.equal(first.x, second.x)
    assert _files(kept) == {"Amazon/Photo/raw/amazon_electronics_photo.npz"}
    (file,) = kept.rglob("*.npz")
    for damage in (content[: len(content) // 2], b"", None):
        file.unlink() if damage is None else file.write_bytes(damage)
        assert torch.equal(load_dataset("photo").edge_index, first.edge_index) and file.read_bytes() == content
    assert addresses == [url] * 4 and capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("tiny")
def test_without_a_writable_cache_a_download_is_still_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _downloads(monkeypatch, _ring_npz(tmp_path, "amazon_electronics_photo.npz").read_bytes())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "file"))
    assert load_dataset("photo").num_nodes == 12


def test_a_download_is_checked_like_any_file(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _downloads(monkeypatch, b"<html>Please log in</html>")
    with pytest.raises(DataError, match=r"'amazon_electronics_photo.npz' in the download is damaged"):
        load_dataset("photo")
    assert not kept.exists()


def test_offline_the_error_names_the_dataset_the_folders_and_the_files(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("cora")
    words = str(caught.value)
    assert "'cora'" in words and "no network here" in words and "RELGRAPH_DATA" in words
    assert str(kept) in words and all(file in words for file in PYG_DATASETS["cora"].raw_files)
    assert "\n" not in words and not kept.exists()
    raw = tmp_path / "root" / "Cora" / "raw"
    raw.mkdir(parents=True)
    for file in PYG_DATASETS["cora"].raw_files[1:]:
        (raw / file).write_text("")
    with pytest.raises(
        DataError, match=r"'.*root.Cora' must hold all files of 'cora' \(it lacks raw/ind\.cora\.x\); put"
    ):
        load_dataset("cora", tmp_path / "root")
    monkeypatch.setenv("RELGRAPH_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"gone' \(no such folder\)"):
        load_dataset("cora")


@pytest.mark.usefixtures("tiny")
def test_another_dataset_under_the_name_is_refused(tmp_path: Path, kept: Path) -> None:
    _ring_npz(tmp_path / "root" / "raw", "amazon_electronics_photo.npz", nodes=15)
    with pytest.raises(DataError, match=r"another dataset .* damaged: expected 12 nodes.*got 15 nodes, 30 edges"):
        load_dataset("photo", tmp_path / "root")
    assert not kept.exists()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("part", ["x", "allx", "ty", "graph", "test.index"])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: Path, part: str) -> None:
    raw = _ring_planetoid(tmp_path / "root" / "raw", "cora")
    file = raw / f"ind.cora.{part}"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=r"damaged|do not fit together") as caught:
        load_dataset("cora", tmp_path / "root")
    if part != "test.index":  # a text cut at the end of a line looks whole; the counts find it
        assert file.name in str(caught.value)
    assert str(tmp_path / "root") in str(caught.value)
    assert not kept.exists()


@pytest.mark.usefixtures("tiny")
def test_foreign_code_in_a_planetoid_file_does_not_run(tmp_path: Path, kept: Path) -> None:
    raw = _ring_planetoid(tmp_path / "root" / "raw", "cora")
    (raw / "ind.cora.graph").write_bytes(f"cos\nmkdir\n(V{tmp_path}/foreign\ntR.".encode())
    with pytest.raises(DataError, match=r"'ind\.cora\.graph' in the folder .* is refused: .*'os\.mkdir'"):
        load_dataset("cora", tmp_path / "root")
    assert not (tmp_path / "foreign").exists() and not kept.exists()


@pytest.mark.usefixtures("tiny")
def test_an_incomplete_copy_in_the_folder_given_is_named_though_there_is_another(tmp_path: Path) -> None:
    _ring_planetoid(tmp_path / "root" / "Planetoid" / "Cora" / "raw", "cora")
    load_dataset("cora", tmp_path / "root")  # a good copy
    raw = _ring_planetoid(tmp_path / "root" / "Cora" / "raw", "cora")
    (raw / "ind.cora.tx").unlink()
    with pytest.raises(
        DataError, match=r"folder '.*root.Cora' must hold all files of 'cora' \(it lacks raw/ind\.cora\.tx\)"
    ):
        load_dataset("cora", tmp_path / "root")
    raw = tmp_path / "other" / "Photo" / "raw"
    good = _ring_npz(tmp_path / "third" / "raw", "amazon_electronics_photo.npz")
    raw.mkdir(parents=True)
    (raw / good.name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"other.Photo' must hold all files .*lacks raw/amazon_electronics_photo\.npz"):
        load_dataset("photo", tmp_path / "other")
    (raw / good.name).unlink()
    (raw / good.name).write_bytes(good.read_bytes()[:-100])
    with pytest.raises(
        DataError, match=r"'amazon_electronics_photo\.npz' in the folder '.*other.Photo.raw' is damaged"
    ):
        load_dataset("photo", tmp_path / "other")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("part", "change", "fault"),
    [
        ("graph", lambda graph: {**graph, 3: [graph[3][0], 300]}, "an edge without its reverse"),
        ("allx", lambda x: x * 0.5, "neither 0 nor 1"),
        ("tx", lambda x: x * -1, "negative or not finite"),
        ("tx", lambda x: x * np.float32(np.inf), "negative or not finite"),
        ("ally", lambda y: np.concatenate([y[:5], y[:1], y[6:]]), "not equally many of each class"),
    ],
)
def test_contents_that_planetoid_cannot_hold_are_refused(
    tmp_path: Path, kept: Path, part: str, change: Callable[[object], object], fault: str
) -> None:
    file = _ring_planetoid(tmp_path / "root" / "raw", "cora") / f"ind.cora.{part}"
    file.write_bytes(pickle.dumps(change(pickle.loads(file.read_bytes())), protocol=2))
    with pytest.raises(DataError, match=rf"the folder '.*raw' is damaged \(.*{fault}\); take"):
        load_dataset("cora", tmp_path / "root")
    assert not kept.exists()


@pytest.fixture
def real(real_data_root: Path) -> Callable[[str], Path]:
    def folder(name: str) -> Path:
        if not (real_data_root / name / "raw").is_dir():
            pytest.skip(f"needs the real raw files of {name} in {real_data_root}")
        return real_data_root

    return folder


@pytest.mark.parametrize(("short", "name"), [("cora", "Cora"), ("citeseer", "CiteSeer"), ("photo", "Photo")])
def test_real_files_give_what_pyg_gives(real: Callable[[str], Path], tmp_path: Path, short: str, name: str) -> None:
    root = real(name)
    shutil.copytree(root / name / "raw", tmp_path / "pyg" / name / "raw")
    expected = getattr(torch_geometric.datasets, PYG_DATASETS[short].family)(str(tmp_path / "pyg"), name)[0]
    raw, data = load_dataset(short, root, features="raw"), load_dataset(short, root)
    for key in expected.keys():  # noqa: SIM118 (a Data iterates over pairs)
        assert torch.equal(raw[key], expected[key]), key
    assert torch.equal(data.x, expected.x if short == "photo" else NormalizeFeatures()(expected).x)
    if short in CLASS_SIZES:
        assert dict(zip(data.class_names, data.y.bincount().tolist(), strict=True)) == CLASS_SIZES[short]


# Sen et al. (2008) and Namata et al. (2012); CiteSeer's fifteen nodes without a class are counted as AI.
CLASS_SIZES = {
    "cora": {
        "theory": 351, "reinforcement learning": 217, "genetic algorithms": 418, "neural networks": 818,
        "probabilistic methods": 426, "case-based reasoning": 298, "rule learning": 180,
    },
    "citeseer": {
        "AI": 249 + 15, "machine learning": 590, "information retrieval": 668, "databases": 701, "agents": 596,
        "HCI": 508,
    },
    "pubmed": {"experimental diabetes": 4103, "type 2 diabetes": 7739, "type 1 diabetes": 7875},
}  # fmt: skip


def test_a_real_file_cut_short_is_named(real: Callable[[str], Path], tmp_path: Path, kept: Path) -> None:
    shutil.copytree(real("Cora") / "Cora", tmp_path / "Cora", copy_function=shutil.copyfile)
    file = tmp_path / "Cora" / "raw" / "ind.cora.allx"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1000])
    with pytest.raises(DataError, match=r"'ind\.cora\.allx' in the folder '.*' is damaged"):
        load_dataset("cora", tmp_path)
    assert not kept.exists()


@pytest.mark.parametrize("name", ["Cora", "CiteSeer", pytest.param("PubMed", marks=pytest.mark.slow)])
def test_a_bit_flipped_in_any_real_file_is_refused(real: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    shutil.copytree(real(name) / name, tmp_path / name, copy_function=shutil.copyfile)
    generator = np.random.default_rng(0)
    for file in sorted((tmp_path / name / "raw").iterdir()):
        whole = file.read_bytes()
        for place in generator.integers(len(whole), size=3):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(generator.integers(8))
            file.write_bytes(flipped)
            with pytest.raises(DataError, match=rf"'{file.name}' in the folder '.*{name}.raw' "):
                load_dataset(name.lower(), tmp_path)
        file.write_bytes(whole)
    load_dataset(name.lower(), tmp_path)


def test_real_files_of_another_dataset_are_refused(real: Callable[[str], Path], tmp_path: Path, kept: Path) -> None:
    (tmp_path / "Cora" / "raw").mkdir(parents=True)
    for file in (real("CiteSeer") / "CiteSeer" / "raw").iterdir():
        shutil.copyfile(file, tmp_path / "Cora" / "raw" / file.name.replace("citeseer", "cora"))
    with pytest.raises(DataError, match=r"another dataset|do not fit together as 'cora'"):
        load_dataset("cora", tmp_path)
    assert not kept.exists()
