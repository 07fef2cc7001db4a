"""Measure a fitted translation on rows that it was not fitted on."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from relgraph.errors import InputError
from relgraph.maps import MatchedAnchors, fold_translation
from relgraph.maps.correspondence import correspondence, misfits
from relgraph.maps.residual_metric import left_out_residuals
from relgraph.maps.scarcity import scarcity
from relgraph.measures import retrieval
from relgraph.registry import MAPS
from relgraph.tables.ids import shown
from relgraph.tables.reading import Table, unequal_rows
from relgraph.tables.report import Figure, TableReport, judge
from relgraph.tables.sample import FEWEST_HELD_OUT, Sample

QUERIES = 1000
MISFIT_SHRINKAGE = 0.1
ENOUGH = 1024  # anchors, to tell whether rows correspond
_BATCH = 1000


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows that the map was not fitted on, in float64.

    Args:
        rows: Their places in the sample, ``(n,)``.
        what: What they are, in words.
        offsets: Source rows around their center, ``(n, F)``.
        translated, true: Translations and true rows around the center of the target, ``(n, G)``.
    """

    rows: Tensor
    what: str
    offsets: Tensor
    translated: Tensor
    true: Tensor

    @classmethod
    def of(cls, translation: nn.Module, sample: Sample, matched: MatchedAnchors, method: str) -> HeldOut:
        """The rows of the sample that are no anchors; where these are too few, each anchor left out in turn."""
        rows = sample.held_out
        offsets, true = sample.x[rows].double() - matched.center, sample.y[rows].double() - matched.origin
        if torch.equal(rows, sample.anchors):
            what = f"{len(rows):,} anchors, left out in turn"
            return cls(rows, what, offsets, matched.values + left_out_residuals(matched, method, translation), true)
        with torch.no_grad():
            translated = translation(sample.x[rows].double()) - matched.origin
        return cls(rows, f"{len(rows):,} common rows that are no anchors", offsets, translated, true)


def figures_of(held: HeldOut, keys: Tensor, origin: Tensor) -> dict[str, Figure]:
    """R@1, mean reciprocal rank, cosine and overlap@10 of held-out rows; none if there are too few."""
    if len(held.rows) < FEWEST_HELD_OUT:
        return {}
    few = torch.arange(len(held.rows))[:: max(1, len(held.rows) // QUERIES)][:QUERIES]
    truth = held.rows[few]
    found = retrieval(held.translated[few] + origin, keys, truth=truth, old=keys[truth])
    figures = {"R@1": Figure.of(found.hits(1)), "MRR": Figure.of(found.reciprocal_ranks)}
    figures["cosine"] = Figure.of(cosine_similarity(held.translated, held.true))
    return figures if found.overlaps is None else figures | {"overlap@10": Figure.of(found.overlaps)}


def build_report(
    source: Table,
    target: Table,
    translation: nn.Module,
    sample: Sample,
    matched: MatchedAnchors,
    method: str,
    held: HeldOut,
    calibrated: bool,
) -> TableReport:
    """Everything that is known before a row is written."""
    keys = sample.y.double()
    figures = figures_of(held, keys, matched.origin)
    few = matched.take(torch.arange(min(len(matched), ENOUGH)))
    related = correspondence(few, curved=not MAPS.resolve(method).linear)
    corresponds = None if related is None else related.better
    bad = [shown(sample.ids[sample.anchors[row]]) for row in misfits(matched, MISFIT_SHRINKAGE)]
    verdict, reason = judge(
        figures,
        corresponds=corresponds,
        scarce=scarcity(matched),
        anchors=len(matched),
        width=source.width,
        misfits=len(bad),
    )
    notes = [note for table, rows in ((source, sample.x), (target, sample.y)) if (note := _constant(table, rows))]
    if unequal_rows(source, target):
        counts = f"{len(source):,} and {len(target):,}"
        notes.append(
            f"neither table has ids: the first {sample.common:,} rows of both were paired by number, of {counts}"
        )
    if source.numbered != target.numbered:
        bare, other = (source, target) if source.numbered else (target, source)
        notes.append(f"{bare.name} has no ids: the numbers of its rows, from 0, were matched with ids of {other.name}")
    if not calibrated:
        notes.append("too few rows are held out to calibrate trust, which is not a number then")
    return TableReport(
        source=source.name,
        target=target.name,
        rows=len(source),
        common=sample.common,
        anchors=len(matched),
        method=method,
        widths=(source.width, target.width),
        held_out=held.what,
        searched=len(keys),
        figures=figures,
        suspicious=bad,
        corresponds=corresponds,
        notes=notes,
        serving=_serving(translation, sample.x, target.width),
        verdict=verdict,
        reason=reason,
    )


def _serving(translation: nn.Module, rows: Tensor, width: int) -> str:
    """The size of the translation, and its time for one row in a batch."""
    try:
        module, size = fold_translation(translation), f"one matrix, {rows.size(1)} x {width}"
    except InputError:
        module, size = translation, "similarities to all anchors"  # type: ignore[assignment]
    batch = rows[torch.arange(_BATCH) % len(rows)].double()
    with torch.no_grad():
        module(batch)
        start = time.perf_counter()
        module(batch)
    return f"{size}; {(time.perf_counter() - start) / _BATCH * 1e6:.2g} microseconds a row in batches of {_BATCH:,}"


def _constant(table: Table, rows: Tensor) -> str:
    """A note on dimensions that are the same in all rows."""
    same = (rows == rows[0]).all(dim=0).nonzero().view(-1).tolist()
    if not same or len(rows) < 2:
        return ""
    names = ", ".join(str(table.columns[one] if table.columns else one) for one in same[:5])
    return f"{table.name} is constant in {len(same)} of {rows.size(1)} dimensions ({names})"
