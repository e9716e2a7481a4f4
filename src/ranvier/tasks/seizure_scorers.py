"""The same detections counted by other rules, side by side with those of SzCORE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ranvier.recording import Array
from ranvier.tasks.seizure_events import (
    SCORER,
    EventScore,
    Tally,
    join,
    score_events,
    score_samples,
    scored_seconds,
    seizure_intervals,
)
from ranvier.tasks.seizure_scores import Resolution, at_resolution
from ranvier.truth import Events

Scorer = Callable[[Events, Events], Tally]
"""From what is annotated and what was detected in one file to counts."""


def score_any_overlap(
    reference: Events, hypothesis: Events, duration: float | None = None
) -> EventScore:
    """Count seizures that any detection overlaps, and detections that overlap no seizure (OVLP).

    There is no tolerance, and nothing is joined or cut, but for events of one side that overlap
    each other: they are one. To share an end is not to overlap. Times are taken as they are, on no
    grid. So one detection may be right for many seizures, and however long it is, it is false once
    at the most: a detector that is always on finds all seizures without a false alarm.

    Parameters
    ----------
    reference, hypothesis, duration
        As in ``score_events``.

    Raises
    ------
    ValueError
        As in ``score_events``.

    References
    ----------
    .. [1] Wilson et al., "Seizure detection: correlation of human experts", Clinical
       Neurophysiology 114(11), 2003; the overlap scoring of nedc_eeg_eval 6.0.0, for its label of
       seizures (NEDC's total also counts background segments as events).
    """
    seconds = scored_seconds(reference, duration)
    true, found = _apart(reference, seconds), _apart(hypothesis, seconds)
    return EventScore(
        true_positives=int(np.count_nonzero(meets(true, found))),
        references=len(true),
        false_positives=int(np.count_nonzero(~meets(found, true))),
        seconds=seconds,
        background=seconds - float(np.sum(true[:, 1] - true[:, 0])),
    )


def score_taes(reference: Events, hypothesis: Events, duration: float | None = None) -> Tally:
    r"""Count seizures and false alarms in part, by how well they are aligned in time (TAES).

    A detection :math:`H` that overlaps a reference :math:`R` gives

    .. math:: hit = |H \cap R| / |R|, \quad false = \min(1, |H \setminus R| / |R|)

    and what is left of the reference is missed. References are taken by onset:

    1. a reference gets the hits and the false alarms of all detections that overlap it and were
       not used before; they are then used;
    2. when the first of these lasts to the end of the reference or beyond, every later reference
       that it overlaps is missed, whatever else overlaps it;
    3. each detection that is never used is one false alarm.

    So several detections in one seizure add up, while one detection over several seizures finds
    only the first. Hits and misses always add up to the number of references. Overlapping is meant
    as in ``score_any_overlap``; NEDC compares whole seconds with both ends, so that there events
    which only touch are aligned, too.

    Parameters
    ----------
    reference, hypothesis, duration
        As in ``score_events``.

    Raises
    ------
    ValueError
        As in ``score_events``.

    References
    ----------
    .. [1] Shah, Golmohammadi, Obeid, Picone, "Objective evaluation metrics for automatic
       classification of EEG events", in Signal Processing in Medicine and Biology, Springer 2021;
       rules 1 to 3 as nedc_eeg_eval 6.0.0 carries them out.
    """
    seconds = scored_seconds(reference, duration)
    true, found = _apart(reference, seconds), _apart(hypothesis, seconds)
    hits, false = _align(true, found)
    background = seconds - float(np.sum(true[:, 1] - true[:, 0]))
    return Tally(hits, len(true), false, seconds, background)


SCORERS: dict[str, Scorer] = {
    "events": score_events,
    "samples": score_samples,
    "any_overlap": score_any_overlap,
    "taes": score_taes,
}
TITLES = {
    "events": "SzCORE events",
    "samples": "SzCORE samples (seconds)",
    "any_overlap": "any overlap (OVLP)",
    "taes": "aligned in time (TAES)",
}
VERSIONS = {
    "events": SCORER,
    "samples": SCORER,
    "any_overlap": "Any overlap of seizures, Ranvier rules 1 (as OVLP of nedc_eeg_eval 6.0.0)",
    "taes": "Time-aligned events, Ranvier rules 1 (as TAES of nedc_eeg_eval 6.0.0)",
}


def score_all(
    reference: Events, hypothesis: Events, *, resolution: Resolution = "exact"
) -> dict[str, Tally]:
    """Score the detections of one file by each of ``SCORERS``.

    Parameters
    ----------
    reference, hypothesis, resolution
        As in ``seizure_scores.score``.

    Raises
    ------
    ValueError
        As in ``seizure_scores.score``.
    """
    both = at_resolution(reference, hypothesis, resolution)
    return {name: scorer(*both) for name, scorer in SCORERS.items()}


def meets(first: Array, second: Array) -> Array:
    """Return which of the intervals overlap any of others; both (n, 2) s, sorted and disjoint."""
    begun = np.searchsorted(second[:, 0], first[:, 1], side="left")
    over = np.searchsorted(second[:, 1], first[:, 0], side="right")
    return np.asarray(begun > over)


def _apart(events: Events, seconds: float) -> Array:
    return join(seizure_intervals(events, seconds), 0.0)


def _align(true: Array, found: Array) -> tuple[float, float]:
    hits = false = 0.0
    free, passed = np.ones(len(found), dtype=bool), np.zeros(len(true), dtype=bool)
    for number, (onset, end) in enumerate(true):
        shared = np.minimum(found[:, 1], end) - np.maximum(found[:, 0], onset)
        mine = np.flatnonzero(free & (shared > 0))
        if passed[number] or not len(mine):
            continue
        beyond = np.diff(found[mine])[:, 0] - shared[mine]
        hits += float(shared[mine].sum() / (end - onset))
        false += float(np.minimum(1, beyond / (end - onset)).sum())
        free[mine] = False
        if (last := found[mine[0], 1]) >= end:
            passed |= true[:, 0] < last
    return hits, false + int(np.count_nonzero(free))
