from __future__ import annotations

import pytest
import torch
from torch import nn

import relgraph as rg
from relgraph.errors import InputError
from relgraph.maps import fold_translation
from relgraph.registry import MAPS
from tests.spaces import F64, normal, space, two_spaces

METHODS = [name for name in MAPS if MAPS.resolve(name).targets != "outputs"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width", [3, 4, 7])
def test_a_folded_translation_is_the_translation(method: str, width: int) -> None:
    z, y = two_spaces(target_width=width)
    translation = rg.translate(space(z, 40), space(y, 40), method)
    if getattr(translation, "similarity", "dot") != "dot":
        with pytest.raises(InputError, match="must be affine to be folded"):
            rg.fold(translation)
        return
    folded = rg.fold(translation)
    assert isinstance(folded, nn.Linear) and not folded.weight.requires_grad and folded.weight.dtype == F64
    torch.testing.assert_close(folded(z), translation(z))


def test_a_chain_is_one_matrix() -> None:
    z, y = two_spaces(target_width=5)
    steps = nn.Sequential(rg.translate(space(z, 40), space(y, 40)), nn.Linear(5, 2, dtype=F64), nn.Linear(2, 2, False))
    steps = steps.double()
    torch.testing.assert_close(fold_translation(steps)(z), steps(z))
    assert fold_translation(steps).weight.shape == (2, 4)


def test_the_kernel_of_dot_products_folds() -> None:
    z, y = normal(50, 6), normal(50, 6) @ normal(6, 3, seed=1)  # exactly linear, so that the dot product is selected
    translation = rg.translate(space(z, 50), space(y, 50), "kernel-ridge")
    torch.testing.assert_close(fold_translation(translation)(z), translation(z))


def test_folding_draws_no_random_number_and_keeps_the_type() -> None:
    z, y = two_spaces()
    translation = rg.translate(space(z.float(), 40), space(y.float(), 40))
    before = torch.random.get_rng_state()
    assert fold_translation(translation).weight.dtype == torch.float32
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_module_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="got a ReLU"):
        rg.fold(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
