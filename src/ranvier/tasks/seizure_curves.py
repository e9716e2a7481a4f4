"""Sensitivity at a rate of false alarms: what the outputs could give at other thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ranvier.decisions import AlarmRule, none_for_nan
from ranvier.recording import Array
from ranvier.tasks.seizure_events import (
    DAY,
    MEASURABLE_BACKGROUND,
    join,
    score_events,
    seizure_intervals,
)
from ranvier.tasks.seizure_scorers import meets
from ranvier.truth import Events

BUDGETS = (1, 2, 5, 10, 24)
"""False alarms per 24 h at which sensitivity is given."""
THRESHOLDS = 60
WINDOW = 10.0
"""Seconds of the windows of NeuroAtlas."""
HOURLY = (0.1, 100.0)
"""False alarms per hour between which the area is taken, as in NeuroAtlas."""
HOUR = 3600.0
VERSION = "Sensitivity at a rate of false alarms, Ranvier rules 1"


@dataclass(frozen=True, eq=False)
class SensitivityCurve:
    """Counts of seizures found and of false alarms at each threshold.

    Thresholds below the one with most false alarms are left out: there, detections run together
    and become fewer again. A detector may also never detect: no seizure and no false alarm.

    Parameters
    ----------
    thresholds
        Rising, (threshold,).
    found, false_positives
        At each of them, (threshold,).
    references
        All seizures.
    seconds, background
        As in ``seizure_events.Tally``.
    """

    thresholds: Array
    found: Array
    false_positives: Array
    references: int
    seconds: float
    background: float

    @property
    def sensitivity(self) -> Array:
        """At each threshold, (threshold,); NaN without a seizure."""
        return np.asarray(self.found / (self.references or math.nan))

    @property
    def false_alarms_per_day(self) -> Array:
        """At each threshold, (threshold,)."""
        return np.asarray(self.false_positives / (self.seconds or math.nan) * DAY)

    @property
    def measurable(self) -> bool:
        """Whether there is a seizure, and enough background for a rate of false alarms."""
        return self.references > 0 and self.background >= MEASURABLE_BACKGROUND

    def at(self, per_day: float) -> float:
        """Return the highest sensitivity with at most so many false alarms per 24 h.

        It is that of a threshold, not between two; 0 where only never to detect is as quiet; NaN
        where it is not ``measurable``.
        """
        rates, best = self._steps()
        return float(best[rates <= per_day + 1e-9][-1]) if self.measurable else math.nan

    @property
    def area(self) -> float:
        """Area under sensitivity against the logarithm of ``HOURLY`` false alarms, from 0 to 1.

        The curve is a step at each threshold, 0 below its lowest rate and level above its highest
        one; NaN where it is not ``measurable``.
        """
        if not self.measurable:
            return math.nan
        rates, best = self._steps()
        edges = np.log10(np.clip(np.append(rates / (DAY / HOUR), math.inf), *HOURLY))
        return float(np.sum(best * np.diff(edges)) / (edges[-1] - np.log10(HOURLY[0])))

    def as_dict(self) -> dict[str, Any]:
        """Return the curve and what follows from it for JSON; what is NaN becomes None."""
        return {
            "thresholds": self.thresholds.tolist(),
            "sensitivity": [none_for_nan(one) for one in self.sensitivity.tolist()],
            "false_alarms_per_day": self.false_alarms_per_day.tolist(),
            "area": none_for_nan(self.area),
            "sensitivity_at_per_day": {str(rate): none_for_nan(self.at(rate)) for rate in BUDGETS},
            "scorer": VERSION,
        }

    def _steps(self) -> tuple[Array, Array]:
        """Return rising rates of false alarms per day, from 0, and the best sensitivity at each."""
        most = int(np.argmax(self.false_positives)) if len(self.thresholds) else 0
        rates = np.append(0.0, self.false_alarms_per_day[most:])
        order = np.argsort(rates, kind="stable")
        sensitivity = np.append(0.0, self.sensitivity[most:])[order]
        return rates[order], np.maximum.accumulate(sensitivity)


def pool_curves(curves: Sequence[SensitivityCurve]) -> SensitivityCurve:
    """Add up the counts of files or patients at the same thresholds; at least one curve."""
    return SensitivityCurve(
        curves[0].thresholds,
        np.sum([curve.found for curve in curves], axis=0),
        np.sum([curve.false_positives for curve in curves], axis=0),
        sum(curve.references for curve in curves),
        sum(curve.seconds for curve in curves),
        sum(curve.background for curve in curves),
    )


def spread_thresholds(values: Array, most: int = THRESHOLDS) -> Array:
    """Choose thresholds among values, dense where few values are above them.

    The shares of the values at or above the thresholds are spread evenly on a logarithmic scale,
    since false alarms become rare only among the highest values.

    Parameters
    ----------
    values
        Probabilities, (output,); NaN is left out.
    most
        How many thresholds there are at the most.

    Returns
    -------
    ndarray, shape (thresholds,)
        Rising, from the lowest value to the highest; none without values.
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return np.empty(0)
    above = np.rint(np.geomspace(1, len(known), most)).astype(int)
    return np.unique(known[len(known) - above])


