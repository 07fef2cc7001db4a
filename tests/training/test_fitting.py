"""fit and fit_many: any encoder, seeds that do not leak, errors that say what to do."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GATConv

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.training import TrainSettings, fit_many, memory


@pytest.fixture(scope="module")
def data():
    return rg.AddAnchors(16)(rg.load_dataset("digits"))


class Attention(nn.Module):
    """A user's own encoder, without reset_parameters and out_channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = GATConv(64, 12)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index).relu()


def test_the_global_generator_is_left_as_it_was(data):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    rg.fit(data, "gcn", epochs=2)
    rg.fit(data, "gat", epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_result_does_not_depend_on_the_global_generator(data):
    models = []
    for state in (1, 2):
        torch.manual_seed(state)
        models.append([rg.fit(data, name, epochs=2) for name in ("gcn", "gat")])
    for one, two in zip(*models, strict=True):
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    "encoder", [Attention, GCN(64, 24, 2), lambda: GCN(64, 24, 2)], ids=["class", "module", "factory"]
)
def test_a_users_encoder_trains_and_learns(data, encoder):
    run = fit_many(data, encoder, [0], settings=TrainSettings(epochs=15))[0]
    assert run.path == "loop"
    assert run.validation > 0.5
    assert not run.model.training


def test_a_module_given_is_not_changed(data):
    mine = GCN(64, 24, 2)
    before = [parameter.clone() for parameter in mine.parameters()]
    first, second = fit_many(data, mine, [0, 1], settings=TrainSettings(epochs=2))
    assert all(torch.equal(a, b) for a, b in zip(before, mine.parameters(), strict=True))
    assert not torch.equal(next(first.model.parameters()), next(second.model.parameters()))


def test_a_relative_head_needs_anchors_and_reads_them(data):
    model = rg.fit(data, "gcn", head="relative-cosine", epochs=2)
    assert model.head.in_features == 16
    with pytest.raises(InputError, match="AddAnchors"):
        rg.fit(rg.load_dataset("digits"), "gcn", head="relative-cosine", epochs=2)


def test_more_seeds_than_memory_allows_are_trained_in_parts(data, monkeypatch):
    from relgraph.training import fitting

    whole = fit_many(data, "gcn", [0, 1, 2], settings=TrainSettings(epochs=3))
    monkeypatch.setattr(fitting, "runs_that_fit", lambda *args, **options: 2)
    parts = fit_many(data, "gcn", [0, 1, 2], settings=TrainSettings(epochs=3))
    for one, two in zip(whole, parts, strict=True):
        for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", ["gcn", "gat"])
def test_a_graph_that_does_not_fit_says_so(data, monkeypatch, encoder: str):
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    with pytest.raises(DataError, match=r"fit in memory as one batch: 1,797 nodes need about .* GiB"):
        rg.fit(data, encoder, epochs=1)


def test_wrong_input_is_one_sentence(data):
    with pytest.raises(
        InputError, match="'encoder' must be one of gat, gcn, gcn2, gin, mlp, sage, transformer .*did you mean 'gcn'"
    ):
        rg.fit(data, "gnc")
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        rg.fit(data, "gcn", epoch=3)
    with pytest.raises(InputError, match="'epochs' must be at least 1"):
        rg.fit(data, "gcn", epochs=0)
    with pytest.raises(InputError, match="'head' must be one of linear, relative-cosine"):
        rg.fit(data, "gcn", head="cosine")
    with pytest.raises(InputError, match="'seeds' must name at least one"):
        fit_many(data, "gcn", [])
    with pytest.raises(InputError, match="must have class labels 'y'"):
        rg.fit(Data(x=data.x, edge_index=data.edge_index), "gcn")
    with pytest.raises(InputError, match="one embedding per node"):
        rg.fit(data, Pooled, epochs=1)


@pytest.mark.parametrize("encoder", ["gcn", "sage"])
def test_deeper_encoders_train_in_the_plain_loop_and_learn(data, encoder: str):
    three = fit_many(data, encoder, [0], settings=TrainSettings(epochs=25, num_layers=3))[0]
    assert (three.path, three.model.encoder.num_layers) == ("loop", 3)
    assert three.validation > 0.5
    two, same = (fit_many(data, encoder, [0], settings=TrainSettings(epochs=2, num_layers=n))[0] for n in (2, None))
    assert two.path == same.path == "stacked"
    assert all(torch.equal(a, b) for a, b in zip(two.model.parameters(), same.model.parameters(), strict=True))


def test_a_depth_that_an_encoder_does_not_have_is_one_sentence(data):
    with pytest.raises(InputError, match=r"'num_layers' must be 2 for the encoder 'gat', which has no other form"):
        rg.fit(data, "gat", epochs=1, num_layers=3)
    with pytest.raises(InputError, match=r"'num_layers' must be left out for an encoder of your own \(got 3\)"):
        rg.fit(data, Attention, epochs=1, num_layers=3)
    with pytest.raises(InputError, match=r"'num_layers' must be at least 1 \(got 0\)"):
        rg.fit(data, "gcn", num_layers=0)
    assert len(rg.fit(data, "gcn2", epochs=1).encoder.convs) == 4
    assert len(rg.fit(data, "gcn2", epochs=1, num_layers=2).encoder.convs) == 2


class Pooled(nn.Module):
    def forward(self, x, edge_index):
        return x.mean(0)


def test_a_class_without_training_nodes_and_empty_rows_stay_finite():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, 10, generator=generator)
    x[:5] = 0
    x[5:10] = x[5]
    y = torch.arange(60) % 3
    train = (torch.arange(60) < 20) & (y != 2)
    data = Data(x=x, edge_index=torch.randint(10, 50, (2, 80), generator=generator), y=y)
    data.train_mask, data.val_mask, data.test_mask = train, torch.arange(60) >= 40, torch.arange(60) >= 40
    data = rg.AddAnchors(8)(data)
    for encoder in ("gcn", "sage", "gat"):
        for head in ("linear", "relative-cosine"):
            model = rg.fit(data, encoder, head=head, epochs=3)
            assert torch.isfinite(model.predict(data)).all()
            assert model.head.out_features == 3


@pytest.mark.parametrize(("bad", "named"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
def test_features_that_are_not_finite_are_refused_with_their_row(data, bad, named):
    broken = data.clone()
    broken.x = data.x.index_put((torch.tensor([1234, 1500]), torch.tensor([3, 0])), torch.tensor(bad))
    for encoder in ("gcn", "gat"):
        with pytest.raises(InputError, match=f"finite features 'x' .got {named} in row 1234"):
            rg.fit(broken, encoder, epochs=1)
