"""Upgrade to a new version: the old head on the new encoder, and a verdict before anything is used."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors.base import shortened
from relgraph.anchors.values import AnchorSet, PublishedHead
from relgraph.errors import InputError, real_number
from relgraph.fingerprints import compare_fingerprints
from relgraph.maps import expected_fidelity
from relgraph.maps.expected import left_out_outputs
from relgraph.versions.adjustment import adjust_priors, blend, smooth
from relgraph.versions.agreement import Agreement
from relgraph.versions.answers import Answers
from relgraph.versions.distances import RowsElsewhereWarning, distances, elsewhere
from relgraph.versions.expectation import LEVEL, Expectation
from relgraph.versions.fit import Fit
from relgraph.versions.result import Expected, Upgrade, Verdict
from relgraph.versions.rows import AnsweredRows
from relgraph.versions.verdict import Accuracies, accuracies, expectations, judge, judge_fidelity

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
    retrained: Tensor | tuple[Tensor, Tensor] | None = None,
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

    Labels of old rows judge old rows and labels of new rows judge new ones, if 50 or more are measured on; else all
    labels judge both, by confidence. Of stored old answers, no fidelity is expected on new rows, and without so many
    labels of new rows no more accuracy than on old ones: what stands for them there is made in another way, and may be
    sure and wrong.

    Without labels, *fidelity* is the share of rows with the old head's answer, and *retention* is the accuracy that the
    old head itself would expect of the answers, relative to its own:

    .. math:: \frac{\sum_i p_i[\hat c_i]}{\sum_i \max_c p_i[c]}

    with :math:`p = \mathrm{softmax}(2 L)` of the old outputs and :math:`\hat c` the answer, so that a changed answer
    counts less where the old head was unsure. Both are measured on anchors that the map was fitted without, and carried
    over to the old and to the new rows as functions of the confidence of the answer
    (:class:`relgraph.versions.Calibration`), because anchors are no sample of rows that did not exist. They cannot tell
    that a new encoder is better than the old one: only labels can. The value of the retention is therefore at most 1,
    and its interval reaches as far above 1 as below: where the answers differ, the new ones may be as far ahead of the
    old ones as the old head believes them to be behind. Where neighbors judge, and ``kept`` are answers of the old
    model on the later graph, retention is instead the accuracy relative to that of ``kept``, expected as the quotient
    of their agreements; and with labels to train on it is the accuracy relative to that of the retrained head.

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
            those of a linear head that is trained on the labels of ``train``. If measured labels have chosen that head,
            such as its penalty: the pair of its answers and the classes ``(n,)`` of the labeled rows that are not in
            ``train``, in order, as heads predict them that these labels did not choose.
        y: Classes of some rows, shape ``(N,)``, -1 where unknown.
        train: Rows whose labels the old head was trained on, on which nothing is measured; a new head is trained on
            them. A mask or row numbers; by default none.
        edge_index: Edges among the rows, shape ``(2, E)``, by which outputs are smoothed with each other and with the
            old answers to old rows (:func:`relgraph.versions.smooth`), and by which ways are compared without labels.
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
        RowsElsewhereWarning: If old rows are more than twice as far from the nearest anchor as from one another, such
            as embeddings of another run; the verdict is then *retrain*, unless labels decide.

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
    fit = Fit.of(space, head, method, stacklevel=2)
    if not 0 <= real_number("kept_share", kept_share) <= 1:
        raise InputError("kept_share", f"must be between 0 and 1 (got {kept_share}); 0.5 is the mean of both")
    if kept_share and kept is None:
        raise InputError("kept_share", f"must be 0 without 'kept' (got {kept_share}); pass the old answers")
    if not fit.by_classes:
        # Their rows are checked all the same.
        rows = AnsweredRows.of(
            space, head, z, ids=ids, old=old, kept=None, retrained=None, y=None, train=None, edge_index=None
        )
        _only_anchors(head, kept=kept, retrained=retrained, y=y, train=train, edge_index=edge_index)
        return _by_anchors(fit, rows)
    rows = AnsweredRows.of(
        space, head, z, ids=ids, old=old, kept=kept, retrained=retrained, y=y, train=train, edge_index=edge_index
    )
    return _by_classes(fit, rows, edge_index, kept_share)


def _by_anchors(fit: Fit, rows: AnsweredRows | None) -> Upgrade:
    """The upgrade of a head of values or labels, judged by its fidelity at the anchors."""
    found = expected_fidelity(fit.matched, fit.estimator, level=LEVEL)
    fidelity = None if found is None else Expectation(found.value, found.low, found.high)
    away = {} if rows is None else distances(fit.space, rows)
    outputs = None if rows is None else fit.converted(rows.z)
    verdict = judge_fidelity(fidelity, fit, _misplaced(away))
    return _result(fit, rows, verdict, {"anchors": {"convert": Expected(fidelity)}}, outputs, away, None)


def _by_classes(fit: Fit, rows: AnsweredRows | None, edge_index: Tensor | None, kept_share: float) -> Upgrade:
    """The upgrade of a head of classes, judged by labels, neighbors or anchors."""
    left = left_out_outputs(fit.matched, fit.estimator)
    if left is None:
        found = f"(got '{fit.estimator.name}')"
        raise InputError("method", f"must be determined without some anchors {found}; add anchors")
    answers = agreement = outputs = None
    right: Accuracies = {}
    away: dict[str, float] = {}
    if rows is not None:
        answers, away = Answers.of(fit, rows), distances(fit.space, rows)
        right = accuracies(rows, answers)
        if edge_index is not None:
            agreement = Agreement.of(rows, answers, edge_index)
        outputs = _adjusted(rows, answers, edge_index, kept_share)
    misplaced = _misplaced(away)
    expected = expectations(fit.matched, left, rows, answers, right, agreement, misplaced is not None)
    verdict = judge(expected, rows, right, fit, agreement, misplaced)
    return _result(fit, rows, verdict, expected, outputs, away, agreement)


def _adjusted(rows: AnsweredRows, answers: Answers, edge_index: Tensor | None, kept_share: float) -> Tensor:
    """The converted answers, adjusted to the new rows, smoothed with the neighbors' old answers, and blended."""
    outputs = answers.outputs["convert"]
    if len(rows.new) and len(rows.old):
        outputs = adjust_priors(outputs, rows.new)
    if edge_index is not None:
        known = None if rows.kept is None else rows.kept[rows.old]
        outputs = smooth(outputs, edge_index, known, None if known is None else rows.old)
    if rows.kept is not None and kept_share:
        outputs = blend(outputs, rows.kept, share=kept_share)
    return outputs


