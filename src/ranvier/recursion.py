"""The recursion of a filter as products of matrices, whose last bit does not depend on the cut.

The outputs of a block of samples are weighted sums of these samples and of the filter's state where
the block begins; the states of a group of blocks, of the state where the group begins and of what
each block adds. Blocks and groups are counted from the first sample, and samples that have not come
yet are zeros, so that every product always has the same shape and the same order of its sums.

A reference is taken off the samples of each group, the last one before it, so that an offset costs
no digits, and a wild sample none but those of its own group. The state is that of the filter for
what is left; with another reference it changes by the steady state of the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ranvier.recording import Array

BLOCK = 32
"""Samples of a block."""

BLOCKS = 8
"""Blocks of a group."""

GROUP = BLOCKS * BLOCK

DOUBLINGS = 64
"""A filter must have faded after two to this power samples."""

FADED = 1e-100
"""What is left of a state that needs no further look; its square is nothing beside 1."""

UNREACHED = 1e-13
"""Share of a section's larger state up to which the other is none, as in one of first order."""


class Weights(NamedTuple):
    """What is multiplied by what.

    ``outputs`` is (samples and state of a block, outputs), ``added`` (samples of a block, what they
    add to the state), ``starts`` (state where the group begins and what each block adds, states
    where the blocks and the next group begin).
    """

    outputs: Array
    added: Array
    starts: Array


