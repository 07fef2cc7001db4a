from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import jsonschema
import pytest

from relgraph.names import ARMS, SPLITS
from relgraph.stitching import schema
from relgraph.training import TrainSettings


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_document_of_an_experiment_validates(
    validator: jsonschema.Draft202012Validator, tiny_document: dict[str, Any]
) -> None:
    validator.validate(json.loads(json.dumps(tiny_document, allow_nan=False)))


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.pop(key)


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    **{
        f"without {key}": _drop(key)
        for key in ("schema", "task", "metric", "dataset", "protocol", "encoders", "seeds", "anchors", "train")
    },
    **{
        f"without {key}": _drop(key)
        for key in ("intervals", "arms", "runs", "robustness", "command", "versions", "seconds")
    },
    "other version": lambda d: d.update(schema="relgraph.stitching/2"),
    "unknown key": lambda d: d.update(extra=1),
    "unknown arm": lambda d: d["arms"].update(magic=d["arms"]["absolute"]),
    "figure without n": lambda d: d["arms"]["absolute"]["own"].pop("n"),
    "figure of nothing": lambda d: d["arms"]["absolute"]["own"].update(n=0),
    "figure with more": lambda d: d["arms"]["absolute"]["own"].update(max=1.0),
    "interval of one": lambda d: d["arms"]["absolute"]["own"].update(interval=[0.1]),
    "accuracy in percent": lambda d: d["arms"]["absolute"]["matrix"][0].__setitem__(0, 97.5),
    "control without kappa": lambda d: d["arms"]["permuted-anchors"].pop("kappa"),
    "control with own": lambda d: d["arms"]["permuted-anchors"].update(own=d["arms"]["absolute"]["own"]),
    "method with kappa": lambda d: d["arms"]["absolute"].update(kappa=d["arms"]["permuted-anchors"]["kappa"]),
    "too few draws": lambda d: d["arms"]["permuted-anchors"]["kappa"].update(draws=19),
    "one run": lambda d: d.update(runs=d["runs"][:1]),
    "unknown path": lambda d: d["runs"][0]["arms"]["absolute"].update(path="vmap"),
    "anchor twice": lambda d: d["anchors"]["ids"].__setitem__(0, d["anchors"]["ids"][1]),
    "labels half used": lambda d: d["anchors"].update(labels_used="maybe"),
    "no disagreement": lambda d: d["robustness"].update(disagreement=None),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=list(WRONG))
def test_wrong_documents_do_not_validate(
    change: Callable[[dict[str, Any]], object],
    validator: jsonschema.Draft202012Validator,
    tiny_document: dict[str, Any],
) -> None:
    document = copy.deepcopy(tiny_document)
    change(document)
    assert not validator.is_valid(document)


def test_names_in_the_schema_are_those_of_the_package() -> None:
    properties, definitions = schema()["properties"], schema()["$defs"]
    assert properties["arms"]["propertyNames"]["enum"] == list(ARMS)
    assert definitions["run"]["properties"]["arms"]["propertyNames"]["enum"] == list(ARMS)
    assert properties["protocol"]["properties"]["name"]["enum"] == list(SPLITS)
    assert set(properties["train"]["properties"]) == {field.name for field in fields(TrainSettings)}
