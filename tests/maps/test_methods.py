from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from relgraph.anchors import AnchorSet, GraphChangedWarning, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import choose_shrinkage, convert, default_map, fit_map, translate, translate_then
from relgraph.task import Mode
from tests.spaces import F64, head, normal, ring, rotation, slow_weights, space, two_runs, two_spaces, weighted

pytestmark = pytest.mark.filterwarnings(
    "ignore::relgraph.maps.NoCorrespondenceWarning", "ignore::relgraph.maps.FewAnchorsWarning"
)


@pytest.mark.parametrize(
    ("mode", "outputs", "method"),
    [
        ("multiclass", 4, "kl"),
        ("multiclass", 2, "kl"),
        ("multiclass", 1, "ridge"),  # a softmax of one logit says nothing
        ("multilabel", 3, "kl"),
        ("multilabel", 1, "kl"),
        ("regression", 3, "ridge"),
        ("regression", 1, "ridge"),
    ],
)
def test_the_default_maps_to_probabilities_of_classes_and_labels_and_to_values_by_least_squares(
    mode: Mode, outputs: int, method: str
) -> None:
    z, source, there = two_runs(40, outputs=outputs)
    there = PublishedHead(there.ids, there.outputs, there.mean, mode)
    assert default_map(there) == method and default_map(source) == "ridge"
    assert torch.equal(convert(source, there)(z), convert(source, there, method)(z))
    assert torch.equal(fit_map(source, there)[0](z), convert(source, there, method)(z))
    if method == "kl":
        assert not torch.allclose(convert(source, there)(z), convert(source, there, "ridge")(z))


@pytest.mark.parametrize("count", [8, 40])
def test_the_shrinkage_is_the_one_that_the_rule_selects_for_the_weighted_rows(count: int) -> None:
    z, source, there = two_runs(count)
    source = weighted(source)
    roots = slow_weights(source, there).sqrt().unsqueeze(1)
    number = choose_shrinkage(roots * (source.embeddings - source.center), roots * (there.outputs - there.mean))
    expected = convert(source, there, "ridge", shrinkage=number)(z)
    torch.testing.assert_close(convert(source, there, "ridge")(z), expected)
    x, y = two_spaces()
    a, b = weighted(space(x, count)), space(y, count)
    roots = slow_weights(a, b).sqrt().unsqueeze(1)
    number = choose_shrinkage(roots * (a.embeddings - a.center), roots * (b.embeddings - b.center))
    torch.testing.assert_close(translate(a, b)(x), translate(a, b, "ridge", shrinkage=number)(x))


def test_shared_anchors_are_used_if_the_ids_differ() -> None:
    source, target, own = space(normal(30, 4), 20), space(normal(30, 5, seed=1), 20), head(5, 3)
    part, other, common = source.take(torch.arange(0, 12)), target.take(torch.arange(7, 20)), torch.arange(7, 12)
    expected = convert(source.take(common), publish(own, target.take(common)))
    torch.testing.assert_close(convert(part, publish(own, other)).weight, expected.weight)
    fewer = part.take(torch.arange(0, 11))
    with pytest.raises(InputError, match=r"need 5 ids in common.*got 4 of 11 and 13"):
        convert(fewer, publish(own, other))
    with pytest.raises(InputError, match=r"need 5 ids in common.*got 4 of 11 and 13"):
        translate(fewer, other)


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: translate(a, b),
        lambda a, b: translate(a, b, "procrustes"),
        lambda a, b: translate_then(a, b, nn.ReLU()),
        lambda a, b: convert(a, publish(head(4, 3), b)),
        lambda a, b: convert(a, publish(head(4, 3), b), "ridge"),
        lambda a, b: fit_map(a, b, "ridge"),
    ],
)
def test_another_graph_is_one_warning_at_the_callers_line(call: Callable[..., Any]) -> None:
    a, b = space(normal(30, 4), 20, fingerprint="a"), space(normal(30, 4), 20, fingerprint="b")
    with pytest.warns(GraphChangedWarning, match="a and b") as caught:
        call(a, b)
    assert [warning.filename for warning in caught] == [__file__]


def test_swapped_and_wrong_arguments_are_one_sentence() -> None:
    _, source, there = two_runs(40)
    module = nn.Linear(5, 4)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: convert(there, source), r"'source' must be an AnchorSet .got PublishedHead.; .*convert.source, head"),
        (
            lambda: convert(source, source),
            "'head' must be a PublishedHead .got AnchorSet.; make one with relgraph.publ",
        ),
        (lambda: convert(source, module), "'head' must be a PublishedHead .got Linear."),
        (lambda: convert(source.embeddings, there), "'source' must be an AnchorSet .got Tensor."),
        (lambda: translate(source, there), "'target' must be an AnchorSet .got PublishedHead.; use relgraph.convert"),
        (lambda: translate(there, source), "'source' must be an AnchorSet .got PublishedHead."),
        (lambda: translate_then(module, source, source), "'source' must be an AnchorSet .got Linear.; the order is"),
        (
            lambda: translate_then(source, source, there),
            "'head' must be a Module .got PublishedHead.; use relgraph.con",
        ),
        (lambda: translate_then(source, there, module), "'target' must be an AnchorSet .got PublishedHead."),
    ]
    for call, message in calls:
        with pytest.raises(InputError, match=message):
            call()