@dataclass(frozen=True, eq=False)
class Recursion:
    """A cascade of second-order sections that is computed block by block.

    White noise of variance 1 would make its states of variance 1, those of a section independent:
    rounding stays as small as that of the samples, also in a slow filter.

    Parameters
    ----------
    sections
        (section, 6), as in SciPy.
    gain
        What becomes of a constant 1.

    Raises
    ------
    ValueError
        If what comes out would grow without end; when it is first used.
    """

    sections: Array
    gain: float = 0.0

    @cached_property
    def coordinates(self) -> tuple[Array, Array]:
        """From the cascade's own states, (own, state), and back; one never reached is left out."""
        from scipy.linalg import block_diag

        own = 2 * len(self.sections)
        sample = np.zeros((own + 1, 1))
        sample[own] = 1.0
        _, after = self._run(sample, np.eye(own + 1, own))
        power, reached = after[:own], after[own:]
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(DOUBLINGS):
                reached = np.linalg.qr(np.vstack([reached, reached @ power])).R
                power = power @ power
                if np.abs(power).max() < FADED:
                    break
        if not np.abs(power).max() < 1:
            raise ValueError(
                f"Invalid filter: {len(self.sections)} sections that grow without end, must fade; "
                "the order is too high for an edge so near to 0 Hz"
            )
        into, back = zip(*map(_independent, np.split(reached, own // 2, axis=1)), strict=True)
        return block_diag(*into), block_diag(*back)

    @cached_property
    def steady(self) -> Array:
        """The cascade's own states where 1 has always come in, (section, 2)."""
        from scipy.signal import sosfilt_zi

        return np.asarray(sosfilt_zi(self.sections))

    @cached_property
    def shift(self) -> Array:
        """What is added to the state where the reference falls by 1, (state,)."""
        return np.asarray(self.steady.ravel() @ self.coordinates[0])

    @property
    def states(self) -> int:
        """Numbers that are carried for each channel."""
        return len(self.coordinates[1])

    @cached_property
    def weights(self) -> Weights:
        """What a unit sample at each place of a block, and each unit state before it, leads to."""
        rows = BLOCK + self.states
        before = np.zeros((rows, 2 * len(self.sections)))
        into, before[BLOCK:] = self.coordinates
        outputs, after = self._run(np.eye(rows, BLOCK), before)
        after = after @ into
        return Weights(outputs, after[:BLOCK], _starts(after[BLOCK:]))

    def _run(self, signal: Array, states: Array) -> tuple[Array, Array]:
        """Run the cascade over (row, sample), from and to its own states, (row, state)."""
        from scipy.signal import sosfilt

        carried = np.ascontiguousarray(states.reshape(len(states), -1, 2).swapaxes(0, 1))
        outputs, after = sosfilt(self.sections, signal, zi=carried)
        return outputs, after.swapaxes(0, 1).reshape(len(states), -1)

    def step(
        self, chunk: Array, state: Array, begun: Array, reference: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Filter a chunk in its own precision; states are carried in float64.

        Parameters
        ----------
        chunk
            Finite, (batch, channel, sample).
        state
            Where the group begins, (batch, channel, state).
        begun
            Samples of the group that have come before, (batch, channel, sample).
        reference
            What is taken off in this group, (batch, channel).

        Returns
        -------
        tuple
            Outputs of the chunk, and the new state, begun group and reference.
        """
        before, known = begun.shape[2], begun.shape[2] + chunk.shape[2]
        full, groups = known // GROUP, -(-known // GROUP)
        signal = chunk if not before and full == groups else _filled(begun, chunk, groups * GROUP)
        begun = signal[..., full * GROUP : known].copy()
        last = signal[..., GROUP - 1 : known : GROUP]
        references = np.concatenate([reference[..., None], last], axis=2, dtype=chunk.dtype)
        if full < groups:
            signal[..., known:] = references[..., full:]
        outputs, states = self._groups(signal, references, state)
        references = references.astype(float)
        if self.gain:
            by_group = _by_group(outputs)
            by_group += self.gain * references[..., :groups, None]
        after = states[:, full].copy(), begun, references[..., full].copy()
        return outputs[..., before:known], *after

    def _groups(self, signal: Array, references: Array, state: Array) -> tuple[Array, Array]:
        """Return the outputs of groups, and the states where they and the one after them begin."""
        (batch, channels, samples), kind = signal.shape, signal.dtype
        groups, rows = samples // GROUP, channels * BLOCKS
        shape = (batch, groups, channels, GROUP)
        outputs, added, _ = (one.astype(kind, copy=False) for one in self.weights)
        left, filtered = np.empty(shape, kind), np.empty(signal.shape, kind)
        taken = references[..., :groups, None]
        np.subtract(_by_group(signal), taken, out=left.swapaxes(1, 2))
        blocks = left.reshape(batch, groups, rows, BLOCK)
        falls = -np.diff(references.astype(float), axis=2)
        starts, states = self._states(blocks @ added, state, falls)
        now, past = blocks @ outputs[:BLOCK], starts @ outputs[BLOCK:]
        out = _by_group(filtered).swapaxes(1, 2)
        np.add(now.reshape(shape), past.reshape(shape), out=out)
        return filtered, states

    def _states(self, added: Array, state: Array, falls: Array) -> tuple[Array, Array]:
        """Return the states where blocks begin, and those where groups begin.

        ``falls`` is by how much the reference falls after each group that is full, (batch, channel,
        group).
        """
        batch, groups, (channels, states) = *added.shape[:2], state.shape[1:]
        sources = np.empty((batch, groups + 1, channels, (BLOCKS + 1) * states))
        known, weights = sources[..., :states], self.weights.starts
        sources[:, :groups, :, states:] = added.reshape(batch, groups, channels, -1)
        known[:, 0] = state
        end = weights[:, -states:].copy()
        within = weights[:, :-states].astype(added.dtype, copy=False)
        shifts = falls.transpose(0, 2, 1)[..., None] * self.shift
        full = shifts.shape[1]
        # What the last block adds is in the state after it.
        sources[:, :full, :, -states:] += shifts
        now, after = (one.swapaxes(0, 1)[:full] for one in (sources, known[:, 1:]))
        for source, state_after in zip(now, after, strict=True):
            np.matmul(source, end, out=state_after)
        starts = sources[:, :groups].astype(added.dtype, copy=False) @ within
        return starts.reshape(batch, groups, -1, states), known


def _by_group(signal: Array) -> Array:
    """View (batch, channel, sample) as (batch, channel, group, sample)."""
    return signal.reshape(*signal.shape[:2], -1, GROUP)


def _filled(begun: Array, chunk: Array, samples: int) -> Array:
    """Return samples that have come before and those of a chunk, with room behind them."""
    before, known = begun.shape[2], begun.shape[2] + chunk.shape[2]
    signal = np.empty((*chunk.shape[:2], samples), chunk.dtype)
    signal[..., :before], signal[..., before:known] = begun, chunk
    return signal


def _independent(reached: Array) -> tuple[Array, Array]:
    """Return what makes the states of a section independent, of variance 1, and what undoes it."""
    _, sizes, directions = np.linalg.svd(reached, full_matrices=False)
    kept = sizes > UNREACHED * sizes[0]
    sizes, directions = sizes[kept], directions[kept]
    return directions.T / sizes, sizes[:, None] * directions


def _starts(step: Array) -> Array:
    """Return the weights of a group from what a block makes of the state before it."""
    states, places = len(step), BLOCKS + 1
    weights = np.zeros((places, states, places, states))
    for source in range(places):
        for start in range(source, places):
            weights[source, :, start] = np.linalg.matrix_power(step, start - source)
    return weights.reshape(places * states, -1)
