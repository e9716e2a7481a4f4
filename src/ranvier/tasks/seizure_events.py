"""Scores of seizure events and of one-second samples, by the rules of SzCORE.

The rules are those of Dan et al., "SzCORE: Seizure Community Open-Source Research Evaluation
framework for the validation of electroencephalography-based automated seizure detection
algorithms", Epilepsia 66 (Suppl. 3), 2025, in the form in which timescoring 0.0.7 carries them out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, overload

import numpy as np

from ranvier.decisions import none_for_nan
from ranvier.recording import Array
from ranvier.truth import Events

SCORER = "SzCORE events and samples, Ranvier rules 1 (NaN rule of timescoring 0.0.7)"
NAN_RULE = (
    "Sensitivity is NaN without a reference, precision is NaN without a detection, F1 is NaN only "
    "without both a reference and a false positive (so F1 is 0 when all is missed), and a mean "
    "over patients leaves out those with NaN."
)
METRICS = ("sensitivity", "precision", "f1", "false_alarms_per_day")
GRID = 10
"""Samples per second of the grid on which events are compared."""
SLACK = 1e-6
"""Share of a reference that must be exceeded even when any overlap is enough."""
MEASURABLE_BACKGROUND = 3600.0
"""Seconds of background below which a rate of false alarms is not a measurement.

In less than an hour a single false alarm already reads as more than 24 per day.
"""
DAY = 86400.0


@dataclass(frozen=True)
class SzCORE:
    """The parameters of event scoring, with the values that SzCORE fixes.

    Parameters
    ----------
    tolerance_start, tolerance_end
        Seconds before and after a reference event in which a detection still counts.
    minimum_overlap
        Share of the extended reference that a detection must exceed; 0 for any overlap.
    maximum_duration
        Seconds above which an event is cut into pieces.
    minimum_gap
        Seconds; events that are closer than this are joined.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    tolerance_start: float = 30.0
    tolerance_end: float = 60.0
    minimum_overlap: float = 0.0
    maximum_duration: float = 300.0
    minimum_gap: float = 90.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"Invalid {name}: {value}, must be finite and at least 0")
        if not self.minimum_overlap < 1:
            raise ValueError(f"Invalid minimum_overlap: {self.minimum_overlap}, must be below 1")
        if self.maximum_duration == 0:
            raise ValueError("Invalid maximum_duration: 0 s, must be above 0 s")


RULES = SzCORE()


@dataclass(frozen=True)
class Tally:
    """Counts of events, whole or in part, and the scores that follow from them.

    ``NAN_RULE`` says when a score is NaN.

    Parameters
    ----------
    true_positives
        References that were detected.
    references
        All references.
    false_positives
        Detections that were wrong.
    seconds
        Length of what was scored.
    background
        Seconds of it in which a detection cannot be right.
    """

    true_positives: float = 0
    references: int = 0
    false_positives: float = 0
    seconds: float = 0.0
    background: float = 0.0

    @property
    def sensitivity(self) -> float:
        """Share of the references that were detected."""
        return _ratio(self.true_positives, self.references)

    @property
    def precision(self) -> float:
        """Share of the detections that were right, where a reference is one detection."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision; 0 when every reference was missed."""
        errors = self.false_positives + self.references - self.true_positives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + errors)

    @property
    def false_alarms_per_day(self) -> float:
        """False positives per 24 h of recording, seizures included; NaN without a recording."""
        return _ratio(self.false_positives, self.seconds / DAY)

    @property
    def false_alarms_measurable(self) -> bool:
        """Whether there is enough background for a rate of false alarms to be a measurement."""
        return self.background >= MEASURABLE_BACKGROUND

    def as_dict(self) -> dict[str, Any]:
        """Return counts and scores for JSON; what is NaN becomes None."""
        scores = {name: none_for_nan(getattr(self, name)) for name in METRICS}
        return asdict(self) | scores | {"false_alarms_measurable": self.false_alarms_measurable}


@dataclass(frozen=True)
class EventScore(Tally):
    """Whole counts of events, or of samples; pooled with ``+`` or ``pool``.

    Parameters
    ----------
    true_positives, references, false_positives, seconds, background
        As in ``Tally``; a false positive is a detection that meets no detected reference.
    """

    true_positives: int = 0
    false_positives: int = 0

    def __add__(self, other: EventScore) -> EventScore:
        """Pool the counts of two scores."""
        return pool((self, other))


@overload
def pool(scores: Iterable[EventScore]) -> EventScore: ...
@overload
def pool(scores: Iterable[Tally]) -> Tally: ...
def pool(scores: Iterable[Tally]) -> Tally:
    """Add up the counts of files or patients, so that each event weighs the same."""
    scores = tuple(scores)
    kind = type(scores[0]) if scores else EventScore
    names = (count.name for count in fields(Tally))
    return kind(**{name: sum(getattr(score, name) for score in scores) for name in names})


