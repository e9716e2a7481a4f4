"""What seizure detection is judged by: files, patients, windows and alarms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from ranvier.decisions import none_for_nan
from ranvier.recording import Array
from ranvier.tasks.bootstrap import draw_patients, percentile_interval
from ranvier.tasks.seizure_events import (
    METRICS,
    NAN_RULE,
    RULES,
    SCORER,
    EventScore,
    SzCORE,
    Tally,
    at_tsv_resolution,
    pool,
    score_events,
    score_samples,
)
from ranvier.truth import Events

Resolution = Literal["exact", "tsv"]
RESOLUTIONS: dict[str, Callable[[Events], Events]] = {
    "exact": lambda events: events,
    "tsv": at_tsv_resolution,
}
Value = TypeVar("Value")


@dataclass(frozen=True)
class SeizureScore:
    """Both scores of one file, or of many, and how they came about.

    Parameters
    ----------
    events, samples
        Counts of seizures and of one-second samples.
    rules
        Parameters of the event scoring.
    resolution
        ``"exact"``, or ``"tsv"`` when all times were cut down to whole seconds.
    """

    events: EventScore
    samples: EventScore
    rules: SzCORE = RULES
    resolution: Resolution = "exact"

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON, with the scorer's name and its NaN rule."""
        return {
            "events": self.events.as_dict(),
            "samples": self.samples.as_dict(),
            "rules": asdict(self.rules),
            "resolution": self.resolution,
            "scorer": SCORER,
            "nan_rule": NAN_RULE,
        }


def score(
    reference: Events,
    hypothesis: Events,
    *,
    rules: SzCORE = RULES,
    resolution: Resolution = "exact",
) -> SeizureScore:
    """Score the detections of one file by events and by samples.

    Parameters
    ----------
    reference, hypothesis
        What happened and what was detected; only seizures count.
    rules
        Parameters of the event scoring.
    resolution
        ``"exact"`` takes the times as they are; ``"tsv"`` cuts them down to whole seconds first, as
        the SzCORE evaluation of tables does.

    Raises
    ------
    ValueError
        If the resolution is unknown, or the two do not describe recordings of the same duration.
    """
    reference, hypothesis = at_resolution(reference, hypothesis, resolution)
    return SeizureScore(
        score_events(reference, hypothesis, rules=rules),
        score_samples(reference, hypothesis),
        rules,
        resolution,
    )


def at_resolution(
    reference: Events, hypothesis: Events, resolution: Resolution
) -> tuple[Events, Events]:
    """Return both with their times as they are to be scored; see ``score``."""
    if resolution not in RESOLUTIONS:
        raise ValueError(
            f"Invalid resolution: {resolution!r}, possible options: {list(RESOLUTIONS)}"
        )
    change = RESOLUTIONS[resolution]
    reference, hypothesis = change(reference), change(hypothesis)
    if not abs(reference.duration - hypothesis.duration) < 1:
        raise ValueError(
            f"Invalid duration of the hypothesis: {hypothesis.duration} s, must be less than "
            f"1 s from the {reference.duration} s of the reference"
        )
    return reference, hypothesis


@dataclass(frozen=True)
class Average:
    """Mean and standard deviation (divided by n) over the patients whose score is not NaN."""

    mean: float
    std: float
    patients: int


@dataclass(frozen=True)
class Summary:
    """The scores of many patients, seen in both ways.

    Parameters
    ----------
    pooled
        Counts added up over patients: each event weighs the same.
    averaged
        For each of ``METRICS`` the average over patients: each patient weighs the same.
    patients
        How many there are, with those whose score is NaN.
    scorer
        By whose rules, and in which version.
    """

    pooled: Tally
    averaged: Mapping[str, Average]
    patients: int
    scorer: str = SCORER

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON, with the scorer's name and its NaN rule."""
        averaged = {
            name: {key: none_for_nan(value) for key, value in asdict(average).items()}
            for name, average in self.averaged.items()
        }
        return {
            "pooled": self.pooled.as_dict(),
            "averaged": averaged,
            "patients": self.patients,
            "scorer": self.scorer,
            "nan_rule": NAN_RULE,
        }


def summarise(scores_by_patient: Mapping[str, Tally], *, scorer: str = SCORER) -> Summary:
    """Bring the scores of patients together, pooled and averaged.

    Parameters
    ----------
    scores_by_patient
        One score per patient, in which the files of the patient are already pooled.
    scorer
        By whose rules, and in which version.
    """
    scores = tuple(scores_by_patient.values())
    averaged = {name: average(getattr(patient, name) for patient in scores) for name in METRICS}
    return Summary(pool(scores), averaged, len(scores), scorer)


def average(values: Iterable[float]) -> Average:
    """Average what is not NaN; NaN when nothing is left."""
    every = np.array(list(values), dtype=float)
    known = every[~np.isnan(every)]
    if len(known) == 0:
        return Average(math.nan, math.nan, 0)
    return Average(float(known.mean()), float(known.std()), len(known))


