"""What to expect of each way to go on, and which one to take."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors.matching import shared_ids
from relgraph.maps import MatchedAnchors
from relgraph.maps.divergence import INVERSE_TEMPERATURE
from relgraph.versions.agreement import Agreement
from relgraph.versions.answers import Answers
from relgraph.versions.expectation import Calibration, Expectation, Floats, log_odds
from relgraph.versions.fit import UNRELATED, Fit
from relgraph.versions.result import Expected, Verdict, by_way
from relgraph.versions.rows import FEWEST_LABELS, AnsweredRows

Accuracies = Mapping[str, Mapping[str, Floats]]

MIN_RETENTION = 0.9
"""A converted head that is expected to retain less is not worth its answers."""
ALLOWANCES = {"anchors": 0.01, "old": 0.01, "new": 0.02}
"""Standard deviation of expectations beyond that of the bootstrap: what confidence does not tell of other rows.

Of the anchors as well: what is expected there is read as expected of the rows that they stand for.

Set on the cells that ``benchmarks/versions/summary.py`` calls seen, and measured on others.
"""
ALLOWANCE_OF_CHANGE = 0.2
"""The same of the accuracy on rows that two ways answer differently, in one relative to the other. Set likewise."""
STANDARD_ERRORS = 1.645
"""By how much another way has to be ahead of a new head: 95 %, one-sided. Set as :data:`ALLOWANCES`."""


def accuracies(rows: AnsweredRows, answers: Answers) -> Accuracies:
    """Expected accuracy of each way on each group of rows, and that of the bootstrap, ``(1 + B,)``.

    A group with :data:`FEWEST_LABELS` measured labels is judged by these, others by all of them. The same labels are
    drawn for all ways, so that differences and quotients are paired. Empty without labels.
    """
    found: dict[str, dict[str, Floats]] = {}
    if rows.y is None:
        return found
    truth = rows.y[rows.check]
    enough = {group: rows.labeled(group).sum() >= FEWEST_LABELS for group in rows.groups}
    for way, outputs in answers.outputs.items():
        checked = outputs[rows.check].cpu()
        correct = (answers.predictions.get(way, checked.argmax(dim=1)) == truth).double().numpy()
        known, found[way] = log_odds(checked), {}
        for group, numbers in rows.groups.items():
            some = rows.labeled(group).numpy() if enough[group] else slice(None)
            calibration = Calibration([correct[some]], known[some])
            found[way][group] = calibration.means(log_odds(outputs[numbers].cpu()))[0]
        if answers.stored and way == "keep" and len(found[way]) == 2 and not enough["new"]:
            # What stands for stored answers at new rows may be sure and wrong.
            found[way]["new"] = np.minimum(found[way]["new"], found[way]["old"])
    return found


def expectations(
    matched: MatchedAnchors,
    left: Tensor,
    rows: AnsweredRows | None,
    answers: Answers | None,
    right: Accuracies,
    agreement: Agreement | None = None,
    misplaced: bool = False,
) -> dict[str, dict[str, Expected]]:
    """What to expect of each way, first on the anchors, then on each group of rows.

    Args:
        matched: The anchors.
        left: Outputs at anchors that the map was fitted without, ``(K, C)``.
        rows: The rows to be answered.
        answers: To these rows.
        right: Of :func:`accuracies`.
        agreement: With the neighbors, by which retention is expected where no label tells.
        misplaced: Whether the rows are no rows of the space, so that anchors tell nothing of them.
    """
    believed = (INVERSE_TEMPERATURE * matched.values).softmax(dim=1)
    most, decided = believed.amax(dim=1).numpy(), matched.values.argmax(dim=1)
    shares = matched.shares.numpy()

    def responses(outputs: Tensor, chosen: Tensor) -> Calibration:
        classes = outputs.argmax(dim=1)
        same = (classes == decided[chosen]).double().numpy()
        sure = believed[chosen].gather(1, classes.unsqueeze(1)).squeeze(1).numpy()
        return Calibration([same, sure, most[chosen.numpy()]], log_odds(outputs), shares[chosen.numpy()])

    def relative(
        calibration: Calibration, outputs: Tensor, allowance: float, counted: Floats | None = None
    ) -> Expected:
        same, sure, best = calibration.means(log_odds(outputs), counted)
        ratio = np.minimum(sure / best, 1.0)  # no answer is surer than the surest; separate fits may say so
        fidelity, retention = (Expectation.of(values[0], values[1:], allowance) for values in (same, ratio))
        # Where the answers differ, the old head says that its own are right as often as it is sure. The new ones may be
        # as far ahead there as they are then behind: nothing but labels tells.
        return Expected(fidelity, replace(retention, high=2 - retention.low))

    calibrations = {"convert": responses(left, torch.arange(len(matched)))}
    found = {"anchors": {"convert": relative(calibrations["convert"], left, ALLOWANCES["anchors"], shares)}}
    if rows is None or answers is None:
        return found
    if rows.kept is not None:
        here, there = shared_ids(matched.ids, rows.ids)
        if len(here) > 1:
            calibrations["keep"] = responses(rows.kept[there].cpu().double(), here)
    for group, numbers in rows.groups.items():
        found[group] = {}
        for way, outputs in answers.outputs.items():
            one, allowance = Expected(), ALLOWANCES[group]
            unknown = misplaced or (answers.stored and way == "keep" and group == "new")
            if way in calibrations and not unknown:
                one = relative(calibrations[way], outputs[numbers].cpu(), allowance)
            if way in right:
                values = right[way][group]
                one = replace(one, accuracy=Expectation.of(values[0], values[1:], allowance))
                if "retrain" in right:
                    both = (outputs[numbers], answers.outputs["retrain"][numbers])
                    one = replace(one, retention=_relative(values, right["retrain"][group], *both))
            found[group][way] = one
        judged = agreement is not None and agreement.judges and group in agreement.relative
        if agreement is not None and judged and not right and not misplaced:
            converted, kept = (answers.outputs[way][numbers] for way in ("convert", "keep"))
            by_neighbors = _by_neighbors(*agreement.relative[group], converted, kept)
            found[group]["convert"] = replace(found[group]["convert"], retention=by_neighbors)
            found[group]["keep"] = replace(found[group]["keep"], retention=None)
    return found


def _by_neighbors(ratio: float, error: float, outputs: Tensor, kept: Tensor) -> Expectation | None:
    """Accuracy relative to that of the old answers; ``None`` if neighbors do not tell."""
    if not np.isfinite(ratio):
        return None
    allowance = ALLOWANCE_OF_CHANGE * float((outputs.argmax(dim=1) != kept.argmax(dim=1)).double().mean())
    return Expectation.of(ratio, np.array([ratio]), float(np.hypot(allowance, error)), most=np.inf)


def _relative(values: Floats, others: Floats, outputs: Tensor, retrained: Tensor) -> Expectation | None:
    """Accuracy relative to that of a new head; ``None`` if that is no better than a guess."""
    if others.min() * outputs.size(1) <= 1:
        return None
    ratio, differ = values / others, outputs.argmax(dim=1) != retrained.argmax(dim=1)
    allowance = ALLOWANCE_OF_CHANGE * float(differ.double().mean())
    return Expectation.of(ratio[0], ratio[1:], allowance, most=np.inf)


def judge(
    expected: Mapping[str, Mapping[str, Expected]],
    rows: AnsweredRows | None,
    right: Accuracies,
    fit: Fit,
    agreement: Agreement | None,
    misplaced: str | None,
) -> tuple[Verdict, str]:
    """The verdict and its reason.

    Args:
        expected: Of :func:`expectations`.
        rows, right: As of :func:`expectations`.
        fit: If its anchors do not correspond, *convert* is never the verdict.
        agreement: Of the ways without a new head with the neighbors.
        misplaced: Why the rows are no rows of the space, if they are not.
    """
    sizes = {"anchors": 1} if rows is None else {name: len(numbers) for name, numbers in rows.groups.items()}
    if right:
        pooled = {
            way: np.sum([size * groups[name] for name, size in sizes.items()], axis=0) / sum(sizes.values())
            for way, groups in right.items()
        }
        if len(pooled) > 1:
            return _by_labels(pooled, fit.unrelated)
        assert rows is not None and rows.y is not None
        alone, largest = float(pooled["convert"][0]), float(torch.bincount(rows.y[rows.check]).max() / len(rows.check))
        if alone <= largest:
            least = f"no more than the share of the largest class, {largest:.3f}"
            return "retrain", f"by the labels, the expected accuracy of the converted head is {alone:.3f}, {least}"
    if (flaw := fit.flaw or misplaced) is not None:
        return "retrain", flaw
    if agreement is not None and agreement.judges:
        ahead = agreement.values["convert"] - agreement.values["keep"]
        best: Verdict = "convert" if ahead >= 0 else "keep"
        which = "converted" if best == "convert" else "old"
        within = ", which is within the noise" if abs(ahead) <= STANDARD_ERRORS * agreement.noise else ""
        shown = f"agree more with those of their neighbors, {by_way(agreement.values)}{within}"
        return best, f"the {which} answers to {agreement.group} rows {shown}"

    def retention(way: str, groups: Collection[str]) -> float:
        values = [(sizes[group], expected[group][way].retention) for group in groups]
        total = sum(size for size, _ in values)
        return sum(size * value.value for size, value in values if value is not None) / total

    converted = retention("convert", sizes)
    if converted >= MIN_RETENTION:
        return "convert", f"the converted head is expected to retain {converted:.1%} of the old head's correct answers"
    below = f"the converted head is expected to retain {converted:.1%}, below {MIN_RETENTION:.0%}"
    known = [group for group in sizes if expected[group].get("keep", Expected()).retention is not None]
    if known and (kept := retention("keep", known)) > retention("convert", known):
        only = "" if len(known) == len(sizes) else f" on {known[0]} rows; of others nothing is known"
        return "keep", f"{below}; the old answers retain {kept:.1%}{only}"
    return "retrain", f"{below}; check the anchors' ids, take more anchors, or train a head on labels"


def _by_labels(pooled: Mapping[str, Floats], unrelated: bool) -> tuple[Verdict, str]:
    """The most accurate way; a way without a new head only if it is ahead of that by more than the noise."""
    ways: tuple[Verdict, ...] = ("convert", "keep", "retrain")
    values = by_way({way: float(pooled[way][0]) for way in ways if way in pooled})
    shown = f"by the labels, the expected accuracy over all rows is {values}"
    if unrelated:
        shown = f"{UNRELATED}; {shown}"
    able = [way for way in ways[unrelated:2] if way in pooled]
    if not able:
        return "retrain", shown
    best = max(able, key=lambda way: float(pooled[way][0]))
    if "retrain" not in pooled:
        return best, shown
    ahead = pooled[best] - pooled["retrain"]
    if ahead[0] > STANDARD_ERRORS * ahead[1:].std(ddof=1):
        return best, shown
    return "retrain", f"{shown}, the first ahead by no more than noise" if ahead[0] > 0 else shown


def judge_fidelity(fidelity: Expectation | None, fit: Fit, misplaced: str | None) -> tuple[Verdict, str]:
    """The verdict by the fidelity at the anchors alone, for values and labels."""
    if (flaw := fit.flaw or misplaced) is not None:
        return "retrain", flaw
    if fidelity is None or fidelity.value < MIN_RETENTION:
        shown = "unknown" if fidelity is None else f"{fidelity.value:.2f}, below {MIN_RETENTION}"
        return "retrain", f"the expected fidelity of the converted head is {shown}"
    return "convert", f"the expected fidelity of the converted head is {fidelity.value:.2f}"
