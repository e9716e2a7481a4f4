"""Binned spikes and what moved, in NumPy's ``.npz``: one file per session.

========================  =============================================================
``counts``                (bin, unit), whole spikes per bin; or
``firing_rates``          (bin, unit) in Hz, turned into counts
``bin_s``                 length of a bin in seconds
``velocity``              (bin, axis) in cm/s at the right edge of each bin; or
``trajectory``            (bin, axis) of anything else, with ``axes`` and ``unit``
``trial``                 (bin,), a number that differs between trials that follow each other
``valid``                 (bin,) or (bin, unit), False where counts are not known
``units``                 a name for each unit
``subject``, ``session``  who was recorded, and when
``start``                 date and time of the first bin, like 2000-01-31 23:59:59
``start_s``               second of the session's own clock at which the first bin begins
========================  =============================================================

All but the counts and the length of a bin may be absent; other keys are ignored. What NaN is in a
recording is ``valid`` here, since counts are whole numbers. Nothing is ever unpickled.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.formats.archives import (
    VELOCITY_AXES,
    VELOCITY_UNIT,
    Stored,
    clock,
    date,
    load_archive,
    number,
    table,
    text,
    unit_names,
    what_moved,
    write_archive,
)
from ranvier.recording import COUNT, Array, Layout, Recording, Signal
from ranvier.truth import Trajectory

COUNTS, RATES = "counts", "firing_rates"
KEYS = tuple(
    "counts firing_rates bin_s velocity trajectory axes unit trial valid units subject session "
    "start start_s".split()
)
MOST_SPIKES = 2.0**24
"""In a bin; float32 holds all whole numbers up to it."""
ROUNDING = 0.01
"""Spikes by which a rate times a bin's length may differ from a whole number."""


@dataclass(frozen=True, eq=False)
class _Bins:
    """Counts as whole numbers, where they are valid, and what moved; one row per bin."""

    counts: Array
    valid: Array
    moved: Array | None

    def read(self, first: int, last: int) -> Signal:
        counts = self.counts[first:last].astype(np.float32)
        return np.where(self.valid[first:last], counts, np.float32(np.nan))

    def with_gaps(self, before: Array) -> _Bins:
        """Put a bin that is not valid before each of these rows."""
        moved = self.moved
        return _Bins(
            np.insert(self.counts, before, 0, axis=0),
            np.insert(self.valid, before, False, axis=0),
            None if moved is None else np.insert(moved, before, np.nan, axis=0),
        )


