"""How far to trust staged sleep: agreement over nights, calibration, what to look at again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ranvier.decisions import none_for_nan
from ranvier.recording import Array

BINS = 10
LIMIT = 1.96
"""Standard deviations from the bias to a limit of agreement: 95 % of normal differences."""
Doubt = Literal["entropy", "top"]


@dataclass(frozen=True)
class BlandAltman:
    """How a statistic differs from a reference over nights.

    Parameters
    ----------
    nights, left_out
        Pairs that are known, and pairs of which one or both are NaN.
    people
        Of whom they are known.
    bias
        Mean of value minus reference; each person counts the same.
    spread
        Standard deviation of the differences of nights, divided by n - 1.
    lower, upper
        Limits of agreement: bias -/+ 1.96 spread.
    bias_interval, lower_interval, upper_interval
        Where they lie with the level asked for, if differences are normal; exact for few nights
        too, where each is of another person. NaN with fewer than two persons.
    """

    nights: int
    left_out: int
    people: int
    bias: float
    spread: float
    lower: float
    upper: float
    bias_interval: tuple[float, float]
    lower_interval: tuple[float, float]
    upper_interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {
            name: [none_for_nan(bound) for bound in value]
            if isinstance(value, tuple)
            else none_for_nan(value)
            for name, value in vars(self).items()
        }


def bland_altman(
    values: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    people: Sequence[str] | None = None,
    level: float = 0.95,
) -> BlandAltman:
    """Compare a statistic with a reference, one pair for each night.

    Nights of one person are alike: how sure the bias is comes from one value for each person, the
    mean of that person's differences.

    Parameters
    ----------
    values, reference
        (night,), in the same unit; a pair with NaN is left out and counted.
    people
        Who slept, (night,); by default each night is of another person.
    level
        Of the intervals.

    Raises
    ------
    ValueError
        If there are not as many values as references or people, or the level is not between 0
        and 1.

    References
    ----------
    .. [1] Bland and Altman 1986, Lancet 327, 307-310.
    .. [2] Carkeet 2015, Optometry and Vision Science 92, e71-e80: exact intervals of the limits.
    """
    found, wanted = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    if found.ndim != 1 or found.shape != wanted.shape:
        raise ValueError(
            f"Invalid values: shape {found.shape}, must be one per night as the reference of "
            f"shape {wanted.shape}"
        )
    if not 0 < level < 1:
        raise ValueError(f"Invalid level: {level}, must lie between 0 and 1")
    names = np.arange(len(found)) if people is None else np.asarray(people)
    if len(names) != len(found):
        raise ValueError(
            f"Invalid people: {len(names)}, must be one for each of {len(found)} nights"
        )
    differences = found - wanted
    there = ~np.isnan(differences)
    known, each = differences[there], _by_person(differences[there], names[there])
    bias, spread = float(each.mean()) if len(each) else math.nan, _spread(known)
    middle, out = _factors(len(each), level)
    sure = middle * _spread(each)
    return BlandAltman(
        nights=len(known),
        left_out=len(differences) - len(known),
        people=len(each),
        bias=bias,
        spread=spread,
        lower=bias - LIMIT * spread,
        upper=bias + LIMIT * spread,
        bias_interval=(bias - sure, bias + sure),
        lower_interval=(bias - out[1] * spread, bias - out[0] * spread),
        upper_interval=(bias + out[0] * spread, bias + out[1] * spread),
    )


def _by_person(differences: Array, names: Array) -> Array:
    return np.array([differences[names == name].mean() for name in np.unique(names)])


def _spread(differences: Array) -> float:
    return float(differences.std(ddof=1)) if len(differences) > 1 else math.nan


def _factors(nights: int, level: float) -> tuple[float, tuple[float, float]]:
    """Return how many spreads the bounds of the bias, and of a limit, are from the bias."""
    if nights < 2:
        return math.nan, (math.nan, math.nan)
    from scipy.stats import nct, t

    tails, root = [(1 - level) / 2, (1 + level) / 2], math.sqrt(nights)
    near, far = nct.ppf(tails, nights - 1, LIMIT * root) / root
    return float(t.ppf(tails[1], nights - 1) / root), (float(near), float(far))


@dataclass(frozen=True, eq=False)
class Reliability:
    """What probabilities are worth, by how high the highest one is.

    Parameters
    ----------
    edges
        Of the bins, (bin + 1,); a bin holds its upper edge.
    epochs
        How many are in each bin, (bin,).
    confidence, accuracy
        Mean of the highest probability, and share of epochs whose most probable stage is right,
        (bin,); NaN in an empty bin.
    """

    edges: Array
    epochs: Array
    confidence: Array
    accuracy: Array

    @property
    def error(self) -> float:
        """Expected calibration error: mean over epochs of their bin's |accuracy - confidence|."""
        filled = self.epochs > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(gaps @ self.epochs[filled] / self.epochs.sum()) if filled.any() else math.nan


