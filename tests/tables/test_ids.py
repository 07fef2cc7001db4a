from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.tables import open_table
from relgraph.tables.frames import read_frame
from relgraph.tables.ids import check_unique, comparable_ids, in_kind_of, matching_rows, read_ids, shown, text_ids
from relgraph.tables.reading import ids_of_one_kind
from tests.tables.small import read, save, two_tables

KINDS = {
    "int32": lambda numbers: np.array(numbers, dtype=np.int32),
    "uint64": lambda numbers: np.array(numbers, dtype=np.uint64) + np.uint64(2**63),
    "text": lambda numbers: np.array([f"é{n}" for n in numbers]),
    "uuid": lambda numbers: np.array([uuid.UUID(int=n << 8).bytes for n in numbers], dtype="V16"),
}


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.integers(0, 50), unique=True, min_size=1), st.lists(st.integers(0, 50), unique=True, min_size=1))
@settings(max_examples=30, deadline=None)
def test_rows_match_as_in_a_dictionary(kind: str, a: list[int], b: list[int]) -> None:
    source, target = (comparable_ids(KINDS[kind](numbers), "source") for numbers in (a, b))
    wanted = [(i, b.index(n)) for i, n in enumerate(a) if n in b]
    if not wanted:
        with pytest.raises(InputError, match="none in common"):
            matching_rows(source, target)
        return
    rows, other = matching_rows(source, target)
    assert list(zip(rows.tolist(), other.tolist(), strict=True)) == wanted


def test_integers_of_different_types_match_by_value() -> None:
    large = np.array([2**63 + 5, 3], dtype=np.uint64)
    rows, other = matching_rows(comparable_ids(large, "source"), comparable_ids(np.array([-1, 3], np.int8), "target"))
    assert (rows.tolist(), other.tolist()) == ([1], [1])
    # The bits of -1 are those of the largest unsigned integer, which is another id.
    with pytest.raises(InputError, match="none in common"):
        matching_rows(np.array([2**64 - 1], dtype=np.uint64), np.array([-1]))


def test_text_and_integers_are_refused_together() -> None:
    with pytest.raises(InputError, match="text in the source and integers in the target"):
        matching_rows(comparable_ids(np.array(["1"]), "source"), np.array([1]))


@pytest.mark.parametrize("values", [np.array([0.5]), np.array([True]), np.zeros((2, 2), int)])
def test_other_types_are_refused(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="integers, strings or UUIDs"):
        comparable_ids(values, "source")


def test_a_repeated_id_is_named() -> None:
    with pytest.raises(InputError, match="got 'b' more than once"):
        check_unique(np.array([b"a", b"b", b"c", b"b"]), "target")
    with pytest.raises(InputError, match="'target' must not repeat an id .got 7"):
        matching_rows(np.array([1, 7]), np.array([7, 1, 7]))


def test_ids_are_shown_as_text_or_digits() -> None:
    assert [shown(one) for one in (np.int64(3), b"a", bytes([0, 255]))] == ["3", "'a'", "00ff"]


