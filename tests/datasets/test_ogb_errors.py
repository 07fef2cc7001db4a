from __future__ import annotations

import shutil
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
import torch

from relgraph.datasets import load_dataset
from relgraph.datasets.ogb import _files as _raw_paths
from relgraph.datasets.ogb_library import ogb_table
from relgraph.errors import DataError, InputError
from tests.datasets import ogb_raw

pytestmark = pytest.mark.usefixtures("silent")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


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
