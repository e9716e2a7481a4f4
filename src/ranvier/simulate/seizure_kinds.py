"""Kinds of simulated seizures that differ in where they are seen and how they sound.

Focal seizures are those of ``simulate.seizures``. The others begin on both sides at once, within a
fraction of a second and most strongly over the forehead: ``generalised`` is a rhythm that slows
down, irregular and sharp, ending in slow waves; ``absence`` is spike and wave at 3 Hz that begins
and ends abruptly; ``tonic`` is fast activity of low voltage that slows and grows, and then
everything is flat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ranvier.channels import TEN_TWENTY, position
from ranvier.recording import Array
from ranvier.simulate.waves import Range, around, edges, noise, spiky, unsteady_phase, wander

Shape = Callable[[Array, float, Generator], Array]
"""From seconds since the onset and the duration to a wave of amplitude about 1."""

FOCAL = "focal"
GAP = 120.0
"""Seconds without a seizure between two, at most a twelfth of a run."""


class Kind(NamedTuple):
    """A kind of seizure: label, shortest and longest in s, wave, share of the background left."""

    label: str
    seconds: Range
    shape: Shape | None
    left: float = 1.0


def _generalised(times: Array, duration: float, rng: Generator) -> Array:
    share = np.clip(times / duration, 0, 1)
    first, last = rng.uniform(5, 8), rng.uniform(1.5, 3)
    phase = unsteady_phase(first * (last / first) ** share, times, rng)
    rhythm = spiky(phase, 0.3 + 0.4 * share) * (0.4 + 0.6 * share)
    rhythm = rhythm * np.exp(0.4 * wander(1, times, 2, rng)[0]) * edges(times, duration)
    after = np.maximum(times - duration, 0)
    fade = np.where(times > duration, 0.4 * np.exp(-after / rng.uniform(8, 20)), 0)
    return np.asarray(rhythm + noise(1, times, around(1.5, 0.5), rng)[0] * fade)


def _absence(times: Array, duration: float, rng: Generator) -> Array:
    hertz = np.interp(times, [0, duration], [rng.uniform(3.0, 3.5), rng.uniform(2.5, 3.0)])
    phase = 2 * np.pi * (rng.random() + np.cumsum(hertz) * (times[1] - times[0]))
    spike = np.exp(-((np.mod(phase / np.pi, 2) - 0.4) ** 2) / 0.02)
    wave = (1.3 * spike - np.sin(phase)) * np.exp(0.15 * wander(1, times, 3, rng)[0])
    return np.asarray(wave * np.clip(4 * np.minimum(times, duration - times), 0, 1))


def _tonic(times: Array, duration: float, rng: Generator) -> Array:
    share = np.clip(times / duration, 0, 1)
    hertz = rng.uniform(18, 25) * (rng.uniform(10, 12) / 21.5) ** share
    fast = spiky(unsteady_phase(hertz, times, rng), 0.1)
    fast = fast + 0.7 * noise(1, times, around(17, 4), rng)[0]
    return np.asarray((0.1 + 0.25 * share) * fast * edges(times, 0.8 * duration))


KINDS = {
    FOCAL: Kind("sz_foc", (20, 90), None),
    "generalised": Kind("sz_gen", (20, 60), _generalised),
    "absence": Kind("sz_gen_nm", (5, 20), _absence),
    "tonic": Kind("sz_gen_m_tonic", (8, 20), _tonic, left=0.4),
}
"""By name; the labels are codes of HED-SCORE."""

_FOREHEAD = np.linalg.norm(
    np.stack([position(lead) - position("Fz") for lead in TEN_TWENTY]), axis=1
)[:, None]


def plan_kinds(
    types: Sequence[str], seconds: float, margin: float, rng: Generator
) -> tuple[list[str], Array, float]:
    """Draw one seizure of each type for a run, in random order.

    Parameters
    ----------
    types
        In ``KINDS``.
    seconds, margin
        Length of the run, and what is left free at both of its ends.
    rng
        For everything that is drawn.

    Returns
    -------
    kinds, durations, gap
        Of each seizure its kind and its duration in seconds, and the seconds between two.

    Raises
    ------
    ValueError
        If a type is unknown or there twice, or the run is too short for all of them.
    """
    if unknown := [one for one in types if one not in KINDS or types.count(one) > 1]:
        raise ValueError(f"Invalid types: {unknown}, possible options, each once: {list(KINDS)}")
    gap = min(GAP, seconds / 12)
    longest = sum(KINDS[one].seconds[1] for one in types) + (len(types) - 1) * gap
    if longest > seconds - 2 * margin:
        raise ValueError(
            f"Invalid minutes: runs of {seconds / 60:.3g} minutes, must be longer for a seizure of "
            f"each of {len(types)} types"
        )
    kinds = rng.permutation(list(types)).tolist()
    return kinds, np.array([rng.uniform(*KINDS[one].seconds) for one in kinds]).round(2), gap


def widespread(kind: str, times: Array, duration: float, rng: Generator) -> tuple[Array, Array]:
    """Make a seizure that all leads see, at an amplitude of about 1.

    Parameters
    ----------
    kind
        In ``KINDS``, but not focal.
    times, duration
        Seconds since the onset, and until the end.
    rng
        For everything that is drawn.

    Returns
    -------
    wave, left
        What is added, (lead, time), and which share of the background is left, (time,).
    """
    shape, left = KINDS[kind].shape, KINDS[kind].left
    if shape is None:
        raise ValueError(f"Invalid kind: {kind!r}, must not be {FOCAL}")
    reach = np.exp(-((_FOREHEAD / rng.uniform(1.2, 1.8)) ** 2) / 2)
    sides = np.exp(0.1 * rng.standard_normal((len(TEN_TWENTY), 1)))
    quiet = 1 - (1 - left) * edges(times, duration)
    return reach * sides * shape(times, duration, rng), quiet
