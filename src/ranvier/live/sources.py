"""Where a live signal comes from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ranvier.recording import COUNT, Layout, Recording, Signal

SECONDS, COUNT_SECONDS = 0.125, 0.01
"""Of a signal, or of counts, that arrive together unless told otherwise."""


@dataclass(frozen=True)
class Block:
    """Samples that have arrived.

    Parameters
    ----------
    signal
        float32 µV, (time, channels); samples that were lost are NaN.
    due
        Monotonic clock at which the newest sample was measured, in seconds.
    first
        Number of the first sample, from 0 at the start of the stream; what it skips was lost.
    """

    signal: Signal
    due: float
    first: int


class Source(Protocol):
    """What the live loop reads from."""

    @property
    def layout(self) -> Layout:
        """What the signal looks like."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Yield what has arrived, without end or until the signal ends."""
        ...


@dataclass(frozen=True)
class Replay:
    """A recording played as if it were being measured.

    Parameters
    ----------
    recording
        What is played.
    speed
        Seconds of signal per second; 0 plays as fast as it is asked for.
    chunk
        Samples per block; by default as many as ``SECONDS`` or ``COUNT_SECONDS`` have, at least 1.
    cuts
        Instead of ``chunk``, the samples at which blocks end.

    Raises
    ------
    ValueError
        If it cannot be played so.
    """

    recording: Recording
    speed: float = 1.0
    chunk: int | None = None
    cuts: Sequence[int] = ()

    def __post_init__(self) -> None:
        chunk = self.chunk is None or self.chunk >= 1
        if not (self.speed == 0 or 1e-3 <= self.speed < float("inf")) or not chunk:
            raise ValueError(
                f"Invalid speed or chunk: {self.speed} and {self.chunk}, must be 0 or at least "
                "0.001, and at least 1"
            )
        if (np.diff([0, *self.cuts, self.recording.samples]) < 0).any():
            raise ValueError(
                "Invalid cuts: must be in order and between 0 and the recording's "
                f"{self.recording.samples} samples"
            )

    @property
    def layout(self) -> Layout:
        """Of the recording."""
        return self.recording.layout

    def blocks(self) -> Iterator[Block]:
        """Yield each block when its last sample would have been measured."""
        began, first, samples = time.monotonic(), 0, self.recording.samples
        size = self.chunk or samples_together(self.layout)
        for last in (*(self.cuts if len(self.cuts) else range(size, samples, size)), samples):
            signal = self.recording.reader(first, last)
            due = began + last / self.layout.rate / self.speed if self.speed else time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))
            yield Block(signal, due, first)
            first = last


def samples_together(layout: Layout) -> int:
    """Return how many samples arrive together unless told otherwise."""
    seconds = COUNT_SECONDS if layout.unit == COUNT else SECONDS
    return max(1, round(seconds * layout.rate))
