"""When to recalibrate: a signal from the counts alone, which needs no movement to compare with.

The channels are dealt to two halves at random, many times over, and a linear decoder for each half
is solved on the training day. While tuning stays as it was, both halves say the same but for their
noise, however the hand moves. When units change or are lost, they say different things. The signal
is an estimate of the R² that this costs: a decoder of all channels is about the mean of both
halves, so it is a quarter of the squared difference beyond the expected one, over the squared
movement.

It is blind to what both halves share: all directions that turn together, all gains that change
together. Labels alone can show these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ranvier.recording import Array, Layout, Recording
from ranvier.streaming import Stage, State
from ranvier.tasks.movement import centred

HISTORY = 0.5
"""Seconds of counts that a half looks at."""
PENALTY = 0.1
"""Ridge, as a share of the mean sum of squares of a lagged channel."""
SPLITS, BLOCKS = 12, 5
PIECE = 5.0
"""Seconds of held-out data whose spread gives that of a whole window."""
STEEP = 4.0
"""Standard deviations of a window above 0 from which on it is time to recalibrate."""
LEAST = 0.5
"""Share of a window that must be there."""


class Halves(NamedTuple):
    """Linear decoders of both halves of the channels, for each split."""

    weights: Array
    """(bin x channel, split, half, axis); 0 for channels of the other half."""
    offsets: Array
    """(split, half, axis)."""


@dataclass(frozen=True, eq=False)
class Watch(Stage):
    """Tells from the counts of the last minute by how much tuning has changed; see ``fit_watch``.

    Parameters
    ----------
    layout
        What comes in: counts.
    halves
        Decoders of halves of the channels.
    expected
        Squared difference of two halves at rest, and how it grows with the square of the movement
        that they say, (split, 2).
    threshold
        Above which it is time to recalibrate.
    history, window, every
        Bins that a half looks at, that one value is made from, and from one value to the next.
    """

    layout: Layout
    halves: Halves
    expected: Array
    threshold: float
    history: int
    window: int
    every: int

    @property
    def output(self) -> Layout:
        """R² that seems to be lost: about 0 as on the training day."""
        return Layout(("drift",), self.layout.rate / self.every, "R²")

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Half of the window."""
        return self.window / self.rate / 2

    def outputs(self, samples: int) -> int:
        """Return how many are known once this many bins have come in; the first are NaN."""
        return samples // self.every

    def initial_state(self, batch: int) -> State:
        """Return the bins that are still needed; before the first, there is a gap."""
        return np.full((batch, self.window - self.every, len(self.layout.channels)), np.nan)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Look at each window that is full; NaN where less than half of it is there."""
        bins = np.concatenate([state, chunk], axis=1)
        count = max(0, (bins.shape[1] - self.window) // self.every + 1)
        found = np.empty((len(bins), count, 1))
        for i in range(count):
            for row in range(len(bins)):
                first = i * self.every
                found[row, i, 0] = self._differ(bins[row, first : first + self.window])
        return found, bins[:, count * self.every :].copy()

    def _differ(self, counts: Array) -> float:
        rows, whole = lagged(counts, self.history)
        if whole.mean() < LEAST:
            return float("nan")
        return _seems_lost(*_compared(rows[whole], self.halves), self.expected)

    def watch(self, recording: Recording) -> tuple[Array, Array]:
        """Return times in seconds and the signal over a whole recording."""
        found, _ = self.step(recording.read()[None], self.initial_state(1))
        return (1 + np.arange(found.shape[1])) * self.hop, found[0, :, 0]


def fit_watch(
    recording: Recording, *, seconds: float = 60.0, hop: float = 10.0, seed: int = 0
) -> Watch:
    """Fit the signal to a training day, whose movement is known.

    Parameters
    ----------
    recording
        What a decoder was trained on: counts, with a trajectory.
    seconds, hop
        That each value looks at, and from one value to the next.
    seed
        Of the splits into halves.

    Raises
    ------
    ValueError
        If too little movement is known or nothing moves, there are fewer than four channels, the
        recording is shorter than three windows, or the hop is longer than the window.
    """
    bins, every = (round(one * recording.layout.rate) for one in (seconds, hop))
    _check(recording, bins, every)
    history = max(1, round(HISTORY * recording.layout.rate))
    rows, whole = lagged(recording.read(), history)
    assert recording.trajectory is not None
    targets = recording.trajectory.targets(_times(recording, history), 0.0)
    whole &= ~np.isnan(targets).any(axis=1)
    rows, targets = rows[whole], targets[whole]
    pieces = round(PIECE * recording.layout.rate)
    _check_known(recording, targets, max(bins, BLOCKS * pieces))
    sides = _deal(len(recording.layout.channels), seed)
    apart, moved = _held_out(rows, targets, sides, history)
    expected = np.stack([_grows(a, m) for a, m in zip(apart.T, moved.T, strict=True)])
    threshold = STEEP * _spread(apart, moved, expected, pieces) / np.sqrt(bins / pieces)
    halves = _solved(rows, targets, sides)
    return Watch(recording.layout, halves, expected, float(threshold), history, bins, every)


def _check(recording: Recording, bins: int, every: int) -> None:
    if recording.trajectory is None:
        raise ValueError(f"Invalid recording: {recording.name} has no trajectory to learn from")
    if len(recording.layout.channels) < 4:
        count = len(recording.layout.channels)
        raise ValueError(f"Invalid recording: {count} channels, must be at least 4")
    if not 0 < every <= bins or recording.samples < 3 * bins:
        raise ValueError(
            f"Invalid seconds and hop: {bins} and {every} bins, must be at most a third of "
            f"{recording.samples} bins and at most the window"
        )


def _check_known(recording: Recording, targets: Array, least: int) -> None:
    if len(targets) < least:
        raise ValueError(
            f"Invalid recording: {recording.name}, its movement is known in {len(targets)} of "
            f"{recording.samples} bins, must be in at least {least}"
        )
    if not centred(targets).any():
        raise ValueError(
            f"Invalid recording: {recording.name} does not move, must move on at least one axis"
        )


def lagged(counts: Array, history: int) -> tuple[Array, Array]:
    """Return the last bins of each bin in a row, the oldest first, and which rows have no gap."""
    seen = np.lib.stride_tricks.sliding_window_view(counts, history, axis=0)
    rows = seen.swapaxes(1, 2).reshape(len(seen), -1)
    return rows, np.asarray(np.isfinite(rows).all(axis=1))


def _times(recording: Recording, history: int) -> Array:
    return np.arange(history, recording.samples + 1) / recording.layout.rate


def _deal(channels: int, seed: int) -> Array:
    """Return in which half each channel is, (split, channel)."""
    rng = np.random.default_rng(seed)
    even = np.arange(channels) % 2
    return np.stack([rng.permutation(even) for _ in range(SPLITS)])


def _solved(rows: Array, targets: Array, sides: Array) -> Halves:
    """Solve the decoders of all halves, from the same products of all channels."""
    means, centre = rows.mean(axis=0), targets.mean(axis=0)
    centred = (rows - means).astype(float)
    products, answers = centred.T @ centred, centred.T @ (targets - centre)
    penalty = PENALTY * max(products.diagonal().mean(), 1e-12)
    weights = np.zeros((len(means), len(sides), 2, targets.shape[1]))
    history = len(means) // sides.shape[1]
    for split, half in np.ndindex(len(sides), 2):
        own = np.flatnonzero(np.tile(sides[split] == half, history))
        inner = products[np.ix_(own, own)] + penalty * np.eye(len(own))
        weights[own, split, half] = np.linalg.solve(inner, answers[own])
    return Halves(weights, centre - np.tensordot(means, weights, 1))


def _compared(rows: Array, halves: Halves) -> tuple[Array, Array]:
    """Return the squared difference of the halves, and of what both say, (row, split)."""
    flat = halves.weights.reshape(len(halves.weights), -1)
    said = (rows @ flat).reshape(len(rows), *halves.offsets.shape) + halves.offsets
    apart, both = said[:, :, 0] - said[:, :, 1], said.mean(axis=2)
    return np.sum(apart**2, axis=2), np.sum(both**2, axis=2)


def _held_out(rows: Array, targets: Array, sides: Array, history: int) -> tuple[Array, Array]:
    """Compare the halves on blocks that they were not solved on; rows that share bins are apart."""
    found = [_compared(rows[held], _solved(rows[rest], targets[rest], sides))
             for rest, held in _blocks(len(rows), history - 1)]  # fmt: skip
    apart, moved = zip(*found, strict=True)
    return np.concatenate(apart), np.concatenate(moved)


def _blocks(rows: int, overlap: int) -> Iterator[tuple[Array, Array]]:
    every = np.arange(rows)
    for block in np.array_split(every, BLOCKS):
        yield every[(every < block[0] - overlap) | (every > block[-1] + overlap)], block


def _grows(apart: Array, moved: Array) -> Array:
    """Return the difference at rest, and how it grows with movement; both at least 0."""
    from scipy.optimize import nnls

    return np.asarray(nnls(np.column_stack([np.ones_like(moved), moved]), apart)[0])


def _seems_lost(apart: Array, moved: Array, expected: Array) -> float:
    """Return the R² that the squared differences, (row, split), say is lost."""
    differ, said = apart.mean(axis=0), moved.mean(axis=0)
    beyond = differ - expected[:, 0] - expected[:, 1] * said
    return float(beyond.mean() / 4 / max(said.mean(), 1e-12))


def _spread(apart: Array, moved: Array, expected: Array, size: int) -> float:
    """Return the standard deviation of the signal over pieces of held-out data."""
    cuts = np.arange(size, len(apart), size)
    pairs = zip(np.split(apart, cuts), np.split(moved, cuts), strict=True)
    values = [_seems_lost(one, two, expected) for one, two in pairs if len(one) == size]
    return float(np.std(values, ddof=1))
