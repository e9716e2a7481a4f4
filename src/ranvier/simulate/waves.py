"""What simulated signals are made of: noise of a spectrum, curves that wander, rhythms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy import fft

from ranvier.recording import Array, Signal

Gain = Callable[[Array], Array]
Wave = Callable[[Array, Generator], Array]
Range = tuple[float, float]


def noise(count: int, times: Array, gain: Gain, rng: Generator) -> Signal:
    """Make noise of standard deviation 1, (count, time), with this gain over frequency in Hz."""
    size = fft.next_fast_len(len(times), real=True)
    frequencies = fft.rfftfreq(size, times[1] - times[0])
    gains = np.concatenate([[0.0], gain(frequencies[1:])])
    gains *= size / np.sqrt(4 * np.sum(gains**2))
    parts = rng.standard_normal((count, 2 * len(gains)), dtype=np.float32)
    spectrum = parts.view(np.complex64) * gains.astype(np.float32)
    return np.asarray(fft.irfft(spectrum, size, axis=1)[:, : len(times)], dtype=np.float32)


def falling(slope: float) -> Gain:
    """Power that falls as 1/f to the slope, from 0.3 Hz on."""
    return lambda hertz: np.where(hertz > 0.3, hertz ** (-slope / 2), 0)


def around(middle: float, width: float) -> Gain:
    """Power around a frequency, both in Hz."""
    return lambda hertz: np.exp(-(((hertz - middle) / width) ** 2) / 2)


def between(low: float, high: float) -> Gain:
    """Power between two frequencies in Hz, the same at each."""
    return lambda hertz: ((hertz > low) & (hertz < high)).astype(float)


def wander(count: int, times: Array, period: float, rng: Generator) -> Signal:
    """Make smooth curves of standard deviation 1, (count, time), that turn within the period."""
    knots = np.arange(-period, times[-1] + period, period / 8)
    curves = noise(count, knots, around(0, 0.7 / period), rng)
    return np.stack([np.interp(times, knots, curve) for curve in curves]).astype(np.float32)


def unsteady_phase(hertz: Array, times: Array, rng: Generator) -> Array:
    """Return the phase in radians of a rhythm of this frequency, held unsteadily."""
    unsteady = hertz * np.exp(0.08 * wander(1, times, 2, rng)[0]) * (times[1] - times[0])
    return np.asarray(2 * np.pi * (rng.random() + np.cumsum(unsteady)))


def spiky(phase: Array, sharpness: Array | float) -> Array:
    """Turn a phase into a wave whose harmonics, locked to it, make it sharp."""
    harmonics = (np.sin(k * phase + 0.5 * k) * sharpness ** (k - 1) for k in (1, 2, 3, 4))
    return np.asarray(sum(harmonics))


def edges(times: Array, end: float) -> Array:
    """Rise from 0 to 1 in half a second, and fall to 0 again before the end."""
    return np.asarray(np.clip(2 * np.minimum(times, end - times), 0, 1))


def stretch(times: Array, start: float, seconds: float) -> tuple[slice, Array]:
    """Return where a stretch lies, as far as it lies within the times, and its own times from 0."""
    first, last = np.searchsorted(times, (start, start + seconds))
    return slice(first, last), times[first:last] - start
