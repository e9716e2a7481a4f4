"""Reaches of two monkeys, Indy (37 sessions) and Loco (10), with spikes of motor cortex.

One Matlab file of version 7.3 for each session, ``indy_20160407_02.mat``:

================  ========================================================================
``spikes``        cells (channel, unit) of times in seconds; the first unit of a channel is
                  what is left after sorting
``chan_names``    cells of names such as ``M1 001`` and ``S1 001``
``t``             (sample,) in seconds, 250 Hz
``cursor_pos``    (sample, 2), x and y in mm
================  ========================================================================

The cursor's velocity in cm/s is decoded: the difference to the sample before, so that a value
needs nothing later. The waveforms are not read. The record 583331 of Zenodo is an older version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ranvier.datasets.description import Archive, DataSet, stages_of
from ranvier.datasets.layouts import subject_by_name
from ranvier.formats.hdf5 import dataset, open_hdf5, whole
from ranvier.formats.matlab import cells, is_empty, matlab_texts
from ranvier.formats.movement_series import movement_of
from ranvier.formats.spike_sessions import Session
from ranvier.recording import Array, Recording, Signal

Units = Literal["channels", "sorted"]
NAMED_AFTER_DAY = "the time of day is not known, midnight stands for it"
KEPT = 4
"""Sessions whose spikes are kept in memory."""

_NAME = re.compile(r"(indy|loco)_(\d{8})_(\d+)\.mat", re.IGNORECASE)


def _sessions(folder: Path) -> Iterator[Path]:
    yield from sorted(one for one in folder.glob("*.mat") if _NAME.fullmatch(one.name))


def recognise(folder: Path) -> bool:
    """Return whether a folder has sessions by their published names."""
    return any(True for _ in _sessions(folder))


def read(folder: Path) -> list[Recording]:
    """Open all sessions, by monkey and day, with the spikes of each channel taken together."""
    return [read_session(path) for path in _sessions(folder)]


def read_file(path: Path) -> Recording | None:
    """Open one session by its published name; None for any other file."""
    return read_session(path) if _NAME.fullmatch(path.name) else None


def read_session(path: Path, *, units: Units = "channels") -> Recording:
    """Open one session; its spikes are read when they are asked for.

    Parameters
    ----------
    path
        Of the file.
    units
        ``"channels"`` takes all spikes of a channel together, so that all sessions of a monkey
        have the same inputs but for area S1; ``"sorted"`` keeps units apart, ``M1 001/0`` being
        what is left after sorting.

    Returns
    -------
    Recording
        Counts in bins of 1 ms from the first sample of the cursor to its last, with its velocity.
        Spikes outside of that are left out.

    Raises
    ------
    ValueError
        If it cannot be read or is not laid out so, or h5py is missing.
    """
    if units not in ("channels", "sorted"):
        raise ValueError(f"Invalid units: {units!r}, possible options: ['channels', 'sorted']")
    with open_hdf5(path) as file:
        names = _names(file, units)
        times = _row(file, "t")
        positions = whole(dataset(file, "cursor_pos"), "cursor_pos", 2).T.astype(float)
        if positions.shape != (len(times), 2):
            raise ValueError(f"invalid cursor_pos: {positions.shape}, must be ({len(times)}, 2)")
        with np.errstate(over="ignore", invalid="ignore"):
            moved = movement_of("cursor_pos", "mm", positions, times)
        start, stop = float(times[0]), float(times[-1])
        nothing = np.zeros(0), np.zeros(0, dtype=np.int64)
        shown = Session(*nothing, names, start, stop, moved.known, moved.trajectory)
        recording = shown.recording(path.stem)
    reader = Spikes(path, units, replace(shown, trajectory=None))
    return _dated(replace(recording, reader=reader, notes=moved.notes), path)


def _dated(recording: Recording, path: Path) -> Recording:
    found = _NAME.fullmatch(path.name)
    if not found:
        return recording
    try:
        day = datetime.strptime(found[2], "%Y%m%d")
    except ValueError:
        raise ValueError(f"{path}: invalid date: {found[2]}, must be like 20160407") from None
    session = f"{found[2]}_{found[3]}"
    named = replace(recording, subject=found[1].lower(), session=session, start=day)
    return named.with_note(NAMED_AFTER_DAY)


def _row(file: Any, name: str) -> Array:
    return whole(dataset(file, name), name, 2).ravel().astype(float)


def _names(file: Any, units: Units) -> tuple[str, ...]:
    """Return names of channels; or of units that have spikes."""
    stored, named = dataset(file, "spikes"), dataset(file, "chan_names")
    if stored is None or named is None or stored.ndim != 2:
        raise ValueError("it has no spikes and chan_names, must have both as cells")
    channels = matlab_texts(file, named)
    if len(channels) != stored.shape[1] or len(set(channels)) != len(channels):
        raise ValueError(f"invalid chan_names: {len(channels)}, must be {stored.shape[1]} names")
    if units == "channels":
        return channels
    return tuple(f"{channels[channel]}/{unit}" for unit, channel, _ in _trains(file))


def _trains(file: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield unit, channel and times of each cell that has spikes, channel by channel."""
    stored = dataset(file, "spikes")
    found, channels = cells(file, stored), stored.shape[1]
    for channel in range(channels):
        for unit, data in enumerate(found[channel::channels]):
            if not is_empty(data):
                yield unit, channel, data


@dataclass(frozen=True, eq=False)
class Spikes:
    """Reader of a session's spikes, which are kept in memory while they are in use."""

    path: Path
    units: Units
    session: Session

    def __call__(self, first: int, last: int) -> Signal:
        """Return counts, (bin, unit)."""
        return _counted(self).reader(first, last)


@lru_cache(maxsize=KEPT)
def _counted(spikes: Spikes) -> Recording:
    with open_hdf5(spikes.path) as file:
        trains = [
            (channel if spikes.units == "channels" else place, whole(data, "spikes", 2).ravel())
            for place, (_, channel, data) in enumerate(_trains(file))
        ]
        times = np.concatenate([np.zeros(0), *(train for _, train in trains)])
        unit = np.repeat([at for at, _ in trains], [len(train) for _, train in trains])
        session = replace(spikes.session, times=times, unit=unit.astype(np.int64))
        return session.recording(spikes.path.stem)


INDY_LOCO = DataSet(
    name="indy-loco",
    title="Nonhuman Primate Reaching with Multichannel Sensorimotor Cortex Electrophysiology",
    task="movement",
    subjects=2,
    hours=10.0,
    gigabytes=20.0,
    licence="CC BY 4.0",
    citation="O'Doherty et al., Zenodo 2020, doi:10.5281/zenodo.3854034",
    page="https://zenodo.org/records/3854034",
    access="",
    tested="files made to its description",
    recognise=recognise,
    read=read,
    archive=Archive("zenodo", "3854034", subject_by_name(_NAME, str.lower)),
    read_file=read_file,
    options=stages_of({"stage": "bin_counts", "seconds": 0.064}),
)
