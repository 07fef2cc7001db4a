"""Bundles: what is saved is what is loaded, and anything else is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GCNConv

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.nn import GCNEncoder, Model, RelativeLayer
from relgraph.nn.model import RelativeModel
from tests.spaces import normal

NODES = 20


@pytest.fixture(scope="module")
def data() -> Data:
    edges = torch.randint(NODES, (2, 60), generator=torch.Generator().manual_seed(0))
    return rg.AddAnchors(6)(Data(x=normal(NODES, 5).float(), edge_index=edges))


def model(relative: bool = False) -> Model:
    torch.manual_seed(0)
    if relative:
        return RelativeModel(GCNEncoder(5, 8), RelativeLayer("dot", "center"), nn.Linear(6, 3)).eval()
    return Model(GCNEncoder(5, 8), nn.Linear(8, 3)).eval()


@pytest.fixture
def bundle(tmp_path: Path, data: Data) -> Path:
    made = model()
    space = rg.AnchorSet.from_embeddings(made.embed(data), data, version="v2", time="2026-03-01")
    rg.save_bundle(tmp_path / "b", made, space, mode="multilabel")
    return tmp_path / "b"


def manifest_of(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_saved_is_loaded(bundle: Path, data: Data) -> None:
    made, found = model(), rg.load_bundle(bundle)
    space = rg.AnchorSet.from_embeddings(made.embed(data), data)
    head = rg.publish(made.head, space, mode="multilabel")
    assert found.anchors.id == space.id and torch.equal(found.head.outputs, head.outputs)
    assert found.head.mode == found.manifest["task"] == "multilabel"
    for about in (found.anchors, found.head, SimpleNamespace(**found.manifest)):
        assert (about.version, about.time) == ("v2", "2026-03-01")
    assert "version v2, 2026-03-01" in (bundle / "README.md").read_text()
    assert found.manifest["graph"] == space.fingerprint and found.manifest["versions"]["relgraph"] == rg.__version__
    other = Model(GCNEncoder(5, 8), nn.Linear(8, 3)).eval()
    assert torch.equal(found.load_into(other).predict(data), made.predict(data))
    for name, digest in found.manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest
    card = (bundle / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: relgraph\n") and "6 anchors in 8 dimensions" in card


class _Tied(nn.Module):
    """Two layers with the same weights, and a buffer that is a part of another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)
        self.b.weight = self.a.weight
        self.register_buffer("whole", torch.arange(5.0))
        self.register_buffer("part", self.whole[1:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.b(torch.relu(self.a(x))) * self.whole + self.part
        return out


def test_tied_weights_are_saved_and_loaded(tmp_path: Path, data: Data) -> None:
    made, other = (Model(_Tied(), nn.Linear(5, 3)).eval() for _ in range(2))
    rg.save_bundle(tmp_path, made, rg.AnchorSet.from_embeddings(made.embed(data), data))
    rg.load_bundle(tmp_path).load_into(other)
    assert torch.equal(other.predict(data), made.predict(data))
    assert other.encoder.b.weight is other.encoder.a.weight


def test_a_relative_model_has_its_layer_and_no_published_head(tmp_path: Path, data: Data) -> None:
    made = model(relative=True)
    made.layer.freeze(rg.AnchorSet.from_embeddings(made.embed(data), data))
    rg.save_bundle(tmp_path, made, rg.AnchorSet.from_embeddings(made.embed(data), data))
    found = rg.load_bundle(tmp_path)
    assert found.head is None
    assert found.manifest["layer"] == {"similarity": "dot", "normalization": "center", "shrinkage": 0.01}
    other = model(relative=True)
    torch.testing.assert_close(found.load_into(other).predict(data), made.predict(data))


def test_a_second_bundle_replaces_the_first(bundle: Path, data: Data) -> None:
    made = model(relative=True)
    rg.save_bundle(bundle, made, rg.AnchorSet.from_embeddings(made.embed(data), data))
    assert rg.load_bundle(bundle).head is None


def test_nothing_is_written_if_saving_fails(tmp_path: Path, data: Data) -> None:
    made = model()
    space = rg.AnchorSet.from_rows(normal(9, 4), torch.arange(5))
    with pytest.raises(InputError, match="'head' must take embeddings as wide"):
        rg.save_bundle(tmp_path / "b", made, space)
    with pytest.raises(InputError, match="'model' must be a relgraph.Model .got Linear."):
        rg.save_bundle(tmp_path / "b", nn.Linear(2, 2), space)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Model(GCNEncoder(5, 8), nn.Linear(8, 3, bias=False)), "'head.bias' is not in the model"),
        (Model(GCNEncoder(5, 8), nn.Sequential(nn.Linear(8, 3))), "'head.0.bias' and 1 more is missing"),
        (Model(GCNEncoder(5, 9), nn.Linear(9, 3)), "and [0-9] more has another shape"),
    ],
)
def test_another_architecture_is_refused_and_unchanged(bundle: Path, other: Model, message: str) -> None:
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(InputError, match=message):
        rg.load_bundle(bundle).load_into(other)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())


