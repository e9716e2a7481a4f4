"""What was recorded and what is decoded from it.

Times are seconds from the first sample of the recording; signals are float32 in µV with the axes
(time, channels). A sample that was never recorded, or not validly, is NaN: NaN is the one mark of
"not valid" everywhere in Ranvier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.truth import Event, Events, Hypnogram, Trajectory, is_finite, seizure_label

if TYPE_CHECKING:
    import mne

Array = npt.NDArray[Any]
Signal = npt.NDArray[np.float32]

MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "µV": 1.0, "μV": 1.0, "nV": 1e-3}
COUNT = "count"
"""Unit of binned spikes."""
IN_VOLTS = ("eeg", "eog", "ecg", "emg", "bio", "seeg", "ecog", "dbs")
"""What MNE calls the kinds of channels whose values are volts."""
UNNAMED = "mne-raw"
"""Name of an MNE Raw that is of no file; of several, a number follows."""
NO_DATE = datetime(1985, 1, 1, tzinfo=UTC)
"""What MNE gives for a file of EDF+ that says neither date nor time."""
ASSUMED_SUBJECT = "the subject is not known, the name of its folder or its own stands for it"


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

    Raises
    ------
    ValueError
        If the channels are no names, or the rate is no finite number above 0.
    """

    channels: tuple[str, ...]
    rate: float
    unit: str = "µV"

    def __post_init__(self) -> None:
        names: Any = self.channels
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"Invalid channels: {names!r}, must be a sequence of names")
        object.__setattr__(self, "channels", tuple(names))
        if not (is_finite(self.rate) and self.rate > 0):
            raise ValueError(f"Invalid rate: {self.rate} Hz, must be finite and above 0")


@dataclass(frozen=True, eq=False)
class InMemory:
    """Reader of a signal that is held in memory, (time, channels)."""

    signal: Signal

    def __call__(self, first: int, last: int) -> Signal:
        """Return a copy of these samples."""
        return self.signal[first:last].copy()


@dataclass(frozen=True)
class Recording:
    """One continuous file, read when it is needed.

    Parameters
    ----------
    layout
        Channels as they are called in the file, rate, unit (always µV after reading; spikes are
        counts).
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
    events, hypnogram, trajectory
        What is annotated; None when nothing is known, which is not the same as no events.
    notes
        What was repaired or left out while reading, one sentence each.

    Raises
    ------
    ValueError
        If the name, the subject or the session is no text.
    """

    layout: Layout
    samples: int
    reader: Callable[[int, int], Signal] = field(repr=False)
    name: str = "recording"
    subject: str = ""
    session: str = ""
    start: datetime | None = None
    events: Events | None = None
    hypnogram: Hypnogram | None = None
    trajectory: Trajectory | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("name", "subject", "session"):
            if not isinstance(value := getattr(self, name), str):
                raise ValueError(f"Invalid {name}: {value!r}, must be a text like {str(value)!r}")

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
        places = np.round(np.array([start, stop]) * self.layout.rate)
        if not 0 <= places[0] <= places[1] <= self.samples:
            raise ValueError(
                f"Invalid start and stop: {start} s and {stop} s, must lie in order "
                f"between 0 and {self.duration} s"
            )
        return self.reader(int(places[0]), int(places[1]))

    def blocks(self, seconds: float = 60.0) -> Iterator[Signal]:
        """Yield the whole signal in pieces of at most this length."""
        size = max(1, self._samples_in(seconds))
        for first in range(0, self.samples, size):
            yield self.reader(first, min(first + size, self.samples))

    def until(self, seconds: float) -> Recording:
        """Return the beginning of the recording, at most this long."""
        samples = self._samples_in(seconds)
        return replace(self, samples=samples, **self._truths("until", samples))

    def since(self, seconds: float) -> Recording:
        """Return what comes after this time, which becomes second 0."""
        gone = self._samples_in(seconds)
        return replace(
            self,
            samples=self.samples - gone,
            reader=partial(_read_later, self.reader, gone),
            start=self.start and self.start + timedelta(seconds=gone / self.layout.rate),
            **self._truths("since", gone),
        )

    def _samples_in(self, seconds: float) -> int:
        """Return how many samples the beginning of this length has."""
        if not seconds >= 0:
            raise ValueError(f"Invalid seconds: {seconds}, must be at least 0")
        return min(self.samples, round(min(seconds, self.duration) * self.layout.rate))

    def _truths(self, side: str, samples: int) -> dict[str, Any]:
        known = {name: getattr(self, name) for name in ("events", "hypnogram", "trajectory")}
        seconds = samples / self.layout.rate
        return {n: None if one is None else getattr(one, side)(seconds) for n, one in known.items()}

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
        **known: Any,
    ) -> Recording:
        """Wrap an array.

        Parameters
        ----------
        signal
            Real numbers, (time, channels); masked ones become NaN.
        rate
            Sampling rate in Hz.
        channels
            One name per column.
        unit
            V, mV, µV (or uV) or nV, turned into µV; or count, of spikes.
        name, subject
            See the class.
        **known
            More fields of the class, such as ``events``.

        Raises
        ------
        ValueError
            If the shape does not fit the channels, the values are no real numbers, or the unit is
            unknown.
        """
        layout = Layout(channels, rate, COUNT if unit == COUNT else "µV")  # type: ignore[arg-type]
        values = _real_numbers(signal)
        if values.ndim != 2 or values.shape[1] != len(channels):
            raise ValueError(
                f"Invalid signal: shape {values.shape}, must be (time, {len(channels)}) "
                f"for {len(channels)} channels"
            )
        factor = 1.0 if unit == COUNT else microvolts_per(unit)
        reader = InMemory((values * factor).astype(np.float32))
        return cls(layout, len(values), reader, name=name, subject=subject, **known)

    @classmethod
    def from_mne(cls, raw: mne.io.BaseRaw, *, subject: str = "", name: str = "") -> Recording:
        """Wrap an MNE Raw, whose data stay where they are; its seizures become events.

        Without an annotation that says so, nothing is known of seizures: ``events`` is None.
        Channels that are not in volts are left out; channels and stretches that are marked bad
        stay, with a note. Stages of sleep are found by ``read`` only.

        Parameters
        ----------
        raw
            The Raw, cropped or not.
        subject
            Who was recorded; by default ``his_id`` of its info, else the name, with a note.
        name
            By default that of its first file, ``UNNAMED`` without one.

        Raises
        ------
        ValueError
            If no channel is in volts.
        """
        volts = [kind in IN_VOLTS for kind in raw.get_channel_types()]
        picks = np.flatnonzero(volts)
        if not len(picks):
            raise ValueError(
                f"Invalid raw: no channel is in volts, must have one of {', '.join(IN_VOLTS)}"
            )
        file, person = raw.filenames[0], _person(raw)
        name = name or (Path(file).stem if file else UNNAMED)
        notes = _notes(raw, volts)
        return cls(
            Layout(tuple(raw.ch_names[place] for place in picks), float(raw.info["sfreq"])),
            raw.n_times,
            partial(_read_raw, raw, picks),
            name=name,
            subject=subject or person or name,
            start=_start(raw),
            events=_seizures(raw),
            notes=notes if subject or person else (*notes, ASSUMED_SUBJECT),
        )


