"""Errors: two classes, and the sentence for a name that nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.errors import DataError, InputError, unknown_name
from relgraph.names import ARMS, DATASETS, ENCODERS, STRATEGIES

REGISTRIES = {"arm": ARMS, "dataset": DATASETS, "encoder": ENCODERS, "strategy": STRATEGIES}


def test_the_callers_mistakes_and_the_worlds_are_told_apart() -> None:
    assert issubclass(InputError, ValueError) and issubclass(DataError, RuntimeError)
    assert not issubclass(InputError, DataError) and not issubclass(DataError, InputError)


def test_an_unknown_name_lists_the_valid_ones_in_order() -> None:
    error = unknown_name("arm", "zzz", iter(["b", "c", "a"]))
    assert isinstance(error, InputError)
    assert str(error) == "'arm' must be one of a, b, c (got 'zzz')"


@pytest.mark.parametrize("got", [None, 3, ("gcn",), object])
def test_what_is_no_string_is_shown_as_it_is(got: object) -> None:
    assert f"(got {got!r})" in str(unknown_name("encoder", got, ENCODERS))


def test_nothing_is_suggested_when_nothing_is_near() -> None:
    assert "did you mean" not in str(unknown_name("encoder", "perceiver", ENCODERS))
    assert "did you mean" not in str(unknown_name("encoder", "gcn", []))


def test_swapped_letters_are_understood_where_another_name_is_as_near() -> None:
    assert str(unknown_name("encoder", "gnc", ["gcn", "gin"])).endswith("; did you mean 'gcn'?")


@pytest.mark.parametrize(("argument", "name"), [(key, name) for key, names in REGISTRIES.items() for name in names])
def test_capitals_and_a_forgotten_letter_are_understood(argument: str, name: str) -> None:
    for got in {name.upper(), name[:-1]} - set(REGISTRIES[argument]):  # gcn2 without its last letter is another one
        assert str(unknown_name(argument, got, REGISTRIES[argument])).endswith(f"; did you mean '{name}'?")


@settings(max_examples=30)
@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=8), max_size=5))
def test_every_sentence_holds_argument_value_and_all_names(got: str, valid: list[str]) -> None:
    message = str(unknown_name("thing", got, valid))
    assert message.startswith(f"'thing' must be one of {', '.join(sorted(valid))} (got {got!r})")
