"""Which probability raises an alarm: that of the best F1, or what a budget of false alarms allows.

A budget is for patients to come, and the background to choose on is short: when nothing was false
in Y hours, no rate below -log(1 - confidence) / Y is shown. ``docs/alarms.md`` tells what is done
then, and how often it held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ranvier.alarms import AlarmRule, sigmoid
from ranvier.decoding import Prediction
from ranvier.page import count, rate
from ranvier.recording import Array
from ranvier.scoring.seizure import event_f1
from ranvier.splits import patient
from ranvier.tasks.seizure_curves import SensitivityCurve, alarm_curve, pool_curves
from ranvier.tasks.seizure_events import DAY
from ranvier.truth import Events

THRESHOLDS = 60
CONFIDENCE = 0.8
"""With which a budget is shown to hold for the patients whom the validation patients stand for."""
CAUTION = 0.9
"""The same for both bounds of an extrapolation: more, since the form of the tail is assumed."""
TAIL = 10
"""False alarms from which it is told how they become rarer towards higher thresholds."""
CERTAIN = 1e-9
"""Probabilities are kept so far from 0 and 1, so that their logits are finite."""


@dataclass(frozen=True)
class Choice:
    """A threshold, in words what it was chosen for and what it showed, and whether it was chosen.

    One that was not is that of the rule.
    """

    threshold: float
    why: str = "best event F1"
    chosen: bool = True


def choose_threshold(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Events],
    rule: AlarmRule,
    *,
    budget: float | None = None,
) -> Choice:
    """Choose the threshold of a rule on recordings that nothing was learnt from.

    Parameters
    ----------
    predictions, truth
        Of the validation part; what is annotated, by the name of the recording.
    rule
        All but its threshold is kept.
    budget
        False alarms per 24 h, by the rules of SzCORE: the most sensitive threshold is taken that is
        shown to keep to it, or, where the recordings are too short for that, one that is
        extrapolated. By default it is the one with the best event F1 over recordings, pooled; among
        equally good ones the middle; where nothing is found at any, that of the rule.
    """
    known = np.concatenate([one.probability[one.valid] for one in predictions])
    if not len(known):
        return Choice(rule.threshold, "nothing to choose on", chosen=False)
    if budget is None:
        best = _best_f1(predictions, truth, rule, known)
        kept = Choice(rule.threshold, "nothing is found at any", chosen=False)
        return kept if best is None else Choice(best)
    lowest, highest = _logits(np.quantile(known, [0.5, 1.0])).tolist()
    levels = np.linspace(lowest, highest, THRESHOLDS)
    false = FalseAlarms.of(_by_patient(predictions, truth, rule, sigmoid(levels)), levels)
    shown = false.shown(budget)
    level = false.extrapolated(budget) if shown is None else shown
    if level is None:
        best, how = _best_f1(predictions, truth, rule, known), "but of the best event F1"
    else:
        best, how = float(sigmoid(np.array(level))), "but extrapolated"
    threshold = rule.threshold if best is None else best
    how = "and left as it was" if best is None else how
    result = pool_curves(_by_patient(predictions, truth, rule, np.array([threshold])))
    found = f"{result.found[0]} of {count(result.references, 'seizure')} found"
    words = false.words_on(budget, how="" if shown is not None else how)
    return Choice(threshold, f"{words}, {found}", chosen=best is not None)


def _best_f1(
    predictions: Sequence[Prediction], truth: Mapping[str, Events], rule: AlarmRule, known: Array
) -> float | None:
    """Return the threshold of the best event F1; None where nothing is found at any."""
    candidates = np.unique(np.quantile(known, 1 - np.geomspace(1 / len(known), 0.5, THRESHOLDS)))
    rules = [replace(rule, threshold=threshold) for threshold in candidates.tolist()]
    scores = np.array(
        [event_f1([one.decided_by(tried) for one in predictions], truth) for tried in rules]
    )
    if not np.nan_to_num(scores).any():
        return None
    best = np.flatnonzero(scores >= np.nanmax(scores) - 1e-9)
    return float(candidates[best[len(best) // 2]])


def _by_patient(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Events],
    rule: AlarmRule,
    thresholds: Array,
) -> list[SensitivityCurve]:
    curves: dict[str, list[SensitivityCurve]] = {}
    for one in predictions:

        def decide(threshold: float, one: Prediction = one) -> Events:
            return one.decided_by(replace(rule, threshold=threshold)).events

        curve = alarm_curve(truth[one.name], decide, thresholds)
        curves.setdefault(patient(one.subject), []).append(curve)
    return [pool_curves(own) for own in curves.values()]


def _logits(probabilities: Array) -> Array:
    inside = np.clip(probabilities, CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(inside / (1 - inside)))


@dataclass(frozen=True, eq=False)
class FalseAlarms:
    """False alarms of each patient at each threshold.

    Parameters
    ----------
    levels
        Logits of the thresholds, rising at equal steps, (threshold,).
    counts
        (patient, threshold).
    days
        Of recording, (patient,).
    """

    levels: Array
    counts: Array
    days: Array

    @classmethod
    def of(cls, curves: Sequence[SensitivityCurve], levels: Array) -> FalseAlarms:
        """Take the counts of the curves of patients."""
        counts = np.array([curve.false_positives for curve in curves])
        return cls(levels, counts, np.array([curve.seconds / DAY for curve in curves]))

    @property
    def bounds(self) -> Array:
        """Rates per 24 h that are not exceeded at each threshold, (threshold,)."""
        return np.array([rate_bound(own, self.days) for own in self.counts.T])

    @property
    def least(self) -> float:
        """The lowest rate per 24 h that so much recording can show."""
        return rate_bound(np.zeros(len(self.days)), self.days)

    def shown(self, budget: float) -> float | None:
        """Return the lowest level at and above which every bound is within the budget, if any.

        Going down from the highest level and stopping at the first that fails needs no correction
        for the number of levels that are tried [1]_.

        References
        ----------
        .. [1] Angelopoulos et al., "Learn then test: calibrating predictive algorithms to achieve
           risk control", Annals of Applied Statistics 19, 2025.
        """
        within = np.flatnonzero(np.minimum.accumulate((self.bounds <= budget)[::-1])[::-1])
        return float(self.levels[within[0]]) if len(within) else None

    def extrapolated(self, budget: float) -> float | None:
        """Return the level at which the rate falls to the budget if it goes on falling as it does.

        Above the highest level with ``TAIL`` false alarms, the rate is taken to fall exponentially
        with the level. Both the rate there and how slowly it falls are at their bounds. None where
        no alarm is false at any level.
        """
        from scipy.special import gammaincinv

        counts = np.maximum.accumulate(self.counts.sum(axis=0)[::-1])[::-1]
        if not counts[0]:
            return None
        first = np.flatnonzero(counts >= min(TAIL, counts[0]))[-1]
        step = float(self.levels[1] - self.levels[0])
        slowness = counts[first:].sum() * step / gammaincinv(counts[first], 1 - CAUTION)
        times = max(1.0, rate_bound(self.counts[:, first], self.days, CAUTION) / budget)
        return float(self.levels[first] + slowness * math.log(times))

    def words_on(self, budget: float, *, how: str = "") -> str:
        """Say how sure it is that a budget is kept to, and on how much.

        Parameters
        ----------
        budget
            False alarms per 24 h.
        how
            The threshold was found where the budget is not shown to be kept to.
        """
        hours = f"{self.days.sum() * 24:.1f} h of {count(len(self.days), 'patient')}"
        sure, begin = f"with {CONFIDENCE:.0%} confidence", f"at most {budget:g} false per 24 h"
        if not how:
            return f"{begin} {sure}, shown on {hours}"
        return f"{begin}, NOT shown {how}: {hours} show at best {rate(self.least)} {sure}"


def rate_bound(counts: Array, days: Array, confidence: float = CONFIDENCE) -> float:
    """Return the rate of events that is not exceeded, with some confidence, in patients to come.

    It is the bound for a Poisson rate, with all counts divided by their dispersion among patients
    where that is above 1. The dispersion of a single patient cannot be known and is taken to be 1.

    Parameters
    ----------
    counts, days
        Of each patient, (patient,).
    confidence
        From 0 to 1.

    Returns
    -------
    float
        Events per day.

    References
    ----------
    .. [1] McCullagh and Nelder, "Generalized Linear Models", 1989, section 6.2: dispersion of
       counts by Pearson's statistic.
    """
    from scipy.special import gammaincinv

    total, expected = counts.sum(), counts.sum() * days / days.sum()
    dispersion = 1.0
    if total and len(counts) > 1:
        pearson = ((counts - expected) ** 2 / np.maximum(expected, CERTAIN)).sum()
        dispersion = max(1.0, float(pearson) / (len(counts) - 1))
    bound = dispersion * gammaincinv(total / dispersion + 1, confidence)
    return float(bound / days.sum())
