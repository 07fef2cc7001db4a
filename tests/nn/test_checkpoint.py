"""Weights from files: formats, wrappers, other architectures, other contents, damaged files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GraphSAGE

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.nn.checkpoint import load_weights, read_state

DATA = Data(x=torch.rand(9, 5, generator=torch.Generator().manual_seed(0)), edge_index=torch.arange(9).view(1, 9) % 8)
DATA.edge_index = torch.cat([DATA.edge_index, DATA.edge_index.flip(1)])


def gcn(seed: int = 0, **options: Any) -> GCN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GCN(5, 8, 2, 3, **options).eval()


def write(path: Path, state: Any) -> Path:
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return path


@pytest.mark.parametrize("at", [None, 1, "convs.0"])
@pytest.mark.parametrize("form", ["a.pt", "a.pth", "a.safetensors", "state_dict", "model_state_dict"])
def test_saved_is_loaded_and_taken_apart(tmp_path: Path, form: str, at: Any) -> None:
    trained, state = gcn(1), gcn(1).state_dict()
    wrapped = {form: state, "epoch": 3, "optimizer": {"lr": 0.1}} if "." not in form else state
    path = write(tmp_path / (form if "." in form else "a.pt"), wrapped)
    target = gcn(2)
    model = rg.Model.from_checkpoint(target, path, at)
    assert torch.equal(model(DATA), trained(DATA.x, DATA.edge_index))
    assert model.embed(DATA).shape == (9, 8)
    assert torch.equal(target(DATA.x, DATA.edge_index), trained(DATA.x, DATA.edge_index))


def test_sizes_that_are_known_at_the_first_call_only(tmp_path: Path) -> None:
    trained = gcn(1)
    path = write(tmp_path / "a.pt", trained.state_dict())
    model = rg.Model.from_checkpoint(GCN(-1, 8, 2, 3).eval(), path)
    assert torch.equal(model(DATA), trained(DATA.x, DATA.edge_index))


def test_other_architectures_are_one_sentence_and_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", gcn(1).state_dict())
    for model, message in (
        (gcn(jk="cat"), r"\(got missing from the file lin.weight and lin.bias; of other shapes convs.1.bias "),
        (gcn(bias=False), r"\(got unexpected in the file convs.0.bias and convs.1.bias\); build"),
        (GCN(6, 8, 2, 3), r"of other shapes convs.0.lin.weight \(8, 6\) for \(8, 5\)\); build the architecture"),
        (GraphSAGE(5, 8, 2, 3), "missing from the file convs.0.lin_l.weight, convs.0.lin_l.bias, .* and 3 more; unexp"),
    ):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(InputError, match=r"'model' must have the parameters of 'a.pt' .*") as caught:
            rg.Model.from_checkpoint(model, path)
        assert caught.match(message) and "\n" not in str(caught.value)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_module_that_cannot_be_taken_apart_keeps_its_weights(tmp_path: Path) -> None:
    path, model = write(tmp_path / "a.pt", gcn(1).state_dict()), gcn(2)
    with pytest.raises(InputError, match="'at' must be from 1 to 2"):
        rg.Model.from_checkpoint(model, path, 7)
    assert torch.equal(model(DATA.x, DATA.edge_index), gcn(2)(DATA.x, DATA.edge_index))


class Harmful:
    """Its unpickling would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_other_contents_are_named_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for content, message in (
        (gcn(), r"must hold tensors only \(got the object torch_geometric.nn.models.basic_gnn.GCN, which is not"),
        ({"state_dict": Harmful(mark)}, r"must hold tensors only \(got the object "),
        ({"epoch": 3}, r"must hold tensors by name, alone or under 'state_dict' or 'model_state_dict' \(got epoch"),
        ({}, r"must hold tensors by name.*\(got none\)"),
        (torch.ones(2), "must hold a state dict .got a Tensor."),
        ({"state_dict": {"a": 1}}, r"\(got a \(int\)\); save model.state_dict\(\)"),
    ):
        path = write(tmp_path / "b.pt", content)
        with pytest.raises(DataError, match=message) as caught:
            read_state(path)
        assert "b.pt" in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "c.pt").write_bytes(pickle.dumps(Harmful(mark)))  # a pickle that torch did not write
    (tmp_path / "d.safetensors").write_bytes(pickle.dumps(Harmful(mark)))
    for name in ("c.pt", "d.safetensors"):
        with pytest.raises(DataError, match=name):
            read_state(tmp_path / name)
    assert not mark.exists()
    with pytest.raises(DataError, match="'nowhere.pt' does not exist"):
        read_state("nowhere.pt")


@pytest.fixture(scope="module", params=["a.pt", "a.safetensors"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("saved") / request.param, nn.Linear(3, 2).state_dict())


@given(place=st.floats(0, 1), bit=st.integers(0, 7), length=st.one_of(st.none(), st.floats(0, 0.99)))
@settings(max_examples=60, deadline=None)
def test_damaged_files_are_refused_by_name_or_loaded(saved: Path, place: float, bit: int, length: float | None) -> None:
    content = bytearray(saved.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1 << bit
    path = saved.with_name(f"damaged{saved.suffix}")
    path.write_bytes(content if length is None else content[: int(length * len(content))])
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    try:
        load_weights(module, path)
    except (DataError, InputError) as error:
        assert path.name in str(error)
        assert torch.equal(module.weight, before)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_a_prefix_of_a_wrapper_before_all_names_is_dropped(prefix: str, tmp_path: Path) -> None:
    saved, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save({prefix + name: value for name, value in saved.state_dict().items()}, tmp_path / "a.pt")
    load_weights(fresh, tmp_path / "a.pt")
    assert torch.equal(fresh.weight, saved.weight)
    own = nn.ModuleDict({"module": nn.Linear(3, 2)})  # a prefix of its own
    torch.save({f"module.{name}": value for name, value in saved.state_dict().items()}, tmp_path / "b.pt")
    load_weights(own, tmp_path / "b.pt")
    assert torch.equal(own["module"].weight, saved.weight)
    torch.save({"module.weight": saved.weight, "bias": saved.bias}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="missing from the file weight; unexpected in the file module.weight"):
        load_weights(fresh, tmp_path / "c.pt")


def test_weights_that_are_nan_or_integers_are_refused(tmp_path: Path) -> None:
    fresh = nn.Linear(3, 2)
    before = fresh.weight.clone()
    torch.save(
        {"weight": torch.full((2, 3), float("nan")), "bias": torch.zeros(2, dtype=torch.long)}, tmp_path / "a.pt"
    )
    with pytest.raises(
        InputError, match="must hold usable weights .got no floating-point numbers in bias; NaN in weight"
    ):
        load_weights(fresh, tmp_path / "a.pt")
    assert torch.equal(fresh.weight, before)