def bootstrap_interval(
    values_by_patient: Mapping[str, Value],
    statistic: Callable[[Sequence[Value]], float],
    *,
    seed: int | np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Find how far a statistic may be off because of which patients were recorded.

    Patients are drawn with replacement, as many as there are, and the percentiles of the statistic
    over the draws are returned. Draws in which it is NaN are left out.

    Parameters
    ----------
    values_by_patient
        Anything that the statistic takes, such as scores to be pooled or numbers to be averaged.
    statistic
        Function of a sequence of values, such as ``lambda scores: pool(scores).f1``.
    seed
        Of the drawing; the order of the mapping does not matter.
    draws
        How often patients are drawn.
    level
        Share of the draws that lies between the bounds.

    Returns
    -------
    tuple of float
        Lower and upper bound; NaN with fewer than two patients.

    Raises
    ------
    ValueError
        If ``draws`` is below 1 or ``level`` is not between 0 and 1.
    """
    values = [values_by_patient[patient] for patient in sorted(values_by_patient)]
    chosen = draw_patients(len(values), seed=seed, draws=draws)
    drawn = [statistic([values[i] for i in patients]) for patients in chosen]
    return percentile_interval(drawn, level=level)


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the chance that a seizure window scores above a background window; a tie is half.

    Parameters
    ----------
    labels
        True or 1 for seizure, one per window.
    scores
        Higher for seizure; windows with NaN are left out.

    Returns
    -------
    float
        NaN when only one class is there.

    Raises
    ------
    ValueError
        If there are not as many labels as scores.
    """
    seizure, values = _known_windows(labels, scores)
    background, positives = np.sort(values[~seizure]), values[seizure]
    pairs = len(background) * len(positives)
    if pairs == 0:
        return math.nan
    below = np.searchsorted(background, positives, side="left").sum()
    not_above = np.searchsorted(background, positives, side="right").sum()
    return float((below + not_above) / (2 * pairs))


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the precision at each threshold, weighted by the recall gained there.

    Windows of equal score are detected together. Parameters, NaN and errors are those of ``auroc``.
    """
    seizure, values = _known_windows(labels, scores)
    total = np.count_nonzero(seizure)
    if total in (0, len(seizure)):
        return math.nan
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last_of_equals = np.append(np.flatnonzero(falling[1:] < falling[:-1]), len(falling) - 1)
    hits = np.cumsum(seizure[order])[last_of_equals]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last_of_equals + 1)) / total)


def _known_windows(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, Array]:
    seizure, values = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=float)
    if seizure.ndim != 1 or seizure.shape != values.shape:
        raise ValueError(
            f"Invalid scores: shape {values.shape}, must be one per label and the labels in one "
            f"row, found labels of shape {seizure.shape}"
        )
    known = ~np.isnan(values)
    return seizure[known], values[known]


def alarm_delays(
    reference: Events, alarm_times: Sequence[float] | Array, *, rules: SzCORE = RULES
) -> npt.NDArray[np.float64]:
    """Return the seconds from each seizure's onset to its first alarm.

    An alarm belongs to a seizure when it lies between ``tolerance_start`` before its onset and
    ``tolerance_end`` after its end, bounds included; so a delay may be negative, down to -30 s by
    the rules of SzCORE, and one alarm may belong to two neighbouring seizures.

    Parameters
    ----------
    reference
        Its seizures count, as annotated: neither joined nor cut. Those without a length, and those
        after the end of the recording, do not count, as for the scorers.
    alarm_times
        Seconds from the recording's first sample, in any order.
    rules
        Where the tolerances are taken from.

    Returns
    -------
    ndarray, shape (seizures,)
        In the order of the onsets; NaN for a seizure without an alarm.
    """
    onsets, ends = reference.seizures().intervals().T
    counted = (ends > onsets) & ~(onsets >= reference.duration)
    onsets, ends = onsets[counted], ends[counted]
    alarms = np.sort(np.append(alarm_times, np.inf))
    first = alarms[np.searchsorted(alarms, onsets - rules.tolerance_start)]
    return np.where(first <= ends + rules.tolerance_end, first - onsets, np.nan)


def delay_percentile(delays: Array, percent: float) -> float:
    """Return the seconds within which this percentage of the alarms came; NaN without an alarm.

    Parameters
    ----------
    delays
        As ``alarm_delays`` gives them; missed seizures, which are NaN, do not count.
    percent
        From 0 to 100; 50 for the median.
    """
    known = delays[~np.isnan(delays)]
    return float(np.percentile(known, percent)) if len(known) else math.nan


def share_within(delays: Array, seconds: float) -> float:
    """Return the share of all seizures whose alarm came at most this long after the onset.

    A missed seizure counts as one without such an alarm; NaN without a seizure.
    """
    return float(np.mean(delays <= seconds)) if len(delays) else math.nan