def reliability(probabilities: Array, stages: Array, *, bins: int = BINS) -> Reliability:
    """Sort epochs by their highest probability into bins of equal width between 0 and 1.

    Parameters
    ----------
    probabilities
        (epoch, stage).
    stages
        Number of the right stage, (epoch,). Epochs with NaN in either are left out.
    bins
        How many.

    Raises
    ------
    ValueError
        If the shapes do not fit or there is no bin.
    """
    if bins < 1:
        raise ValueError(f"Invalid bins: {bins}, must be at least 1")
    probabilities, stages = _known(probabilities, stages)
    top, right = probabilities.max(axis=1, initial=0), probabilities.argmax(axis=1) == stages
    edges = np.linspace(0, 1, bins + 1)
    own = np.clip(np.searchsorted(edges, top) - 1, 0, bins - 1)
    epochs, tops, rights = (
        np.bincount(own, weights, minlength=bins) for weights in (None, top, right.astype(float))
    )
    filled = np.where(epochs > 0, epochs, np.nan)
    return Reliability(edges, epochs, tops / filled, rights / filled)


def calibration_error(probabilities: Array, stages: Array, *, bins: int = BINS) -> float:
    """Return the expected calibration error of the most probable stage; see ``reliability``.

    References
    ----------
    .. [1] Guo et al. 2017, On Calibration of Modern Neural Networks, ICML, equation 3.
    """
    return reliability(probabilities, stages, bins=bins).error


def brier_score(probabilities: Array, stages: Array) -> float:
    """Return the mean squared distance of the probabilities from the right stage, 0 to 2.

    The squares are added up over stages, as Brier did; parameters are those of ``reliability``.
    Twice what is usual for two classes.

    References
    ----------
    .. [1] Brier 1950, Monthly Weather Review 78, 1-3.
    """
    probabilities, stages = _known(probabilities, stages)
    wanted = np.eye(probabilities.shape[1])[stages]
    each = ((probabilities - wanted) ** 2).sum(axis=1)
    return float(each.mean()) if len(each) else math.nan


def _known(probabilities: Array, stages: Array) -> tuple[Array, Array]:
    if probabilities.ndim != 2 or stages.shape != probabilities.shape[:1]:
        raise ValueError(
            f"Invalid probabilities: shape {probabilities.shape}, must be (epoch, stage) for the "
            f"stages of shape {stages.shape}"
        )
    known = ~(np.isnan(probabilities).any(axis=1) | np.isnan(stages.astype(float)))
    return probabilities[known], stages[known].astype(int)


def entropy(probabilities: Array) -> Array:
    """Return how undecided the probabilities of each epoch are, 0 to 1, (epoch,)."""
    logs = np.log(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
    return np.asarray(-(probabilities * logs).sum(axis=-1) / math.log(probabilities.shape[-1]))


DOUBTS: Mapping[str, Callable[[Array], Array]] = {
    "entropy": entropy,
    "top": lambda probabilities: np.asarray(1 - probabilities.max(axis=-1)),
}
"""By what an epoch is doubtful; higher is more so."""


@dataclass(frozen=True, eq=False)
class Review:
    """Which epochs a person should look at, and what comes of it if the probabilities hold.

    Parameters
    ----------
    epochs
        Their numbers, the most doubtful first.
    kappa_before, kappa_after
        Expected of the most probable stages, and after the reviewed ones are right.
    """

    epochs: Array
    kappa_before: float
    kappa_after: float


def plan_review(probabilities: Array, share: float, *, by: Doubt = "entropy") -> Review:
    """Choose the epochs to look at again.

    Parameters
    ----------
    probabilities
        Calibrated, (epoch, stage); epochs with NaN are not decided, and left out.
    share
        How many of the decided epochs, from 0 to 1.
    by
        A name in ``DOUBTS``.

    Raises
    ------
    ValueError
        If the share is not between 0 and 1 or ``by`` is unknown.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"Invalid share: {share}, must be from 0 to 1")
    if by not in DOUBTS:
        raise ValueError(f"Invalid by: {by!r}, possible options: {list(DOUBTS)}")
    decided = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    ranked = decided[np.argsort(-DOUBTS[by](probabilities[decided]), kind="stable")]
    chosen = ranked[: round(share * len(ranked))]
    before = _expected_confusion(probabilities[decided])
    left = _expected_confusion(probabilities[ranked[len(chosen) :]])
    after = left + np.diag(probabilities[chosen].sum(axis=0))
    return Review(chosen, _kappa(before), _kappa(after))


def _expected_confusion(probabilities: Array) -> Array:
    """Add up the probabilities by what is found, (right, found)."""
    found = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    return np.asarray(probabilities.T @ found)


def _kappa(confusion: Array) -> float:
    total = confusion.sum()
    if not total:
        return math.nan
    shares = confusion / total
    chance = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return (float(np.trace(shares)) - chance) / (1 - chance) if chance < 1 else math.nan
