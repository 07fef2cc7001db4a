"""Results in single precision on every device: they stay there and agree with float64 on the CPU.

Tests that compare devices only, and would compare the CPU with itself, need a GPU.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import relgraph as rg
from relgraph.nn import complete_edges
from relgraph.registry import ENCODERS, MAPS, STRATEGIES
from relgraph.training import TrainSettings, fit_many
from tests.registered import NORMALIZATIONS, SIMILARITIES, looped
from tests.spaces import head, normal, rotation, space

ON_EACH = pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
PAIRS = [(s, n) for s in SIMILARITIES for n in NORMALIZATIONS if n == "none" or not SIMILARITIES[s].whitens]
K, WIDTH, CLASSES = 24, 8, 5


def assert_same(found: Tensor, wanted: Tensor, device: str, tolerance: float = 1e-3) -> None:
    assert found.device.type == device and found.dtype == torch.float32
    torch.testing.assert_close(found.double().cpu(), wanted, rtol=tolerance, atol=tolerance * float(wanted.abs().max()))


@ON_EACH
@looped("similarity, normalization", PAIRS)
def test_layer_message_passing_and_folding(similarity: str, normalization: str, device: str) -> None:
    z = normal(120, WIDTH) + 1
    layer, conv = rg.RelativeLayer(similarity, normalization), rg.RelativeConv(similarity, normalization)
    wanted = layer(z, anchors=z[:K])
    there = z.float().to(device)
    assert_same(layer(there, anchors=there[:K]), wanted, device)
    # An angle near 0 has the square root of the precision: the two forms need not clamp the same cosine.
    loose = 3e-3 if similarity == "angular" else 1e-3
    assert_same(conv(there, complete_edges(K, 120, device=device), anchors=there[:K]), wanted, device, loose)
    if SIMILARITIES[similarity].bilinear:
        final = head(K, CLASSES).requires_grad_(False)
        outputs = final(wanted)
        assert_same(rg.fold(final.float().to(device), layer, there[:K])(there), outputs, device)


@ON_EACH
@pytest.mark.parametrize("method", [name for name in MAPS if MAPS.resolve(name).targets != "embeddings"])
def test_conversions(method: str, device: str) -> None:
    z, other = normal(120, WIDTH) + 1, (normal(120, WIDTH) + 1) @ rotation(WIDTH, 1)

    def outputs(dtype: torch.dtype, device: str) -> Tensor:
        mine, theirs = (rows.to(device, dtype) for rows in (z, other))
        published = rg.publish(head(WIDTH, CLASSES, 7).to(device, dtype), space(theirs, K))
        return rg.convert(space(mine, K), published, method)(mine)

    found, wanted = outputs(torch.float32, device), outputs(torch.float64, "cpu")
    assert found.device.type == device
    assert (found.cpu().argmax(-1) == wanted.argmax(-1)).double().mean() >= 0.97


@ON_EACH
@pytest.mark.parametrize("method", [name for name in MAPS if MAPS.resolve(name).targets != "outputs"])
def test_translations(method: str, device: str) -> None:
    z, other = normal(120, WIDTH) + 1, (normal(120, WIDTH) + 1) @ rotation(WIDTH, 1)
    wanted = rg.translate(space(z, K), space(other, K), method)(z)
    mine, theirs = z.float().to(device), other.float().to(device)
    assert_same(rg.translate(space(mine, K), space(theirs, K), method)(mine), wanted, device, 5e-3)


@ON_GPU
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_anchors_do_not_depend_on_the_device(strategy: str) -> None:
    data = rg.load_dataset("digits")
    if strategy == "class-stratified":
        data.train_mask = torch.arange(data.num_nodes) < 1000
    chosen = rg.AddAnchors(K, strategy)(data.clone().to("cuda"))
    assert chosen.anchor_rank.is_cuda
    assert rg.anchor_index(chosen).tolist() == rg.anchor_index(rg.AddAnchors(K, strategy)(data)).tolist()


@ON_GPU
@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_are_trained_and_stitched_on_a_gpu(encoder: str) -> None:
    data = rg.AddAnchors(K)(rg.load_dataset("digits")).to("cuda")
    one, two = fit_many(data, encoder, [0, 1], settings=TrainSettings(epochs=30))
    assert one.history.train_loss[-1] < one.history.train_loss[0]
    assert next(one.model.parameters()).is_cuda
    outputs = rg.stitch(one.model, two.model, data)(data)
    assert outputs.is_cuda
    own = (two.model.predict(data).argmax(-1) == data.y).double().mean()
    assert (outputs.argmax(-1) == data.y).double().mean() > own - 0.2


@ON_GPU
@pytest.mark.parametrize("at", [None, 1])
def test_an_experiment_on_a_gpu_has_the_values_of_the_cpu(at: int | None) -> None:
    """The same trained models are stitched on both devices."""
    data = rg.AddAnchors(64)(rg.load_dataset("digits"))
    runs = fit_many(data, "gcn", [0, 1], settings=TrainSettings(epochs=20))
    wanted = rg.stitch(runs[0].model, runs[1].model, data, at).predict(data)
    models = [run.model.to("cuda") for run in runs]
    found = rg.stitch(*models, data.to("cuda"), at).predict(data)
    assert found.is_cuda and (found.cpu().argmax(-1) == wanted.argmax(-1)).double().mean() > 0.99
