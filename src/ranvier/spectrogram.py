"""How much of each frequency there is in each epoch of a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.recording import Array, Recording
from ranvier.stages import build

SEGMENT = 5.0
"""Seconds of the pieces that an epoch is cut into: frequencies stand 0.2 Hz apart."""
BANDWIDTH, TAPERS = 2.5, 4
HIGHEST = 25.0
BLOCK = 600.0
QUIET = 1e-4
"""Power in µV²/Hz below which nothing is told apart: less than a quarter of a usual least step."""


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """Power by epoch and frequency.

    Parameters
    ----------
    channel
        What was analysed.
    edges
        Seconds between which the epochs lie, (epoch + 1,).
    frequencies
        In Hz, (frequency,).
    power
        In dB of 1 µV²/Hz, (epoch, frequency); NaN where nothing valid was recorded.
    """

    channel: str
    edges: Array
    frequencies: Array
    power: Array


def spectrogram(
    recording: Recording, stages: Sequence[Mapping[str, Any]] = (), *, epoch: float = 30.0
) -> Spectrogram:
    """Analyse the first channel that the stages give, epoch by epoch.

    Each epoch is cut into pieces of 5 s; their multitaper spectra are averaged over the pieces that
    are valid.

    Parameters
    ----------
    recording
        In µV.
    stages
        What comes before, as for ``stages.build``; without any, the recording's own channels.
    epoch
        In seconds, at least 5.

    Raises
    ------
    ValueError
        If the stages do not fit the recording or give features, or the epoch is too short.

    References
    ----------
    .. [1] Thomson 1982, Spectrum estimation and harmonic analysis, Proc. IEEE 70.
    .. [2] Prerau et al. 2017, Sleep neurophysiological dynamics through the lens of multitaper
       spectral analysis, Physiology 32.
    """
    if not epoch >= SEGMENT:
        raise ValueError(f"Invalid epoch: {epoch} s, must be at least {SEGMENT:g} s")
    pipeline = build(stages, recording.layout)
    rate = pipeline.output.rate
    signal = _first_channel(recording, stages)
    size, length = round(SEGMENT * rate), round(epoch * rate)
    epochs, pieces = len(signal) // length, length // size
    cut = signal[: epochs * length].reshape(epochs, length)[:, : pieces * size]
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    wanted = (frequencies > 0) & (frequencies <= HIGHEST)
    power = _power(cut.reshape(epochs * pieces, size), rate)[:, wanted]
    by_epoch = _mean_of_valid(power.reshape(epochs, pieces, power.shape[1]))
    edges = epoch * np.arange(epochs + 1)
    decibels = 10 * np.log10(np.maximum(by_epoch, QUIET))
    return Spectrogram(pipeline.output.channels[0], edges, frequencies[wanted], decibels)


def _first_channel(recording: Recording, stages: Sequence[Mapping[str, Any]]) -> Array:
    pipeline = build(stages, recording.layout)
    state, parts = pipeline.initial_state(1), [np.zeros(0, np.float32)]
    for block in recording.blocks(BLOCK):
        output, state = pipeline.step(block[None], state)
        if output.ndim != 3:
            raise ValueError("Invalid stages: they give features, must give a signal")
        parts.append(output[0, :, 0])
    return np.concatenate(parts)


def _power(pieces: Array, rate: float) -> Array:
    """Return the one-sided multitaper density of each piece, (piece, frequency)."""
    from scipy.signal.windows import dpss

    tapers = dpss(pieces.shape[1], BANDWIDTH, TAPERS)
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    squares = [np.abs(np.fft.rfft(centred * taper)) ** 2 for taper in tapers]
    return np.asarray(2 / rate * np.mean(squares, axis=0))


def _mean_of_valid(power: Array) -> Array:
    """Average over pieces, (epoch, piece, frequency), but those with NaN; NaN without any left."""
    valid = ~np.isnan(power)
    total = np.where(valid, power, 0.0).sum(axis=1)
    count = valid.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
