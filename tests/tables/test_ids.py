from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.errors import InputError
from relgraph.tables.ids import check_unique, comparable_ids, matching_rows, shown

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
