"""How stretches of signal are varied in training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ranvier.recording import Array

Variation = Callable[[Array, float, np.random.Generator], Array]


def add_noise(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Add uniform noise up to a share of each channel's largest value."""
    largest = np.nanmax(np.abs(np.nan_to_num(stretch)), axis=1, keepdims=True)
    return np.asarray(stretch + largest * rng.uniform(-amount, amount, stretch.shape))


def turn_around(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Shift each stretch by up to a share of its length, what falls out at the end coming first."""
    most = int(amount * stretch.shape[1])
    shifts = rng.integers(-most, most + 1, len(stretch))
    return np.stack([np.roll(one, by, axis=0) for one, by in zip(stretch, shifts, strict=True)])


def flip_sign(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Turn a share of the stretches upside down."""
    signs = np.where(rng.random(len(stretch)) < amount, -1.0, 1.0)
    return stretch * signs.reshape(-1, *[1] * (stretch.ndim - 1))


def change_gain(stretch: Array, amount: float, rng: np.random.Generator) -> Array:
    """Multiply each channel by up to 1 + amount, or divide by it."""
    shape = (len(stretch), 1, *stretch.shape[2:3], *[1] * (stretch.ndim - 3))
    return np.asarray(stretch * (1 + amount) ** rng.uniform(-1, 1, shape))


VARIATIONS: dict[str, Variation] = {
    "noise": add_noise,
    "shift": turn_around,
    "sign": flip_sign,
    "gain": change_gain,
}
"""Ways to vary a stretch, (batch, step, ...), each with how much."""

SHARES = ("shift", "sign")
"""Those whose amount is a share, of the stretch or of all stretches."""


def check_augment(augment: Mapping[str, float]) -> None:
    """Refuse ways that are unknown and amounts that are out of their range.

    Raises
    ------
    ValueError
        If there is one.
    """
    if unknown := set(augment) - set(VARIATIONS):
        raise ValueError(
            f"Invalid augment: {sorted(unknown)}, possible options: {list(VARIATIONS)}"
        )
    for name, amount in augment.items():
        most = 1.0 if name in SHARES else math.inf
        if not (0 <= amount <= most and math.isfinite(amount)):
            wanted = "from 0 to 1" if name in SHARES else "finite and at least 0"
            raise ValueError(f"Invalid augment: {name} {amount}, must be {wanted}")


def vary(stretch: Array, augment: Mapping[str, float], rng: np.random.Generator) -> Array:
    """Vary each stretch in these ways, one after the other."""
    for name, amount in augment.items():
        stretch = VARIATIONS[name](stretch, amount, rng)
    return stretch.astype(np.float32)
