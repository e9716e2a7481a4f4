"""What a decoder is worth on one subject, by every score of seizure detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ranvier.decisions import AlarmRule, none_for_nan
from ranvier.decoding import Prediction
from ranvier.recording import Array
from ranvier.splits import whose
from ranvier.tasks.seizure_curves import (
    BUDGETS,
    WINDOW,
    SensitivityCurve,
    alarm_curve,
    loud_stretches,
    pool_curves,
    spread_thresholds,
    window_curve,
    window_means,
)
from ranvier.tasks.seizure_events import METRICS, EventScore, Tally, pool
from ranvier.tasks.seizure_scorers import SCORERS
from ranvier.tasks.seizure_scores import (
    alarm_delays,
    auroc,
    average,
    average_precision,
    delay_percentile,
    score,
    share_within,
)
from ranvier.truth import Event, Events

SZCORE = ("events", "samples")
OTHERS = tuple(name for name in SCORERS if name not in SZCORE)
SOON = (10, 30, 60)
"""Seconds after the onset within which alarms are counted."""


@dataclass(frozen=True)
class SubjectScore:
    """What a decoder is worth on the recordings of one subject, or of several together.

    Parameters
    ----------
    subjects
        Who.
    labels, probability
        Of all valid outputs, (output,).
    events, samples
        Counts by the rules of SzCORE.
    others
        Counts by the rules of the other ``SCORERS``.
    delays
        Seconds from each seizure's onset to its alarm; NaN where it was missed.
    hours
        Of signal.
    alarms, windows
        Sensitivity at a rate of false alarms: of alarms by the events of SzCORE, and of windows by
        any overlap.
    """

    subjects: tuple[str, ...]
    labels: Array
    probability: Array
    events: EventScore
    samples: EventScore
    others: Mapping[str, Tally]
    delays: Array
    hours: float
    alarms: SensitivityCurve
    windows: SensitivityCurve

    @property
    def scores(self) -> dict[str, Tally]:
        """Counts by the rules of each of ``SCORERS``."""
        return {"events": self.events, "samples": self.samples, **self.others}

    @property
    def auroc(self) -> float:
        """Area under the receiver operating characteristic of the outputs."""
        return auroc(self.labels, self.probability)

    @property
    def average_precision(self) -> float:
        """Average precision of the outputs."""
        return average_precision(self.labels, self.probability)

    @property
    def median_delay(self) -> float:
        """Seconds from onset to alarm in the middle of the detected seizures."""
        return delay_percentile(self.delays, 50)

    def as_dict(self) -> dict[str, Any]:
        """Return the scores in plain types."""
        more = {name: none_for_nan(of(self)) for name, of in (DELAYS | RATES).items()}
        return {
            "subjects": list(self.subjects),
            "hours": self.hours,
            "auroc": none_for_nan(self.auroc),
            "average_precision": none_for_nan(self.average_precision),
            **{name: scored.as_dict() for name, scored in self.scores.items()},
            "delays_seconds": [none_for_nan(delay) for delay in self.delays.tolist()],
            "median_delay_seconds": none_for_nan(self.median_delay),
            **more,
        }


class Cohort(NamedTuple):
    """Subjects one by one, and together."""

    each: Sequence[SubjectScore]
    together: SubjectScore

    @classmethod
    def of(cls, each: Sequence[SubjectScore]) -> Cohort:
        """Bring subjects together."""
        return cls(each, together(each))


class Thresholds(NamedTuple):
    """What the curves of all recordings are decided by, so that their counts add up."""

    alarms: Array
    windows: Array

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> Thresholds:
        """Spread them over the outputs, and over the windows, of all predictions."""
        outputs = [one.probability for one in predictions]
        windows = [_windows(one, one.duration) for one in predictions]
        return cls(*(spread_thresholds(np.concatenate(values)) for values in (outputs, windows)))


def score_one(prediction: Prediction, truth: Events, thresholds: Thresholds) -> SubjectScore:
    """Score one recording by everything.

    Parameters
    ----------
    prediction
        What was found.
    truth
        What is annotated.
    thresholds
        Of the curves.
    """
    found = prediction.events
    scored = score(truth, found)
    windows = _windows(prediction, truth.duration)
    return SubjectScore(
        (whose(prediction.subject),),
        prediction.targets(truth)[prediction.valid],
        prediction.probability[prediction.valid],
        scored.events,
        scored.samples,
        {name: SCORERS[name](truth, found) for name in OTHERS},
        alarm_delays(truth, prediction.alarms),
        prediction.duration / 3600,
        alarm_curve(truth, partial(decided_at, prediction), thresholds.alarms),
        window_curve(truth, windows, thresholds.windows, _width(prediction)),
    )


def decided_at(prediction: Prediction, threshold: float) -> Events:
    """Return what would be detected at another threshold, all else equal.

    These are the events of ``Prediction.decided_by``; but only stretches in which there may be an
    alarm are decided, each on its own, so that many thresholds are fast.

    Parameters
    ----------
    prediction
        Decided by an ``AlarmRule``.
    threshold
        From 0 to 1.

    Raises
    ------
    ValueError
        If there is no threshold in how it was decided.
    """
    if not isinstance(prediction.rule, AlarmRule):
        raise ValueError(f"Invalid rule: {prediction.rule}, must be an AlarmRule")
    rule = replace(prediction.rule, threshold=threshold)
    names = ("times", "values", "rows", "sites")
    found: list[Event] = []
    for first, last in loud_stretches(prediction.probability, prediction.hop, rule):
        part = {name: getattr(prediction, name)[first:last] for name in names}
        found.extend(replace(prediction, **part).decided_by(rule).events)
    return Events(tuple(found), prediction.duration)


def together(parts: Sequence[SubjectScore]) -> SubjectScore:
    """Pool the scores of recordings or of subjects; at least one."""
    return SubjectScore(
        tuple(dict.fromkeys(subject for part in parts for subject in part.subjects)),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probability for part in parts]),
        pool(part.events for part in parts),
        pool(part.samples for part in parts),
        {name: pool(part.others[name] for part in parts) for name in OTHERS},
        np.concatenate([part.delays for part in parts]),
        sum(part.hours for part in parts),
        pool_curves([part.alarms for part in parts]),
        pool_curves([part.windows for part in parts]),
    )


def _width(prediction: Prediction) -> float:
    return max(WINDOW, prediction.hop)


def _windows(prediction: Prediction, duration: float) -> Array:
    return window_means(prediction.times, prediction.probability, duration, _width(prediction))


def _metric(scorer: str, metric: str) -> Callable[[SubjectScore], float]:
    return lambda one: float(getattr(one.scores[scorer], metric))


def _percentile(percent: float) -> Callable[[SubjectScore], float]:
    return lambda one: delay_percentile(one.delays, percent)


def _within(seconds: float) -> Callable[[SubjectScore], float]:
    return lambda one: share_within(one.delays, seconds)


def _at(rate: float) -> Callable[[SubjectScore], float]:
    return lambda one: one.alarms.at(rate)


def _pooled(of: Callable[[SubjectScore], float]) -> Callable[[Cohort], float]:
    return lambda cohort: of(cohort.together)


def _averaged(metric: str) -> Callable[[Cohort], float]:
    return lambda cohort: average(getattr(one.events, metric) for one in cohort.each).mean


DELAYS = {
    "delay_p10": _percentile(10),
    "delay_p90": _percentile(90),
    **{f"alarm_within_{seconds}_s": _within(seconds) for seconds in SOON},
}
RATES: dict[str, Callable[[SubjectScore], float]] = {
    **{f"sensitivity_at_{rate}_per_day": _at(rate) for rate in BUDGETS},
    "window_area": lambda one: one.windows.area,
}
POOLED: dict[str, Callable[[SubjectScore], float]] = {
    "auroc": lambda one: one.auroc,
    "average_precision": lambda one: one.average_precision,
    **{metric: _metric("events", metric) for metric in METRICS},
    "median_delay": lambda one: one.median_delay,
    **DELAYS,
    **RATES,
    **{
        f"{scorer}_{metric}": _metric(scorer, metric)
        for scorer in SCORERS
        if scorer != "events"
        for metric in METRICS
    },
}
"""Scores of all subjects together that get an interval."""
STATISTICS: dict[str, Callable[[Cohort], float]] = {
    **{name: _pooled(of) for name, of in POOLED.items()},
    **{f"averaged_{metric}": _averaged(metric) for metric in METRICS},
}
"""Pooled scores, and event scores averaged over subjects."""