def test_damaged_files_are_refused_by_name(bundle: Path) -> None:
    random = np.random.default_rng(0)
    for path in sorted(bundle.glob("*.safetensors")):
        whole = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
            for content in (bytes(damaged), whole[: random.integers(len(whole))]):
                path.write_bytes(content)
                with pytest.raises(DataError, match=f"{path.name}' is not the file that was saved"):
                    rg.load_bundle(bundle)
        path.write_bytes(whole)
        path.unlink()
        with pytest.raises(DataError, match=f"{path.name}' must be a file of the bundle .got no file."):
            rg.load_bundle(bundle)
        path.write_bytes(whole)
    assert rg.load_bundle(bundle).head is not None


def test_damaged_files_with_the_right_digest_are_refused_by_name(bundle: Path) -> None:
    random = np.random.default_rng(1)
    path = bundle / "anchors.safetensors"
    whole, files = path.read_bytes(), json.loads((bundle / "manifest.json").read_text())["files"]
    right = rg.load_bundle(bundle).anchors
    hostile = [pickle.dumps(Hostile()), b"", b"\xff" * 8, (1 << 40).to_bytes(8, "little") + whole[8:]]
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        hostile += [bytes(damaged), whole[: random.integers(len(whole))]]
    for content in hostile:
        path.write_bytes(content)
        manifest_of(bundle, files={**files, path.name: hashlib.sha256(content).hexdigest()})
        try:
            found = rg.load_bundle(bundle).anchors
        except DataError as error:
            assert path.name in str(error)
        else:  # a space of the padding became another one
            assert found.id == right.id and found.fingerprint == right.fingerprint


class Hostile:
    def __reduce__(self) -> Any:
        return os.abort, ()


def test_hostile_manifests_are_refused(bundle: Path, tmp_path: Path) -> None:
    path = bundle / "manifest.json"
    whole = path.read_bytes()
    files = json.loads(whole)["files"]
    (tmp_path / "secret.safetensors").write_bytes((bundle / "anchors.safetensors").read_bytes())
    digest = files["anchors.safetensors"]
    for name in ("../secret.safetensors", str(tmp_path / "secret.safetensors"), "other.bin", "", "."):
        manifest_of(bundle, files={**files, name: digest})
        with pytest.raises(DataError, match="must list files of a bundle"):
            rg.load_bundle(bundle)
        path.write_bytes(whole)
    manifest_of(bundle, files={"head.safetensors": files["head.safetensors"]})
    with pytest.raises(DataError, match="must list 'anchors.safetensors' .got no such file."):
        rg.load_bundle(bundle)
    for content in (b"", b"[]", b"{}", whole[:50], b"[" * 100_000, b"\xff\xfe", b" " * 2_000_000, b'{"kind": 3}'):
        path.write_bytes(content)
        with pytest.raises(DataError, match="manifest.json'"):
            rg.load_bundle(bundle)
    path.unlink()
    with pytest.raises(DataError, match="manifest.json' does not exist; give a folder that relgraph.save_bundle wrote"):
        rg.load_bundle(bundle)


