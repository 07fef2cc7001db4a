from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from relgraph.datasets.verify import check_raw_file
from relgraph.errors import DataError


class Foreign:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder / "foreign"),)


def _npz(path: Path, **changes: object) -> Path:
    csr = {"data": np.ones(2), "indices": np.array([1, 0]), "indptr": np.array([0, 1, 2]), "shape": np.array([2, 2])}
    arrays: dict[str, object] = {f"{part}_{name}": value for part in ("adj", "attr") for name, value in csr.items()}
    arrays |= {"labels": np.array([0, 1]), **changes}
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "content",
    [sp.csr_matrix(np.eye(3)), np.eye(3, dtype=np.int32), collections.defaultdict(list, {0: [1, 2], 1: [0]})],
    ids=["csr", "array", "graph"],
)
def test_the_contents_of_the_format_pass_and_truncated_files_are_damaged(tmp_path: Path, content: object) -> None:
    file = tmp_path / "ind.cora.x"
    whole = pickle.dumps(content, protocol=2)
    file.write_bytes(whole)
    check_raw_file(file, "it")
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"^it is damaged"):
            check_raw_file(file, "it")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_foreign_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "ind.cora.graph"
    file.write_bytes(pickle.dumps({0: [Foreign(tmp_path)]}, protocol=protocol))
    with pytest.raises(DataError, match=r"it is refused: .*foreign code"):
        check_raw_file(file, "it")
    assert not (tmp_path / "foreign").exists()
    pickle.loads(file.read_bytes())
    assert (tmp_path / "foreign").exists()  # the file would have run it


def test_the_old_opcode_that_names_and_calls_at_once_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ind.cora.graph"
    file.write_bytes(b"(S'true'\nios\nsystem\n.")
    with pytest.raises(DataError, match="opcode INST"):
        check_raw_file(file, "it")


def test_npz_with_pickles_or_without_arrays_is_refused(tmp_path: Path) -> None:
    check_raw_file(_npz(tmp_path / "good.npz"), "it")
    check_raw_file(_npz(tmp_path / "names.npz", class_names=np.array(["a", None], dtype=object)), "it")  # never read
    with pytest.raises(DataError, match=r"^it is damaged or of another format"):
        check_raw_file(_npz(tmp_path / "pickled.npz", labels=np.array([Foreign(tmp_path)], dtype=object)), "it")
    assert not (tmp_path / "foreign").exists()
    with pytest.raises(DataError, match="of another format"):
        check_raw_file(_npz(tmp_path / "fewer.npz", adj_indptr=None), "it")
    np.save(tmp_path / "array.npy", np.eye(2))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(DataError, match="of another format"):
        check_raw_file(tmp_path / "array.npz", "it")


def test_npz_cut_short_or_with_a_flipped_byte_is_damaged(tmp_path: Path) -> None:
    path = _npz(tmp_path / "good.npz", labels=np.arange(500))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.rindex(b"labels.npy", 0, whole.rindex(b"PK\x01\x02")) + 60] ^= 0xFF
    for content in (b"", b"x", whole[: len(whole) // 2], whole[:-1], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"^it is damaged"):
            check_raw_file(path, "it")