def _read_later(reader: Callable[[int, int], Signal], gone: int, first: int, last: int) -> Signal:
    return reader(first + gone, last + gone)


def _read_raw(raw: mne.io.BaseRaw, picks: Array, first: int, last: int) -> Signal:
    microvolts = raw.get_data(picks, start=first, stop=last).T * 1e6
    return np.asarray(microvolts, dtype=np.float32)


def _real_numbers(signal: Any) -> Array:
    masked = isinstance(signal, np.ma.MaskedArray)
    values: Array = np.asarray(signal)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"Invalid signal: {values.dtype} values, must be real numbers")
    return np.where(np.ma.getmaskarray(signal), np.nan, values) if masked else values


def numbered(recordings: Sequence[Recording]) -> list[Recording]:
    """Return recordings of which those without a name of their own have a number, from 1 on."""
    unnamed = [place for place, one in enumerate(recordings) if one.name == UNNAMED]
    found = list(recordings)
    for number, place in enumerate(unnamed if len(unnamed) > 1 else (), start=1):
        one, name = found[place], f"{UNNAMED}-{number}"
        found[place] = replace(
            one, name=name, subject=name if one.subject == UNNAMED else one.subject
        )
    return found


def _person(raw: mne.io.BaseRaw) -> str:
    """Return who was recorded; nothing for what EDF and MNE write for nobody in particular."""
    told = str((raw.info["subject_info"] or {}).get("his_id") or "").strip()
    return "" if told in {"X", "0"} else told


def _start(raw: mne.io.BaseRaw) -> datetime | None:
    """Return when a Raw begins, in UTC as MNE has it; nothing for a file of EDF without a date."""
    began: datetime | None = raw.info["meas_date"]
    if began is None or began == NO_DATE:
        return None
    return began.astimezone(UTC).replace(tzinfo=None) + timedelta(seconds=raw.first_time)


def _notes(raw: mne.io.BaseRaw, volts: Sequence[bool]) -> tuple[str, ...]:
    bad = sum(text.upper().startswith("BAD") for text in raw.annotations.description)
    out = [name for name, kept in zip(raw.ch_names, volts, strict=True) if not kept]
    told = {
        "left out, not in a unit of voltage": out,
        "marked as bad, but not left out": raw.info["bads"],
        "stretches marked as bad, but not left out": [str(bad)] if bad else [],
    }
    return tuple(f"{what}: {', '.join(names)}" for what, names in told.items() if names)


def annotations_of(raw: mne.io.BaseRaw) -> list[tuple[float, float, str]]:
    """Return onsets in seconds from the first sample, durations and texts of a Raw."""
    found = raw.annotations
    texts = zip(found.onset, found.duration, found.description, strict=True)
    first = raw.first_time
    return [(float(onset - first), float(length), str(text)) for onset, length, text in texts]


def _seizures(raw: mne.io.BaseRaw) -> Events | None:
    items = tuple(
        Event(onset, length, label)
        for onset, length, text in annotations_of(raw)
        if (label := seizure_label(text))
    )
    return Events(items, raw.n_times / raw.info["sfreq"]) if items else None


def microvolts_per(unit: str) -> float:
    """Return how many µV one of this unit is."""
    if unit.strip() not in MICROVOLTS:
        raise ValueError(f"Invalid unit: {unit!r}, possible options: {list(MICROVOLTS)}")
    return MICROVOLTS[unit.strip()]
