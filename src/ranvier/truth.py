"""What happens in a recording, as it is annotated and as it is decoded: events, stages, movement.

Times are seconds from the first sample of the recording.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SEIZURE = "sz"
BACKGROUND = "bckg"


class Alike:
    """Equal to what has equal fields; a number that is not known (NaN) is equal to another one."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _fields(self) == _fields(other)

    def __hash__(self) -> int:
        return hash(_fields(self))


def _fields(one: Any) -> tuple[object, ...]:
    values = (getattr(one, field.name) for field in fields(one))
    return tuple(None if is_nan(value) else value for value in values)


def is_nan(value: object) -> bool:
    """Return whether something is the number that stands for what is not known."""
    return isinstance(value, Real) and math.isnan(value)


def is_finite(value: object) -> bool:
    """Return whether something is a finite number."""
    return isinstance(value, Real) and math.isfinite(value)


@dataclass(frozen=True, eq=False)
class Event(Alike):
    """One stretch of a recording with a meaning.

    Parameters
    ----------
    onset, duration
        In seconds from the recording's first sample. A duration that is not known is NaN: decoding
        goes on beside it, training and scoring refuse it.
    label
        HED-SCORE code: ``"sz"`` and codes that begin with it are seizures, ``"bckg"`` is none.
    confidence
        From 0 to 1; NaN when unknown.
    channels
        Comma-separated names, or ``"n/a"``.

    Raises
    ------
    ValueError
        If the onset is not finite, or the duration is infinite or below 0.
    """

    onset: float
    duration: float
    label: str = SEIZURE
    confidence: float = float("nan")
    channels: str = "n/a"

    def __post_init__(self) -> None:
        lasts = is_finite(self.duration) and self.duration >= 0
        if not (is_finite(self.onset) and (lasts or is_nan(self.duration))):
            raise ValueError(
                f"Invalid event: onset {self.onset!r} and duration {self.duration!r}, must be a "
                "finite number of seconds and one of 0 or more (NaN where it is not known)"
            )

    @property
    def end(self) -> float:
        """Second at which the event is over."""
        return self.onset + self.duration

    @property
    def is_seizure(self) -> bool:
        """Whether the label is a seizure of any type."""
        return self.label == SEIZURE or self.label.startswith((SEIZURE + "_", SEIZURE + "-"))


@dataclass(frozen=True, eq=False)
class Events(Alike):
    """What happened in one recording.

    Parameters
    ----------
    items
        The events, in any order; kept by onset.
    duration
        Seconds of recording that they describe.
    start
        Date and time of second 0, when known.
    """

    items: tuple[Event, ...]
    duration: float
    start: datetime | None = None

    def __post_init__(self) -> None:
        ordered = sorted(self.items, key=lambda event: (event.onset, event.duration))
        object.__setattr__(self, "items", tuple(ordered))

    def __iter__(self) -> Iterator[Event]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def from_intervals(
        cls, intervals: Iterable[Sequence[float]], duration: float, *, label: str = SEIZURE
    ) -> Events:
        """Make events of one label from (onset, end) pairs in seconds.

        Raises
        ------
        ValueError
            If an end lies before its onset.
        """
        pairs = [tuple(pair) for pair in intervals]
        if reversed_ones := [pair for pair in pairs if pair[1] < pair[0]]:
            raise ValueError(
                f"Invalid intervals: {reversed_ones[0]}, must be an onset and an end that is not "
                "before it"
            )
        return cls(tuple(Event(onset, end - onset, label) for onset, end in pairs), duration)

    def seizures(self) -> Events:
        """Only the seizures, of any type."""
        return replace(self, items=tuple(event for event in self if event.is_seizure))

    def until(self, seconds: float) -> Events:
        """Return what happened before this time, cut there."""
        items = tuple(
            replace(event, duration=min(event.duration, seconds - event.onset))
            for event in self
            if event.onset < seconds
        )
        return replace(self, items=items, duration=seconds)

    def since(self, seconds: float) -> Events:
        """Return what happened after this time, which becomes second 0."""
        items = tuple(
            replace(
                event,
                onset=max(0.0, event.onset - seconds),
                duration=min(event.duration, event.end - seconds),
            )
            for event in self
            if not event.end <= seconds
        )
        start = self.start and self.start + timedelta(seconds=seconds)
        return Events(items, self.duration - seconds, start)

    def intervals(self) -> npt.NDArray[np.float64]:
        """Return onsets and ends in seconds, shape (events, 2)."""
        return np.array([(event.onset, event.end) for event in self], dtype=float).reshape(-1, 2)

    def share(self, edges: Array) -> npt.NDArray[np.float64]:
        """Return which share of each span between neighbouring edges (s) the events cover.

        Raises
        ------
        ValueError
            If the duration of an event is not known.
        """
        if endless := [event for event in self if math.isnan(event.duration)]:
            raise ValueError(
                f"Invalid events: {endless[0].label} at {endless[0].onset:g} s has no duration, "
                f"must have one"
            )
        covered = np.zeros(len(edges) - 1)
        for onset, end in merge_overlapping(self.intervals()):
            covered += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], onset), 0, None)
        return covered / np.diff(edges)

    def targets(self, times: Array, hop: float) -> npt.NDArray[np.float64]:
        """Return 1 for each time at least half of the hop before which is a seizure, else 0."""
        if not len(times):
            return np.zeros(0)
        edges = np.concatenate([times - hop, times[-1:]])
        return (self.seizures().share(edges) >= 0.5).astype(float)


SLEEP_STAGES = ("W", "N1", "N2", "N3", "REM")
"""Of AASM, in the order of the classes of a staging network."""


