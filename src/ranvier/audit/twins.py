"""One patient under two names: known by the names, or found by the same signal in two recordings.

The intervals between the peaks of a signal name its passages, whatever its gain and wherever it
begins. Passages that two recordings share are then compared sample by sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ranvier.recording import COUNT, Array, Recording
from ranvier.splits import person

LONGEST = 3600.0
"""Seconds at the beginning of each recording in which passages are looked for."""
APART = 8
"""Samples to both sides that a peak is higher than."""
INTERVALS = 8
"""Between neighbouring peaks, that name a passage."""
COMPARED = 256
"""Samples of a passage that are compared."""
ALIKE = 0.999
"""Correlation from which on two passages are the same."""
TRIES = 20
"""Passages of each pair of recordings that are compared at most."""


class Twin(NamedTuple):
    """Two recordings of two subjects with the same signal."""

    first: Recording
    second: Recording
    shift: float
    """Seconds by which the second begins later."""


def same_person(subjects: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of subjects that are known to be one person."""
    names = sorted(set(subjects))
    return [(a, b) for a, b in combinations(names, 2) if person(a) == person(b)]


def same_signal(recordings: Sequence[Recording]) -> list[Twin]:
    """Return the pairs of recordings of two persons that hold the same signal, shifted or not."""
    found = [_passages(_trace(one, 0, round(LONGEST * one.layout.rate))) for one in recordings]
    twins = []
    for (i, j), places in _shared(found).items():
        first, second = recordings[i], recordings[j]
        if person(first.subject) == person(second.subject):
            continue
        for a, b in places[:TRIES]:
            if _alike(_trace(first, a, a + COMPARED), _trace(second, b, b + COMPARED)):
                twins.append(Twin(first, second, (a - b) / first.layout.rate))
                break
    return twins


def _trace(recording: Recording, first: int, last: int) -> Array:
    """Return one channel, or the sum of all spikes; 0 where not valid."""
    signal = np.nan_to_num(recording.reader(first, min(last, recording.samples)))
    if recording.layout.unit == COUNT:
        return np.asarray(signal.sum(axis=1))
    channels = recording.layout.channels
    return np.asarray(signal[:, channels.index(min(channels))])


def _passages(trace: Array) -> tuple[Array, Array]:
    """Return a number for each passage, from the intervals between its peaks, and its place."""
    if len(trace) <= 2 * APART:
        return np.zeros(0, np.uint64), np.zeros(0, int)
    around = sliding_window_view(trace, 2 * APART + 1)
    before, after = around[:, :APART].max(axis=1), around[:, APART + 1 :].max(axis=1)
    middle = around[:, APART]
    peaks = np.flatnonzero((middle > before) & (middle >= after)) + APART
    if len(peaks) <= INTERVALS:
        return np.zeros(0, np.uint64), np.zeros(0, int)
    intervals = sliding_window_view(np.diff(peaks).astype(np.uint64), INTERVALS)
    numbers, first = np.unique(intervals @ _FACTORS, return_index=True)
    return numbers, peaks[first]


_FACTORS = np.random.default_rng(0).integers(1, 2**63, INTERVALS, dtype=np.uint64)


def _shared(found: Sequence[tuple[Array, Array]]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return the places of the passages that two recordings share, by their numbers."""
    numbers = np.concatenate([numbers for numbers, _ in found])
    places = np.concatenate([places for _, places in found])
    owners = np.repeat(np.arange(len(found)), [len(places) for _, places in found])
    order = np.argsort(numbers, kind="stable")
    shared: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for at in np.flatnonzero(numbers[order][1:] == numbers[order][:-1]).tolist():
        one, other = order[at], order[at + 1]
        pair = (int(owners[one]), int(owners[other]))
        shared.setdefault(pair, []).append((int(places[one]), int(places[other])))
    return shared


def _alike(first: Array, second: Array) -> bool:
    size = min(len(first), len(second))
    if size < COMPARED // 2 or not (np.ptp(first[:size]) and np.ptp(second[:size])):
        return False
    return bool(np.corrcoef(first[:size], second[:size])[0, 1] > ALIKE)
