"""Upgrade to a new version: the old head on the new encoder, and a verdict before anything is used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors.matching import GraphGrownWarning, shared_ids
from relgraph.anchors.values import AnchorSet, PublishedHead
from relgraph.diagnosis import distances_to_anchors, suspicious_anchors
from relgraph.errors import InputError, real_number, require
from relgraph.fingerprints import compare_fingerprints
from relgraph.maps import MatchedAnchors, NoCorrespondenceWarning, convert, expected_fidelity
from relgraph.maps.expected import left_out_outputs
from relgraph.maps.methods import estimator_for
from relgraph.versions.adjustment import adjust_priors, blend, smooth
from relgraph.versions.agreement import row_agreements
from relgraph.versions.expectation import Expectation
from relgraph.versions.result import Expected, Upgrade, Verdict
from relgraph.versions.rows import AnsweredRows
from relgraph.versions.verdict import accuracies, expectations, judge, judge_fidelity

FAR = 1.5
"""New rows that are so many times as far from the anchors as old ones are said to be."""


def upgrade(
    space: AnchorSet,
    head: PublishedHead,
    z: Tensor | None = None,
    *,
    ids: Tensor | None = None,
    old: Tensor | None = None,
    kept: Tensor | None = None,
    retrained: Tensor | None = None,
    y: Tensor | None = None,
    train: Tensor | None = None,
    edge_index: Tensor | None = None,
    kept_share: float = 0.0,
    method: str | None = None,
) -> Upgrade:
    r"""Convert an old version's head to a new version's embeddings, and judge whether to use it.

    The graph has grown, and the encoder was trained anew. A consumer of the old embeddings can *convert* its head,
    *keep* the old answers (of the old model, or of stale embeddings), or *retrain* a head on labels:

    * With labels ``y``, the way of the highest expected accuracy over all rows, measured on labeled rows that the old
      head was not trained on; of a way without a new head, only if it is ahead of the retrained one by more than noise.
    * Without, but with ``edge_index`` and the old answers ``kept``: the way whose answers to the new rows agree more
      with those of their neighbors (:func:`relgraph.versions.neighbor_agreement`), if neighbors tend to have the same
      class. The old rows are compared where none are new, or where ``kept`` are stored answers, those that the head
      published at the anchors: what stands for them at new rows, such as the mean of the neighbors', agrees with the
      neighbors by construction.
    * Else *convert* if the retention expected of the converted head is 0.9 or more (and, with labels but no other way
      to compare with, if it is right more often than the largest class would be); else *keep*, if there are old
      answers that retain more; else *retrain*.

    Of stored old answers, no fidelity is expected on new rows, and by labels no more accuracy than on old ones, unless
    50 or more labels of new rows are measured on: what stands for them there is made in another way, and may be sure
    and wrong.

    Without labels, *fidelity* is the share of rows with the old head's answer, and *retention* is the accuracy that the
    old head itself would expect of the answers, relative to its own:

    .. math:: \frac{\sum_i p_i[\hat c_i]}{\sum_i \max_c p_i[c]}

    with :math:`p = \mathrm{softmax}(2 L)` of the old outputs and :math:`\hat c` the answer, so that a changed answer
    counts less where the old head was unsure. Both are measured on anchors that the map was fitted without, and carried
    over to the old and to the new rows as functions of the confidence of the answer
    (:class:`relgraph.versions.Calibration`), because anchors are no sample of rows that did not exist. They cannot tell
    that a new encoder is better than the old one: only labels can. The value of the retention is therefore at most 1,
    and its interval reaches as far above 1 as below: where the answers differ, the new ones may be as far ahead of the
    old ones as the old head believes them to be behind. With labels to train on as well, retention is the accuracy
    relative to that of the retrained head.

    Versions are converted directly: the head of the first version and the space of the last one, not step by step.

    With both tables of embeddings at hand, all common rows can be the anchors of both pieces, or those that change
    least (:func:`relgraph.anchors.lasting_nodes`); on ogbn-arxiv that is about as good as 2,048 of these.

    Args:
        space: Anchors of the new version.
        head: The head of the old version: its outputs then, or its outputs on the later graph.
        z: New embeddings of the rows to be answered, shape ``(N, F)``; they are used in the type of the anchors.
        ids: Their ids, shape ``(N,)``, without repeats; by default the row numbers. A row with the id of an anchor must
            be that anchor; anchors without a row have disappeared.
        old: Rows that the old version has: a mask ``(N,)`` or row numbers; by default all. The others are
            new; they may be all.
        kept: Old answers on these rows, logits ``(N, C)``: of the old model on the later graph, or of stale embeddings,
            for new rows for example of the mean of their neighbors.
        retrained: Answers on these rows of a head that was trained on the new embeddings, logits ``(N, C)``; by default
            those of a linear head that is trained on the labels of ``train``.
        y: Classes of some rows, shape ``(N,)``, -1 where unknown.
        train: Rows whose labels the old head was trained on, on which nothing is measured; a new head is trained on
            them. A mask or row numbers; by default none.
        edge_index: Edges among the rows, shape ``(2, E)``, by which outputs are smoothed
            (:func:`relgraph.versions.smooth`), and by which ways are compared without labels.
        kept_share: The share of the old answers ``kept`` in the outputs (:func:`relgraph.versions.blend`). With 0.5
            fewer than half as many answers change as with a new head; the verdict is about the head alone.
        method: The map, as of :func:`relgraph.convert`.

    Raises:
        InputError: If the two share fewer than ``F + 1`` anchors, shapes do not fit, fewer than 50 labels are left to
            measure on, rows with anchors' ids are others than the anchors, or the head is a regression or of labels and
            more than the anchors are given.

    Warns:
        GraphChangedWarning: If both were made on graphs of which the one did not grow from the other.
        NoCorrespondenceWarning: If the anchors' ids do not name the same rows in both; the verdict is then *retrain*,
            or, by labels, *keep*.
        AnchorsMovedWarning: If rows with anchors' ids are near these, but not the same.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> before = torch.randn(500, 4, generator=generator)
        >>> after = before @ torch.randn(4, 4, generator=generator)
        >>> anchors, weight = torch.arange(200), torch.randn(4, 3, generator=generator)
        >>> outputs = 4 * before @ weight
        >>> head = PublishedHead(anchors, outputs[anchors], outputs.mean(dim=0))
        >>> found = upgrade(AnchorSet.from_rows(after, anchors), head, after, old=torch.arange(400))
        >>> found.verdict, bool((found.head(after).argmax(1) == outputs.argmax(1)).float().mean() > 0.97)
        ('convert', True)
    """
    require("space", space, AnchorSet, "the order is upgrade(space, head)")
    require("head", head, PublishedHead, "make one with relgraph.publish")
    if not 0 <= real_number("kept_share", kept_share) <= 1:
        raise InputError("kept_share", f"must be between 0 and 1 (got {kept_share}); 0.5 is the mean of both")
    if kept_share and kept is None:
        raise InputError("kept_share", f"must be 0 without 'kept' (got {kept_share}); pass the old answers")
    shared = len(shared_ids(space.ids, head.ids)[0])
    if shared < space.num_features + 1:
        least = f"at least {space.num_features + 1} anchors, one more than the space has dimensions"
        raise InputError(
            "space", f"must share {least}, with the head for a verdict (got {shared}); publish more anchors"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converted = convert(space, head, method)
        matched = MatchedAnchors.match(space, head)
    unrelated = any(issubclass(one.category, NoCorrespondenceWarning) for one in caught)
    for text, category in dict.fromkeys((str(one.message), one.category) for one in caught):
        if not issubclass(category, GraphGrownWarning):  # what an upgrade is for
            warnings.warn(text, category, stacklevel=2)
    estimator = estimator_for(head, method)
    if head.mode != "multiclass" or matched.values.size(1) < 2:
        checked = AnsweredRows.of(space, head, z, ids=ids, old=old, kept=None, retrained=None, y=None, train=None)
        _only_anchors(head, kept=kept, retrained=retrained, y=y, train=train, edge_index=edge_index)
        value = expected_fidelity(matched, estimator)
        fidelity = None if value is None else Expectation(value.value, value.low, value.high)
        ways = {"anchors": {"convert": Expected(fidelity)}}
        outputs = None if checked is None else converted(checked.z)
        verdict, reason = judge_fidelity(fidelity, unrelated)
        reason += _misfits(verdict, matched)
        return Upgrade(
            converted, outputs, verdict, reason, ways, estimator.name, len(matched), {}, _notes(space, head, {})
        )
    left = left_out_outputs(matched, estimator)
    if left is None:
        raise InputError("method", f"must be determined without some anchors (got '{estimator.name}'); add anchors")
    rows = AnsweredRows.of(space, head, z, ids=ids, old=old, kept=kept, retrained=retrained, y=y, train=train)
    answers: dict[str, Tensor] = {}
    predictions: dict[str, Tensor] = {}
    if rows is not None:
        answers["convert"] = converted(rows.z)
        if rows.kept is not None:
            answers["keep"] = rows.kept
        if rows.retrained is not None:
            answers["retrain"] = rows.retrained
        elif rows.y is not None and len(rows.train):
            answers["retrain"], predictions["retrain"] = _retrained(rows, head)
    stored = rows is not None and rows.kept is not None and _stored(matched, rows)
    right = {} if rows is None else accuracies(rows, answers, predictions, stored)
    expected = expectations(matched, left, rows, answers, right, stored)
    compared, agreement, noise = "new", {}, 0.0
    if rows is not None and rows.kept is not None and edge_index is not None:
        compared = "old" if stored or not len(rows.new) else "new"
        judged = {way: answers[way] for way in ("convert", "keep")}
        if compared in rows.groups:
            terms = row_agreements(judged, edge_index, rows.groups[compared])
            apart = terms["convert"] - terms["keep"]
            if len(apart):  # else no such row has a neighbor
                agreement = {way: float(values.mean()) for way, values in terms.items()}
                noise = float(apart.std(correction=0)) / len(apart) ** 0.5
    verdict, reason = judge(expected, rows, right, unrelated, agreement, compared, noise)
    reason += _misfits(verdict, matched)
    outputs = None
    if rows is not None:
        outputs = answers["convert"]
        if len(rows.new) and len(rows.old):
            outputs = adjust_priors(outputs, rows.new)
        if edge_index is not None:
            outputs = smooth(outputs, edge_index)
        if rows.kept is not None and kept_share:
            outputs = blend(outputs, rows.kept, share=kept_share)
    distances = {} if rows is None else _distances(space, rows)
    notes = _notes(space, head, distances)
    counts = {} if rows is None else {group: len(numbers) for group, numbers in rows.groups.items()}
    return Upgrade(
        converted,
        outputs,
        verdict,
        reason,
        expected,
        estimator.name,
        len(matched),
        distances,
        notes=notes,
        num_rows=counts,
        agreement=agreement,
    )


def _only_anchors(head: PublishedHead, **given: object) -> None:
    """Refuse what would be judged beside the anchors."""
    kind = "one output" if head.mode == "multiclass" else f"the mode '{head.mode}'"
    for name, value in given.items():
        if value is not None:
            way_out = "(got it); a verdict on more than the anchors needs several classes"
            raise InputError(name, f"must be left out for a head of {kind} {way_out}")


def _misfits(verdict: Verdict, matched: MatchedAnchors) -> str:
    """What a verdict against the conversion may be due to: anchors whose ids name other rows in one of the two."""
    count = 0 if verdict == "convert" else len(suspicious_anchors(matched))
    fits = f"{count} of {len(matched):,} anchors {'does' if count == 1 else 'do'} not fit the others"
    return f"; {fits}: check that their ids name the same nodes in both versions" if count else ""


def _stored(matched: MatchedAnchors, rows: AnsweredRows) -> bool:
    """Whether the kept answers are those that the head published, at all anchors among the rows."""
    assert rows.kept is not None
    here, there = shared_ids(matched.ids, rows.ids)
    kept, published = rows.kept[there].cpu().double(), matched.values[here]
    scale = float(published.abs().max()) if len(here) else 1.0
    return len(here) > 0 and bool(torch.allclose(kept, published, atol=1e-4 * scale))


def _retrained(rows: AnsweredRows, head: PublishedHead) -> tuple[Tensor, Tensor]:
    """Answers of a new head on all rows, and predictions of the measured ones that their labels did not choose."""
    from relgraph.training.linear_probe import measurable_head  # imports PyG, which no other way needs

    assert rows.y is not None
    found, predictions = measurable_head(rows.z, rows.y, rows.train, rows.check, head.outputs.size(1))
    return torch.as_tensor(found(rows.z)), predictions


def _distances(space: AnchorSet, rows: AnsweredRows) -> dict[str, float]:
    """Mean distance of each group to the nearest anchor, over the mean distance of the first group to the center."""
    found = {group: distances_to_anchors(space, rows.z[numbers]) for group, numbers in rows.groups.items()}
    size = next(iter(found.values()))[1]
    return {group: float(nearest.mean()) / size for group, (nearest, _) in found.items()} if size > 0 else {}


def _notes(space: AnchorSet, head: PublishedHead, distances: Mapping[str, float]) -> tuple[str, ...]:
    found = []
    if head.version or space.version:
        found.append(f"from version {head.version or 'unknown'} to version {space.version or 'unknown'}")
    graph = compare_fingerprints(head.fingerprint, space.fingerprint)
    if graph.kind == "grown" and graph.counts is not None:
        found.append(f"the graph has grown from {graph.counts[0]:,} to {graph.counts[1]:,} nodes")
    elif graph.kind == "other":
        found.append("the graphs differ by more than what was added: check that equal ids are the same nodes")
    old, new = distances.get("old", np.inf), distances.get("new", 0.0)
    if new > FAR * old:
        times = f"{new / max(old, 1e-12):.1f} times as far from the nearest anchor as old ones"
        found.append(f"new rows are {times}, so that expectations for them are guesses")
    return tuple(found)
