"""How stages of sleep follow one another, learned from training nights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ranvier.recording import Array
from ranvier.tasks.sleep_statistics import UNSCORED, InBed
from ranvier.truth import SLEEP_STAGES, Hypnogram

PARTS, PSEUDO_COUNT = 4, 0.5
MOST_LIKENESS, MOST_LEAVING = 1e4, 0.95
OTHERS = ~np.eye(len(SLEEP_STAGES), dtype=bool)


@dataclass(frozen=True, eq=False)
class StageChain:
    """How stages follow one another, and how much nights differ in it.

    Parameters
    ----------
    start
        Probability of each stage in the first epoch, (stage,).
    transitions
        Probability of the next epoch's stage, (part of the night, from, to), or (from, to) for the
        whole night. Parts are equally long.
    shares
        How common each stage was where the network learned: its probabilities rest on that.
    likeness
        How alike nights are in how readily each stage is gone to, (stage,): shape of a gamma
        distribution around 1. None when all nights are taken to be alike.

    Raises
    ------
    ValueError
        If the shapes do not fit, or probabilities do not add up to 1.
    """

    start: Array
    transitions: Array
    shares: Array
    likeness: Array | None = None

    def __post_init__(self) -> None:
        stages = len(SLEEP_STAGES)
        if self.transitions.ndim == 2:
            object.__setattr__(self, "transitions", self.transitions[None])
        check_probabilities("start", self.start, (stages,))
        check_probabilities("transitions", self.transitions, (-1, stages, stages))
        check_probabilities("shares", self.shares, (stages,))
        if not (self.shares > 0).all():
            raise ValueError(f"Invalid shares: {self.shares.tolist()}, must all be above 0")
        if self.likeness is not None and not (self.likeness > 0).all():
            raise ValueError(f"Invalid likeness: {self.likeness.tolist()}, must all be above 0")

    @classmethod
    def of(
        cls,
        hypnograms: Iterable[Hypnogram],
        *,
        parts: int = PARTS,
        pseudo_count: float = PSEUDO_COUNT,
    ) -> StageChain:
        """Count what follows what in training nights.

        Parameters
        ----------
        hypnograms
            Trimmed as the nights to come. Neighbouring epochs that are both scored count.
        parts
            Into how many a night is divided, as sleep changes in its course.
        pseudo_count
            Added to each count: what was never seen is rare, not impossible.

        Raises
        ------
        ValueError
            If ``parts`` is below 1, ``pseudo_count`` not above 0, or a night has no epoch.
        """
        if parts < 1:
            raise ValueError(f"Invalid parts: {parts}, must be at least 1")
        if not pseudo_count > 0:
            raise ValueError(f"Invalid pseudo_count: {pseudo_count}, must be above 0")
        nights = [InBed.of(hypnogram).stages for hypnogram in hypnograms]
        scored = [night[night != UNSCORED] for night in nights]
        size = len(SLEEP_STAGES)
        counts = np.reshape(
            [count_transitions(night, parts) for night in nights], (-1, parts, size, size)
        )
        transitions = _normalised(counts.sum(axis=0) + pseudo_count)
        start = _normalised(_count([night[:1] for night in scored]) + pseudo_count)
        shares = _normalised(_count(scored) + pseudo_count)
        arrivals, expected = _arrivals(counts, transitions)
        pairs = zip(arrivals.T, expected.T, strict=True)
        likeness = np.array([_likeness(*of_stage) for of_stage in pairs])
        return cls(start, transitions, shares, likeness)

    @property
    def parts(self) -> int:
        """Into how many parts a night is divided."""
        return len(self.transitions)

    @property
    def adapts(self) -> bool:
        """Whether nights may differ in their transitions."""
        return self.likeness is not None

    def adapted(self, nights: Array, rng: Generator) -> Array:
        """Draw the transitions of nights from their stages, (night, part, from, to)."""
        counts = np.stack([count_transitions(stages, self.parts) for stages in nights])
        if self.likeness is None:
            return np.repeat(self.transitions[None], len(nights), axis=0)
        arrivals, expected = _arrivals(counts, self.transitions)
        readiness = rng.standard_gamma(self.likeness + arrivals) / (self.likeness + expected)
        leaving = self.transitions * OTHERS * readiness[:, None, None]
        leaving *= np.minimum(1, MOST_LEAVING / leaving.sum(axis=-1, keepdims=True))
        staying = 1 - leaving.sum(axis=-1, keepdims=True)
        return np.asarray(leaving + staying * ~OTHERS)


def part_of(epochs: int, parts: int) -> Array:
    """Return in which part of the night each epoch is, (epoch,)."""
    return np.arange(epochs) * parts // max(epochs, 1)


def count_transitions(stages: Array, parts: int = 1) -> Array:
    """Count what follows what, (part of the later epoch, from, to), where both are scored."""
    shape = (parts, len(SLEEP_STAGES), len(SLEEP_STAGES))
    both = (stages[:-1] != UNSCORED) & (stages[1:] != UNSCORED)
    part = part_of(len(stages), parts)[1:][both]
    cells = (part * shape[1] + stages[:-1][both]) * shape[2] + stages[1:][both]
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def check_probabilities(name: str, values: Array, shape: tuple[int, ...]) -> None:
    """Refuse what is not of this shape, -1 for any size, or does not add up to 1 in its rows."""
    fits = values.ndim == len(shape) and all(
        want in (-1, have) for have, want in zip(values.shape, shape, strict=True)
    )
    if not (fits and (values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3)):
        wanted = " x ".join("any" if want < 0 else str(want) for want in shape)
        raise ValueError(
            f"Invalid {name}: shape {values.shape}, must be {wanted} with rows that add up to 1"
        )


def _arrivals(counts: Array, transitions: Array) -> tuple[Array, Array]:
    """Return how often each stage was gone to, and how often it should have been, (night, to)."""
    stayed = counts.sum(axis=-1)
    expected = np.einsum("npf,pft->nt", stayed, transitions * OTHERS)
    return (counts * OTHERS).sum(axis=(1, 2)), expected


def _likeness(arrivals: Array, expected: Array) -> float:
    """Return the likeliest shape of the gamma distribution by which nights differ."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import nbinom

    def loss(log_shape: float) -> float:
        shape = np.exp(log_shape)
        return -float(nbinom.logpmf(arrivals, shape, shape / (shape + expected)).sum())

    bounds = (0.0, float(np.log(MOST_LIKENESS)))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _count(nights: Sequence[Array]) -> Array:
    return np.bincount(np.concatenate([np.zeros(0, int), *nights]), minlength=len(SLEEP_STAGES))


def _normalised(counts: Array) -> Array:
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))
