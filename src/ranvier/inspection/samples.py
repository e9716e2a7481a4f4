"""What is looked at of a signal: some places of it, never the whole, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.recording import Array, Recording

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PLACES, FEWEST_PLACES = 60, 4
"""Places of a recording that are looked at: of one alone, and of each of very many."""
ALL_PLACES = 2400
"""Of a whole folder, so that a thousand files take minutes and not hours."""
PLACE = 10.0
"""Seconds: long enough for slow waves and for the resolution of a mains line."""
PIECE = 2.0
"""Seconds a lead may stay at one value before its samples count as not valid, as in decoding."""
NEAR_ZERO = 0.01
"""Share of the largest spread; a step of 16 bits is less, an electrode's drift more."""
MAINS = (50.0, 60.0)
BESIDE = 1.0
"""Hz on either side of the mains that belong to it; hum and the window are narrower."""
LOWEST = 1.0
"""Hz; slower than this is drift of electrodes, which would hide a strong line."""
STUCK = 3
"""Samples in a row at the same limit that are a run there; noise is there for one at a time."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What some places of a signal are like; one value for each channel unless told.

    Parameters
    ----------
    recording
        Which was looked at.
    seconds
        How much of it.
    spread
        Standard deviation within a second, median over seconds, in µV.
    flat
        Share of the pieces of 2 s that do not change at all.
    zero
        Whether every sample is the same, and 0 as far as the rounding to 16 bits lets it be.
    limits
        Least and greatest value, (2, channel).
    stuck, runs
        Share of samples in runs at a limit, and how many runs there are.
    mains
        For each frequency of ``MAINS`` the share of power there, median over pieces; NaN where the
        rate is too low to know.
    products
        Mean product of each two channels without their mean, (channel, channel), in µV².
    not_valid
        Share of samples that are NaN, of all channels together.
    """

    recording: Recording
    seconds: float
    spread: Values
    flat: Values
    zero: Flags
    limits: Values
    stuck: Values
    runs: Values
    mains: dict[float, Values]
    products: Values
    not_valid: float


def places_of(recording: Recording, count: int, seconds: float = PLACE) -> Iterator[Array]:
    """Read places that lie evenly over a recording, the whole of a short one, piece by piece."""
    size = min(recording.samples, max(1, round(seconds * recording.layout.rate)))
    last = recording.samples - size
    wanted = min(count, recording.samples // max(size, 1) or 1)
    for first in np.unique(np.linspace(0, last, wanted).astype(int)).tolist():
        yield recording.reader(first, first + size)


def look(recording: Recording, count: int = PLACES) -> Looked | None:
    """Look at this many places; None where no place has two seconds that are valid."""
    blocks = [_Block.of(block, recording.layout.rate) for block in _valid(recording, count)]
    kept = [block for block, _ in blocks if block is not None]
    if not kept:
        return None
    spread = np.median(np.concatenate([one.spreads for one in kept]), axis=0)
    limits = np.stack([_all(kept, "least").min(axis=0), _all(kept, "greatest").max(axis=0)])
    samples = sum(block.samples for block in kept)
    stuck, runs = (sum(one.at(limits)[n] for one in kept) for n in (0, 1))
    return Looked(
        recording,
        samples / recording.layout.rate,
        spread,
        np.concatenate([one.flat for one in kept]).mean(axis=0),
        (limits[0] == limits[1]) & (np.abs(limits[0]) <= NEAR_ZERO * spread.max()),
        limits,
        np.asarray(stuck / samples),
        np.asarray(runs),
        {hertz: np.median(np.concatenate([b.mains[hertz] for b in kept]), 0) for hertz in MAINS},
        np.asarray(sum(block.products for block in kept) / samples),
        float(np.mean([missing for _, missing in blocks])),
    )


def _all(blocks: list[_Block], name: str) -> Values:
    return np.stack([getattr(block, name) for block in blocks])


def _valid(recording: Recording, count: int) -> Iterator[Array]:
    for block in places_of(recording, count):
        yield block.astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Block:
    """What one place is like."""

    samples: int
    spreads: Values
    flat: Values
    least: Values
    greatest: Values
    held: tuple[Values, Values]
    held_runs: tuple[Values, Values]
    mains: dict[float, Values]
    products: Values

    @classmethod
    def of(cls, signal: Array, rate: float) -> tuple[_Block | None, float]:
        """Return what a place is like, None if it is too short, and which share is not valid."""
        missing = np.isnan(signal)
        known = signal[:, ~missing.all(axis=0)]
        rows = ~np.isnan(known).any(axis=1) & bool(known.size)
        values = np.nan_to_num(signal[rows])
        if not len(values) or len(values) < PIECE * rate:
            return None, float(missing.mean()) if signal.size else 1.0
        seconds, pieces = _cut(values, round(rate)), _cut(values, round(PIECE * rate))
        least, greatest = values.min(axis=0), values.max(axis=0)
        low, high = _runs_at(values == least), _runs_at(values == greatest)
        centred = values - values.mean(axis=0)
        return cls(
            len(values),
            seconds.std(axis=1),
            np.ptp(pieces, axis=1) == 0,
            least,
            greatest,
            (low[0], high[0]),
            (low[1], high[1]),
            _mains(pieces, rate),
            centred.T @ centred,
        ), float(missing.mean())

    def at(self, limits: Values) -> tuple[Values, Values]:
        """Return samples in runs at the limits of the whole recording, and how many runs."""
        here = [self.least == limits[0], self.greatest == limits[1]]
        samples = sum(np.where(on, n, 0) for on, n in zip(here, self.held, strict=True))
        runs = sum(np.where(on, n, 0) for on, n in zip(here, self.held_runs, strict=True))
        return np.asarray(samples), np.asarray(runs)


def _cut(values: Values, size: int) -> Values:
    """Return whole pieces, (piece, time, channel)."""
    size = max(1, size)
    count = len(values) // size
    return values[: count * size].reshape(count, size, -1)


def _runs_at(held: Array) -> tuple[Values, Values]:
    """Return how many samples lie in runs of at least ``STUCK``, and how many such runs begin."""
    long = held[: len(held) - STUCK + 1].copy()
    for shift in range(1, STUCK):
        long &= held[shift : len(held) - STUCK + 1 + shift]
    begins = np.diff(long.astype(np.int8), axis=0, prepend=0) == 1
    runs = begins.sum(axis=0).astype(float)
    return long.sum(axis=0) + (STUCK - 1) * runs, runs


def _mains(pieces: Values, rate: float) -> dict[float, Values]:
    size = pieces.shape[1]
    window = np.hanning(size)[:, None]
    power = np.abs(np.fft.rfft((pieces - pieces.mean(axis=1, keepdims=True)) * window, axis=1)) ** 2
    hertz = np.fft.rfftfreq(size, 1 / rate)
    whole = np.maximum(power[:, hertz >= LOWEST].sum(axis=1), 1e-30)
    shares = {}
    for line in MAINS:
        near = np.abs(hertz - line) <= BESIDE
        known = line + BESIDE < rate / 2
        shares[line] = power[:, near].sum(axis=1) / whole if known else np.full(whole.shape, np.nan)
    return shares
