"""What was recorded and what is decoded from it.

Times are seconds from the first sample of the recording; signals are float32 in µV with the axes
(time, channels). A sample that was never recorded, or not validly, is NaN: NaN is the one mark of
"not valid" everywhere in Ranvier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import mne

Array = npt.NDArray[Any]
Signal = npt.NDArray[np.float32]

MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "µV": 1.0, "μV": 1.0, "nV": 1e-3}
ASSUMED_SUBJECT = "the subject is not known, the name of the recording stands for it"
SEIZURE = "sz"
BACKGROUND = "bckg"


@dataclass(frozen=True)
class Layout:
    """Which channels a signal has, how often it is sampled and in which unit.

    Parameters
    ----------
    channels
        Names in the order of the signal's last axis.
    rate
        Sampling rate in Hz.
    unit
        Physical unit of the values.
    """

    channels: tuple[str, ...]
    rate: float
    unit: str = "µV"

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"Invalid rate: {self.rate} Hz, must be finite and above 0")


@dataclass(frozen=True)
class Event:
    """One stretch of a recording with a meaning.

    Parameters
    ----------
    onset, duration
        In seconds from the recording's first sample.
    label
        HED-SCORE code: ``"sz"`` and codes that begin with it are seizures, ``"bckg"`` is none.
    confidence
        From 0 to 1; NaN when unknown.
    channels
        Comma-separated names, or ``"n/a"``.
    """

    onset: float
    duration: float
    label: str = SEIZURE
    confidence: float = float("nan")
    channels: str = "n/a"

    @property
    def end(self) -> float:
        """Second at which the event is over."""
        return self.onset + self.duration

    @property
    def is_seizure(self) -> bool:
        """Whether the label is a seizure of any type."""
        return self.label == SEIZURE or self.label.startswith((SEIZURE + "_", SEIZURE + "-"))


@dataclass(frozen=True)
class Events:
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
        """Make events of one label from (onset, end) pairs in seconds."""
        items = tuple(Event(start, stop - start, label) for start, stop in intervals)
        return cls(items, duration)

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

    def intervals(self) -> npt.NDArray[np.float64]:
        """Return onsets and ends in seconds, shape (events, 2)."""
        return np.array([(event.onset, event.end) for event in self], dtype=float).reshape(-1, 2)

    def share(self, edges: Array) -> npt.NDArray[np.float64]:
        """Return which share of each span between neighbouring edges (s) the events cover."""
        covered = np.zeros(len(edges) - 1)
        for onset, end in merge_overlapping(self.intervals()):
            covered += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], onset), 0, None)
        return covered / np.diff(edges)

    def labels_at(self, times: Array, hop: float) -> npt.NDArray[np.float64]:
        """Return 1 for each time at least half of the hop before which is a seizure, else 0."""
        if not len(times):
            return np.zeros(0)
        edges = np.concatenate([times - hop, times[-1:]])
        return (self.seizures().share(edges) >= 0.5).astype(float)


def seizure_label(text: str) -> str | None:
    """Return the HED-SCORE code that a text of an annotation means, None if it is no seizure."""
    text = text.strip()
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


@dataclass(frozen=True)
class Recording:
    """One continuous file, read when it is needed.

    Parameters
    ----------
    layout
        Channels as they are called in the file, rate, unit (always µV after reading).
    samples
        Length of the signal.
    reader
        Function of (first, last) sample that returns float32 µV, (time, channels), NaN where
        nothing was recorded.
    name
        Name for people and for result files, without a suffix.
    subject, session
        Who was recorded, and when; splits are made by subject.
    start
        Date and time of the first sample.
    events
        What is annotated; None when nothing is known, which is not the same as no events.
    notes
        What was repaired or left out while reading, one sentence each.
    """

    layout: Layout
    samples: int
    reader: Callable[[int, int], Signal] = field(repr=False)
    name: str = "recording"
    subject: str = ""
    session: str = ""
    start: datetime | None = None
    events: Events | None = None
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.layout.rate

    def read(self, start: float = 0.0, stop: float | None = None) -> Signal:
        """Return the signal between two times.

        Parameters
        ----------
        start, stop
            Seconds from the first sample; the end of the recording when ``stop`` is None.

        Returns
        -------
        Signal
            float32 µV, (time, channels).

        Raises
        ------
        ValueError
            If the times do not lie in order within the recording.
        """
        stop = self.duration if stop is None else stop
        first, last = (round(second * self.layout.rate) for second in (start, stop))
        if not 0 <= first <= last <= self.samples:
            raise ValueError(
                f"Invalid start and stop: {start} s and {stop} s, must lie in order "
                f"between 0 and {self.duration} s"
            )
        return self.reader(first, last)

    def blocks(self, seconds: float = 60.0) -> Iterator[Signal]:
        """Yield the whole signal in pieces of at most this length."""
        size = max(1, round(seconds * self.layout.rate))
        for first in range(0, self.samples, size):
            yield self.reader(first, min(first + size, self.samples))

    def until(self, seconds: float) -> Recording:
        """Return the beginning of the recording, at most this long."""
        samples = min(self.samples, round(seconds * self.layout.rate))
        events = self.events
        if events is not None:
            events = events.until(samples / self.layout.rate)
        return replace(self, samples=samples, events=events)

    def with_note(self, note: str) -> Recording:
        """Return the same recording with one more sentence on what was repaired."""
        return replace(self, notes=(*self.notes, note))

    @classmethod
    def from_array(
        cls,
        signal: npt.ArrayLike,
        rate: float,
        channels: Sequence[str],
        *,
        unit: str = "µV",
        name: str = "recording",
        subject: str = "",
        events: Events | None = None,
    ) -> Recording:
        """Wrap an array.

        Parameters
        ----------
        signal
            Values, (time, channels).
        rate
            Sampling rate in Hz.
        channels
            One name per column.
        unit
            V, mV, µV (or uV) or nV.
        name, subject, events
            See the class.

        Raises
        ------
        ValueError
            If the shape does not fit the channels, or the unit is unknown.
        """
        values = np.asarray(signal)
        if values.ndim != 2 or values.shape[1] != len(channels):
            raise ValueError(
                f"Invalid signal: shape {values.shape}, must be (time, {len(channels)}) "
                f"for {len(channels)} channels"
            )
        microvolts = (values * microvolts_per(unit)).astype(np.float32)
        return cls(
            Layout(tuple(channels), rate),
            len(microvolts),
            lambda first, last: microvolts[first:last].copy(),
            name=name,
            subject=subject,
            events=events,
        )

    @classmethod
    def from_mne(cls, raw: mne.io.BaseRaw, *, subject: str = "", name: str = "") -> Recording:
        """Wrap an MNE Raw, whose data stay where they are; its seizures become events.

        Without an annotation that says so, nothing is known of seizures: ``events`` is None.
        """

        def read(first: int, last: int) -> Signal:
            microvolts = raw.get_data(start=first, stop=last).T * 1e6
            return np.asarray(microvolts, dtype=np.float32)

        duration = raw.n_times / raw.info["sfreq"]
        items = tuple(
            Event(float(onset) - raw.first_time, float(length), label)
            for onset, length, text in zip(
                raw.annotations.onset,
                raw.annotations.duration,
                raw.annotations.description,
                strict=True,
            )
            if (label := seizure_label(str(text)))
        )
        return cls(
            Layout(tuple(raw.ch_names), float(raw.info["sfreq"])),
            raw.n_times,
            read,
            name=name or "raw",
            subject=subject,
            start=raw.info["meas_date"],
            events=Events(items, duration) if items else None,
        )


def microvolts_per(unit: str) -> float:
    """Return how many µV one of this unit is."""
    if unit.strip() not in MICROVOLTS:
        raise ValueError(f"Invalid unit: {unit!r}, possible options: {list(MICROVOLTS)}")
    return MICROVOLTS[unit.strip()]
