import pytest
import torch

from relgraph.errors import InputError
from relgraph.versions import adjust_priors, blend, smooth


def mixture(shares: list[float], count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of overlapping classes of equal prior, and the true classes drawn with these shares."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.multinomial(torch.tensor(shares), count, replacement=True, generator=generator)
    points = torch.nn.functional.one_hot(classes, len(shares)) + torch.randn(count, len(shares), generator=generator)
    return points, classes  # the log-likelihood ratio of unit Gaussians around unit vectors is the coordinate itself


def em(logits: torch.Tensor, before: torch.Tensor, strength: float) -> torch.Tensor:
    """The slow reference: shares of the rows, one row at a time."""
    shares = before.clone()
    for _ in range(100):
        total = torch.zeros_like(shares)
        for row in logits.softmax(dim=1):
            weighted = row * shares / before
            total += weighted / weighted.sum()
        shares = (total / len(logits) + strength * before) / (1 + strength)
    return shares


def test_the_shares_are_those_of_the_reference() -> None:
    old, _ = mixture([0.4, 0.3, 0.3], 300, 0)
    new, _ = mixture([0.1, 0.1, 0.8], 200, 1)
    outputs, rows = torch.cat([old, new]).double(), torch.arange(300, 500)
    found = adjust_priors(outputs, rows, prior_strength=0.3, inverse_temperature=1.0)
    before = old.double().softmax(dim=1).mean(dim=0)
    wanted = (em(new.double(), before, 0.3) / before).log()
    torch.testing.assert_close(found[300:] - outputs[300:], wanted.expand(200, -1), atol=1e-4, rtol=0)
    assert torch.equal(found[:300], outputs[:300])


def test_other_class_shares_are_answered_better_and_the_same_ones_no_worse() -> None:
    old, _ = mixture([1 / 3] * 3, 3000, 0)
    for shares, gain in (([0.05, 0.15, 0.8], 0.03), ([1 / 3] * 3, -0.01)):
        new, classes = mixture(shares, 3000, 1)
        found = adjust_priors(torch.cat([old, new]), torch.arange(3000, 6000), inverse_temperature=1.0)[3000:]
        accuracy = [float((one.argmax(dim=1) == classes).float().mean()) for one in (new, found)]
        assert accuracy[1] - accuracy[0] > gain


@pytest.mark.parametrize("rows", [torch.arange(4), torch.ones(4, dtype=torch.bool)])
def test_without_other_rows_nothing_changes(rows: torch.Tensor) -> None:
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(adjust_priors(outputs, rows), outputs)


def test_a_class_that_old_rows_never_have_gives_finite_logits() -> None:
    outputs = torch.tensor([[9.0, -900.0], [9.0, -900.0], [0.1, 0.0]])
    assert adjust_priors(outputs, torch.tensor([2])).isfinite().all()


def averaged(outputs: torch.Tensor, edge_index: torch.Tensor, known: torch.Tensor, share: float) -> torch.Tensor:
    """The slow reference: one node and one edge at a time."""
    own = outputs.softmax(dim=1)
    result = own.clone()
    for node in range(len(own)):
        around = [
            known.softmax(dim=1)[int(i)] if i < len(known) else own[int(i)]
            for i, j in zip(*edge_index, strict=True)
            if j == node != i
        ]
        if around:
            result[node] = (1 - share) * own[node] + share * torch.stack(around).mean(dim=0)
    return result


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_smoothing_is_that_of_the_reference(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    known = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    edges = torch.randint(0, 11, (2, 30), generator=generator)  # node 11 has no neighbor
    found = smooth(outputs, edges, known, share=share, inverse_temperature=1.0)
    torch.testing.assert_close(found.softmax(dim=1), averaged(outputs, edges, known, share))
    torch.testing.assert_close(found[11].softmax(dim=0), outputs[11].softmax(dim=0))


def test_known_answers_may_be_of_any_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, known = torch.randn(12, 4, generator=generator), torch.randn(5, 4, generator=generator)
    edges = torch.randint(0, 12, (2, 40), generator=generator)
    rows = torch.tensor([7, 2, 11, 0, 5])
    order = torch.cat([rows, torch.tensor([one for one in range(12) if one not in rows])])
    place = order.argsort()
    found = smooth(outputs, edges, known, rows)
    torch.testing.assert_close(found[order], smooth(outputs[order], place[edges], known))
    mask = torch.zeros(12, dtype=torch.bool).index_fill_(0, rows, True)
    torch.testing.assert_close(smooth(outputs, edges, known[rows.argsort()], mask), found)


def test_nothing_that_is_returned_is_the_argument_itself() -> None:
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    before = outputs.clone()
    adjust_priors(outputs, torch.arange(4)).add_(1)
    smooth(outputs, torch.zeros(2, 0, dtype=torch.long)).add_(1)
    blend(outputs, outputs[:0]).add_(1)
    assert torch.equal(outputs, before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rows": torch.arange(2)}, "'rows' must be left out without 'known'"),
        ({"rows": torch.arange(3), "known": torch.zeros(2, 2)}, "'rows' must name 2 rows, one for each of 'known'"),
        ({"rows": torch.tensor([5]), "known": torch.zeros(1, 2)}, "'rows' must name rows from 0 to 2"),
        ({"share": 1.5}, "'share' must be between 0 and 1"),
        ({"share": "a"}, "'share' must be a number .got 'a'"),
        ({"inverse_temperature": None}, "'inverse_temperature' must be a number .got NoneType"),
        ({"inverse_temperature": -1.0}, "'inverse_temperature' must be above 0 and finite .got -1.0"),
        ({"known": torch.zeros(9, 2)}, "'known' must have at most 3 rows of 2 outputs"),
        ({"known": torch.zeros(2, 5)}, "'known' must have at most 3 rows of 2 outputs"),
        ({"edge_index": torch.tensor([[0], [7]])}, "'edge_index' must name nodes from 0 to 2"),
    ],
)
def test_wrong_arguments_of_smoothing_are_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    given: dict[str, object] = {"edge_index": torch.tensor([[0], [1]])} | arguments
    with pytest.raises(InputError, match=sentence):
        smooth(torch.zeros(3, 2), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_blend_is_the_mean_of_the_probabilities_row_by_row(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    known = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    found = blend(outputs, known, share=share, inverse_temperature=1.5)
    for row, (own, blended) in enumerate(zip(outputs, found, strict=True)):
        expected = (1.5 * own).softmax(dim=0)
        if row < len(known):
            expected = (1 - share) * expected + share * (1.5 * known[row]).softmax(dim=0)
        torch.testing.assert_close((1.5 * blended).softmax(dim=0), expected)


def test_a_blend_changes_fewer_answers_and_none_with_a_share_of_one() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, known = (torch.randn(400, 3, generator=generator) for _ in range(2))
    changed = [float((blend(outputs, known, share=s).argmax(1) != known.argmax(1)).float().mean()) for s in (0, 0.5, 1)]
    assert changed[0] > 1.5 * changed[1] > changed[2] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"share": -0.1}, "'share' must be between 0 and 1"),
        ({"inverse_temperature": 0.0}, "'inverse_temperature' must be above 0 and finite .got 0.0"),
        ({"inverse_temperature": float("nan")}, "'inverse_temperature' must be above 0 and finite .got nan"),
        ({"known": torch.zeros(9, 2)}, "'known' must have at most 3 rows of 2 outputs"),
        ({"known": torch.full((3, 2), torch.nan)}, "'known'"),
    ],
)
def test_wrong_arguments_of_a_blend_are_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    given: dict[str, object] = {"known": torch.zeros(3, 2)} | arguments
    with pytest.raises(InputError, match=sentence):
        blend(torch.zeros(3, 2), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inverse_temperature": 0.0}, "'inverse_temperature' must be above 0"),
        ({"inverse_temperature": float("inf")}, "'inverse_temperature' must be above 0"),
        ({"prior_strength": -1.0}, "'prior_strength' must not be negative"),
        ({"prior_strength": float("inf")}, "'prior_strength' must not be negative, and finite .got inf"),
        ({"rows": torch.tensor([3])}, "'rows' must name rows from 0 to 2"),
        ({"rows": torch.zeros(3, dtype=torch.bool)}, "'rows' must name rows from 0 to 2"),
    ],
)
def test_wrong_arguments_of_priors_are_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    given: dict[str, object] = {"rows": torch.tensor([1])} | arguments
    with pytest.raises(InputError, match=sentence):
        adjust_priors(torch.zeros(3, 2), **given)  # type: ignore[arg-type]