TEXTS: dict[str, tuple[list[str], str]] = {
    "integers": (["3", "-12", "0"], "i"),
    "with blanks": ([" 3", "4 "], "i"),
    "unsigned": (["3", str(2**63 + 1)], "u"),
    "too large": (["3", str(2**64)], "U"),
    "leading zero": (["001", "2"], "U"),
    "sign": (["+1", "2"], "U"),
    "minus zero": (["-0", "2"], "U"),
    "other digits": (["\u0663", "2"], "U"),
    "number": (["1.0", "2"], "U"),
    "spaces": (["New York", "Rome"], "U"),
    "one text": (["1", "2", "b"], "U"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_integers_if_all_are_decimal_numbers(name: str, tmp_path: Path) -> None:
    texts, kind = TEXTS[name]
    (tmp_path / "ids.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    for found in (text_ids(texts), read_ids(tmp_path / "ids.txt")):
        assert found.dtype.kind == kind
        assert found.tolist() == (texts if kind == "U" else list(map(int, texts)))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
@settings(max_examples=50, deadline=None)
def test_integers_are_written_as_text_and_back(numbers: list[int]) -> None:
    texts = [str(number) for number in numbers]
    found = text_ids(texts)
    assert found.dtype == np.int64 and found.tolist() == numbers
    assert in_kind_of(found, np.array(["a"])).tolist() == in_kind_of(found, np.array([b"a"])).tolist() == texts
    assert in_kind_of(found, np.array([7], dtype=np.uint8)).tolist() == numbers


def test_one_id_a_line_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_bytes("New York\r\n\u2028x\r\n".encode())
    assert read_ids(tmp_path / "ids.txt").tolist() == ["New York", "\u2028x"]
    np.save(tmp_path / "ids.npy", np.array([5, 7]))
    assert read_ids(tmp_path / "ids.npy").tolist() == [5, 7]
    assert read_ids(tmp_path / "ids.npy", np.array(["5"])).tolist() == ["5", "7"]
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf5\n7\n")
    assert read_ids(tmp_path / "bom.txt").tolist() == [5, 7]
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    for name in ("none.txt", "bad.txt", "none.npy"):
        with pytest.raises(DataError, match=f"{name}' must be an .npy file of ids, or a text of one id a line"):
            read_ids(tmp_path / name)


def test_columns_of_ids_of_a_csv_file_follow_the_same_rule(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    for texts, kind in TEXTS.values():
        path.write_text("\n".join(["id,label", *(f"{text},1" for text in texts)]), encoding="utf-8")
        found = read_frame(path, ("id", "label"), ids=("id", "source"))
        assert found["id"].tolist() == (texts if kind == "U" else list(map(int, texts)))
        assert found["label"].tolist() == [1] * len(texts)
    path.write_text("label,id\n1,NA\n2,null\n")
    assert read_frame(path, ids=("id",))["id"].tolist() == ["NA", "null"]
    path.write_text("label,id\n1,5\n2,\n")
    with pytest.raises(InputError, match="'labels' must have an id in every row .got an empty cell in the column 'id'"):
        read_frame(path, ids=("id",))


@pytest.mark.parametrize("written", [".txt", ".bin", ".ids.txt"])
@pytest.mark.parametrize("like", ["integers", "text", "numbers"])
def test_ids_that_were_written_as_text_are_read_in_the_kind_of_the_other_table(
    written: str, like: str, tmp_path: Path
) -> None:
    x, y = two_tables()
    order = np.random.default_rng(0).permutation(400)
    if written == ".ids.txt":
        new = save(tmp_path / "new.npy", None, x[order])
        (tmp_path / "new.ids.txt").write_text("\n".join(map(str, order)))
    else:
        new = save(tmp_path / f"new{written}", order, x[order])
    ids = {"integers": np.arange(400), "text": np.arange(400).astype(str).tolist(), "numbers": None}[like]
    old = save(tmp_path / ("old.npy" if ids is None else "old.parquet"), ids, y)
    report = rg.translate_table(new, old, tmp_path / "out.parquet")
    assert report.common == 400 and report.corresponds
    assert read(tmp_path / "out.parquet")[0] == (list(map(str, order)) if like == "text" else order.tolist())
    same = rg.tables.compare_tables([save(tmp_path / "same.npy", None, x), new], ["cka"])
    assert same.matrix("cka")[0, 1] == pytest.approx(1, abs=1e-5)
    assert rg.translate_table(old, new).common == 400


def test_ids_that_are_written_in_both_tables_are_integers_if_all_can_be(tmp_path: Path) -> None:
    x, y = two_tables()
    lines = save(tmp_path / "lines.npy", None, y)
    (tmp_path / "lines.ids.txt").write_text("\n".join(map(str, range(400))))
    words = save(tmp_path / "words.txt", range(400), x)
    assert [ids.dtype.kind for ids in ids_of_one_kind([open_table(words), open_table(lines)])] == ["i", "i"]
    assert rg.translate_table(words, lines).common == 400
    words = save(tmp_path / "words.txt", [*range(399), "</s>"], x)
    assert rg.translate_table(words, lines).common == 399
    with pytest.raises(InputError, match="text in the source and integers in the target"):
        rg.translate_table(words, save(tmp_path / "typed.npy", range(400), y))
