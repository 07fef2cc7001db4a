"""Errors: two classes, their sentences, and the sentence for an unknown name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.errors import DataError, InputError, real_number, renamed, unknown_name
from relgraph.registry import DATASETS, ENCODERS, METHODS, STRATEGIES

REGISTRIES = {"method": METHODS, "dataset": DATASETS, "encoder": ENCODERS, "strategy": STRATEGIES}


def test_input_and_data_errors_are_different_classes() -> None:
    assert issubclass(InputError, ValueError) and issubclass(DataError, RuntimeError)
    assert not issubclass(InputError, DataError) and not issubclass(DataError, InputError)


def test_an_unknown_name_lists_the_valid_ones_in_order() -> None:
    error = unknown_name("arm", "zzz", iter(["b", "c", "a"]))
    assert isinstance(error, InputError)
    assert str(error) == "'arm' must be one of a, b, c (got 'zzz')"


@pytest.mark.parametrize("got", [None, 3, ("gcn",), object])
def test_a_value_that_is_no_string_is_shown(got: object) -> None:
    assert f"(got {got!r})" in str(unknown_name("encoder", got, ENCODERS))


def test_nothing_is_suggested_when_nothing_is_near() -> None:
    assert "did you mean" not in str(unknown_name("encoder", "perceiver", ENCODERS))
    assert "did you mean" not in str(unknown_name("encoder", "gcn", []))


def test_swapped_letters_are_preferred() -> None:
    assert str(unknown_name("encoder", "gnc", ["gcn", "gin"])).endswith("; did you mean 'gcn'?")


@pytest.mark.parametrize("argument", REGISTRIES)
def test_capitals_and_a_missing_letter_are_understood(argument: str) -> None:
    for name in REGISTRIES[argument]:
        found = str(unknown_name(argument, name.upper(), REGISTRIES[argument]))
        assert found.endswith(f"; did you mean '{name}'?")
    assert str(unknown_name("method", "procruste", METHODS)).endswith("; did you mean 'procrustes'?")


def test_an_error_can_name_the_option_of_its_argument() -> None:
    error = InputError("num_anchors", "must be at least 1 (got 0)")
    assert error.argument == "num_anchors" and str(error) == "'num_anchors' must be at least 1 (got 0)"
    assert error.sentence("--anchors") == "'--anchors' must be at least 1 (got 0)"
    assert str(InputError("", "two pieces must match")) == InputError("", "two pieces must match").sentence("x")


@pytest.mark.parametrize(("value", "shown"), [("1", "'1'"), (None, "NoneType"), ([1.0], "list"), (1j, "complex")])
def test_what_is_no_number_is_refused(value: object, shown: str) -> None:
    assert real_number("share", np.float32(0.5)) == real_number("share", torch.tensor(0.5)) == 0.5
    with pytest.raises(InputError) as caught:
        real_number("share", value)
    assert str(caught.value) == f"'share' must be a number (got {shown}); give a float"


def test_a_block_may_name_arguments_otherwise() -> None:
    with pytest.raises(InputError) as caught, renamed({"z": "--rows", "source": "NEW"}):
        raise InputError("z", "must fit 'kept', 'z' and the source (got 'z')")
    assert str(caught.value) == "'--rows' must fit 'kept', '--rows' and 'NEW' (got 'z')"
    error = InputError("kept", "must fit the target (got 'z')")
    with pytest.raises(InputError) as same, renamed({"z": "--rows"}):
        raise error
    assert same.value is error


@settings(max_examples=30)
@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=8), max_size=5))
def test_every_sentence_holds_argument_value_and_all_names(got: str, valid: list[str]) -> None:
    message = str(unknown_name("thing", got, valid))
    assert message.startswith(f"'thing' must be one of {', '.join(sorted(valid))} (got {got!r})")
