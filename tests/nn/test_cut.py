"""Front, then back, is the model, wherever it is cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN

from relgraph.anchors import AnchorSet
from relgraph.errors import InputError
from relgraph.nn.cut import CutModel, cut, edges_of
from relgraph.nn.encoders import ENCODERS, LayeredEncoder, layers_of, make_encoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.nn.relative import RelativeLayer
from relgraph.translation import translate_then

DEEPER = ("gcn", "sage", "gcn2")
FORMS = [(name, None) for name in ENCODERS] + [(name, 3) for name in DEEPER] + [("gcn", 5), ("gcn2", 1)]
PLACES = [(name, depth, layer) for name, depth in FORMS for layer in range(1, layers_of(name, depth) + 1)]


def graph(*, weighted: bool = False) -> Data:
    generator = torch.Generator().manual_seed(0)
    data = Data(x=torch.rand(30, 5, generator=generator), edge_index=torch.randint(28, (2, 90), generator=generator))
    if weighted:
        data.edge_weight = torch.rand(90, generator=generator) + 0.1
    return data


def model_of(name: str, depth: int | None = None, *, seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = make_encoder(name, 5, num_layers=depth, hidden_channels=16)
        return Model(encoder, nn.Linear(encoder.out_channels, 3)).eval()


@pytest.mark.parametrize(("name", "depth", "layer"), PLACES)
@pytest.mark.parametrize("weighted", [False, True])
def test_front_then_back_is_the_model(name: str, depth: int | None, layer: int, weighted: bool) -> None:
    data, model = graph(weighted=weighted), model_of(name, depth)
    front, back = cut(model, layer)
    h = front(data.x, *edges_of(data))
    assert h.shape == (30, front.out_channels) and front.out_channels == back.in_channels
    assert torch.equal(back(h, *edges_of(data)), model(data))
    assert torch.equal(CutModel(front, back)(data), model(data))
    assert torch.equal(CutModel(front, back).encode(data), h)


@pytest.mark.parametrize(("name", "depth"), FORMS)
def test_behind_the_last_layer_the_back_is_the_head(name: str, depth: int | None) -> None:
    data, model = graph(), model_of(name, depth)
    front, back = cut(model, layers_of(name, depth))
    z = front(data.x, data.edge_index)
    assert torch.equal(z, model.encode(data))
    assert torch.equal(back(z), model.head(z)) and back.head is model.head


@pytest.mark.parametrize(("name", "depth"), FORMS)
def test_layers_are_steps_of_one_chain(name: str, depth: int | None) -> None:
    data, encoder = graph(), model_of(name, depth).encoder
    assert len(encoder.widths) == encoder.num_layers == layers_of(name, depth)
    h = data.x
    for layer, width in enumerate(encoder.widths):
        h = encoder.part(h, layer, layer + 1, data.edge_index)
        assert h.shape == (30, width)
    assert torch.equal(h, encoder(data.x, data.edge_index)) and h.size(1) == encoder.out_channels


@pytest.mark.parametrize(
    ("name", "floor"), [("gcn", 0.0), ("sage", 0.0), ("gin", 0.0), ("gcn2", 0.0), ("mlp", 0.0), ("gat", -1.0)]
)
def test_a_layer_includes_its_nonlinearity(name: str, floor: float) -> None:
    data, model = graph(), model_of(name)
    h = cut(model, 1)[0](data.x, data.edge_index).detach()
    assert float(h.min()) >= floor
    assert float(h.max()) > 0


def test_the_state_between_two_layers_is_gcns_hidden_state() -> None:
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    data, model = graph(), model_of("gcn", 3)
    h = cut(model, 2)[0](data.x, data.edge_index)
    edges, weight = gcn_norm(data.edge_index, None, 30)
    first = model.encoder.conv(data.x, edges, weight).relu()
    torch.testing.assert_close(h, model.encoder.more[0](first, edges, weight).relu())


def test_gcn2_carries_the_initial_state() -> None:
    data, model = graph(), model_of("gcn2")
    initial = model.encoder.lin(data.x).relu()
    for layer in (1, 2, 3):
        assert torch.equal(cut(model, layer)[0](data.x, data.edge_index)[:, 16:], initial)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "mlp"])
def test_the_back_passes_messages(name: str) -> None:
    data, model = graph(), model_of(name)
    front, back = cut(model, 1)
    h = front(data.x, data.edge_index)
    source, target = data.edge_index[:, (data.edge_index[0] != data.edge_index[1])][:, 0].tolist()
    moved = h.clone()
    moved[source] += 1
    change = (back(moved, data.edge_index) - back(h, data.edge_index)).abs().sum(1)
    assert change[source] > 0 and change[target] > 0


def test_a_back_reads_another_runs_states_behind_a_translation() -> None:
    data, (a, b) = graph(), (model_of("gcn", seed=seed) for seed in (0, 1))
    (front, _), (other, back) = cut(a, 1), cut(b, 1)
    h, g = front(data.x, data.edge_index), other(data.x, data.edge_index)
    spaces = [AnchorSet(torch.arange(25), z[:25].detach(), z.mean(0).detach()) for z in (h, g)]
    stitched = translate_then(back, *spaces, "procrustes")
    expected = back(stitched.translation(h), data.edge_index)
    assert torch.equal(stitched(h, data.edge_index), expected)
    with pytest.raises(InputError, match="'target_space' must be the space that the head reads, 16 wide"):
        translate_then(back, spaces[0], AnchorSet(torch.arange(25), data.x[:25], data.x.mean(0)))


def test_dropout_falls_where_it_does_in_the_whole_model() -> None:
    data, model = graph(), model_of("gcn", 3).train()
    front, back = cut(model, 2)
    assert front.training and back.training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        whole = model(data)
        torch.manual_seed(5)
        assert torch.equal(back(front(data.x, data.edge_index), data.edge_index), whole)


def test_the_parts_share_the_model_and_leave_its_mode() -> None:
    model = model_of("gcn")
    front, back = cut(model, 1)
    assert front.encoder is model.encoder is back.encoder and not front.training and not back.training
    model.encoder.train()
    cut(model, 1)
    assert model.encoder.training and not model.head.training
    assert "layers 1 to 1 of 2" in repr(front) and "behind layer 1 of 2" in repr(back)


class Own(LayeredEncoder):
    """A user's encoder of three linear maps."""

    num_layers, widths, out_channels = 3, (4, 4, 6), 6

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(*shape) for shape in ((5, 4), (4, 4), (4, 6)))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.part(x, 0, 3, edge_index)

    def part(self, h: Tensor, start: int, stop: int, edge_index=None, edge_weight=None) -> Tensor:
        for place in range(start, stop):
            h = self.maps[place](h).tanh()
        return h


