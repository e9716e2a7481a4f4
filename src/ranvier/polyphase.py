"""The sums of a resampler as products of matrices, whose last bit does not depend on the cut.

Output k lies at k * down on the common multiple of the two rates, sample n at n * up. After a cycle
of outputs and samples the same weights come again. A cycle is computed some outputs at a time, and
each of these products always has the same shape, so that the order of its sums is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ranvier.recording import Array

MOST_IN_PIECE = 16
"""Outputs that are computed by one product."""


class Piece(NamedTuple):
    """Neighbouring outputs as weighted sums of the same samples.

    ``first`` is the first of these samples; it and ``outputs`` are counted from the beginning of a
    cycle. ``weights``, and ``support``, 1 where there is a weight, are (output, sample).
    """

    outputs: slice
    first: int
    weights: Array
    support: Array


@dataclass(frozen=True, eq=False)
class Polyphase:
    """A low-pass that is computed only where an output is wanted.

    Parameters
    ----------
    taps
        The low-pass at the common multiple of the rates.
    up, down
        Rate that goes out over rate that comes in, in lowest terms.
    """

    taps: Array
    up: int
    down: int

    @property
    def cycle(self) -> tuple[int, int]:
        """Outputs and samples after which the same weights come again."""
        times = -(-MOST_IN_PIECE // self.up)
        return times * self.up, times * self.down

    @cached_property
    def pieces(self) -> list[Piece]:
        """The outputs of a cycle, some at a time."""
        count = -(-self.cycle[0] // MOST_IN_PIECE)
        return [self._piece(part.tolist()) for part in np.array_split(range(self.cycle[0]), count)]

    def _piece(self, outputs: list[int]) -> Piece:
        first = -((len(self.taps) - 1 - outputs[0] * self.down) // self.up)
        samples = np.arange(first, outputs[-1] * self.down // self.up + 1)
        places = np.array(outputs)[:, None] * self.down - samples * self.up
        inside = (places >= 0) & (places < len(self.taps))
        weights = np.where(inside, self.taps[np.where(inside, places, 0)], 0.0)
        return Piece(slice(outputs[0], outputs[-1] + 1), first, weights, inside.astype(float))

    def oldest(self, output: int) -> int:
        """Return the first sample that is needed for an output and those after it."""
        cycle, place = divmod(output, self.cycle[0])
        piece = next(piece for piece in self.pieces if place < piece.outputs.stop)
        return cycle * self.cycle[1] + piece.first

    def outputs(self, signal: Array, begin: int, first: int, stop: int) -> Array:
        """Return some outputs; one that a NaN or an infinite sample takes part in is NaN.

        Parameters
        ----------
        signal
            (batch, channel, sample), from ``oldest`` of the first output on, and a cycle of zeros
            after the last sample that is known.
        begin
            Number of the signal's first sample.
        first, stop
            Numbers of the outputs.

        Returns
        -------
        Array
            (batch, output, channel), in the precision of the signal.
        """
        valid = np.isfinite(signal)
        if valid.all():
            return self._sums(signal, begin, first, stop)
        sums = self._sums(np.where(valid, signal, 0), begin, first, stop)
        spoilt = self._sums((~valid).astype(signal.dtype), begin, first, stop, support=True)
        sums[spoilt > 0] = np.nan
        return sums

    def _sums(
        self, signal: Array, begin: int, first: int, stop: int, *, support: bool = False
    ) -> Array:
        outputs, samples = self.cycle
        cycles = range(first // outputs, -(-stop // outputs))
        sums = np.empty((len(signal), len(cycles), outputs, signal.shape[1]), signal.dtype)
        for piece in self.pieces:
            start = (first - piece.outputs.stop) // outputs + 1
            end = -((piece.outputs.start - stop) // outputs)
            if start < end:
                since = signal[..., start * samples + piece.first - begin :]
                weights = (piece.support if support else piece.weights).astype(signal.dtype)
                windows = _windows(since, end - start, samples, weights.shape[1])
                rows = slice(start - cycles.start, end - cycles.start)
                np.matmul(weights, windows, out=sums[:, rows, piece.outputs])
        gone = cycles.start * outputs
        return sums.reshape(len(signal), -1, signal.shape[1])[:, first - gone : stop - gone]


def _windows(signal: Array, count: int, hop: int, width: int) -> Array:
    """View (batch, channel, sample) as (batch, window, sample, channel)."""
    batch, channel, sample = signal.strides
    shape = (len(signal), count, width, signal.shape[1])
    strides = (batch, hop * sample, sample, channel)
    return np.lib.stride_tricks.as_strided(signal, shape, strides, writeable=False)
