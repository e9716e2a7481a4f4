"""Causal stages that turn a signal into what a network looks at, and scale it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.recording import Array, Layout
from ranvier.streaming import Stage, State

FLAT = 1e-9
"""Variance up to which a channel counts as one that says the same all along."""


@dataclass(frozen=True)
class Spectrum(Stage):
    """Natural logarithm of the amplitude spectrum of each second: (batch, step, node, feature).

    Parameters
    ----------
    layout
        What comes in; a whole number of samples per second.
    features
        Bins from 0 Hz on, 1 Hz apart.

    References
    ----------
    .. [1] Afzal et al., REST, ICML 2024: log(|FFT| + 1e-30), no window, no detrending.
    """

    layout: Layout
    features: int = 100

    def __post_init__(self) -> None:
        if self.rate != round(self.rate) or not 0 < self.features <= self.rate // 2 + 1:
            raise ValueError(
                f"Invalid features: {self.features} bins at {self.rate} Hz, must be at most "
                f"{int(self.rate // 2) + 1} at a whole number of samples per second"
            )

    @property
    def output(self) -> Layout:
        """One step a second for each channel."""
        return Layout(self.layout.channels, 1.0, "log µV")

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Half of the second that a step looks at."""
        return 0.5

    def outputs(self, samples: int) -> int:
        """Return the number of whole seconds."""
        return samples // int(self.rate)

    def initial_state(self, batch: int) -> State:
        """Return the samples of the second that is not yet full."""
        return np.zeros((batch, 0, len(self.layout.channels)))

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Transform each whole second on its own."""
        signal = np.concatenate([state, chunk], axis=1)
        window = int(self.rate)
        batch, samples, nodes = signal.shape
        steps = samples // window
        spectra = np.empty((batch, steps, nodes, self.features), dtype=np.float32)
        for row in range(batch):
            for step in range(steps):
                second = signal[row, step * window : (step + 1) * window]
                amplitude = np.abs(np.fft.rfft(second.T)[:, : self.features])
                spectra[row, step] = np.log(amplitude + 1e-30)
        return spectra, signal[:, steps * window :].copy()


@dataclass(frozen=True)
class ScalePerStep(Stage):
    """Scale the features of each node and step to mean 0 and standard deviation 1.

    A node whose features are all equal, as of a disconnected electrode, becomes zeros.
    """

    layout: Layout
    memoryless = True

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Subtract the mean and divide by the deviation (n - 1) over the last axis."""
        flat = (chunk == chunk[..., :1]).all(axis=-1, keepdims=True)
        centred = chunk - chunk.mean(axis=-1, keepdims=True)
        deviation = chunk.std(axis=-1, ddof=1, keepdims=True)
        scaled = np.where(flat, 0.0, centred / (deviation + 1e-10))
        return scaled.astype(np.float32), state


@dataclass(frozen=True)
class Standardise(Stage):
    """Scale by the mean and deviation of the training recordings.

    Parameters
    ----------
    layout
        What comes in.
    mean, deviation
        Broadcast against (..., node, feature) or (..., channel); from ``fit``.
    """

    layout: Layout
    mean: tuple[Any, ...] = (0.0,)
    deviation: tuple[Any, ...] = (1.0,)
    memoryless = True

    @staticmethod
    def fit(chunks: Iterable[Array]) -> dict[str, Any]:
        """Return the settings that fit training data, over batch and time, NaN left out."""
        count, total, squares = 0.0, np.zeros(()), np.zeros(())
        for chunk in chunks:
            values = chunk.astype(float)
            count = count + (~np.isnan(values)).sum(axis=(0, 1))
            total = total + np.nansum(values, axis=(0, 1))
            squares = squares + np.nansum(values**2, axis=(0, 1))
        mean = total / np.maximum(count, 1)
        variance = np.maximum(squares / np.maximum(count, 1) - mean**2, 0)
        return {"mean": mean.tolist(), "deviation": np.sqrt(variance).tolist()}

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Subtract the mean and divide by the deviation; a constant feature becomes 0."""
        deviation = np.asarray(self.deviation)
        scaled = (chunk - np.asarray(self.mean)) / np.where(deviation == 0, 1.0, deviation)
        return scaled.astype(np.float32), state


@dataclass(frozen=True)
class RunningScale(Stage):
    """Scale each channel by the mean and deviation of its own past, the newest sample included.

    What lies some time back counts ``exp(-time / seconds)``, whether or not there were gaps since.
    Nothing of the training recordings is needed and nothing later is looked at. A NaN stays one and
    is not counted; a channel that has said the same all along becomes 0.

    Parameters
    ----------
    layout
        What comes in: plain samples, such as counts.
    seconds
        After which a sample counts a third.
    settling
        Seconds of samples that must have been seen before anything is said; NaN until then.
    """

    layout: Layout
    seconds: float = 120.0
    settling: float = 10.0

    def __post_init__(self) -> None:
        if not 1 / self.rate <= self.seconds < float("inf"):
            raise ValueError(
                f"Invalid seconds: {self.seconds:g}, must be finite and at least one sample of "
                f"{1 / self.rate:g} s"
            )
        if not 0 <= self.settling < float("inf"):
            raise ValueError(f"Invalid settling: {self.settling:g} s, must be finite and 0 or more")

    @property
    def output(self) -> Layout:
        """The same channels without a unit."""
        return Layout(self.layout.channels, self.rate, "z")

    def initial_state(self, batch: int) -> State:
        """Return (samples seen, how much they count, mean, variance) of each channel."""
        return tuple(np.zeros((batch, len(self.layout.channels))) for _ in range(4))

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Go from sample to sample."""
        scaled = np.empty(chunk.shape, dtype=np.float32)
        keep = np.exp(-1 / (self.seconds * self.rate))
        seen, weight, mean, variance = state
        for i in range(chunk.shape[1]):
            now = chunk[:, i].astype(float)
            known = ~np.isnan(now)
            seen, weight = seen + known, keep * weight + known
            share = np.where(known, 1 / np.maximum(weight, 1.0), 0.0)
            off = np.where(known, now - mean, 0.0)
            mean = mean + share * off
            variance = (1 - share) * (variance + share * off**2)
            said = known & (seen > self.settling * self.rate)
            flat = variance <= FLAT
            centred = np.where(said, now - mean, np.nan)
            scaled[:, i] = centred / np.sqrt(np.where(flat, np.inf, variance))
        return scaled, (seen, weight, mean, variance)