def _misplaced(away: Mapping[str, float]) -> str | None:
    """Why the rows are no rows of the space, with a warning; ``None`` if they may be."""
    found = elsewhere(away)
    if found is not None:
        way_out = "pass 'z' of the run that the anchors were published from, and 'ids' if they are not row numbers"
        warnings.warn(f"{found}; {way_out}", RowsElsewhereWarning, stacklevel=4)
    return found


def _result(
    fit: Fit,
    rows: AnsweredRows | None,
    verdict: tuple[Verdict, str],
    expected: Mapping[str, Mapping[str, Expected]],
    outputs: Tensor | None,
    away: Mapping[str, float],
    agreement: Agreement | None,
) -> Upgrade:
    way, reason = verdict
    return Upgrade(
        fit.converted,
        outputs,
        way,
        reason + ("" if way == "convert" else fit.misfits()),
        expected,
        fit.estimator.name,
        len(fit.matched),
        away,
        notes=tuple(_notes(fit, rows, away)),
        num_rows={} if rows is None else {group: len(numbers) for group, numbers in rows.groups.items()},
        agreement={} if agreement is None else agreement.values,
    )


def _only_anchors(head: PublishedHead, **given: object) -> None:
    """Refuse what would be judged beside the anchors."""
    kind = "one output" if head.mode == "multiclass" else f"the mode '{head.mode}'"
    for name, value in given.items():
        if value is not None:
            way_out = "(got it); a verdict on more than the anchors needs several classes"
            raise InputError(name, f"must be left out for a head of {kind} {way_out}")


def _notes(fit: Fit, rows: AnsweredRows | None, away: Mapping[str, float]) -> Iterator[str]:
    """What else was found."""
    head, space = fit.head, fit.space
    if head.version or space.version:
        yield f"from version {head.version or 'unknown'} to version {space.version or 'unknown'}"
    if head.anchor_set and head.anchor_set == space.id:
        yield "the old head was published from the new anchors: both are of one version, and nothing changes"
    elif head.datetime is not None and space.datetime is not None and head.datetime > space.datetime:
        times = f"the old head is of {head.time}, later than the new anchors, {space.time}"
        yield f"{times}: check that the old and the new version are not exchanged"
    graph = compare_fingerprints(head.fingerprint, space.fingerprint)
    if graph.kind == "grown" and graph.counts is not None:
        yield f"the graph has grown from {graph.counts[0]:,} to {graph.counts[1]:,} nodes"
    elif graph.kind == "other":
        yield "the graphs differ by more than what was added: check that equal ids are the same nodes"
    old, new = away.get("old", np.inf), away.get("new", 0.0)
    if new > FAR * old:
        times = f"{new / max(old, 1e-12):.1f} times as far from the nearest anchor as old ones"
        yield f"new rows are {times}, so that expectations for them are guesses"
    if rows is not None and rows.y is not None and len(rows.train):
        missing = torch.ones(head.outputs.size(1), dtype=torch.bool)
        missing[rows.y[rows.train].clamp(max=len(missing) - 1)] = False
        if bool(missing.any()):
            classes = shortened(missing.nonzero().view(-1).tolist())
            yield f"no label to train on has the class {classes}, which the new head never answers"
