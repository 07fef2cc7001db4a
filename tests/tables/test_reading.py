from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.pieces import open_piece
from relgraph.tables import arrays, arrow, open_table
from relgraph.tables.reading import read_files
from tests.tables.small import save, two_tables

X, Y = two_tables()
KINDS = [".parquet", ".pq", ".arrow", ".feather", ".npy", ".safetensors", ".txt", ".bin"]


@pytest.mark.parametrize("block", [7, 100, 1 << 15])
@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_has_the_same_rows_in_every_block_size(
    suffix: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "BLOCK", block)
    monkeypatch.setattr(arrow, "BLOCK", block)
    ids = np.arange(400) * 3 + 5
    table = open_table(save(tmp_path / f"a{suffix}", ids, X))
    wanted = np.char.encode(ids.astype(str)) if suffix in (".txt", ".bin") else ids
    assert len(table) == 400 and table.width == 6 and table.dtype == np.float32
    assert np.array_equal(table.ids(), wanted) and table.id_of(7) == wanted[7]
    assert np.allclose(np.concatenate([rows for _, rows in table.blocks()]), X, atol=1e-5)
    assert max(len(rows) for _, rows in table.blocks()) <= block
    chosen = np.array([399, 0, 151, 150, 3])
    assert np.allclose(table.take(chosen), X[chosen], atol=1e-5)
    starts = [first for first, _ in table.blocks()]
    for start in (starts[0], starts[-1], starts[len(starts) // 2]):
        found = list(table.blocks(start))
        assert [first for first, _ in found] == [first for first in starts if first >= start]
        assert np.allclose(np.concatenate([rows for _, rows in found]), X[start:], atol=1e-5)


@pytest.mark.parametrize("kind", [">f2", ">f4", ">f8", np.longdouble])
def test_arrays_of_types_that_torch_lacks_are_read_in_the_nearest(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "BLOCK", 100)
    source, target = (save(tmp_path / f"{n}.npy", None, v.astype(kind)) for n, v in (("new", X), ("old", Y)))
    table = open_table(source)
    native = np.dtype(np.float64 if kind is np.longdouble else kind.replace(">", "="))
    assert table.dtype == native and table.take(np.arange(3)).dtype == native
    assert np.array_equal(np.concatenate([rows for _, rows in table.blocks()]), X.astype(native))
    report = rg.translate_table(source, target, tmp_path / "out.npy")
    plain = [save(tmp_path / f"{n}-plain.npy", None, v.astype(native)) for n, v in (("new", X), ("old", Y))]
    assert rg.translate_table(*plain, tmp_path / "wanted.npy").figures == report.figures
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "wanted.npy").read_bytes()


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize(
    "ids",
    [
        pa.array([f"n{i}" for i in range(400)]),
        pa.array([f"n{i}" for i in range(400)]).dictionary_encode(),
        pa.array([f"n{i}" for i in range(400)], pa.large_string()),
        pa.array(range(400), pa.uint16()),
        pa.array([uuid.UUID(int=i).bytes for i in range(400)], pa.binary(16)),
        pa.array([uuid.UUID(int=i).bytes for i in range(400)], pa.uuid()),
    ],
    ids=["text", "dictionary", "large-text", "unsigned", "bytes", "uuid"],
)
def test_ids_of_every_type_are_read(ids: pa.Array, suffix: str, tmp_path: Path) -> None:
    table = open_table(save(tmp_path / f"a{suffix}", ids, X))
    found = table.ids()
    assert len(set(found.tolist())) == 400 and found[1] == table.id_of(1)


def test_vectors_in_columns_and_in_lists_of_any_type(tmp_path: Path) -> None:
    columns = open_table(save(tmp_path / "a.parquet", range(400), X.astype(np.float64), columns=True))
    assert columns.columns == tuple(f"d{i}" for i in range(6)) and columns.dtype == np.float64
    assert np.array_equal(columns.take(np.arange(400)), X.astype(np.float64))
    lists = pa.table({"id": range(400), "v": pa.array(X.tolist(), pa.list_(pa.float32()))})
    pq.write_table(lists, tmp_path / "b.parquet")
    assert np.array_equal(open_table(tmp_path / "b.parquet").take(np.arange(400)), X)


def test_ids_beside_an_npy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    assert np.array_equal(open_table(tmp_path / "a.npy").ids(), np.arange(400))
    (tmp_path / "a.ids.txt").write_text("\n".join(f"n{i}" for i in range(400)))
    assert open_table(tmp_path / "a.npy").ids()[3] == b"n3"


def made(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def ragged(path: Path) -> Path:
    return made(path, id=["a", "b"], v=pa.array([[1.0, 2.0], [1.0]]))


def repeated(path: Path, *names: str) -> Path:
    kinds = [pa.array([3]) if name == "id" else pa.array([0.5]) for name in names]
    pq.write_table(pa.Table.from_arrays(kinds, list(names)), path)
    return path


WRONG = {
    "an integer column": (lambda p: made(p, id=["a"], x=[0.5], y=[3]), "got int64 in the column 'y'"),
    "different types": (lambda p: made(p, id=["a"], x=[0.5], y=pa.array([1.0], pa.float32())), "of one type"),
    "integer vectors": (lambda p: made(p, id=["a"], v=[[1, 2]]), "got int64 in the column 'v'"),
    "no vectors": (lambda p: made(p, id=["a"]), "must have vectors beside the ids"),
    "two vectors": (lambda p: made(p, id=["a"], v=[[0.5]], w=[[0.5]]), "one column of vectors (got v, w"),
    "two keys": (lambda p: made(p, a=["a"], b=["b"], v=[[0.5]]), "'key' must be given unless one column"),
    "empty lists": (lambda p: made(p, id=["a"], v=pa.array([[]], pa.list_(pa.float32()))), "got empty lists in the"),
    "lists of width 0": (lambda p: made(p, id=["a"], v=pa.array([[]], pa.list_(pa.float32(), 0))), "one dimension or"),
    "a repeated dimension": (lambda p: repeated(p, "id", "a", "a"), "of different names (got 'a' 2 times in"),
    "a repeated key": (lambda p: repeated(p, "id", "id", "a"), "of different names (got 'id' 2 times in"),
    "no rows": (lambda p: made(p, id=pa.array([], pa.string()), v=pa.array([], pa.list_(pa.float32()))), "none"),
    "lists of different lengths": (ragged, "vectors of one width, 2 (got 1 in the row with id 'b'"),
    "a missing value": (lambda p: made(p, id=["a", "b"], x=[0.5, None]), "got none in the row with id 'b'"),
    "a missing vector": (lambda p: made(p, id=["a", "b"], v=[[0.5], None]), "got none in the row with id 'b'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_table_of_another_form_is_one_sentence(name: str, tmp_path: Path) -> None:
    make, words = WRONG[name]
    with pytest.raises(InputError) as error:
        for _ in open_table(make(tmp_path / "a.parquet")).blocks():
            pass
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", range(400), X)
    with pytest.raises(InputError, match="'key' must be a column of .*, one of id, vector"):
        open_table(path, key="node")
    with pytest.raises(InputError, match="must have an id in every row"):
        open_table(made(tmp_path / "b.parquet", id=["a", None], x=[0.5, 0.5])).ids()


@pytest.mark.parametrize("suffix", KINDS)
def test_damaged_and_missing_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(DataError, match="does not exist"):
        open_table(path)
    path.write_bytes(b"no table at all")
    with pytest.raises(DataError, match="damaged|format"):
        open_table(path)


def test_arrays_of_another_form_are_refused(tmp_path: Path) -> None:
    for number, (array, words) in enumerate(
        [(np.zeros((3, 2), int), "int64"), (np.zeros(3), "shape"), (np.zeros((0, 2)), "(0, 2)")]
    ):
        np.save(tmp_path / f"{number}.npy", array)
        with pytest.raises(InputError) as error:
            open_table(tmp_path / f"{number}.npy")
        assert words in str(error.value)
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="no plain npy file"):
        open_table(tmp_path / "o.npy")
    with pytest.raises(InputError, match="one id per row, 400"):
        open_table(save(tmp_path / "b.npy", range(3), X))
    with pytest.raises(InputError, match="must be a file of one of the kinds .parquet"):
        open_table(tmp_path / "a.csv")


def test_suffixes_are_read_in_any_case(tmp_path: Path) -> None:
    for suffix in KINDS:
        path = save(tmp_path / f"a{suffix}", range(400), X)
        assert open_table(path.rename(path.with_suffix(suffix.upper()))).width == 6


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_stream_of_arrow_is_read_as_the_file(compression: str | None, tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    table = pa.table({"id": np.arange(400), "v": vectors})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    for name, make in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        with make(str(tmp_path / f"{name}.arrow"), table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=150)
    file, stream = (open_table(tmp_path / f"{name}.arrow") for name in ("file", "stream"))
    assert len(stream) == 400 and stream.ids().tolist() == file.ids().tolist()
    rows = np.array([399, 0, 149, 150, 7])
    assert np.array_equal(stream.take(rows), X[rows]) and np.array_equal(file.take(rows), X[rows])


@pytest.mark.parametrize("left", [0, 3, 8, 100, -8, -9, -100])
def test_a_stream_of_arrow_that_is_cut_off_is_damaged(left: int, tmp_path: Path) -> None:
    """A reader takes the end of the file for the end of the stream: between two batches, rows would be missing."""
    path, table = tmp_path / "a.arrow", pa.table({"id": range(3), "v": X[:3].tolist()})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match="a.arrow' is damaged or no such table"):
        open_table(path)


def test_a_repeated_word_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("4 2\na 1 2\nb 1 3\na 2 2\nc 4 4\n")
    with pytest.raises(InputError, match="'source' must not repeat a word .got 3 different ones of 4 in"):
        open_table(tmp_path / "a.txt")


def test_suffixes_in_any_case_have_their_ids_beside_and_are_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.NPY"
    with path.open("wb") as file:
        np.save(file, np.eye(3))
    (tmp_path / "a.ids.txt").write_text("x\ny\nz", encoding="utf-8")
    assert open_table(path).ids().tolist() == [b"x", b"y", b"z"]
    assert tmp_path / "a.ids.txt" in read_files(path)
    assert open_piece(path).kind == "table"
