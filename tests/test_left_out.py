"""Rows of a space and a head that do not correspond, told from left-out anchors."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from relgraph.anchors import AnchorSet
from relgraph.conversion import NoCorrespondenceWarning, convert, publish


@pytest.mark.parametrize("outputs", ["classes", "labels", "values"])
@pytest.mark.parametrize("method", ["linear", "kl", "rbf", "auto"])
def test_rows_in_another_order_are_a_warning(method: str, outputs: str) -> None:
    if method == "kl" and outputs == "values":
        return
    z = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    target = z @ torch.randn(8, 8, generator=torch.Generator().manual_seed(1)) + 0.5 * z.flip(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = nn.Linear(8, 4)
    there = publish(head, AnchorSet(torch.arange(100), target[:100], target.mean(0)), outputs=outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(there, AnchorSet(torch.arange(100), z[:100], z.mean(0)), method)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    with pytest.warns(NoCorrespondenceWarning, match="permuted rows.*check that ids name the same nodes") as seen:
        convert(there, AnchorSet(torch.arange(100), z[order[:100]], z.mean(0)), method)
    assert seen[0].filename == __file__
