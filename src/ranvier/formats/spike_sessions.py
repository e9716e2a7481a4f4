"""Spike times of a session, counted in bins of a millisecond when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.counts import TICKS, SpikeTrains
from ranvier.recording import COUNT, Array, Layout, Recording, Signal
from ranvier.truth import Trajectory

RATE = 1000.0
"""Bins per second in which spikes are counted."""
WIDTH = TICKS // 1000
"""Nanoseconds of a bin."""
LONGEST = 30 * 86_400.0
"""Seconds of a recording, at most."""
LATEST = 9e9
"""Seconds from the clock's 0 up to which a time is a number of nanoseconds."""


@dataclass(frozen=True, eq=False)
class Session:
    """Spike times and what moved, as a file has them.

    Parameters
    ----------
    times, unit
        Of each spike: seconds of the session's clock, in any order, and the number of its unit.
    names
        Of the units.
    start, stop
        Seconds of the clock between which there is a recording; None stops with the last thing
        that happens.
    known
        (stretch, 2), where each stretch of valid signal begins and ends; None for all of it.
    trajectory
        What moved; ``first`` is a time of the session's clock.
    subject, session, date
        Who was recorded, and when.
    notes
        What was repaired while reading.

    Raises
    ------
    ValueError
        If a time is not finite or a stretch is not in order.
    """

    times: Array
    unit: npt.NDArray[np.integer[Any]]
    names: tuple[str, ...]
    start: float = 0.0
    stop: float | None = None
    known: Array | None = None
    trajectory: Trajectory | None = None
    subject: str = ""
    session: str = ""
    date: datetime | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_times("spike_times", self.times, (len(self.unit),))
        for name, value in (("start_s", self.start), ("stop_s", self.stop or 0.0)):
            check_times(name, np.array(value), ())
        if not 0 <= self.unit.min(initial=0) <= self.unit.max(initial=0) < max(1, len(self.names)):
            raise ValueError(
                f"invalid spike_units: {self.unit.min()} to {self.unit.max()}, must be from 0 to "
                f"{len(self.names) - 1}, one for each unit"
            )

    def recording(self, name: str) -> Recording:
        """Return it with second 0 at ``start``, counted in bins of 1 ms."""
        samples = self._samples()
        counts = SpikeCounts(self._trains(), self._stretches(samples))
        moved = self.trajectory
        return Recording(
            Layout(self.names, RATE, COUNT),
            samples,
            counts.read,
            name=name,
            subject=self.subject,
            session=self.session,
            start=self.date,
            trajectory=moved
            and replace(moved, first=moved.first - self.start, duration=samples / RATE),
            notes=(*self.notes, *self._left_out(counts, samples)),
        )

    def _ticks(self, times: Array) -> npt.NDArray[np.int64]:
        """Return nanoseconds from the start, as spikes are counted by."""
        late = np.round(np.clip(times, -LATEST, LATEST) * TICKS).astype(np.int64)
        return np.asarray(late - round(self.start * TICKS))

    def _samples(self) -> int:
        stop = self._last() if self.stop is None else self.stop
        if not 0 < stop - self.start <= LONGEST:
            raise ValueError(
                f"invalid stop_s: {stop:g} s with a start at {self.start:g} s, must be after it "
                f"and at most {LONGEST:g} s later"
            )
        return -(-int(self._ticks(np.array(stop))) // WIDTH)

    def _last(self) -> float:
        ends = [self.times.max(initial=self.start)]
        if self.trajectory is not None and len(self.trajectory):
            ends.append(self.trajectory.first + (len(self.trajectory) - 1) / self.trajectory.rate)
        if self.known is not None:
            ends.append(self.known[np.isfinite(self.known)].max(initial=self.start))
        return float(max(ends))

    def _trains(self) -> SpikeTrains:
        order = np.argsort(self.unit, kind="stable")
        borders = np.searchsorted(self.unit[order], np.arange(1, len(self.names)))
        trains = np.split(self.times[order], borders)
        return SpikeTrains.of(trains, seconds=1 / RATE, start=self.start)

    def _stretches(self, samples: int) -> npt.NDArray[np.int64]:
        """Return first and last bin of each stretch, with at least one bin between two."""
        if self.known is None:
            return np.array([[0, samples]])
        known = self.known[np.argsort(self.known[:, 0], kind="stable")]
        if np.isnan(known).any() or (known[:, 1] <= known[:, 0]).any():
            raise ValueError("invalid trials or intervals: one does not end after it begins")
        if (known[1:, 0] < known[:-1, 1]).any():
            raise ValueError("invalid trials or intervals: one begins before another ends")
        begin, end = np.clip(self._ticks(known), 0, samples * WIDTH).T
        first, last = -(-begin // WIDTH), end // WIDTH
        stretches: npt.NDArray[np.int64] = np.stack([first, last], axis=1)[last > first]
        stretches[1:, 0] = np.maximum(stretches[1:, 0], stretches[:-1, 1] + 1)
        return stretches

    def _left_out(self, counts: SpikeCounts, samples: int) -> list[str]:
        bins, notes = counts.trains.bins, []
        inside = bins < samples
        if outside := len(self.times) - np.count_nonzero(inside):
            notes.append(f"{outside} of {len(self.times)} spikes lie outside and were left out")
        if (gaps := counts.gaps(samples)) > 0:
            between = np.count_nonzero(~counts.inside(bins[inside]))
            notes.append(f"stretches that are not valid: {gaps}, spikes left out there: {between}")
        return notes


def check_times(name: str, times: Array, shape: tuple[int, ...]) -> None:
    """Refuse what are no finite seconds of a clock."""
    if times.dtype.kind not in "iuf" or times.shape != shape:
        raise ValueError(
            f"invalid {name}: {times.dtype} of shape {times.shape}, must be numbers {shape}"
        )
    if not (np.abs(times) <= LATEST).all():
        raise ValueError(
            f"invalid {name}: {times.min()} to {times.max()} s, must be finite and at most "
            f"{LATEST:g} s from 0"
        )


@dataclass(frozen=True, eq=False)
class SpikeCounts:
    """Spike trains that are NaN between stretches of valid signal.

    Parameters
    ----------
    trains
        Counted when they are read.
    known
        (stretch, 2), first bin of each stretch and the bin after its last; none touch.
    """

    trains: SpikeTrains
    known: Array

    def inside(self, bins: Array) -> npt.NDArray[np.bool_]:
        """Return which bins are valid."""
        return np.asarray(np.searchsorted(self.known.ravel(), bins, side="right") % 2 == 1)

    def gaps(self, samples: int) -> int:
        """Return how many stretches of this many bins are not valid."""
        edges = np.concatenate([[0], self.known.ravel(), [samples]])
        return int(np.count_nonzero(edges[1::2] > edges[::2]))

    def read(self, first: int, last: int) -> Signal:
        """Return counts, (bin, unit), from bin ``first`` to ``last``."""
        counts = self.trains.count(first, last)
        counts[~self.inside(np.arange(first, last))] = np.nan
        return counts
