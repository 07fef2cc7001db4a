"""Damaged and hostile tables: one sentence that names the file or the argument, or a report; never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from safetensors.numpy import save_file

import relgraph as rg
from relgraph.errors import DataError, InputError

ROWS, WIDTH = 300, 8
KINDS = ("parquet", "arrow", "feather", "npy", "safetensors", "vec", "stream.arrow")


def write(path: Path, rows: np.ndarray) -> None:
    ids = np.arange(len(rows))
    table = pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), WIDTH)})
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    elif path.suffix == ".arrow":
        make = pa.ipc.new_stream if ".stream" in path.suffixes else pa.ipc.new_file
        with make(str(path), table.schema) as file:
            file.write_table(table)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(table, path)  # compressed
    elif path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".safetensors":
        save_file({"ids": ids, "vectors": rows}, path)
    else:
        lines = [f"{one} {' '.join(map(str, row))}" for one, row in zip(ids, rows.tolist(), strict=True)]
        path.write_text(f"{len(rows)} {WIDTH}\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_sentence_or_a_report(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(KINDS.index(kind))
    old = random.normal(size=(ROWS, WIDTH)).astype(np.float32)
    path, target, refused = tmp_path / f"new.{kind}", tmp_path / "old.npy", 0
    np.save(target, old)
    if kind == "vec":  # whose ids are text
        np.save(tmp_path / "old.ids.npy", np.arange(ROWS).astype("U"))
    beside = sorted(tmp_path.iterdir())
    write(path, np.ascontiguousarray(old[:, ::-1]))
    whole = path.read_bytes()
    assert rg.translate_table(path, target).verdict == "good"
    for turn in range(36):
        damaged = bytearray(whole)
        if turn % 3 == 0:
            damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        elif turn % 3 == 1:
            damaged = damaged[: random.integers(len(whole))]
        else:
            place = 0 if turn % 2 else -100
            damaged[place : place + 100 or None] = random.bytes(100)
        path.write_bytes(damaged)
        try:
            rg.translate_table(path, target)
        except (DataError, InputError) as error:
            refused += 1
            assert "new" in str(error) or "source" in str(error) or "key" in str(error)
    assert refused >= 12  # those cut short
    assert sorted(tmp_path.iterdir()) == sorted([path, *beside])


def test_offsets_that_lead_out_of_the_file_are_refused(tmp_path: Path) -> None:
    path, offsets = tmp_path / "new.arrow", np.array([0, WIDTH, 2 * WIDTH], np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.zeros(2 * WIDTH, np.float32)))
    table = pa.table({"id": [0, 1], "vector": column})
    with pa.ipc.new_file(str(path), table.schema) as file:
        file.write_table(table)
    whole = path.read_bytes()
    assert whole.count(offsets.tobytes()) == 1
    path.write_bytes(whole.replace(offsets.tobytes(), np.array([0, WIDTH, 1 << 30], np.int32).tobytes()))
    np.save(tmp_path / "old.npy", np.eye(8, dtype=np.float32))
    with pytest.raises(DataError, match="new.arrow' is damaged"):
        rg.translate_table(path, tmp_path / "old.npy")


@pytest.mark.parametrize("header", [b"999999999999 300\n", b"-1 4\n", b"1 2 3\n", b"\n", b"x" * 5000])
def test_a_header_of_word2vec_that_promises_more_than_the_file_has_takes_no_memory(
    header: bytes, tmp_path: Path
) -> None:
    for suffix in (".txt", ".bin"):
        path = tmp_path / f"new{suffix}"
        path.write_bytes(header + b"a 1 2 3 4\n")
        with pytest.raises((DataError, InputError), match="new|source"):
            rg.translate_table(path, path)
