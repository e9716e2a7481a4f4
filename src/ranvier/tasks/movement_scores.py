"""How well movement is decoded: R² by axis and named means, correlation, SNR; and sums to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ranvier.recording import Array
from ranvier.tasks.movement import centred, r2, weighted_r2

BLOCK_SECONDS = 5.0
"""Length of what is drawn anew where there are no trials; longer than a reach takes."""
FEWEST = 8
"""Trials or blocks below which no interval is given."""


class Units(NamedTuple):
    """What a bootstrap draws from one recording."""

    kind: str
    """``"trial"`` or ``"block"``."""
    of: Array
    """Number of the unit of each sample, (sample,)."""
    number: int


@dataclass(frozen=True, eq=False)
class MovementScore:
    """How well the movement in one recording is decoded.

    Parameters
    ----------
    axes
        What the columns are called.
    times
        Seconds at which movement and answer are both known, (sample,).
    hop
        Seconds between outputs.
    targets, outputs
        (sample, axis).
    """

    axes: tuple[str, ...]
    times: Array
    hop: float
    targets: Array
    outputs: Array

    @cached_property
    def r2(self) -> list[float]:
        """Of each axis, against the mean of these samples; NaN for one that never moves."""
        if not len(self.targets):
            return [float("nan")] * len(self.axes)
        return [float(one) for one in r2(self.targets, self.outputs)]

    @property
    def uniform(self) -> float:
        """R² averaged over the axes that move, each counting the same."""
        return mean_known(self.r2)

    @cached_property
    def weighted(self) -> float:
        """R² of all axes together, each counting by its variance."""
        return weighted_r2(self.targets, self.outputs) if len(self.targets) else float("nan")

    @cached_property
    def correlation(self) -> list[float]:
        """Pearson's correlation of each axis; NaN where one of both never changes."""
        if len(self.targets) < 2:
            return [float("nan")] * len(self.axes)
        pairs = zip(self.targets.T, self.outputs.T, strict=True)
        return [_pearson(*pair) for pair in pairs]

    @property
    def snr(self) -> list[float]:
        """Signal to noise of each axis, -10 log10(1 - R²) in dB (Makin et al. 2018)."""
        return [snr(one) for one in self.r2]

    @cached_property
    def units(self) -> Units:
        """What is drawn anew: trials, or blocks of time where there are too few trials."""
        trials = self.stretches
        if len(trials) and trials[-1] + 1 >= FEWEST:
            return Units("trial", trials, int(trials[-1]) + 1)
        since = self.times - (self.times[0] if len(self.times) else 0.0)
        _, blocks = np.unique(np.floor(since / BLOCK_SECONDS + 1e-9), return_inverse=True)
        return Units("block", blocks, int(blocks.max(initial=-1)) + 1)

    @property
    def stretches(self) -> Array:
        """Number of the stretch without a gap that each sample is in, (sample,)."""
        apart = np.diff(self.times, prepend=self.times[:1]) > 1.5 * self.hop
        return np.asarray(np.cumsum(apart))

    def shifted(self, samples: int, *, within: int) -> MovementScore:
        """Return the score of outputs against the movement some samples later.

        Parameters
        ----------
        samples
            From the outputs to the movement, below 0 for earlier movement.
        within
            The most that this will be, to both sides: the movement that has this many samples
            around it without a gap is what is scored, so that it is the same for all of them.
        """
        moved = np.flatnonzero(surrounded(self.stretches, within))
        told = moved - samples
        parts = self.times[told], self.hop, self.targets[moved], self.outputs[told]
        return MovementScore(self.axes, *parts)

    def at(self, times: Array) -> MovementScore:
        """Return the score of the samples at these times alone, each of which must be there."""
        chosen = np.isin(ticks(self.times), ticks(times))
        parts = self.times[chosen], self.hop, self.targets[chosen], self.outputs[chosen]
        return MovementScore(self.axes, *parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the scores in plain types, None for what is not known."""
        scores = {
            "samples": len(self.targets),
            "r2": dict(zip(self.axes, self.r2, strict=True)),
            "r2_uniform": self.uniform,
            "r2_variance_weighted": self.weighted,
            "correlation": dict(zip(self.axes, self.correlation, strict=True)),
            "snr_db": dict(zip(self.axes, self.snr, strict=True)),
        }
        return {name: known(score) for name, score in scores.items()}


def surrounded(stretches: Array, within: int) -> Array:
    """Return which samples have this many others of their stretch on both sides, (sample,)."""
    place = np.arange(len(stretches))
    before, after = place - within, place + within
    inside = (before >= 0) & (after < len(place))
    before, after = np.where(inside, before, 0), np.where(inside, after, 0)
    return np.asarray(inside & (stretches[before] == stretches[after]))


def snr(share: float) -> float:
    """Return -10 log10(1 - R²) in dB; infinite for R² of 1."""
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(1 - share))


def mean_known(values: Any) -> float:
    """Average what is not NaN; NaN where nothing is."""
    each = np.asarray(values, dtype=float)
    each = each[~np.isnan(each)]
    return float(each.mean()) if len(each) else float("nan")


def known(content: Any) -> Any:
    """Return plain types with None in the place of NaN and infinity."""
    if isinstance(content, Mapping):
        return {name: known(value) for name, value in content.items()}
    if isinstance(content, list):
        return [known(value) for value in content]
    return None if isinstance(content, float) and not np.isfinite(content) else content


def _pearson(one: Array, two: Array) -> float:
    return float(np.corrcoef(one, two)[0, 1]) if np.ptp(one) * np.ptp(two) else float("nan")


def ticks(times: Array) -> Array:
    """Return times as whole microseconds, so that equal ones are equal."""
    return np.round(np.asarray(times) * 1e6).astype(np.int64)


def on_common_samples(scores: Mapping[str, MovementScore]) -> dict[str, MovementScore]:
    """Return the scores of several decoders on the samples that all of them answer."""
    first, *others = scores.values()
    common = ticks(first.times)
    for other in others:
        common = np.intersect1d(common, ticks(other.times))
    return {name: one.at(common / 1e6) for name, one in scores.items()}


class Sums(NamedTuple):
    """What R² is computed from, for each unit of a recording; axes (unit, axis)."""

    samples: Array
    """(unit, 1)."""
    targets: Array
    squares: Array
    errors: Array

    @classmethod
    def of(cls, score: MovementScore, units: Units) -> Sums:
        """Add up targets, less their mean, their squares, and squared errors in each unit."""
        targets, errors = centred(score.targets), (score.targets - score.outputs) ** 2
        values = np.ones((len(targets), 1)), targets, targets**2, errors
        return cls(*(_added(one, units) for one in values))

    def drawn(self, weights: Array) -> dict[str, Array]:
        """Return the uniform and the variance-weighted R² of each draw.

        Parameters
        ----------
        weights
            How often each unit is in each draw, (draw, unit).
        """
        samples, targets, squares, errors = (weights @ one for one in self)
        total = squares - targets**2 / np.maximum(samples, 1)
        moves = total > 1e-9 * squares.max(axis=0, initial=0.0)
        each = np.where(moves, 1 - errors / np.where(moves, total, 1.0), np.nan)
        axes = np.maximum(moves.sum(axis=1), 1)
        uniform = np.where(moves.any(axis=1), np.nansum(each, axis=1) / axes, np.nan)
        spread = np.where(moves, total, 0.0).sum(axis=1)
        shares = errors.sum(axis=1) / np.where(spread > 0, spread, np.nan)
        return {"uniform": uniform, "weighted": 1 - shares}


def _added(values: Array, units: Units) -> Array:
    added = np.zeros((units.number, values.shape[1]))
    np.add.at(added, units.of, values)
    return added
