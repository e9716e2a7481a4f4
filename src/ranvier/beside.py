"""The plain decoders of movement that stand beside a network, and how counts lead the movement.

All of them are fitted to the training part alone. Besides ridge regression with history, which is
the baseline: a Kalman filter, the mean of the training part, and ridge regression that learnt from
counts moved against the movement in time, which can know rates but not what they tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.baseline import HISTORY, Ridge, linear_decoder
from ranvier.decisions import MotionRule, Rule
from ranvier.decoder import Decoder
from ranvier.decoding import Output, Prediction, collect
from ranvier.networks import make_network
from ranvier.recording import Array
from ranvier.store import Prepared
from ranvier.tasks.movement import centred, r2
from ranvier.tasks.movement_scores import mean_known, surrounded

RIDGE, KALMAN, MEAN, SHUFFLED = "ridge", "Kalman", "mean", "shuffled"
TITLES = {
    RIDGE: f"ridge regression on the last {HISTORY} bins",
    KALMAN: "Kalman filter whose state is what is decoded",
    MEAN: "the mean of the training part",
    SHUFFLED: "the ridge, learnt from counts moved in time against the movement",
}
RIVALS = (RIDGE, KALMAN)
"""What a network has to beat."""
FADED = 0.1
"""Autocorrelation of the movement below which two times are taken to be unrelated."""
LAG_SECONDS, MOST_LAGS = 0.2, 21
"""Farthest lag, to both sides, at which the tuning is measured, and at how many lags at most."""
BLOCKS = 5
"""Of the training part; each is decoded once by what the others taught."""


def predict_beside(
    task: str, train: Sequence[Prepared], test: Sequence[Prepared], rule: Rule, *, seed: int
) -> dict[str, list[Prediction]]:
    """Fit the plain decoders other than the baseline, and decode the test part.

    Parameters
    ----------
    task
        What is decoded; there are none for another task than movement.
    train, test
        Recordings as prepared for the baseline; nothing but the counts of ``test`` is looked at.
    rule
        What moves.
    seed
        Of the time by which counts are moved.

    Returns
    -------
    dict
        By name in ``TITLES``, one prediction for each recording of ``test``.
    """
    if task != "movement":
        return {}
    shuffled = Ridge.fit(train, rule, inputs=shifted_counts(train, seed=seed))
    fitted: dict[str, Kalman | Mean | Ridge] = {
        KALMAN: Kalman.fit(train, rule),
        MEAN: Mean.fit(train, rule),
        SHUFFLED: shuffled,
    }
    return {name: [one.predict(recording) for recording in test] for name, one in fitted.items()}


@dataclass(frozen=True)
class Kalman:
    """Kalman filter of Wu et al. (2006); its state is what is decoded.

    Parameters
    ----------
    decoder
        With the network ``kalman``.
    """

    decoder: Decoder

    @classmethod
    def fit(cls, train: Sequence[Prepared], rule: Rule) -> Kalman:
        """Solve for both linear laws; the filter starts from the mean of the training part."""
        return cls(linear_decoder("kalman", {}, train, rule))

    def predict(self, prepared: Prepared) -> Prediction:
        """Decode a prepared recording."""
        return self.decoder.predict_features(prepared)


@dataclass(frozen=True)
class Mean:
    """The mean of each axis over the training part, whatever the counts are.

    Parameters
    ----------
    rule
        What moves.
    values
        (axis,).
    """

    rule: Rule
    values: Array

    @classmethod
    def fit(cls, train: Sequence[Prepared], rule: Rule) -> Mean:
        """Average the bins whose movement is known."""
        targets = np.concatenate([one.targets() for one in train])
        return cls(rule, np.nanmean(targets, axis=0))

    def predict(self, prepared: Prepared) -> Prediction:
        """Answer the mean in each bin, also in a gap."""
        times = prepared.times()
        values = np.tile(self.values, (1, len(times), 1))
        output = Output(times, values, values[..., :0], values[..., :0])
        rule, notes = self.rule, prepared.notes
        return collect([output], prepared, hop=prepared.hop, rule=rule, notes=notes, sites=())


def shifted_counts(train: Sequence[Prepared], *, seed: int) -> list[Array]:
    """Return the counts of recordings, turned round in time: rates stay, the relation is gone.

    The bins that are not in a gap are turned round as a whole by a random number of bins, which is
    larger than the time in which the movement forgets itself and than the history of the ridge.

    Parameters
    ----------
    train
        Recordings with their movement.
    seed
        Of the number of bins.
    """
    rng = np.random.default_rng(seed)
    return [_turned(one.features(), one.targets(), rng) for one in train]


def _turned(counts: Array, targets: Array, rng: np.random.Generator) -> Array:
    valid = ~np.isnan(counts).all(axis=1)
    bins = int(valid.sum())
    least = min(forgets(targets[valid]) + HISTORY, max(bins // 2, 1))
    shift = int(rng.integers(least, max(bins - least, least) + 1))
    turned = counts.copy()
    turned[valid] = np.roll(counts[valid], shift, axis=0)
    return turned


def forgets(values: Array) -> int:
    """Return after how many samples the autocorrelation of every column has first faded."""
    known = values[~np.isnan(values).any(axis=1)]
    if len(known) < 2:
        return 1
    spectrum = np.abs(np.fft.rfft(centred(known), 2 * len(known), axis=0)) ** 2
    products = np.fft.irfft(spectrum, axis=0)[: len(known)]
    faded = products <= FADED * products[0]
    return max(1, int(faded.argmax(axis=0).max()))


@dataclass(frozen=True)
class LagTuning:
    """How well the counts of one bin tell the movement some time later.

    Parameters
    ----------
    seconds
        From the end of the bin to the movement; above 0 the counts come first.
    uniform
        R² averaged over axes at each of these.
    """

    seconds: tuple[float, ...] = ()
    uniform: tuple[float, ...] = ()

    @property
    def best(self) -> float:
        """Seconds at which R² is highest; NaN where nothing is known."""
        known = np.asarray(self.uniform, dtype=float)
        if not len(known) or np.isnan(known).all():
            return float("nan")
        return self.seconds[int(np.nanargmax(known))]


def lag_tuning(task: str, train: Sequence[Prepared], rule: Rule) -> LagTuning:
    """Measure at which lag counts tell most of the movement, inside the training part alone.

    Ridge regression on the counts of one bin is taught on four of five blocks and scored on the
    fifth, in turn. Movement that is too near to a gap for the farthest lag is left out, so that
    the same movement is told at all lags.

    Parameters
    ----------
    task
        There is no tuning for another task than movement.
    train
        Recordings of the training part.
    rule
        What moves.
    """
    if task != "movement" or not isinstance(rule, MotionRule):
        return LagTuning()
    hop = train[0].hop
    far = int(LAG_SECONDS / hop + 1e-6)
    step = max(1, -(-(2 * far + 1) // MOST_LAGS))
    lags = [lag for lag in range(-far, far + 1) if lag % step == 0]
    sessions = [(one.features(), one.targets()) for one in train]
    found = tuple(_at_lag(sessions, lag, far) for lag in lags)
    return LagTuning(tuple(round(lag * hop, 6) for lag in lags), found)


def _at_lag(sessions: Sequence[tuple[Array, Array]], lag: int, far: int) -> float:
    scored = []
    for counts, targets in sessions:
        due = later(counts, targets, lag, within=far)
        told = np.full(due.shape, np.nan)
        for held, rest in _blocks(len(counts), far):
            told[held] = _told(counts, due, held, rest)
        known = ~np.isnan(due + told).any(axis=1)
        scored.append(mean_known(r2(due[known], told[known])) if known.any() else math.nan)
    return mean_known(scored)


def later(counts: Array, targets: Array, lag: int, *, within: int) -> Array:
    """Return for each bin the movement some bins later; NaN where it is near to a gap.

    Parameters
    ----------
    counts
        (bin, unit); a bin in a gap is NaN.
    targets
        (bin, axis).
    lag
        In bins, from counts to movement; below 0 for earlier movement.
    within
        The most that this will be, to both sides; movement with a gap so near is left out.
    """
    gap = np.isnan(counts).all(axis=1)
    stretches = np.cumsum(np.diff(gap, prepend=False))
    moved = np.flatnonzero(surrounded(stretches, within) & ~gap)
    due = np.full(targets.shape, np.nan)
    due[moved - lag] = targets[moved]
    return due


def _blocks(bins: int, purged: int) -> Iterator[tuple[slice, Array]]:
    """Yield each block, and which bins are farther from it than a lag."""
    borders = np.arange(BLOCKS + 1) * bins // BLOCKS
    place = np.arange(bins)
    for first, last in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        yield slice(first, last), (place < first - purged) | (place >= last + purged)


def _told(counts: Array, targets: Array, held: slice, rest: Array) -> Array:
    """Decode a block by ridge regression on one bin, taught on the rest."""
    import torch

    units = [str(number) for number in range(counts.shape[1])]
    network: Any = make_network("wiener", units, {"window": 1, "classes": targets.shape[1]})
    taught = np.where(rest[:, None], targets, np.nan)
    try:
        network.solve([torch.tensor(counts)], [torch.tensor(taught, dtype=torch.float32)])
    except ValueError:
        return np.full((held.stop - held.start, targets.shape[1]), np.nan)
    with torch.inference_mode():
        answer, _ = network.step(torch.tensor(counts[held])[None], network.initial_state(1))
    return np.asarray(answer[0, :, 0].numpy())


def lag_from(about: Mapping[str, Sequence[float | None]]) -> LagTuning:
    """Read a tuning from plain types; None stands for NaN."""
    columns = (about.get(name, ()) for name in ("seconds", "uniform"))
    return LagTuning(*(tuple(math.nan if v is None else float(v) for v in one) for one in columns))
