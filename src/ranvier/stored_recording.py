"""One recording of a store: what the index says of it, and how its array is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.formats.archives import BROKEN
from ranvier.formats.edf_records import OnDemand, Reader, Records, mapped
from ranvier.recording import Array, Layout, Recording, Signal
from ranvier.truth import Event, Events, Hypnogram, Trajectory

INTEGERS, FLOATS = np.dtype("<i2"), np.dtype("<f4")
"""How samples are stored."""
NOT_KNOWN = ("duration", "confidence")
"""What may be NaN of an event, which JSON does not have."""
LONGEST_AT_ONCE = 8192
"""Samples that are turned into µV at once: gains are kept for as many."""


class DamagedError(ValueError):
    """A file of a store is not what was written."""


@dataclass(frozen=True)
class Origin:
    """What a recording was before stages were applied to it, and which ones.

    Parameters
    ----------
    layout, samples
        Of the signal that came in.
    stages
        Settings of each, in their order.
    """

    layout: Layout
    samples: int
    stages: tuple[Mapping[str, Any], ...]


def origin_of(recording: Recording) -> Origin | None:
    """Return what a recording was before stages, where it is what they gave; else None."""
    origin: Origin | None = getattr(recording.reader, "origin", None)
    return origin


@dataclass(frozen=True, eq=False)
class Stored:
    """Reader of an array on disk, of integers, (time, channel), or of float32.

    What stages gave may be features, (step, node, feature).

    Parameters
    ----------
    path
        The ``.npy`` file.
    shape
        Of the array in it.
    gains, offsets
        What turns integers into µV, by channel; empty for float32.
    origin
        What it was before stages; None for signals as they are in their files.
    """

    path: Path
    shape: tuple[int, ...]
    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    origin: Origin | None = None

    def __call__(self, first: int, last: int) -> Signal:
        """Read these samples."""
        return mapped(self)(first, last)

    def make(self) -> Reader:
        """Map the array; gain and offset are (time, channels), which multiplies faster."""
        values = array_of(self.path)
        if (values.shape, values.dtype) != (self.shape, INTEGERS if self.gains else FLOATS):
            raise _damaged(self.path)
        if not self.gains:
            return lambda first, last: values[first:last].copy()
        shape = (LONGEST_AT_ONCE, len(self.gains))
        gain, offset = (
            np.ascontiguousarray(np.broadcast_to(np.array(one, np.float32), shape))
            for one in (self.gains, self.offsets)
        )
        return lambda first, last: _in_microvolts(values[first:last], gain, offset)


def array_of(path: Path) -> Array:
    """Map an array of a store.

    Raises
    ------
    DamagedError
        If the file is none or not whole.
    """
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except BROKEN:
        raise _damaged(path) from None


def _damaged(path: Path) -> DamagedError:
    return DamagedError(f"Invalid store: {path} is missing or damaged, must be prepared again")


def _in_microvolts(values: Array, gain: Signal, offset: Signal) -> Signal:
    signal = np.empty(values.shape, np.float32)
    for begin in range(0, len(values), LONGEST_AT_ONCE):
        piece, into = values[begin:][:LONGEST_AT_ONCE], signal[begin:][:LONGEST_AT_ONCE]
        np.multiply(piece, gain[: len(piece)], out=into)
        into += offset[: len(piece)]
    return signal


def integers_of(recording: Recording) -> Records | None:
    """Return what the file holds where it is 16-bit integers without gaps, mapped anew."""
    if not isinstance(recording.reader, OnDemand):
        return None
    records = recording.reader.make()
    if not isinstance(records, Records) or records.records.dtype.kind != "i":
        return None
    return records


def unmapped(reader: Reader) -> Reader:
    """Return a reader that lets go of its file after each reading, and so of its memory."""
    if isinstance(reader, OnDemand | Stored):
        return partial(_read_anew, reader)
    if hasattr(reader, "unmapped"):
        fresh: Reader = reader.unmapped()
        return fresh
    return reader


def _read_anew(reader: OnDemand | Stored, first: int, last: int) -> Signal:
    return reader.make()(first, last)


def describe(recording: Recording) -> dict[str, Any]:
    """Return what is known of a recording but its samples, in plain types."""
    origin = origin_of(recording)
    return {
        **({"origin": _describe_origin(origin)} if origin else {}),
        "name": recording.name,
        "subject": recording.subject,
        "session": recording.session,
        "start": _date(recording.start),
        "channels": list(recording.layout.channels),
        "rate": recording.layout.rate,
        "unit": recording.layout.unit,
        "samples": recording.samples,
        "notes": list(recording.notes),
        "events": _describe_events(recording.events),
        "hypnogram": recording.hypnogram and asdict(recording.hypnogram),
        "trajectory": _describe_trajectory(recording.trajectory),
    }


def described(entry: dict[str, Any], folder: Path) -> Recording:
    """Return the recording that an entry of the index in a folder is about.

    Raises
    ------
    ValueError
        If the entry makes no sense; other errors may come of one, too.
    """
    _check(entry)
    start, hypnogram = entry["start"], entry["hypnogram"]
    return Recording(
        Layout(tuple(entry["channels"]), entry["rate"], entry["unit"]),
        entry["samples"],
        Stored(
            folder / entry["file"],
            tuple(entry["shape"]),
            tuple(map(float, entry["gains"])),
            tuple(map(float, entry["offsets"])),
            _origin(entry["origin"]) if "origin" in entry else None,
        ),
        name=entry["name"],
        subject=entry["subject"],
        session=entry["session"],
        start=datetime.fromisoformat(start) if start else None,
        events=_events(entry["events"]),
        hypnogram=hypnogram and Hypnogram(**{**hypnogram, "stages": tuple(hypnogram["stages"])}),
        trajectory=_trajectory(entry["trajectory"], folder),
        notes=tuple(entry["notes"]),
    )


def _check(entry: dict[str, Any]) -> None:
    """Refuse an entry whose parts do not fit together."""
    channels, (samples, *others) = entry["channels"], entry["shape"]
    texts = [*channels, entry["name"], entry["subject"], entry["session"], entry["unit"]]
    if not all(isinstance(one, str) for one in texts):
        raise ValueError("names that are no texts")
    if type(entry["samples"]) is not int or not 0 <= entry["samples"] == samples:
        raise ValueError(f"{entry['samples']} samples in an array of shape {entry['shape']}")
    is_signal = len(others) == 1
    factors = {len(entry["gains"]), len(entry["offsets"])}
    if factors not in ({0}, {len(channels)}) or (is_signal and others != [len(channels)]):
        raise ValueError(f"{len(channels)} channels in an array of shape {entry['shape']}")


def _describe_origin(origin: Origin) -> dict[str, Any]:
    layout = asdict(origin.layout)
    return {**layout, "samples": origin.samples, "stages": list(map(dict, origin.stages))}


def _origin(entry: dict[str, Any]) -> Origin:
    layout = Layout(tuple(entry["channels"]), entry["rate"], entry["unit"])
    return Origin(layout, entry["samples"], tuple(entry["stages"]))


def _date(date: datetime | None) -> str | None:
    return date.isoformat() if date else None


def _describe_events(events: Events | None) -> dict[str, Any] | None:
    if events is None:
        return None
    items = [asdict(event) for event in events]
    for item in items:
        for name in NOT_KNOWN:
            item[name] = None if math.isnan(item[name]) else item[name]
    return {"items": items, "duration": events.duration, "start": _date(events.start)}


def _events(entry: dict[str, Any] | None) -> Events | None:
    if entry is None:
        return None
    known: list[dict[str, Any]] = [
        {name: math.nan if one is None else one for name, one in item.items()}
        for item in entry["items"]
    ]
    start = entry["start"]
    items = tuple(Event(**item) for item in known)
    return Events(items, entry["duration"], datetime.fromisoformat(start) if start else None)


def _describe_trajectory(trajectory: Trajectory | None) -> dict[str, Any] | None:
    """Leave the values out; they are an array of their own."""
    if trajectory is None:
        return None
    names = ("rate", "duration", "axes", "unit", "first")
    return {name: getattr(trajectory, name) for name in names}


def _trajectory(entry: dict[str, Any] | None, folder: Path) -> Trajectory | None:
    if entry is None:
        return None
    about = {**entry, "axes": tuple(entry["axes"])}
    path = folder / about.pop("file")
    values = array_of(path).copy()
    if values.shape[1:] != (len(about["axes"]),):
        raise _damaged(path)
    return Trajectory(values, **about)