def read_binned(path: str | os.PathLike[str]) -> Recording:
    """Open a file of binned spikes.

    Between two trials one bin of NaN is put, in the counts and in what moved, so that no window
    crosses from one into the other; times count on through it, and a note says how many there are.

    Parameters
    ----------
    path
        A ``.npz`` with the keys that the module's docstring lists.

    Returns
    -------
    Recording
        In counts, with a trajectory where there is one, taken at the right edges of the bins.

    Raises
    ------
    ValueError
        If the file cannot be read, lacks a key, or has an array that makes no sense.
    """
    path = Path(path)
    stored = load_archive(path, KEYS, "binned spikes")
    try:
        return _make_recording(stored, path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _make_recording(stored: Stored, name: str) -> Recording:
    seconds = number(stored, "bin_s")
    if seconds is None or not seconds > 0:
        raise ValueError(f"invalid bin_s: {seconds}, must be a number of seconds above 0")
    counts, rounded = _counts(stored, seconds)
    axes, unit, moved = _moved(stored, len(counts))
    bins = _Bins(counts, _valid(stored, counts.shape), moved)
    new = _new_trials(stored, len(counts))
    gaps = [f"{len(new)} gaps of one bin were put between trials"] if len(new) else []
    bins = bins.with_gaps(new) if len(new) else bins
    rate, samples = 1 / seconds, len(bins.counts)
    return Recording(
        Layout(unit_names(stored, counts.shape[1]), rate, COUNT),
        samples,
        bins.read,
        name=name,
        subject=text(stored, "subject"),
        session=text(stored, "session"),
        start=date(stored),
        trajectory=None
        if bins.moved is None
        else Trajectory(bins.moved, rate, samples / rate, axes, unit, seconds),
        notes=(*rounded, *gaps, *clock(stored)),
    )


def _counts(stored: Stored, seconds: float) -> tuple[Array, list[str]]:
    given = [key for key in (COUNTS, RATES) if key in stored]
    if len(given) != 1:
        raise ValueError(f"it has {len(given)} of {COUNTS} and {RATES}, must have one")
    (key,) = given
    values = table(stored, key, "(bin, unit)")
    scaled = values * seconds if key == RATES else values
    whole = np.round(scaled)
    least, most = (values.min(), whole.max()) if values.size else (0, 0)
    if not 0 <= least <= most <= MOST_SPIKES:
        raise ValueError(
            f"invalid {key}: {least} to {values.max()}, must be finite, 0 or more and at most "
            f"{MOST_SPIKES:.0f} spikes per bin"
        )
    rounded = np.abs(whole - scaled).max(initial=0) > ROUNDING
    if rounded and key == COUNTS:
        raise ValueError(f"invalid {key}: fractions, must be whole; rates belong in {RATES}")
    notes = [f"{key} are no whole spikes per bin and were rounded to them"] if rounded else []
    return whole.astype(np.min_scalar_type(int(most))), notes


def _valid(stored: Stored, shape: tuple[int, ...]) -> Array:
    valid = stored.get("valid", np.ones(shape[0], dtype=bool))
    if valid.dtype != bool or valid.shape not in (shape, shape[:1]):
        raise ValueError(
            f"invalid valid: {valid.dtype} of shape {valid.shape}, must be bool of {shape[:1]} or "
            f"{shape}"
        )
    return valid.reshape(len(valid), -1)


def _moved(stored: Stored, bins: int) -> tuple[tuple[str, ...], str, Array | None]:
    """Return axes, unit and values of what moved, if anything is known of it."""
    key, values, axes, unit = what_moved(stored, f"({bins}, axis)")
    if values is not None and len(values) != bins:
        raise ValueError(f"invalid {key}: {len(values)} bins, must be {bins} as in the counts")
    return axes, unit, values


def _new_trials(stored: Stored, bins: int) -> Array:
    trial = stored.get("trial", np.zeros(bins, dtype=int))
    if trial.shape != (bins,) or trial.dtype.kind not in "iufb" or not np.isfinite(trial).all():
        raise ValueError(
            f"invalid trial: {trial.dtype} of shape {trial.shape}, must be finite numbers ({bins},)"
        )
    return np.flatnonzero(trial[1:] != trial[:-1]) + 1


def write_binned(path: str | os.PathLike[str], recording: Recording) -> Path:
    """Write binned spikes, and what moved, such that reading gives the same.

    Parameters
    ----------
    path
        Where to write, ending in ``.npz``; replaced in one go when it exists.
    recording
        In counts; its trajectory, if any, has one value per bin at the bin's right edge.

    Raises
    ------
    ValueError
        If the recording is not in whole counts, or its trajectory is not one value per bin.
    """
    return write_archive(path, _pack(recording))


def _pack(recording: Recording) -> dict[str, Any]:
    layout = recording.layout
    if layout.unit != COUNT:
        raise ValueError(f"Invalid recording: {recording.name} is in {layout.unit}, must be counts")
    counts = recording.read()
    known = ~np.isnan(counts)
    stored: dict[str, Any] = {
        COUNTS: np.where(known, counts, 0),
        "bin_s": 1 / layout.rate,
        "units": layout.channels,
        "subject": recording.subject,
        "session": recording.session,
        "start": str(recording.start or ""),
    }
    try:
        stored[COUNTS], _ = _counts(stored, 1 / layout.rate)
    except ValueError as error:
        raise ValueError(f"Invalid recording: {recording.name} has {error}") from None
    if not known.all():
        stored["valid"] = known[:, 0] if (known == known[:, :1]).all() else known
    return stored | _pack_trajectory(recording)


def _pack_trajectory(recording: Recording) -> dict[str, Any]:
    trajectory, rate = recording.trajectory, recording.layout.rate
    if trajectory is None:
        return {}
    late = abs(trajectory.first - 1 / rate) * rate
    if (
        len(trajectory) != recording.samples
        or late > 1e-6
        or abs(trajectory.rate / rate - 1) > 1e-9
    ):
        raise ValueError(
            f"Invalid trajectory of {recording.name}: {len(trajectory)} values at "
            f"{trajectory.rate:g} Hz from {trajectory.first:g} s, must be {recording.samples} at "
            f"{rate:g} Hz from {1 / rate:g} s"
        )
    return movement_keys(trajectory)


def movement_keys(trajectory: Trajectory) -> dict[str, Any]:
    """Return what moved by key: as velocity, or with its axes and unit as something else."""
    usual = VELOCITY_AXES[: len(trajectory.axes)], VELOCITY_UNIT
    if (trajectory.axes, trajectory.unit) == usual:
        return {"velocity": trajectory.values}
    return {
        "trajectory": trajectory.values,
        "axes": np.array(trajectory.axes),
        "unit": trajectory.unit,
    }
