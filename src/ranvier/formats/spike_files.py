"""Spike times and what moved, in NumPy's ``.npz``: one file per session.

==============================  =======================================================
``spike_times``                 (spike,) in seconds of the session's clock, in any order
``spike_units``                 (spike,) number of the unit that fired, from 0
``units``                       a name for each unit, also for those without spikes
``start_s``, ``stop_s``         where the recording begins and ends; 0 and the last thing
                                that happens unless told
``velocity``                    (sample, axis) in cm/s; or
``trajectory``                  (sample, axis) of anything else, with ``axes`` and ``unit``
``trajectory_rate``             samples of it per second
``trajectory_first``            when its first sample was taken; ``start_s`` unless told
``trial_start``, ``trial_stop``  (trial,) when trials begin and end
``subject``, ``session``        who was recorded, and when
``start``                       date and time at ``start_s``, like 2000-01-31 23:59:59
==============================  =======================================================

The first two must be there; other keys are ignored, and nothing is ever unpickled. Spikes are
counted in bins of 1 ms, when they are asked for; the stage ``bin_counts`` makes longer ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.formats.archives import (
    Stored,
    clock,
    date,
    load_archive,
    number,
    text,
    unit_names,
    what_moved,
    write_archive,
)
from ranvier.formats.binned import movement_keys, read_binned
from ranvier.formats.spike_sessions import RATE, Session, check_times
from ranvier.recording import COUNT, Array, Recording
from ranvier.truth import Trajectory

TIMES, UNITS = "spike_times", "spike_units"
KEYS = tuple(
    f"{TIMES} {UNITS} units start_s stop_s velocity trajectory axes unit trajectory_rate "
    "trajectory_first trial_start trial_stop subject session start".split()
)
MOST_UNITS = 100_000
SLACK = 1e-6
"""Milliseconds by which a bin may differ from whole ones."""


def read_npz(path: str | os.PathLike[str]) -> Recording:
    """Open a file of spike times or of binned spikes, whichever it is.

    Raises
    ------
    ValueError
        If it is neither, or cannot be read.
    """
    found = load_archive(Path(path), None, "binned spikes")
    return read_spikes(path) if {TIMES, UNITS} & set(found) else read_binned(path)


def read_spikes(path: str | os.PathLike[str]) -> Recording:
    """Open a file of spike times.

    What lies outside of all trials is NaN. Where a trial begins as the one before it ends, its
    first millisecond is, so that no window reaches from one trial into another.

    Parameters
    ----------
    path
        A ``.npz`` with the keys that the module's docstring lists.

    Returns
    -------
    Recording
        Counts in bins of 1 ms, closed on the right, with a trajectory where there is one. Spikes
        that are left out are told in a note.

    Raises
    ------
    ValueError
        If the file cannot be read, lacks a key, or has an array that makes no sense.
    """
    path = Path(path)
    stored = load_archive(path, KEYS, "spike times")
    try:
        return session_of(stored).recording(path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def session_of(stored: Stored) -> Session:
    """Return what is stored by the keys of a file of spike times.

    Raises
    ------
    ValueError
        If a key is missing, or an array makes no sense.
    """
    if missing := [key for key in (TIMES, UNITS) if key not in stored]:
        raise ValueError(f"it has no {missing[0]}, must have both {TIMES} and {UNITS}")
    start = number(stored, "start_s") or 0.0
    unit = _whole(stored[UNITS])
    return Session(
        stored[TIMES],
        unit,
        _names(stored, unit),
        start,
        number(stored, "stop_s"),
        _trials(stored),
        _trajectory(stored, start),
        text(stored, "subject"),
        text(stored, "session"),
        date(stored),
        tuple(clock(stored)),
    )


def _whole(unit: Array) -> npt.NDArray[np.integer[Any]]:
    if unit.ndim != 1 or unit.dtype.kind not in "iu" or unit.max(initial=0) >= MOST_UNITS:
        raise ValueError(
            f"invalid {UNITS}: {unit.dtype} of shape {unit.shape}, must be whole numbers below "
            f"{MOST_UNITS} (spike,)"
        )
    return unit


def _names(stored: Stored, unit: npt.NDArray[np.integer[Any]]) -> tuple[str, ...]:
    count = stored["units"].size if "units" in stored else int(unit.max(initial=-1)) + 1
    if not count:
        raise ValueError("it has no unit, must have one spike or one name in units")
    return unit_names(stored, count)


def _trials(stored: Stored) -> Array | None:
    keys = ("trial_start", "trial_stop")
    given = [stored[key] for key in keys if key in stored]
    if not given:
        return None
    if len(given) != 2 or given[0].shape != given[1].shape:
        raise ValueError(f"invalid trials: {keys[0]} and {keys[1]} must be there, as long")
    for key, times in zip(keys, given, strict=True):
        check_times(key, times, (times.size,))
    return np.stack(given, axis=1).astype(float)


def _trajectory(stored: Stored, start: float) -> Trajectory | None:
    _, values, axes, unit = what_moved(stored, "(sample, axis)")
    if values is None:
        return None
    rate = number(stored, "trajectory_rate")
    if rate is None or not rate > 0:
        raise ValueError(f"invalid trajectory_rate: {rate}, must be a number of Hz above 0")
    first = number(stored, "trajectory_first")
    first = start if first is None else first
    return Trajectory(values, rate, len(values) / rate, axes, unit, first)


def write_spikes(path: str | os.PathLike[str], recording: Recording) -> Path:
    """Write counts of short bins as spike times, such that reading gives the same counts.

    The spikes of a bin are spread evenly over it, each half a step from its edges.

    Parameters
    ----------
    path
        Where to write, ending in ``.npz``; replaced in one go when it exists.
    recording
        In counts; a bin is a whole number of milliseconds, and NaN in all units or in none.

    Raises
    ------
    ValueError
        If the recording is not in whole counts, or some of the units alone are not valid.
    """
    return write_archive(path, pack_spikes(recording))


def pack_spikes(recording: Recording) -> dict[str, Any]:
    """Return what ``write_spikes`` writes, by key."""
    times, unit, known = spikes_of(recording)
    stored: dict[str, Any] = {
        TIMES: times,
        UNITS: unit,
        "units": np.array(recording.layout.channels),
        "stop_s": recording.duration,
        "subject": recording.subject,
        "session": recording.session,
        "start": str(recording.start or ""),
    }
    if recording.trajectory is not None:
        stored |= trajectory_keys(recording.trajectory)
    return stored | trial_keys(known, 0.0, recording.duration)


def trial_keys(known: Array | None, start: float, stop: float) -> dict[str, Array]:
    """Return where valid signal lies between start and stop, by key; nothing if it is all."""
    if known is None or known.tolist() == [[start, stop]]:
        return {}
    within = np.clip(known, start, stop)
    within = within[within[:, 1] > within[:, 0]]
    return {"trial_start": within[:, 0], "trial_stop": within[:, 1]}


def trajectory_keys(trajectory: Trajectory) -> dict[str, Any]:
    """Return what moved, by key."""
    about = {"trajectory_rate": trajectory.rate, "trajectory_first": trajectory.first}
    return movement_keys(trajectory) | about


def spikes_of(recording: Recording) -> tuple[Array, Array, Array]:
    """Return the time and unit of each spike, and where the signal is valid, (stretch, 2)."""
    rate = recording.layout.rate
    if recording.layout.unit != COUNT or abs(RATE / rate - round(RATE / rate)) > SLACK:
        raise ValueError(
            f"Invalid recording: {recording.name} is in {recording.layout.unit} at {rate:g} Hz, "
            "must be counts in bins of whole milliseconds"
        )
    times, units, valid, first = [], [], [], 0
    for block in recording.blocks():
        known = ~np.isnan(block)
        _check_counts(recording, np.where(known, block, 0), known)
        valid.append(known.all(axis=1))
        found, unit, place = _spread(np.where(known, block, 0).astype(np.int64))
        times.append((first + found + place) / rate)
        units.append(unit)
        first += len(block)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], *valid, [0]]).astype(np.int8)))
    return np.concatenate(times), np.concatenate(units), edges.reshape(-1, 2) / rate


def _spread(counts: Array) -> tuple[Array, Array, Array]:
    """Return bin, unit and place within the bin, from 0 to 1, of each spike."""
    bins, unit = np.nonzero(counts)
    each = counts[bins, unit]
    before = np.repeat(np.cumsum(each) - each, each)
    place = (np.arange(each.sum()) - before + 0.5) / np.repeat(each, each)
    return np.repeat(bins, each), np.repeat(unit, each), place


def _check_counts(recording: Recording, counts: Array, known: Array) -> None:
    if (known.any(axis=1) != known.all(axis=1)).any():
        raise ValueError(f"Invalid recording: in {recording.name} some of the units are not valid")
    if (counts < 0).any() or (counts != np.round(counts)).any():
        raise ValueError(f"Invalid recording: {recording.name} is not in whole counts")