@dataclass(frozen=True)
class Hypnogram:
    """Which stage of sleep each epoch of a recording is in.

    Parameters
    ----------
    stages
        One of ``SLEEP_STAGES`` for each epoch, ``""`` where none was scored.
    duration
        Seconds of recording that it describes.
    epoch
        Seconds.
    first
        Second of the recording at which the first epoch begins.
    """

    stages: tuple[str, ...]
    duration: float
    epoch: float = 30.0
    first: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not 0 < self.epoch < math.inf:
            raise ValueError(f"Invalid epoch: {self.epoch} s, must be finite and above 0")
        if unknown := set(self.stages) - {*SLEEP_STAGES, ""}:
            raise ValueError(
                f"Invalid stages: {sorted(unknown)}, possible options: {[*SLEEP_STAGES, '']}"
            )

    def __len__(self) -> int:
        return len(self.stages)

    def targets(self, times: Array, hop: float) -> npt.NDArray[np.float64]:
        """Return the number of the stage in the middle of the hop before each time, or NaN."""
        codes = [SLEEP_STAGES.index(one) if one else np.nan for one in self.stages]
        epochs = np.floor((np.asarray(times) - hop / 2 - self.first) / self.epoch).astype(int)
        inside = (epochs >= 0) & (epochs < len(codes))
        return np.where(inside, np.array([*codes, np.nan])[np.where(inside, epochs, -1)], np.nan)

    def until(self, seconds: float) -> Hypnogram:
        """Return the epochs that end before this time."""
        whole = max(0, int((seconds - self.first + 1e-9) // self.epoch))
        return replace(self, stages=self.stages[:whole], duration=seconds)

    def since(self, seconds: float) -> Hypnogram:
        """Return the epochs that begin after this time, which becomes second 0."""
        gone = max(0, math.ceil((seconds - self.first - 1e-9) / self.epoch))
        first = self.first + gone * self.epoch - seconds
        return Hypnogram(self.stages[gone:], self.duration - seconds, self.epoch, first)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What moved: values at regular times.

    Parameters
    ----------
    values
        (sample, axis); NaN where it is not known.
    rate
        Samples per second.
    duration
        Seconds of recording that it describes.
    axes
        What the columns are called.
    unit
        Of the values.
    first
        Second of the recording at which the first sample was taken. The sample for a time is the
        nearest one; of two as near, the earlier.
    """

    values: Array
    rate: float
    duration: float
    axes: tuple[str, ...] = ("x", "y")
    unit: str = "cm/s"
    first: float = 0.0

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.axes):
            raise ValueError(
                f"Invalid values: shape {self.values.shape}, must be (sample, {len(self.axes)}) "
                f"for the axes {', '.join(self.axes)}"
            )

    def __repr__(self) -> str:
        digest = hashlib.sha256(np.ascontiguousarray(self.values).tobytes()).hexdigest()
        return f"Trajectory({self.values.shape}, {self.rate} Hz from {self.first} s, {digest})"

    def __len__(self) -> int:
        return len(self.values)

    def targets(self, times: Array, hop: float) -> Array:  # noqa: ARG002
        """Return the values at these times, (time, axis); NaN where there are none."""
        place = (np.asarray(times) - self.first) * self.rate
        samples = np.floor(place + 0.5 - 1e-6).astype(int)
        inside = (samples >= 0) & (samples < len(self.values))
        unknown = np.full((1, self.values.shape[1]), np.nan)
        return np.asarray(np.concatenate([self.values, unknown])[np.where(inside, samples, -1)])

    def until(self, seconds: float) -> Trajectory:
        """Return the samples that were taken by this time."""
        whole = max(0, math.floor((seconds - self.first) * self.rate + 1e-6) + 1)
        return replace(self, values=self.values[:whole], duration=seconds)

    def since(self, seconds: float) -> Trajectory:
        """Return the samples that were taken after this time, which becomes second 0."""
        gone = max(0, math.floor((seconds - self.first) * self.rate + 1e-6) + 1)
        first = self.first + gone / self.rate - seconds
        kept, left = self.values[gone:], self.duration - seconds
        return replace(self, values=kept, duration=left, first=first)


Truth = Events | Hypnogram | Trajectory
"""What a recording is annotated with, and what is decoded from it."""


CODES = {
    "FNSZ": ("sz_foc",),
    "GNSZ": ("sz_gen",),
    "SPSZ": ("sz_foc_a",),
    "CPSZ": ("sz_foc_ia",),
    "ABSZ": ("sz_gen_nm",),
    "TNSZ": ("sz_gen_m_tonic",),
    "CNSZ": ("sz_gen_m_clonic",),
    "TCSZ": ("sz_gen_m_tonicclonic", "sz_gen_m_tonic_clonic"),
    "ATSZ": ("sz_gen_m_atonic",),
    "MYSZ": ("sz_gen_m_myoclonic", "sz_gen_nm_myoclonic"),
}
"""Codes of TUSZ, and those of HED-SCORE that mean the same: focal and generalised non-specific,
simple and complex partial, absence, tonic, clonic, tonic-clonic, atonic, myoclonic."""


def seizure_label(text: str) -> str | None:
    """Return the HED-SCORE code that a text of an annotation means, None if it is no seizure."""
    text = text.strip()
    if text.upper() in CODES:
        return CODES[text.upper()][0]
    if re.fullmatch(r"seizures?", text, re.IGNORECASE):
        return SEIZURE
    return text.lower() if re.fullmatch(r"sz([_-].*)?", text, re.IGNORECASE) else None


def merge_overlapping(intervals: Array) -> list[tuple[float, float]]:
    """Join intervals that touch or overlap; (n, 2) seconds, sorted by onset."""
    merged: list[tuple[float, float]] = []
    for onset, end in intervals:
        if merged and onset <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((float(onset), float(end)))
    return merged
