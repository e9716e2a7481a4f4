"""The sums of a resampler as products of matrices, whose last bit does not depend on the cut.

Output k lies at k * down on the common multiple of the two rates, sample n at n * up. After a cycle
of outputs and samples the same weights come again. A cycle is computed some outputs at a time, and
each of these products always has the same shape, so that the order of its sums is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ranvier.recording import Array

MOST_IN_PIECE = 16
"""Outputs that are computed by one product."""

EVEN = 4
"""Of three channels or more a multiple is best: a product of 23 takes longer than one of 24."""


def even_channels(channels: int) -> int:
    """Return for how many channels the sums are best computed."""
    return channels if channels < EVEN - 1 else -(-channels // EVEN) * EVEN


class Piece(NamedTuple):
    """Neighbouring outputs as weighted sums of the same samples.

    ``first`` is the first of these samples; it and ``outputs`` are counted from the beginning of a
    cycle. ``weights``, and ``support``, 1 where there is a weight, are (sample, output).
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
        outputs = range(self.cycle[0])
        return [self._piece(outputs[n : n + MOST_IN_PIECE]) for n in outputs[::MOST_IN_PIECE]]

    def _piece(self, outputs: Sequence[int]) -> Piece:
        first = -((len(self.taps) - 1 - outputs[0] * self.down) // self.up)
        samples = np.arange(first, outputs[-1] * self.down // self.up + 1)
        places = np.array(outputs) * self.down - samples[:, None] * self.up
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
            (batch, channel, output), in the precision of the signal.
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
        sums = np.empty((*signal.shape[:2], len(cycles), outputs), signal.dtype)
        by_cycle = sums.swapaxes(1, 2)
        for piece in self.pieces:
            start = (first - piece.outputs.stop) // outputs + 1
            end = -((piece.outputs.start - stop) // outputs)
            if start < end:
                since = signal[..., start * samples + piece.first - begin :]
                weights = (piece.support if support else piece.weights).astype(signal.dtype)
                windows = _windows(since, end - start, samples, len(weights))
                rows = slice(start - cycles.start, end - cycles.start)
                np.matmul(windows, weights, out=by_cycle[:, rows, :, piece.outputs])
        gone = cycles.start * outputs
        return sums.reshape(*signal.shape[:2], -1)[..., first - gone : stop - gone]


def _windows(signal: Array, count: int, hop: int, width: int) -> Array:
    """View (batch, channel, sample) as (batch, window, channel, sample)."""
    batch, channel, sample = signal.strides
    shape = (len(signal), count, signal.shape[1], width)
    strides = (batch, hop * sample, channel, sample)
    return np.lib.stride_tricks.as_strided(signal, shape, strides, writeable=False)
