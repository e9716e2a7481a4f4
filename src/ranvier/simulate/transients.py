"""Short events on the scalp that are no seizure: blinks, muscles, electrodes, lookalikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ranvier.channels import TEN_TWENTY
from ranvier.recording import Array, Signal
from ranvier.simulate.scalp import MUSCLES, TEMPORAL, reach
from ranvier.simulate.waves import (
    Range,
    Wave,
    between,
    edges,
    noise,
    spiky,
    stretch,
    unsteady_phase,
)


@dataclass(frozen=True)
class Transient:
    """A kind of short event that is no seizure, each time at one of the sites.

    It is seen up to about ``width`` radii of the head away; ``wave`` has an amplitude of about 1.
    """

    per_minute: float
    seconds: Range
    microvolts: Range
    width: float
    sites: tuple[str, ...]
    wave: Wave


def add_transient(signal: Signal, times: Array, kind: Transient, rng: Generator) -> None:
    """Add one event at a random time to a signal, (lead, time) in µV, which is changed."""
    seconds = rng.uniform(*kind.seconds)
    span, local = stretch(times, rng.uniform(0, times[-1] - seconds), seconds)
    seen = reach(str(rng.choice(kind.sites)), kind.width)
    wave = kind.wave(local, rng) * rng.uniform(*kind.microvolts)
    signal[:, span] += np.outer(seen, wave).astype(np.float32)


def _bump(times: Array, _: Generator) -> Array:
    return np.hanning(len(times))


def _decay(times: Array, _: Generator) -> Array:
    return np.asarray(np.exp(-5 * times / times[-1]))


def _noisy(low: float, high: float) -> Wave:
    gain = between(low, high)
    return lambda times, rng: noise(1, times, gain, rng)[0] * edges(times, times[-1])


def _rhythmic(first: Range, last: Range, sharpness: float) -> Wave:
    def wave(times: Array, rng: Generator) -> Array:
        hertz = np.geomspace(rng.uniform(*first), rng.uniform(*last), len(times))
        phase = unsteady_phase(hertz, times, rng)
        return spiky(phase, rng.uniform(0, sharpness)) * edges(times, times[-1])

    return wave


def _chew(times: Array, rng: Generator) -> Array:
    beat = _rhythmic((1, 2.5), (1, 2.5), 0.0)(times, rng)
    return np.asarray(_noisy(20, 100)(times, rng) * np.clip(beat, 0, 1) + 0.7 * beat)


_burst, _loose = _noisy(20, 100), _noisy(0.5, 6)
_sway, _lookalike = _rhythmic((1, 3), (1, 3), 0.4), _rhythmic((4, 9), (2, 6), 0.6)
TRANSIENTS = {
    "blink": Transient(8, (0.25, 0.4), (50, 150), 0.45, ("Fp1 Fp2",), _bump),
    "muscle": Transient(1, (0.5, 6), (8, 40), 0.4, (*MUSCLES, "T3 F7", "T4 F8"), _burst),
    "chewing": Transient(0.15, (4, 15), (20, 60), 0.4, ("T3 T4", *TEMPORAL), _chew),
    "movement": Transient(0.15, (3, 15), (25, 100), 0.6, ("O1 O2", "T5", "T6", "Cz"), _sway),
    "pop": Transient(0.3, (0.3, 2), (-200, 200), 0.1, TEN_TWENTY, _decay),
    "loose electrode": Transient(0.1, (5, 20), (20, 80), 0.1, TEN_TWENTY, _loose),
    "rhythmic burst": Transient(0.5, (3, 8), (20, 80), 0.5, TEN_TWENTY, _lookalike),
    "rhythmic slowing": Transient(0.2, (5, 20), (20, 60), 0.6, ("Fz", *TEMPORAL), _sway),
}
"""By name."""