def score_events(
    reference: Events,
    hypothesis: Events,
    duration: float | None = None,
    *,
    rules: SzCORE = RULES,
) -> EventScore:
    """Count detected seizures and false alarms of one file.

    On both sides neighbours are joined, then long events are cut from their start. A reference is
    detected when a detection overlaps it or its tolerance; a detection is false when not one of its
    samples lies on a detected reference or its tolerance.

    Parameters
    ----------
    reference, hypothesis
        Only their seizures count, as far as they lie within the file.
    duration
        Seconds that are scored; those of the reference when None.
    rules
        Parameters of the scoring.

    Raises
    ------
    ValueError
        If the duration or a time of a seizure is not finite, or the duration is negative.
    """
    seconds = scored_seconds(reference, duration)
    length = round(seconds * GRID)
    true = _pieces(seizure_intervals(reference, seconds), rules)
    found = _spans(_pieces(seizure_intervals(hypothesis, seconds), rules), GRID)
    extended = _extend(true, length / GRID, rules)
    spans = _spans(extended, GRID)
    detected = _mask(found, length)
    covered = np.array([np.count_nonzero(detected[first:last]) for first, last in spans]) / GRID
    needed = (rules.minimum_overlap + SLACK) * (extended[:, 1] - extended[:, 0])
    hit = covered > needed
    marked = _mask(spans[hit], length)
    return EventScore(
        true_positives=int(np.count_nonzero(hit)),
        references=len(true),
        false_positives=sum(not marked[first:last].any() for first, last in found),
        seconds=length / GRID,
        background=int(np.count_nonzero(~_mask(spans, length))) / GRID,
    )


def score_samples(
    reference: Events, hypothesis: Events, duration: float | None = None, *, rate: int = 1
) -> EventScore:
    """Count the samples in and outside of seizures that were detected in one file.

    Onsets and ends are rounded to the nearest sample, halves to the even one; there is neither
    tolerance nor joining.

    Parameters
    ----------
    reference, hypothesis, duration
        As in ``score_events``.
    rate
        Samples per second in Hz.

    Raises
    ------
    ValueError
        As in ``score_events``.
    """
    seconds = scored_seconds(reference, duration)
    length = round(seconds * rate)
    true, found = (
        _mask(_spans(seizure_intervals(events, seconds), rate), length)
        for events in (reference, hypothesis)
    )
    return EventScore(
        true_positives=int(np.count_nonzero(true & found)),
        references=int(np.count_nonzero(true)),
        false_positives=int(np.count_nonzero(found & ~true)),
        seconds=length / rate,
        background=int(np.count_nonzero(~true)) / rate,
    )


def at_tsv_resolution(events: Events) -> Events:
    """Cut onsets, ends and the recording's duration down to whole seconds.

    The SzCORE evaluation does this to the tables that it reads, before it scores them: an event
    that begins and ends within the same second is gone.
    """
    whole = (
        replace(event, onset=onset, duration=math.floor(event.end) - onset)
        for event in events
        for onset in [math.floor(event.onset)]
    )
    items = tuple(event for event in whole if event.duration > 0)
    return replace(events, items=items, duration=float(math.floor(events.duration)))


def seizure_intervals(events: Events, seconds: float) -> Array:
    """Return onsets and ends of the seizures within the file, (seizures, 2) s, by onset."""
    intervals = events.seizures().intervals()
    if not np.isfinite(intervals).all():
        raise ValueError(f"Invalid seizures: {intervals.tolist()} s, must be finite")
    clipped = np.clip(intervals, 0, seconds)
    return clipped[clipped[:, 1] > clipped[:, 0]]


def scored_seconds(reference: Events, duration: float | None) -> float:
    """Return how much of a file is scored, in seconds: all that its reference describes, or less.

    Raises
    ------
    ValueError
        If that is not finite, or negative.
    """
    seconds = reference.duration if duration is None else duration
    if not 0 <= seconds < math.inf:
        raise ValueError(f"Invalid duration: {seconds} s, must be finite and at least 0")
    return seconds


def join(intervals: Array, gap: float) -> Array:
    """Join intervals, (n, 2) s by onset, that are less than this far apart; 0 for overlapping."""
    onsets, ends = intervals[:, 0], np.maximum.accumulate(intervals[:, 1])
    first = np.ones(len(intervals), dtype=bool)
    first[1:] = onsets[1:] - ends[:-1] >= gap
    last = np.roll(first, -1)
    return np.column_stack((onsets[first], ends[last]))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _pieces(intervals: Array, rules: SzCORE) -> Array:
    joined = join(intervals, rules.minimum_gap)
    pieces = [piece for onset, end in joined for piece in _cut(onset, end, rules.maximum_duration)]
    return np.array(pieces, dtype=float).reshape(-1, 2)


def _cut(onset: float, end: float, longest: float) -> Iterator[tuple[float, float]]:
    while end - onset > longest:
        yield onset, onset + longest
        onset += longest
    yield onset, end


def _extend(intervals: Array, seconds: float, rules: SzCORE) -> Array:
    tolerance = np.array([-rules.tolerance_start, rules.tolerance_end])
    return np.asarray(np.clip(intervals + tolerance, 0, seconds))


def _spans(intervals: Array, rate: int) -> Array:
    return np.asarray(np.rint(intervals * rate), dtype=int)


def _mask(spans: Array, length: int) -> Array:
    mask = np.zeros(length, dtype=bool)
    for first, last in spans:
        mask[first:last] = True
    return mask
