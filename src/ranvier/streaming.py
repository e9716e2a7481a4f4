"""The contract: one form for everything that turns a signal into something else.

``output, state = thing.step(chunk, state)`` takes a chunk of any length and gives the outputs that
have become known. The state is passed in and returned, never stored and never changed in place, so
a whole recording, its pieces and a live stream run through the same code and give the same answer.

Axes are (batch, time, channels) or (batch, step, node, feature). A NaN is a sample that is not
valid; stages hand it on and never let it into their state. There is no flush: what is not decided
when a recording ends is not decided.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier.recording import Array, Layout

State = Any
"""Nested tuples of arrays; whoever calls ``step`` owns it."""

LARGEST = 1e12
"""What a sample may be, in µV, which no electrode gives; its cube is finite in float32."""

RATE_SLACK = 1e-4
"""Share by which a measured rate may differ from the one that is wanted."""

KEPT = 31 * 2**20
"""Bytes up to which freed memory is not given back at once."""

# The C library of Linux learns from a large block that is freed to keep such memory at hand. Until
# then each step may get its arrays from the system anew, page by page, and decode half as fast.
np.empty(KEPT, np.uint8)


class Stage:
    """One causal step of processing.

    A subclass sets ``layout`` (what comes in) and, where it differs, ``output`` (what goes out),
    ``delay``, ``settling``, ``outputs`` and ``memoryless``, and writes ``initial_state`` and
    ``advance``.
    """

    layout: Layout
    delay: float = 0.0
    """Seconds by which the content of an output lags behind the newest sample it has seen."""
    settling: float = 0.0
    """Seconds of signal that must have come in before an output is valid."""
    memoryless: bool = False
    """Whether an output depends on its own step alone."""

    @property
    def output(self) -> Layout:
        """What goes out."""
        return self.layout

    @property
    def rate(self) -> float:
        """Samples per second that come in."""
        return self.layout.rate

    @property
    def hop(self) -> float:
        """Seconds between outputs."""
        return 1 / self.output.rate

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many samples have come in."""
        return samples

    def initial_state(self, batch: int) -> State:  # noqa: ARG002
        """Return the state before the first sample."""
        return ()

    def step(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Take a chunk, (batch, time, ...), and return the new outputs and the new state.

        Raises
        ------
        ValueError
            If the chunk does not have the channels of ``layout``.
        """
        channels, chunk = self.layout.channels, np.asarray(chunk)
        if chunk.ndim < 3 or chunk.shape[2] != len(channels):
            raise ValueError(
                f"Invalid chunk for {type(self).__name__}: shape {chunk.shape}, must be (batch, "
                f"time, {len(channels)}) for the channels {', '.join(channels)}"
            )
        return self.advance(chunk, state)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Do the work of ``step`` on a chunk whose channels are known to be right."""
        raise NotImplementedError(f"{type(self).__name__} must define advance")


class Pipeline(Stage):
    """Stages in a row, with the contract of one stage.

    Parameters
    ----------
    layout
        What comes into the first stage.
    stages
        Each takes what the one before it gives.

    Raises
    ------
    ValueError
        If a stage does not take what the one before it gives.
    """

    def __init__(self, layout: Layout, stages: Sequence[Stage]) -> None:
        self.layout = layout
        self.stages = tuple(stages)
        expected = layout
        for stage in self.stages:
            check_layout(type(stage).__name__, stage.layout, expected)
            expected = stage.output
        self._output = expected

    @property
    def output(self) -> Layout:
        """What the last stage gives."""
        return self._output

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Sum of the stages' delays, in seconds."""
        return sum(stage.delay for stage in self.stages)

    @property
    def settling(self) -> float:  # type: ignore[override]
        """Sum of what the stages need, in seconds."""
        return sum(stage.settling for stage in self.stages)

    @property
    def memoryless(self) -> bool:  # type: ignore[override]
        """Whether no stage has memory."""
        return all(stage.memoryless for stage in self.stages)

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many samples have come in."""
        for stage in self.stages:
            samples = stage.outputs(samples)
        return samples

    def initial_state(self, batch: int) -> State:
        """Return the states of all stages before the first sample."""
        return tuple(stage.initial_state(batch) for stage in self.stages)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Hand the chunk from stage to stage; what is no sample comes in as NaN."""
        chunk, states = as_samples(chunk), []
        for stage, old in zip(self.stages, state, strict=True):
            chunk, new = stage.step(chunk, old)
            states.append(new)
        return chunk, tuple(states)


def in_own_precision(chunk: Array) -> Array:
    """Return the samples as they are if they are float32 or float64, else without loss."""
    return chunk.astype(np.result_type(chunk.dtype, np.float32), copy=False)


def takes(chunk: Array) -> Array:
    """Return which samples are finite and not beyond ``LARGEST``."""
    return np.asarray(np.abs(chunk) <= LARGEST)


def takes_all(chunk: Array) -> bool:
    """Return whether all samples are, as the sum of their squares shows, which is quick."""
    samples = chunk.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.dot(samples, samples) <= LARGEST**2) or bool(takes(chunk).all())