def test_links_are_not_followed(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    (bundle / "head.safetensors").rename(outside)
    (bundle / "head.safetensors").symlink_to(outside)
    with pytest.raises(DataError, match="head.safetensors' must be a file of the bundle .got a link."):
        rg.load_bundle(bundle)


def test_the_hub(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[Any] = []

    class Api:
        def __init__(self, token: str | None = None) -> None:
            calls.append(token)

        def create_repo(self, repository: str, exist_ok: bool, private: bool = False) -> str:
            calls.append((repository, exist_ok, private))
            return f"https://hub/{repository}"

        def upload_folder(self, repo_id: str, folder_path: str, allow_patterns: list[str]) -> None:
            calls.append((repo_id, folder_path, sorted(allow_patterns)))

    def snapshot_download(repo_id: str, allow_patterns: list[str], revision: str | None = None) -> str:
        calls.append((repo_id, revision))
        (tmp_path / "snapshot").mkdir()
        for name in allow_patterns:
            (tmp_path / "snapshot" / name).symlink_to(bundle / name)
        return str(tmp_path / "snapshot")

    fake = SimpleNamespace(HfApi=Api, snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)  # type: ignore[arg-type]
    (bundle / "private.txt").write_text("not part of the bundle")
    assert rg.push_to_hub(bundle, "me/gcn", private=True, token="t") == "https://hub/me/gcn"
    files = ["README.md", "anchors.safetensors", "head.safetensors", "manifest.json", "model.safetensors"]
    assert calls == ["t", ("me/gcn", True, True), ("me/gcn", str(bundle), files)]
    assert rg.from_pretrained("me/gcn", revision="v1").anchors.id == rg.from_pretrained(bundle).anchors.id
    assert calls[-1] == ("me/gcn", "v1")
    (bundle / "head.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="head.safetensors"):
        rg.push_to_hub(bundle, "me/gcn")
    assert len(calls) == 4


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"'huggingface_hub' must be installed .*: pip install 'relgraph\[hub\]'"):
        rg.from_pretrained("me/gcn")


@pytest.mark.parametrize("relative", [False, True])
def test_anchors_of_another_type_are_refused_before_anything_is_written(
    tmp_path: Path, data: Data, relative: bool
) -> None:
    with pytest.raises(InputError, match="'anchors' must be an AnchorSet .got Tensor"):
        rg.save_bundle(tmp_path / "b", model(relative), normal(NODES, 8))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "name", ["no such repo!!", "a/b/c/d", "me/none", Path("nowhere")], ids=["letters", "slashes", "absent", "path"]
)
def test_what_is_neither_a_folder_nor_a_repository_is_one_sentence(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repo_id: str, allow_patterns: list[str]) -> str:
        raise (ConnectionError if repo_id.startswith("me") else ValueError)("Got: it is not there.\n\nMore text.")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(DataError, match=r"must be a folder .*from the Hub: it is not there\); check the name$"):
        rg.from_pretrained(name)


@pytest.mark.parametrize("name", [5, None, ""])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(InputError, match="'name' must be a folder or a repository"):
        rg.from_pretrained(name)


@pytest.mark.parametrize("kind", ["split", "conv", "tail"])
def test_a_head_that_passes_messages_is_left_out_and_not_published(kind: str, tmp_path: Path, data: Data) -> None:
    torch.manual_seed(0)
    made = {
        "split": lambda: rg.split(GCN(5, 8, 2, 3)),
        "conv": lambda: Model(GCNEncoder(5, 8), GCNConv(8, 3)),
        "tail": lambda: rg.split(model(), 1),
    }[kind]().eval()
    space = rg.AnchorSet.from_embeddings(made.embed(data), data)
    rg.save_bundle(tmp_path / "b", made, space)
    assert rg.load_bundle(tmp_path / "b").head is None
    with pytest.raises(InputError, match=r"'head' must read embeddings only .*'edge_index' of the graph\); pass its"):
        rg.publish(made.head, space)
