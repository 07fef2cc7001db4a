"""The mean of a converted head and of the old one behind a rotation."""

import pytest
import torch
from torch import nn

import relgraph as rg
from relgraph.errors import InputError
from relgraph.versions import mixed_head
from tests.versions.test_upgrade import CLASSES, OLD, WIDTH, world


def pieces(noise: float = 0.5) -> tuple[torch.Tensor, nn.Linear, rg.AnchorSet, rg.PublishedHead, rg.AnchorSet]:
    before, after, _, head = world(noise)
    rows = torch.arange(200)
    old = rg.AnchorSet.from_rows(before[:OLD], rows)
    return after, head, rg.AnchorSet.from_rows(after, rows), rg.publish(head, old), old


@pytest.mark.parametrize("method", [None, "ridge"])
def test_it_is_the_mean_of_both_outputs_and_one_frozen_layer(method: str | None) -> None:
    after, head, space, published, old = pieces()
    found = mixed_head(space, published, old, head, method)
    expected = (rg.convert(space, published, method)(after) + head(rg.translate(space, old, "procrustes")(after))) / 2
    torch.testing.assert_close(found(after), expected, atol=1e-4, rtol=1e-4)
    assert isinstance(found, nn.Linear) and not any(one.requires_grad for one in found.parameters())


def test_other_widths_and_types_fit() -> None:
    after, head, space, published, old = pieces()
    wide = torch.cat([after, after[:, :3]], dim=1).double()
    found = mixed_head(rg.AnchorSet.from_rows(wide, torch.arange(200)), published, old, head)
    assert found.weight.shape == (CLASSES, WIDTH + 3) and found.weight.dtype == torch.float64
    same = found(wide).argmax(dim=1) == mixed_head(space, published, old, head)(after).argmax(dim=1)
    assert float(same.float().mean()) > 0.9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"old_head": nn.Sequential(nn.Linear(WIDTH, CLASSES))},
            "'old_head' must be a linear layer .*got a Sequential",
        ),
        ({"old_head": nn.Linear(WIDTH, 2)}, "'old_head' must be a linear layer from 8 to 4 values .got 8 to 2"),
        ({"method": "kernel-ridge"}, "'method' must give a linear layer"),
        ({"old_space": "space"}, "'old_space' must be"),
        ({"head": "space"}, "'head' must be"),
        ({"old_head": nn.Linear(WIDTH, CLASSES)}, "'old_head' must give the published outputs at the anchors"),
        ({"old_space": pieces()[2]}, "'old_head' must give the published outputs at the anchors of 'old_space'"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    _, head, space, published, old = pieces()
    given: dict[str, object] = {"space": space, "head": published, "old_space": old, "old_head": head}
    with pytest.raises(InputError, match=sentence):
        mixed_head(**(given | arguments))  # type: ignore[arg-type]