def test_methods_that_do_not_fit_the_target_are_one_sentence() -> None:
    _, source, there = two_runs(40)
    for method in ("procrustes", "orthogonal"):
        with pytest.raises(
            InputError,
            match=f"'method' must be one of ridge, kernel-ridge, kl for a target of outputs .got '{method}', for",
        ):
            convert(source, there, method)
        with pytest.raises(InputError, match=f"'shrinkage' must be left out for '{method}', which has none"):
            translate(source, source, method, shrinkage=0.1)
    with pytest.raises(InputError, match="one of ridge, kernel-ridge, procrustes, orthogonal for a target of embedd"):
        translate(source, source, "kl")
    with pytest.raises(InputError, match="for a target of embeddings"):
        translate_then(source, source, nn.ReLU(), "kl")
    with pytest.raises(InputError, match=r"'method' must be one of .* \(got 'auto'\)"):
        convert(source, there, "auto")
    with pytest.raises(InputError, match=r"'method' must be one of .* \(got 'rigde'\); did you mean 'ridge'"):
        convert(source, there, "rigde")
    with pytest.raises(InputError, match="did you mean 'procrustes'"):
        translate_then(source, source, nn.ReLU(), "procrustis")


# A translation in front of a head.


@pytest.mark.parametrize("method", ["procrustes", "orthogonal", "ridge"])
def test_a_multi_layer_perceptron_is_used_on_another_space(method: str) -> None:
    z = normal(80, 4)
    other = 3 * z @ rotation(4) + 1
    own = nn.Sequential(nn.Linear(4, 8, dtype=F64), nn.Tanh(), nn.Linear(8, 3, dtype=F64))
    module = translate_then(space(z, 30), space(other, 30), own, method, shrinkage=0.0 if method == "ridge" else None)
    torch.testing.assert_close(module(z), own(other))
    assert module.head is own and module.training


@pytest.mark.parametrize("as_keyword", [False, True])
def test_a_message_passing_head_is_given_the_graph_of_the_call(as_keyword: bool) -> None:
    z, edges = normal(80, 4), ring(80)
    other = 3 * z @ rotation(4) + 1
    own = GCNConv(4, 3).double()
    module = translate_then(space(z, 30), space(other, 30), own, "procrustes")
    got = module(z, edge_index=edges) if as_keyword else module(z, edges)
    torch.testing.assert_close(got, own(other, edges))
    # Another graph than that of the anchors, its nodes in the source space.
    torch.testing.assert_close(module(z[50:], ring(30)), own(other[50:], ring(30)))


def test_gradients_pass_through_both() -> None:
    z = normal(30, 4).requires_grad_()
    anchors = space(z.detach(), 20)
    translate_then(anchors, anchors, GCNConv(4, 3).double())(z, ring(30)).sum().backward()
    assert z.grad is not None and bool(z.grad.any())


@pytest.mark.parametrize("method", ["ridge", "kernel-ridge", "procrustes", "orthogonal"])
def test_the_translation_in_front_of_a_head_is_that_of_translate(method: str) -> None:
    z, y = two_spaces()
    y[:6] *= 50
    a, b = weighted(space(z, 50)), space(y, 50)
    assert torch.equal(translate_then(a, b, nn.Identity(), method)(z), translate(a, b, method)(z))


def test_heads_of_another_width_are_refused() -> None:
    a, b = space(normal(30, 4), 20), space(normal(30, 5), 20)
    for own in (nn.Linear(4, 3), GCNConv(4, 3), nn.Sequential(nn.Linear(4, 3), nn.ReLU())):
        with pytest.raises(InputError, match=r"'target' must be the input space of the head, 4 wide \(got 5\)"):
            translate_then(a, b, own)
    assert translate_then(a, b, GCNConv(-1, 3)) is not None  # a width that is known after the first call only


# Files.


WORK = """
import sys, torch
from relgraph.anchors import AnchorSet, publish
seed, width, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.manual_seed(seed)
z = torch.randn(50, width)
anchors = AnchorSet(torch.arange(20), z[:20], z.mean(0), "graph")
if seed == 0:
    anchors.save(path)
else:
    publish(torch.nn.Linear(width, 3), anchors).save(path)
"""


def test_two_processes_need_to_share_two_files_only(tmp_path: Path) -> None:
    files = [tmp_path / "anchors", tmp_path / "head"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    jobs = [
        subprocess.Popen([sys.executable, "-c", WORK, str(i), str(6 + i), str(files[i])], env=environment)
        for i in range(2)
    ]
    assert [job.wait(timeout=120) for job in jobs] == [0, 0]
    layer = convert(AnchorSet.load(files[0]), PublishedHead.load(files[1]))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        z = torch.randn(50, 6)
        torch.manual_seed(1)
        target, own = torch.randn(50, 7), nn.Linear(7, 3)
    here = convert(space(z, 20, fingerprint="graph"), publish(own, space(target, 20, fingerprint="graph")))
    assert torch.equal(layer(z), here(z))
