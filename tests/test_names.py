"""The names users type equal the registries, and importing the package costs nothing."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

import relgraph
from relgraph import load_dataset, names


def _registry(module: str, name: str) -> list[str]:
    return list(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ENCODERS", "relgraph.nn.encoders"),
        ("ARMS", "relgraph.stitching"),
        ("STRATEGIES", "relgraph.anchors"),
        ("SIMILARITIES", "relgraph.similarity"),
        ("NORMALIZATIONS", "relgraph.similarity"),
    ],
)
def test_names_are_those_of_the_registry_in_its_order(name: str, module: str) -> None:
    assert list(getattr(names, name)) == _registry(module, name)


def test_data_sets_are_the_embedded_one_pygs_and_ogbs() -> None:
    pyg, ogb = (
        _registry("relgraph.datasets.pyg", "PYG_DATASETS"),
        _registry("relgraph.datasets.ogb_files", "OGB_NODE_SETS"),
    )
    assert list(names.DATASETS) == ["digits", *pyg, *ogb]
    assert list(names.GRAPH_DATASETS) == _registry("relgraph.datasets.ogb_files", "OGB_GRAPH_SETS")


def test_features_are_those_that_loading_knows() -> None:
    from relgraph.datasets.structural import KINDS

    assert set(names.FEATURES) == {"raw", "file", *KINDS}
    for kind in names.FEATURES:
        load_dataset("digits", features=kind)


@pytest.mark.parametrize("split", names.SPLITS)
def test_every_split_is_understood(split: str) -> None:
    from relgraph.training import apply_protocol

    rows = torch.arange(200)
    data = Data(x=torch.zeros(200, 1), y=rows % 2)
    data.train_mask, data.val_mask, data.test_mask = rows < 50, (rows >= 50) & (rows < 90), rows >= 90
    data.dataset_name = "ogbn-small" if split == "ogb" else "small"
    assert apply_protocol(data, split)[1].name == split


def test_every_name_has_one_line_of_meaning() -> None:
    tables = [value for key, value in vars(names).items() if key.isupper()]
    assert len(tables) == 13
    for table in tables:
        assert all(meaning and "\n" not in meaning for meaning in table.values())


@pytest.mark.parametrize("module", ["relgraph", "relgraph.names", "relgraph.errors", "relgraph.cli"])
def test_importing_costs_nothing(module: str) -> None:
    heavy = ("torch", "numpy", "torch_geometric", "scipy", "sklearn", "matplotlib", "networkx")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", relgraph.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(relgraph, name)
    assert name == "__version__" or (callable(value) and value.__doc__)


def test_no_public_name_is_that_of_a_submodule() -> None:
    modules = {info.name for info in pkgutil.iter_modules(relgraph.__path__)}
    assert "stitching" in modules
    assert not modules & set(relgraph.__all__)


def test_type_checkers_see_what_users_get() -> None:
    tree = ast.parse(Path(relgraph.__file__).read_text(encoding="utf-8"))
    block = next(part for part in tree.body if isinstance(part, ast.If))
    seen = {
        alias.asname: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.name == alias.asname
    }
    assert seen == relgraph._HOMES
    assert relgraph.__all__ == ["__version__", *sorted(relgraph._HOMES)]


def test_an_unknown_attribute_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'relgraph' has no attribute 'nothing'"):
        _ = relgraph.nothing
    assert dir(relgraph) == sorted(relgraph.__all__)