def alarm_curve(
    reference: Events, decide: Callable[[float], Events], thresholds: Array
) -> SensitivityCurve:
    """Score what is detected at each threshold by the events of SzCORE.

    Parameters
    ----------
    reference
        What is annotated in one file.
    decide
        From a threshold to what is detected with it.
    thresholds
        Rising, (threshold,).
    """
    scores = [score_events(reference, decide(float(threshold))) for threshold in thresholds]
    blank = score_events(reference, Events((), reference.duration))
    return SensitivityCurve(
        thresholds,
        np.array([score.true_positives for score in scores], dtype=int),
        np.array([score.false_positives for score in scores], dtype=int),
        blank.references,
        blank.seconds,
        blank.background,
    )


def loud_stretches(probability: Array, hop: float, rule: AlarmRule) -> list[tuple[int, int]]:
    """Find the stretches of a file that can be decided apart, and without which nothing is found.

    An alarm needs outputs that are at no time below the release for ``minimum_seconds``; stretches
    further apart than the rule remembers do not know each other.

    Parameters
    ----------
    probability
        Of all outputs, (output,); NaN where not valid.
    hop
        Seconds between outputs.
    rule
        When a probability becomes an alarm.

    Returns
    -------
    list of (int, int)
        First output of each stretch, and the first one after it.
    """
    if not (probability >= rule.threshold).any():
        return []
    loud = np.concatenate([[False], probability >= rule.threshold * rule.release, [False]])
    runs = np.flatnonzero(np.diff(loud)).reshape(-1, 2)
    seconds = (value for name, value in asdict(rule).items() if name.endswith("_seconds"))
    apart = (runs[1:, 0] - runs[:-1, 1]) * hop > max(seconds) + hop
    stretch = np.concatenate([[0], np.cumsum(apart)])
    lasting = (runs[:, 1] - runs[:, 0]) * hop >= rule.minimum_seconds - 1e-9
    kept = (runs[stretch == number] for number in np.unique(stretch[lasting]))
    return [(int(own[0, 0]), int(own[-1, 1])) for own in kept]


def window_means(times: Array, values: Array, duration: float, width: float = WINDOW) -> Array:
    """Average the valid outputs of each window of a file.

    Parameters
    ----------
    times
        Seconds at which the outputs are known, (output,).
    values
        Probabilities, (output,); NaN where not valid.
    duration
        Of the file in seconds; the last window may be shorter.
    width
        Of a window in seconds.

    Returns
    -------
    ndarray, shape (windows,)
        NaN where no output is valid.
    """
    number = math.ceil(duration / width - 1e-9)
    window = np.clip(np.ceil(times / width - 1e-9).astype(int) - 1, 0, max(0, number - 1))
    known = ~np.isnan(values)
    counts = np.bincount(window[known], minlength=number).astype(float)
    sums = np.bincount(window[known], weights=values[known], minlength=number)
    means: Array = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def window_curve(
    reference: Events, means: Array, thresholds: Array, width: float = WINDOW
) -> SensitivityCurve:
    """Score runs of windows at or above each threshold by any overlap, much as NeuroAtlas does.

    Neighbouring windows at or above the threshold are one detection; there is no other rule for an
    alarm, so decoders are compared by their probabilities alone.

    Parameters
    ----------
    reference
        What is annotated in one file; its seizures are taken as they are, not as windows.
    means
        Of the windows, as ``window_means`` gives them.
    thresholds
        Rising, (threshold,).
    width
        Of a window in seconds.

    References
    ----------
    .. [1] Kontras et al., "NeuroAtlas: benchmarking foundation models for clinical EEG and
       brain-computer interfaces", arXiv 2605.14698, 2026; the package neuroatlas-bench 0.1.1.
    """
    seconds = reference.duration
    true = join(seizure_intervals(reference, seconds), 0.0)
    runs = [_runs(means >= threshold, seconds, width) for threshold in thresholds]
    return SensitivityCurve(
        thresholds,
        np.array([np.count_nonzero(meets(true, run)) for run in runs], dtype=int),
        np.array([np.count_nonzero(~meets(run, true)) for run in runs], dtype=int),
        len(true),
        seconds,
        seconds - float(np.sum(true[:, 1] - true[:, 0])),
    )


def _runs(on: Array, seconds: float, width: float) -> Array:
    changes = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return np.asarray(np.minimum(changes.reshape(-1, 2) * width, seconds))