def test_a_users_encoder_can_be_cut_if_it_says_its_layers() -> None:
    data, model = graph(), Model(Own(), nn.Linear(6, 3))
    front, back = cut(model, 2)
    assert torch.equal(back(front(data.x, data.edge_index), data.edge_index), model(data))


@pytest.mark.parametrize(
    ("name", "layer", "words"),
    [
        ("gcn", 0, r"'layer' must be from 1 to 2, the layers of a GCNEncoder \(got 0\)"),
        ("gcn", 3, r"'layer' must be from 1 to 2, the layers of a GCNEncoder \(got 3\)"),
        ("mlp", 2, r"'layer' must be from 1 to 1, the layers of a MLPEncoder \(got 2\)"),
        ("gcn2", 1.0, r"from 1 to 4, the layers of a GCN2Encoder \(got 1.0\)"),
        ("gcn", True, r"got True"),
    ],
)
def test_a_layer_that_is_not_there_is_one_sentence(name: str, layer: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        cut(model_of(name), layer)


def test_models_that_cannot_be_cut_say_so() -> None:
    with pytest.raises(InputError, match=r"\(got a GCN\); take one of gat, gcn, gcn2, gin, mlp, sage, transformer, or"):
        cut(Model(GCN(5, 16, 2), nn.Linear(16, 3)), 1)
    relative = RelativeModel(make_encoder("gcn", 5), RelativeLayer(), nn.Linear(4, 3))
    with pytest.raises(InputError, match="got one that reads relative vectors"):
        cut(relative, 1)
