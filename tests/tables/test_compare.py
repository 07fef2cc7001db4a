from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.tables import compare_tables
from tests.tables.small import save, two_tables

X, Y = two_tables(rows=120)
NAMES = ["cka", "retrieval"]
ORDER = np.random.default_rng(0).permutation(120)


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".feather", ".safetensors", ".txt"])
def test_rows_are_matched_by_id_whatever_the_files(suffix: str, tmp_path: Path) -> None:
    ids = [f"node {i}" for i in range(120)] if suffix in (".parquet", ".feather") else np.arange(120)
    if suffix == ".txt":
        ids = np.array([f"n{i}" for i in range(120)])
    few = ORDER[:90]
    a = save(tmp_path / f"a{suffix}", ids, X)
    b = save(tmp_path / f"b{suffix}", [ids[i] for i in few], np.ascontiguousarray(Y[few]))
    found = compare_tables([a, b], NAMES)
    kept = np.sort(few)
    wanted = rg.compare(X[kept], Y[kept], NAMES)
    assert found.names == ("a", "b")
    for name in NAMES:  # text rounds the numbers
        assert found.comparisons[0, 1][name].value == pytest.approx(wanted[name].value, rel=1e-3)
    assert found.comparisons[0, 1].rows == 90


def test_several_tables_are_compared_on_the_ids_that_all_have(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = [
        save(tmp_path / "a.npy", np.arange(120), X),
        save(tmp_path / "b.npy", np.arange(20, 120), Y[20:]),
        save(tmp_path / "other" / "a.npy", ORDER[:100], Y[ORDER[:100]]),
    ]
    found = compare_tables(paths, ["cka"])
    common = np.intersect1d(ORDER[:100], np.arange(20, 120))
    assert found.comparisons[0, 1].rows == len(common)
    assert found.comparisons[1, 2]["cka"].value == pytest.approx(1, rel=1e-6)
    assert found.names == tuple(map(str, paths))  # two of them are called a


def test_tables_without_ids_are_compared_row_by_row(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a.npy", None, X), save(tmp_path / "b.npy", None, Y)
    assert compare_tables([a, b], NAMES).comparisons[0, 1] == rg.compare(X, Y, NAMES)
    short = save(tmp_path / "short.npy", None, Y[:50])
    with pytest.raises(InputError, match="short.npy' must have as many rows as .*a.npy', 120, because neither has ids"):
        compare_tables([a, short])


def test_outputs(tmp_path: Path) -> None:
    logits = [torch.from_numpy(Y), torch.from_numpy(Y + 1.0 * X[:, :4])]
    paths = [save(tmp_path / f"{i}.npy", None, rows.numpy()) for i, rows in enumerate(logits)]
    found = compare_tables(paths, outputs=True)
    share = float((logits[0].argmax(1) != logits[1].argmax(1)).double().mean())
    assert found.measures == ("disagreement", "jensen-shannon")
    assert found.matrix("disagreement")[0, 1] == pytest.approx(share)


def test_wrong_input_is_one_sentence(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a.npy", np.arange(120), X), save(tmp_path / "b.npy", np.arange(200, 320), Y)
    repeated, broken = save(tmp_path / "c.npy", [3] * 120, Y), Y.copy()
    broken[7] = np.nan
    damaged = save(tmp_path / "d.npy", np.arange(120) + 1, broken)
    words = {
        (a,): "'tables' must be two files or more (got 1)",
        (a, b): "must name ids that both tables have (got none in common, such as 0 and 200)",
        (a, repeated): "c.npy' must not repeat an id (got 3 more than once)",
        (a, damaged): "d.npy' must hold finite numbers (got NaN in the row with id 8",
        (a, save(tmp_path / "e.parquet", [f"n{i}" for i in range(120)], Y)): "must name ids of one kind",
    }
    for tables, wanted in words.items():
        with pytest.raises(InputError) as error:
            compare_tables(tables)
        assert wanted in str(error.value)
    with pytest.raises(DataError, match="none.npy' does not exist"):
        compare_tables([a, tmp_path / "none.npy"])
    with pytest.raises(InputError, match="'measures' must be one of"):
        compare_tables([a, tmp_path / "none.npy"], ["ckaa"])


def test_arrays_are_refused_with_a_word_on_where_they_are_taken() -> None:
    with pytest.raises(InputError, match=r"'tables' must be the path .* ndarray of shape .3, 2.*relgraph\.compare"):
        compare_tables([np.ones((3, 2)), "a.npy"])  # type: ignore[list-item]
