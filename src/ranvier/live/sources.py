"""Where a live signal comes from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ranvier.recording import Layout, Recording, Signal


@dataclass(frozen=True)
class Block:
    """Samples that have arrived.

    Parameters
    ----------
    signal
        float32 µV, (time, channels); samples that were lost are NaN.
    due
        Monotonic clock at which the newest sample was measured, in seconds.
    """

    signal: Signal
    due: float


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
        Samples per block.
    cuts
        Instead of ``chunk``, the samples at which blocks end.
    """

    recording: Recording
    speed: float = 1.0
    chunk: int = 32
    cuts: Sequence[int] = ()

    def __post_init__(self) -> None:
        if not (self.speed == 0 or 1e-3 <= self.speed < float("inf")) or self.chunk < 1:
            raise ValueError(
                f"Invalid speed or chunk: {self.speed} and {self.chunk}, must be 0 or at least "
                "0.001, and at least 1"
            )

    @property
    def layout(self) -> Layout:
        """Of the recording."""
        return self.recording.layout

    def blocks(self) -> Iterator[Block]:
        """Yield each block when its last sample would have been measured."""
        began, first = time.monotonic(), 0
        ends = self.cuts or range(self.chunk, self.recording.samples, self.chunk)
        for last in (*ends, self.recording.samples):
            due = began + last / self.layout.rate / self.speed if self.speed else time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))
            yield Block(self.recording.reader(first, last), due)
            first = last