def as_samples(chunk: Array) -> Array:
    """Return a chunk in float32 or float64, NaN where a sample is not finite or too large."""
    samples = in_own_precision(chunk)
    if takes_all(samples):
        return samples
    return np.where(takes(samples), samples, samples.dtype.type(np.nan))


def check_layout(name: str, expected: Layout, found: Layout) -> None:
    """Refuse a layout that is not the one expected, saying which part of it differs."""
    if abs(expected.rate - found.rate) > RATE_SLACK * expected.rate:
        raise ValueError(f"Invalid rate for {name}: {found.rate} Hz, must be {expected.rate} Hz")
    if expected.channels != found.channels:
        raise ValueError(
            f"Invalid channels for {name}: {', '.join(found.channels)}, "
            f"must be {', '.join(expected.channels)}"
        )


def exact_ratio(rate: float, target: float) -> Fraction:
    """Return target / rate as a fraction of small whole numbers."""
    return Fraction(target / rate).limit_denominator(10_000)


def arrays_of(state: State) -> Iterator[Array]:
    """Yield the arrays of a state, depth first."""
    if isinstance(state, tuple):
        for part in state:
            yield from arrays_of(part)
    else:
        yield state


def pack_state(state: State) -> bytes:
    """Turn a state into bytes that ``unpack_state`` turns back."""
    buffer = io.BytesIO()
    np.savez(buffer, *(np.asarray(array) for array in arrays_of(state)), allow_pickle=False)
    return buffer.getvalue()


def unpack_state(packed: bytes, like: State) -> State:
    """Restore a state; ``like`` is the state before the first sample, for its structure.

    Raises
    ------
    ValueError
        If the bytes are not those of a state, or of that of something else.
    """
    arrays, expected = unpack_arrays(packed), list(arrays_of(like))
    if len(arrays) != len(expected) or not all(map(_is_like, arrays, expected)):
        raise ValueError(
            f"Invalid state: {_shapes(arrays)}, must be one of the same decoder and batch, such as "
            f"{_shapes(expected)}"
        )
    left = iter(arrays)

    def rebuild(part: State) -> State:
        if isinstance(part, tuple):
            parts = [rebuild(inner) for inner in part]
            return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
        return next(left)

    return rebuild(like)


def unpack_arrays(packed: bytes) -> list[Array]:
    """Return the arrays of a packed state, depth first.

    Raises
    ------
    ValueError
        If the bytes are not those of a state.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
            return [stored[name] for name in stored.files]
    except (ValueError, TypeError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        raise ValueError(
            f"Invalid state: {len(packed)} bytes that are cut or changed, must be those of "
            "pack_state"
        ) from None


def _is_like(found: Array, expected: Array) -> bool:
    """Return whether an array may stand for another, of which one length in time may vary."""
    if (found.ndim, found.dtype.kind) != (expected.ndim, expected.dtype.kind):
        return False
    sizes = zip(found.shape[1:], expected.shape[1:], strict=True)
    unlike = [one for one, other in sizes if one != other and one and other]
    return found.shape[:1] == expected.shape[:1] and len(unlike) <= max(0, min(1, found.ndim - 2))


def _shapes(arrays: Sequence[Array]) -> str:
    return ", ".join(f"{one.dtype} {one.shape}" for one in arrays)
