"""Spikes to counts: exact bins, bins of bins, smoothing that never looks ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.recording import COUNT, Array, Layout, Signal
from ranvier.streaming import Stage, State

TICKS = 1_000_000_000
"""Times are compared in whole nanoseconds, so a spike on an edge is on that edge."""
EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class SpikeTrains:
    """Spike times of many units, counted when they are asked for.

    A bin holds the spikes after its left edge up to and with its right edge, at which the movement
    is sampled; a spike on the very first edge counts for the first bin. So each spike from the
    start to the stop is in one bin and in one alone.

    Parameters
    ----------
    ticks, unit
        Time in nanoseconds from the start, in order, and number of the unit, for each spike.
    units
        How many units there are.
    width
        Of a bin in nanoseconds.
    """

    ticks: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    units: int
    width: int

    @classmethod
    def of(
        cls, times: Sequence[npt.ArrayLike], *, seconds: float, start: float = 0.0
    ) -> SpikeTrains:
        """Take the spike times of each unit, in seconds and any order.

        Parameters
        ----------
        times
            Of each unit.
        seconds
            Length of a bin: a whole number of microseconds.
        start
            Where the first bin begins; spikes before it are left out.

        Raises
        ------
        ValueError
            If a time is not finite, or a bin's length is not a number of microseconds above 0.
        """
        width = round(seconds * 1e6) * 1000
        if not width > 0 or abs(width / TICKS - seconds) > EXACT:
            raise ValueError(
                f"Invalid seconds: {seconds:g}, must be a whole number of microseconds above 0"
            )
        trains = [np.asarray(train, dtype=float).ravel() for train in times]
        every = np.concatenate([*trains, np.zeros(0)])
        if not np.isfinite(every).all():
            raise ValueError(
                f"Invalid spike times: {np.count_nonzero(~np.isfinite(every))} of {len(every)} are "
                "not finite"
            )
        ticks = np.round(every * TICKS).astype(np.int64) - round(start * TICKS)
        unit = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
        order = np.argsort(ticks, kind="stable")
        order = order[ticks[order] >= 0]
        return cls(ticks[order], unit[order], len(trains), width)

    @cached_property
    def bins(self) -> npt.NDArray[np.int64]:
        """In which bin each spike is."""
        return np.maximum(self.ticks - 1, 0) // self.width

    def count(self, first: int, last: int) -> Signal:
        """Return how many spikes are in each bin, (bin, unit), from bin ``first`` to ``last``."""
        begin, end = np.searchsorted(self.bins, [first, last])
        places = (self.bins[begin:end] - first) * self.units + self.unit[begin:end]
        counted = np.bincount(places, minlength=(last - first) * self.units)
        return counted.reshape(last - first, self.units).astype(np.float32)


@dataclass(frozen=True)
class BinCounts(Stage):
    """Add up counts to longer bins, each closed on the right.

    Parameters
    ----------
    layout
        What comes in: counts in short bins.
    seconds
        Length of a bin that goes out, a whole number of those that come in.
    """

    layout: Layout
    seconds: float = 0.02

    def __post_init__(self) -> None:
        if self.layout.unit != COUNT:
            raise ValueError(f"Invalid unit: {self.layout.unit}, must be {COUNT} to be added up")
        whole = self.seconds * self.rate
        if round(whole) < 1 or abs(whole - round(whole)) > 1e-6 * whole:
            raise ValueError(
                f"Invalid seconds: {self.seconds:g}, must be a whole number of bins of "
                f"{1 / self.rate:g} s"
            )

    @property
    def together(self) -> int:
        """Bins that are added up."""
        return round(self.seconds * self.rate)

    @property
    def output(self) -> Layout:
        """The same units in longer bins."""
        return Layout(self.layout.channels, self.rate / self.together, COUNT)

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Half of a bin."""
        return self.seconds / 2

    def outputs(self, samples: int) -> int:
        """Return how many bins are whole."""
        return samples // self.together

    def initial_state(self, batch: int) -> State:
        """Return the short bins that are not yet added up."""
        return np.zeros((batch, 0, len(self.layout.channels)))

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Add up what is whole; a bin with a NaN in it is NaN."""
        waiting = np.concatenate([state, chunk], axis=1)
        whole = self.outputs(waiting.shape[1])
        used = waiting[:, : whole * self.together]
        summed = used.reshape(len(used), whole, self.together, used.shape[2]).sum(axis=2)
        return summed, waiting[:, whole * self.together :].copy()


@dataclass(frozen=True)
class Smooth(Stage):
    """Exponential smoothing of the past: ``y[t] = a y[t - 1] + (1 - a) x[t]``.

    Parameters
    ----------
    layout
        What comes in.
    seconds
        Time constant, after which a step has reached 63 %; it is also the mean delay.
    """

    layout: Layout
    seconds: float = 0.1

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"Invalid seconds: {self.seconds:g}, must be above 0")

    @cached_property
    def keep(self) -> float:
        """Share of the past that is kept from sample to sample."""
        return float(np.exp(-1 / (self.seconds * self.rate)))

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Mean age of what an output holds."""
        return self.keep / (1 - self.keep) / self.rate

    def initial_state(self, batch: int) -> State:
        """Return the last output of each channel; NaN before the first, and after a gap."""
        return np.full((batch, len(self.layout.channels)), np.nan)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Go from sample to sample; a channel begins anew with the first sample after a gap."""
        found, last = np.empty(chunk.shape), state
        for i in range(chunk.shape[1]):
            now = chunk[:, i].astype(float)
            last = np.where(np.isnan(last), now, self.keep * last + (1 - self.keep) * now)
            found[:, i] = last
        return found, np.array(last)
