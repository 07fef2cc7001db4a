"""Drift of tables: ids, files, arrays, errors, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.versions.movement import movement
from tests.tables.small import save
from tests.versions.made import ROWS, runs

OLD, NEW = runs(moved=12)
NAMES = ("old", "seed-1", "seed-2", "new")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    for name, run in zip(NAMES, (*OLD, *NEW), strict=True):
        save(tmp_path / f"{name}.npy", None, run.numpy())
    return tmp_path


def test_it_is_movement_with_benjamini_hochberg() -> None:
    found, expected = rg.drift(OLD[0], NEW, null=OLD[1:]), movement(OLD, NEW)
    np.testing.assert_array_equal(found.movement, expected.distances)
    np.testing.assert_array_equal(found.p, expected.p_values())
    np.testing.assert_array_equal(found.q, false_discovery_control(found.p))
    assert set(range(12)) <= set(found.ids[found.moved].tolist()) and found.moved.sum() <= 15
    assert set(found.furthest(12).tolist()) == set(range(12)) and len(found.furthest(3)) == 3
    assert bool((np.diff(found.movement[found.furthest()]) <= 0).all())


def test_files_arrays_and_tensors_give_the_same(tables: Path) -> None:
    paths = [tables / f"{name}.npy" for name in NAMES]
    expected = rg.drift(OLD[0], NEW, null=OLD[1:])
    for given in (paths, list(map(str, paths)), [run.numpy() for run in (*OLD, *NEW)]):
        found = rg.drift(given[0], given[3], null=given[1:3])
        np.testing.assert_array_equal(found.movement, expected.movement)
        np.testing.assert_array_equal(found.ids, np.arange(ROWS))


def test_tensors_in_half_precision_are_taken() -> None:
    half = [run.bfloat16() for run in (*OLD, *NEW)]
    found, expected = (rg.drift(one[0], one[3], null=one[1:3]) for one in (half, [run.float() for run in half]))
    np.testing.assert_array_equal(found.movement, expected.movement)


def test_rows_are_matched_by_id_and_others_left_out(tmp_path: Path) -> None:
    names = np.array([f"n{row:03d}" for row in range(ROWS)])
    rng, paths = np.random.default_rng(0), []
    for number, run in enumerate((*OLD, *NEW)):
        rows = rng.permutation(ROWS)[: ROWS - 10]
        paths.append(save(tmp_path / f"{number}.parquet", names[rows].tolist(), run.numpy()[rows]))
    found = rg.drift(paths[0], paths[3], null=paths[1:3])
    common = set.intersection(*(set(rg.tables.open_table(path).plain_ids().tolist()) for path in paths))
    assert set(found.ids.tolist()) == common and len(found.ids) < ROWS - 10
    rows = np.array([int(one[1:]) for one in found.ids])
    expected = rg.drift(OLD[0][rows], NEW[0][rows], null=[run[rows] for run in OLD[1:]])
    np.testing.assert_allclose(found.movement, expected.movement, rtol=1e-8)
    assert "are not in all tables" in str(found)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv", ".npy"])
def test_the_written_file_holds_every_row(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    found = rg.drift(OLD[0], NEW, OLD[1:], out)
    columns = [found.ids, found.movement, found.p, found.q]
    if suffix == ".npy":
        read = [np.load(tmp_path / "out.ids.npy"), *np.load(out).T]
    elif suffix == ".csv":
        text = out.read_text().splitlines()
        assert text[0] == "id,movement,p,q"
        read = list(np.array([line.split(",") for line in text[1:]], dtype=float).T)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(out) if suffix == ".parquet" else pa.ipc.open_file(str(out)).read_all()
        assert table.column_names == ["id", "movement", "p", "q"]
        read = [table[name].to_numpy() for name in table.column_names]
    for one, column in zip(read, columns, strict=True):
        np.testing.assert_array_equal(one, column)


def test_text_ids_are_written_as_text(tmp_path: Path) -> None:
    ids = [f"node {row}" for row in range(ROWS)]
    paths = [save(tmp_path / f"{i}.parquet", ids, run.numpy()) for i, run in enumerate((*OLD, *NEW))]
    for suffix in (".csv", ".parquet"):
        found = rg.drift(paths[0], paths[3], paths[1:3], tmp_path / f"out{suffix}")
    import pyarrow.parquet as pq

    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("node 0,")
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == ids
    first = json.loads(json.dumps(found.to_dict()))["moved_rows"][0]
    assert first["id"].startswith("node ") and first["q"] <= 0.05


def test_two_old_runs_are_noted() -> None:
    assert any("two seeds" in note for note in rg.drift(OLD[0], NEW, null=OLD[1]).notes)
    assert not rg.drift(OLD[0], NEW, null=OLD[1:]).notes


def test_seed_noise_of_some_rows_is_noted_with_two_old_runs() -> None:
    rng = np.random.default_rng(0)
    space, noise = rng.normal(size=(ROWS, 4)), np.where(np.arange(ROWS) < 140, 0.002, 0.2)[:, None]
    tables = [(space + noise * rng.normal(size=(ROWS, 4))) @ rng.normal(size=(4, 6)) for _ in range(4)]
    assert any("more than 8 times as far" in note for note in rg.drift(tables[0], tables[3], tables[1]).notes)
    assert not rg.drift(tables[0], tables[3], tables[1:3]).notes


def test_nothing_moved_is_told() -> None:
    old, new = runs(seed=4)
    found = rg.drift(old[0], new, null=old[1:], level=1e-6)
    assert not found.moved.any() and "furthest" not in str(found) and found.to_dict()["moved_rows"] == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no null": ({"null": []}, "'null' must name one or more other seeds"),
    "null is None": ({"null": None}, "'null' must name one or more other seeds"),
    "no new": ({"new": []}, "'new' must name at least one"),
    "null repeats old": ({"null": [OLD[0]]}, "'null' must hold other seeds"),
    "level": ({"level": 1.0}, "'level' must be between 0 and 1"),
    "text of level": ({"level": "a"}, "'level' must be a number"),
    "few rows": ({"old": OLD[0][:40]}, "'old' must share 50 rows or more"),
    "integers": ({"new": np.zeros((ROWS, 3), dtype=int)}, "'new' must be a matrix of floating-point"),
    "nan": ({"new": NEW[0] * float("nan")}, "'new' must hold finite numbers"),
    "kind of output": ({"out": "out.xlsx"}, "'out' must be a file of one of the kinds"),
    "folder of output": ({"out": "no-folder/out.csv"}, "'out' must be a file in a folder"),
}


def test_ids_in_a_file_of_text_are_of_the_kind_of_the_others(tables: Path) -> None:
    names = [str(one) for one in range(ROWS)]
    save(tables / "old.parquet", names, OLD[0].numpy())
    save(tables / "new.parquet", names, NEW[0].numpy())
    np.save(tables / "text.npy", OLD[1].numpy())
    (tables / "text.ids.txt").write_text("\n".join(names), encoding="utf-8")
    found = rg.drift(tables / "old.parquet", tables / "new.parquet", tables / "text.npy")
    np.testing.assert_allclose(found.p, rg.drift(OLD[0], NEW[0], OLD[1]).p, rtol=1e-6)


def test_a_typical_row_far_beyond_another_seed_is_noted() -> None:
    assert not any("typical row" in note for note in rg.drift(OLD[0], NEW, OLD[1:]).notes)
    order = np.random.default_rng(0).permutation(ROWS)
    found = rg.drift(OLD[0], [one[order] for one in NEW], OLD[1:])
    (note,) = (note for note in found.notes if "typical row" in note)
    assert "check that ids name the same rows" in note and note in str(found)


def test_damaged_rows_of_an_old_table_are_named(tables: Path) -> None:
    damaged = OLD[1].clone()
    damaged[[200, 201]] *= 50
    save(tables / "seed-1.npy", None, damaged.numpy())
    found = rg.drift(*(tables / f"{name}.npy" for name in ("old", "new")), [tables / f"seed-{i}.npy" for i in (1, 2)])
    (note,) = found.notes
    assert "2 rows lie far beyond all others in '" in note and "seed-1.npy' and cannot be tested" in note
    assert set(note.rsplit(" ", 2)[-2:]) in ({"200,", "201"}, {"201,", "200"}) and note in str(found)
    assert found.q[200] == 1.0 and found.moved[:12].all()
    assert any("in one of the two old tables" in note for note in rg.drift(OLD[0], NEW, damaged).notes)


def test_rows_without_ids_that_were_paired_by_number_are_noted(tmp_path: Path) -> None:
    longer = np.concatenate([NEW[0].numpy(), NEW[0].numpy()[:5]])
    assert any("paired by number" in note for note in rg.drift(OLD[0], longer, OLD[1:]).notes)
    save(tmp_path / "new.npy", range(len(longer)), longer)
    assert not any("paired by number" in note for note in rg.drift(OLD[0], tmp_path / "new.npy", OLD[1:]).notes)


def test_the_table_at_fault_is_named(tables: Path) -> None:
    old, null, new = (tables / f"{name}.npy" for name in ("old", "seed-1", "new"))
    np.save(tables / "constant.npy", np.ones((ROWS, 6)))
    np.save(tables / "large.npy", NEW[0].numpy() * 1e200)
    np.save(tables / "short.npy", OLD[1].numpy()[:30])
    with pytest.raises(InputError, match=r"'new' must hold other files than 'old' \(got .*old.npy' in both\)"):
        rg.drift(old, old, null)
    with pytest.raises(
        InputError, match=r"'null' must have different rows \(got one vector in every row of .*constant"
    ):
        rg.drift(old, new, [null, tables / "constant.npy"])
    with pytest.raises(InputError, match=r"'new' must hold numbers below 1e\+100 \(got .* in .*large.npy"):
        rg.drift(old, tables / "large.npy", null)
    with pytest.raises(InputError, match=r"'null' must share 50 rows .* \(got 30, and 30 rows in .*short.npy"):
        rg.drift(old, new, tables / "short.npy")


def test_published_spaces_and_heads_are_no_tables(tables: Path) -> None:
    old, new = tables / "old.npy", tables / "new.npy"
    ids = torch.arange(ROWS)
    rg.PublishedHead(ids, OLD[1].float(), OLD[1].float().mean(dim=0)).save(tables / "head.safetensors")
    rg.AnchorSet.from_rows(OLD[1].float(), ids).save(tables / "space.safetensors")
    for name, kind in (("head", "relgraph.head/"), ("space", "relgraph.anchors/")):
        with pytest.raises(InputError, match=f"'null' must be a table .got '.*{name}.safetensors' of the kind {kind}"):
            rg.drift(old, new, tables / f"{name}.safetensors")


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_sentence(name: str) -> None:
    changed, words = WRONG[name]
    with pytest.raises(InputError, match=words):
        rg.drift(**{"old": OLD[0], "new": NEW, "null": OLD[1:], **changed})


def test_wrong_files_are_one_sentence(tables: Path) -> None:
    old, null, new = (tables / f"{name}.npy" for name in ("old", "seed-1", "new"))
    save(tables / "other.npy", range(1000, 1000 + ROWS), NEW[0].numpy())
    save(tables / "repeated.npy", [3] * ROWS, NEW[0].numpy())
    with pytest.raises(InputError, match="'new' must name ids that both tables have"):
        rg.drift(old, tables / "other.npy", null)
    with pytest.raises(InputError, match="'new' must not repeat an id"):
        rg.drift(old, tables / "repeated.npy", null)
    with pytest.raises(InputError, match="'null' must hold different files"):
        rg.drift(old, new, [null, null])
    with pytest.raises(InputError, match="'out' must not replace a file that is read"):
        rg.drift(old, new, null, new)
    link = tables / "link.npy"
    link.symlink_to(null)
    for given in ((old, new, null, link), (OLD[0], [NEW[0], new], [null], new.parent / "." / "new.npy")):
        with pytest.raises(InputError, match="'out' must not replace a file that is read"):
            rg.drift(*given)
    np.save(tables / "out.ids.npy", np.arange(ROWS))  # may be the ids of a table beside it
    save(tables / "out.safetensors", range(ROWS), NEW[0].numpy())
    with pytest.raises(InputError, match=r"'out' must not replace .*out\.ids\.npy"):
        rg.drift(old, tables / "out.safetensors", null, tables / "out.npy")
    with pytest.raises(DataError, match="does not exist"):
        rg.drift(old, new, tables / "none.npy")
