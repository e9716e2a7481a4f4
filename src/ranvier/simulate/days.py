"""One monkey over days: tuning that drifts, units that are lost and others that appear.

Channels keep their names from day to day, whoever is recorded on them, so that the decoder of one
day can be applied on another. docs/drift.md says which of the numbers are published.

Sources: Vaidya et al., EMBC 2014:4872 (how long units are recorded); Perge et al., J Neural Eng
10:036004, 2013 (rates change); Fraser and Schwartz, J Neurophysiol 107:1970, 2012, and Stevenson et
al., J Neurophysiol 106:764, 2011 (tuning hardly does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice, pairwise

import numpy as np
from numpy.random import Generator, SeedSequence

from ranvier.recording import Array, Recording
from ranvier.simulate.movement import (
    DRIFT,
    HAND,
    Hand,
    Units,
    _check,
    _generator,
    _record,
    draw_units,
)


@dataclass(frozen=True)
class Drift:
    """What happens to units from one day to the next.

    Parameters
    ----------
    turn
        Standard deviation of the step by which a preferred direction turns, in radians.
    depth, rate
        Standard deviation of the steps of the logarithms of a unit's modulation and baseline.
    lost
        Share of units that are lost.
    silent
        Share of the lost after which the channel is silent; on the others there is another neuron
        at once.
    appearing
        Share of the silent channels on which a neuron appears.

    Raises
    ------
    ValueError
        If a share is not from 0 to 1, or a deviation is negative.
    """

    turn: float = 0.06
    depth: float = 0.06
    rate: float = 0.08
    lost: float = 0.026
    silent: float = 0.5
    appearing: float = 0.05

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            most = 1.0 if one.name in {"lost", "silent", "appearing"} else np.inf
            if not 0 <= value <= most:
                raise ValueError(f"Invalid {one.name}: {value}, must be from 0 to {most:g}")


STEADY = Drift(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""Nothing changes but the movement."""


def simulate_days(
    *,
    days: Sequence[int] = (0, 1, 2, 4, 8, 16),
    drift: Drift | None = None,
    hands: Mapping[int, Hand] | None = None,
    minutes: float = 8.0,
    units: int = 60,
    bin_seconds: float = 0.05,
    subject: int = 1,
    seed: int = 0,
) -> list[Recording]:
    """Simulate sessions of one monkey on different days, each with reaches to other targets.

    Parameters
    ----------
    days
        On which there is a session, in order, counted from 0; drift goes on between them.
    drift
        What happens from day to day; ``Drift()`` when None, ``STEADY`` for nothing.
    hands
        How the hand moves on some of the days, by day; as ever on the others.
    minutes, units, bin_seconds, seed
        As for ``simulate_reaches``.
    subject
        Number of the monkey, from 1.

    Returns
    -------
    list of Recording
        Session by session, with the same names of channels. A day is the same whichever others
        are asked for, as long as its length is.

    Raises
    ------
    ValueError
        If days are not whole and in order, or another parameter is out of its range.
    """
    _check(minutes, bin_seconds, units=units, subject=subject)
    if not days or days[0] < 0 or any(late <= early for early, late in pairwise(days)):
        raise ValueError(f"Invalid days: {list(days)}, must be in order and at least 0")
    bins, moves = round(60 * minutes / bin_seconds), hands or {}
    tuned = list(islice(follow_units(subject, units, drift, seed=seed), days[-1] + 1))
    return [
        _record(
            subject, day + 1, tuned[day], bins, bin_seconds,
            gaps=False, seed=seed, hand=moves.get(day, HAND),
        )
        for day in days
    ]  # fmt: skip


def follow_units(
    subject: int, units: int, drift: Drift | None = None, *, seed: int = 0
) -> Iterator[Units]:
    """Yield the tuning of a subject's units on day 0, 1, 2 and so on; a silent one has no rates."""
    found = draw_units(units, np.random.default_rng(SeedSequence(seed, spawn_key=(subject,))))
    day = 0
    while True:
        yield found
        day += 1
        found = _pass_a_day(found, drift or Drift(), _generator(seed, subject, day, DRIFT))


def _pass_a_day(units: Units, drift: Drift, rng: Generator) -> Units:
    count = len(units.baseline)
    steps, chances = rng.normal(size=(3, count)), rng.random((2, count))
    other, silent = draw_units(count, rng), units.baseline == 0
    gain = np.exp(drift.depth * steps[1])
    changed = Units(
        baseline=units.baseline * np.exp(drift.rate * steps[2]),
        depth=units.depth * gain,
        speed=units.speed * gain,
        direction=units.direction + drift.turn * steps[0],
        lead=units.lead,
    )
    gone = ~silent & (chances[0] < drift.lost)
    stays_silent = np.where(
        silent, chances[0] >= drift.appearing, gone & (chances[1] < drift.silent)
    )
    new = (silent | gone) & ~stays_silent
    return Units(*(_replaced(changed, other, name, new, stays_silent) for name in NAMES))


NAMES = tuple(one.name for one in fields(Units))


def _replaced(units: Units, other: Units, name: str, new: Array, silent: Array) -> Array:
    value = np.where(new, getattr(other, name), getattr(units, name))
    return np.where(silent, 0.0, value) if name in {"baseline", "depth", "speed"} else value
