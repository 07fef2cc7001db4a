"""Every part on every device present: results stay there, and equal those of the processor in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import STRATEGIES, AnchorSet
from relgraph.conversion import CONVERSIONS
from relgraph.nn.encoders import ENCODERS
from relgraph.similarity import NORMALIZATIONS, SIMILARITIES
from relgraph.stitching import StitchSettings, build_document, run_experiment
from relgraph.training import TrainSettings, apply_protocol, fit_many
from relgraph.translation import TRANSLATIONS

PRESENT = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ON_EACH = pytest.mark.parametrize("device", PRESENT)
K, WIDTH, CLASSES = 24, 8, 5


def embeddings(seed: int = 0, rows: int = 120) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64) + 1


def graph() -> Data:
    return rg.AddAnchors(K)(rg.load_dataset("digits"))


def same(found: Tensor, wanted: Tensor, device: str, tolerance: float = 1e-4) -> None:
    assert found.device.type == device
    torch.testing.assert_close(found.double().cpu(), wanted, rtol=tolerance, atol=tolerance * float(wanted.abs().max()))


def space(z: Tensor) -> AnchorSet:
    return AnchorSet(torch.arange(K), z[:K], z.mean(0))


def head() -> nn.Linear:
    generator = torch.Generator().manual_seed(7)
    layer = nn.Linear(WIDTH, CLASSES, dtype=torch.float64).requires_grad_(False)
    layer.weight.copy_(torch.randn(CLASSES, WIDTH, generator=generator, dtype=torch.float64))
    layer.bias.copy_(torch.randn(CLASSES, generator=generator, dtype=torch.float64))
    return layer


@ON_EACH
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_layer_and_message_passing(similarity: str, normalization: str, device: str) -> None:
    if similarity == "whitened" and normalization != "none":
        pytest.skip("whitened already normalises")
    z = embeddings()
    layer = rg.RelativeLayer(similarity, normalization)
    wanted = layer(z, anchors=z[:K])
    there = z.float().to(device)
    same(layer(there, anchors=there[:K]), wanted, device, 1e-3)


@ON_EACH
@pytest.mark.parametrize("method", CONVERSIONS)
def test_conversions(method: str, device: str) -> None:
    z, other = embeddings(0), embeddings(0) @ torch.linalg.qr(embeddings(1, WIDTH))[0]

    def logits(kind: torch.dtype, where: str) -> Tensor:
        mine, theirs = z.to(where, kind), other.to(where, kind)
        published = rg.publish(head().to(where, kind), space(theirs))
        return rg.convert(published, space(mine), method=method)(mine)

    found = logits(torch.float32, device)
    assert found.device.type == device
    wanted = logits(torch.float64, "cpu")
    agreement = (found.cpu().argmax(-1) == wanted.argmax(-1)).double().mean()
    assert agreement >= 0.97


@ON_EACH
@pytest.mark.parametrize("name", TRANSLATIONS)
def test_translations(name: str, device: str) -> None:
    z = embeddings()
    other = z @ torch.linalg.qr(embeddings(1, WIDTH))[0]
    wanted = TRANSLATIONS[name].fit(space(z), space(other))(z)
    mine, theirs = z.float().to(device), other.float().to(device)
    same(TRANSLATIONS[name].fit(space(mine), space(theirs))(mine), wanted, device, 5e-3)


@ON_EACH
@pytest.mark.parametrize("similarity", ["cosine", "dot", "whitened"])
def test_folding(similarity: str, device: str) -> None:
    z = embeddings()
    layer = rg.RelativeLayer(similarity)
    final = nn.Linear(K, CLASSES, dtype=torch.float64).requires_grad_(False)
    wanted = final(layer(z, anchors=z[:K]))
    there = z.float().to(device)
    folded = rg.fold(final.float().to(device), layer, there[:K])
    same(folded(there), wanted, device)


@ON_EACH
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_anchors_do_not_depend_on_the_device(strategy: str, device: str) -> None:
    data, _ = apply_protocol(rg.load_dataset("digits"))
    chosen = rg.AddAnchors(K, strategy)(data.clone().to(device))
    assert chosen.anchor_rank.device.type == device
    assert rg.anchor_index(chosen).tolist() == rg.anchor_index(rg.AddAnchors(K, strategy)(data)).tolist()


@ON_EACH
@pytest.mark.parametrize("encoder", ENCODERS)
def test_training_and_stitching(encoder: str, device: str) -> None:
    data = graph().to(device)
    one, two = fit_many(data, encoder, [0, 1], settings=TrainSettings(epochs=30))
    assert one.history.train_loss[-1] < one.history.train_loss[0]
    assert next(one.model.parameters()).device.type == device
    logits = rg.stitch(one.model, two.model, data)(data)
    assert logits.device.type == device
    assert logits.isfinite().all()
    own = (two.model.predict(data).argmax(-1) == data.y).double().mean()
    stitched = (logits.argmax(-1) == data.y).double().mean()
    assert stitched > own - 0.2


@ON_EACH
@pytest.mark.parametrize("stitch_at", [None, 1])
def test_the_whole_experiment(stitch_at: int | None, device: str) -> None:
    settings = StitchSettings(seeds=(0, 1), train=TrainSettings(epochs=20), stitch_at=stitch_at)
    experiment = run_experiment(graph().to(device), settings)
    document = build_document(experiment, command="test")
    assert set(document["arms"]) == set(settings.arms)
