"""Causal stages of signal processing, each with the contract of ``streaming.Stage``.

Whatever the cut, the results are the same to the last bit: sums run in a fixed order, the state of
a filter is carried, and a window is always computed alone. What comes in as float32 is filtered and
resampled as float32, the state of a filter apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ranvier.channels import MONTAGES, Coverage, pick
from ranvier.polyphase import Polyphase, even_channels
from ranvier.recording import Array, Layout
from ranvier.recursion import Recursion
from ranvier.streaming import Stage, State, exact_ratio, in_own_precision, takes, takes_all

MOST_ORDER = 20
"""Of a filter; what is steeper than any use of it takes long to design."""


@dataclass(frozen=True)
class MarkFlat(Stage):
    """Mark a lead as not valid while it has not changed at all for some time.

    Parameters
    ----------
    layout
        What comes in.
    seconds
        How long a lead may stay at exactly the same value.
    """

    layout: Layout
    seconds: float = 2.0

    def initial_state(self, batch: int) -> State:
        """Return (last value, samples since it changed)."""
        shape = (batch, len(self.layout.channels))
        return np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Replace samples of flat leads by NaN."""
        chunk = in_own_precision(chunk)
        if not chunk.shape[1]:
            return chunk, state
        signal, (last, since) = chunk.swapaxes(1, 2), state
        same = np.empty(signal.shape, bool)
        np.equal(signal[..., 1:], signal[..., :-1], out=same[..., 1:])
        np.equal(signal[..., 0], last.astype(signal.dtype), out=same[..., 0])
        state = signal[..., -1].astype(float), _since_last_false(same, since)
        flat = _all_of_last(same, since, max(1, round(self.seconds * self.rate)))
        if flat is None:
            return chunk, state
        marked = np.where(flat, np.asarray(np.nan, dtype=chunk.dtype), signal)
        return marked.swapaxes(1, 2), state


def _since_last_false(values: Array, before: Array) -> Array:
    """Return how many values are true at the end of each row, ``before`` of them before it."""
    at_the_end = np.argmin(values[..., ::-1], axis=-1)
    return np.asarray(np.where(values.all(axis=-1), before + values.shape[-1], at_the_end))


def _all_of_last(values: Array, before: Array, count: int) -> Array | None:
    """Return where this many in a row are true, ``before`` of them before it; None if nowhere."""
    earlier = np.arange(count - 1, 0, -1) <= before[..., None]
    together, reached = np.concatenate([earlier, values], axis=-1), 1
    while reached < count and together.any():
        step = min(reached, count - reached)
        together, reached = together[..., step:] & together[..., :-step], reached + step
    return together if together.any() else None


@dataclass(frozen=True)
class Pick(Stage):
    """Take some channels by name; small and capital letters, and a leading EEG, do not matter.

    Parameters
    ----------
    layout
        What comes in, with the labels of the file.
    channels
        Which ones, in this order and by these names.

    Raises
    ------
    ValueError
        If one of them is not there.
    """

    layout: Layout
    channels: tuple[str, ...] = ()
    memoryless = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        _ = self.places

    @cached_property
    def places(self) -> list[int]:
        """Where the channels are in the layout."""
        known = {_plain(name): place for place, name in enumerate(self.layout.channels)}
        missing = [name for name in self.channels if _plain(name) not in known]
        if missing or not self.channels:
            raise ValueError(
                f"Invalid channels: {', '.join(missing) or 'none'}, must be one or more of "
                f"{', '.join(self.layout.channels)}"
            )
        return [known[_plain(name)] for name in self.channels]

    @property
    def output(self) -> Layout:
        """The channels that are taken."""
        return Layout(self.channels, self.layout.rate, self.layout.unit)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Take them."""
        return chunk[:, :, self.places], state


def _plain(name: str) -> str:
    return name.strip().casefold().removeprefix("eeg ").strip()


@dataclass(frozen=True)
class DeriveMontage(Stage):
    """Derive the channels of a montage; one that the recording cannot give stays NaN.

    Parameters
    ----------
    layout
        What comes in, with the labels of the file.
    montage
        ``"double_banana"`` (from referential or bipolar channels, the same either way) or
        ``"referential"``.

    Raises
    ------
    ValueError
        If none of the montage's channels can be formed.
    """

    layout: Layout
    montage: str = "double_banana"

    def __post_init__(self) -> None:
        _ = self.coverage

    @cached_property
    def coverage(self) -> Coverage:
        """How each derivation is formed, and which ones are missing."""
        return pick(self.layout.channels, self.montage)

    @property
    def output(self) -> Layout:
        """The channels of the montage."""
        return Layout(MONTAGES[self.montage], self.layout.rate, self.layout.unit)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Add and subtract channels in the order that the coverage gives."""
        batch, samples, _ = chunk.shape
        derived = np.full((batch, len(self.output.channels), samples), np.nan, chunk.dtype)
        for number, (rows, places, signs) in enumerate(self._terms):
            terms = chunk.swapaxes(1, 2)[:, places]
            terms *= signs
            if number:
                terms += derived[:, rows]
            derived[:, rows] = terms
        return derived.swapaxes(1, 2), state

    @cached_property
    def _terms(self) -> list[tuple[slice | list[int], list[int], Array]]:
        """Rows of the montage, channels and signs: of all first terms, of all second ones, ..."""
        by_row = dict(enumerate(one.terms for one in self.coverage.derivations))
        found: list[tuple[slice | list[int], list[int], Array]] = []
        for number in range(max(map(len, by_row.values()))):
            rows = [row for row, terms in by_row.items() if len(terms) > number]
            places, signs = zip(*(by_row[row][number] for row in rows), strict=True)
            which = slice(None) if len(rows) == len(by_row) else rows
            found.append((which, list(places), np.array(signs, np.float32)[:, None]))
        return found


@dataclass(frozen=True)
class Filter(Stage):
    """Butterworth filter with carried state, started as if the first sample had always been there.

    While a sample is NaN or beyond ``LARGEST``, the filter is fed the channel's last valid one and
    gives NaN. What any sample has done fades as the filter does, also the first.

    Parameters
    ----------
    layout
        What comes in.
    low, high
        Edges of the pass band in Hz; None leaves that side open.
    order
        Order of each edge, at most ``MOST_ORDER``.
    """

    layout: Layout
    low: float | None = 0.5
    high: float | None = 70.0
    order: int = 2

    def __post_init__(self) -> None:
        edges = [edge for edge in (self.low, self.high) if edge is not None]
        inside = all(0 < edge < self.rate / 2 for edge in edges)
        if not edges or not inside or edges != sorted(edges):
            raise ValueError(
                f"Invalid pass band: {self.low} to {self.high} Hz, must rise and lie between 0 and "
                f"{self.rate / 2} Hz, half of the sampling rate"
            )
        if self.order not in range(1, MOST_ORDER + 1):
            raise ValueError(
                f"Invalid order: {self.order!r}, must be a whole number from 1 to {MOST_ORDER}"
            )

    @cached_property
    def sections(self) -> Array:
        """Second-order sections, (sections, 6)."""
        from scipy.signal import butter

        edges = [edge for edge in (self.low, self.high) if edge is not None]
        one_sided = "lowpass" if self.low is None else "highpass"
        kind = "bandpass" if len(edges) == 2 else one_sided
        return np.asarray(butter(self.order, np.squeeze(edges), kind, fs=self.rate, output="sos"))

    @property
    def gain_at_zero(self) -> float:
        """What the filter makes of a constant: 1 for a low-pass, else 0."""
        return 1.0 if self.low is None else 0.0

    @cached_property
    def delay(self) -> float:  # type: ignore[override]
        """Group delay in the middle of the pass band, in seconds."""
        from scipy.signal import sosfreqz

        low, high = self.low or 0.1, self.high or self.rate / 4
        middle = np.sqrt(low * high) if self.low else high / 2
        _, response = sosfreqz(self.sections, [middle * 0.999, middle * 1.001], fs=self.rate)
        turn = np.angle(response[1] / response[0])
        return float(-turn / (2 * np.pi * middle * 0.002))

    @cached_property
    def recursion(self) -> Recursion:
        """The products that give the outputs."""
        return Recursion(self.sections, self.gain_at_zero)

    def initial_state(self, batch: int) -> State:
        """Return what ``Recursion.step`` takes beside a chunk, and the last valid sample."""
        shape = (batch, len(self.layout.channels))
        carried, samples = (np.zeros((*shape, size)) for size in (self.recursion.states, 0))
        return carried, samples, np.zeros(shape), np.full(shape, np.nan)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Filter; before the first valid sample of a channel, that one comes in."""
        signal = in_own_precision(chunk).swapaxes(1, 2)
        if not signal.size:
            return signal.swapaxes(1, 2), state
        *carried, last = state
        if np.isnan(last).any():
            carried = _started(carried, np.isnan(last), _first_valid(signal, takes(signal)))
        if takes_all(signal):
            output, *carried = self.recursion.step(signal, *carried)
            return output.swapaxes(1, 2), (*carried, signal[..., -1].astype(float))
        valid = takes(signal)
        held = _hold(signal, valid, last)
        newest, first = held[..., -1].astype(float), carried[2][..., None].astype(signal.dtype)
        output, *carried = self.recursion.step(np.where(np.isnan(held), first, held), *carried)
        output[~valid] = np.nan
        return output.swapaxes(1, 2), (*carried, newest)


def _started(carried: Sequence[Array], waiting: Array, first: Array) -> list[Array]:
    """Return what is carried as if the channels that wait had always been at these values."""
    state, begun, reference = carried
    begun = np.where(waiting[..., None], first[..., None].astype(begun.dtype), begun)
    return [state, begun, np.where(waiting, first, reference)]


def _first_valid(signal: Array, valid: Array) -> Array:
    """Return the first valid sample of each channel, 0 without one."""
    place = np.argmax(valid, axis=2, keepdims=True)
    found, known = (np.take_along_axis(one, place, axis=2)[..., 0] for one in (signal, valid))
    return np.where(known, found, 0.0).astype(float)


def _hold(signal: Array, valid: Array, last: Array) -> Array:
    """Replace each sample that is not valid by the one before, also across the border of chunks."""
    padded = np.concatenate([last[..., None].astype(signal.dtype), signal], axis=2)
    index = np.where(valid, np.arange(1, padded.shape[2]), 0)
    latest = np.maximum.accumulate(index, axis=2)
    return np.take_along_axis(padded, latest, axis=2)


EDGE = 0.9
"""Where the low-pass of the resampler has fallen to a half, as a share of half the wanted rate."""


@dataclass(frozen=True)
class Resample(Stage):
    """Change the sampling rate by a polyphase low-pass filter whose state is carried.

    Output k lies at second k / rate and is known as soon as the input has reached that second.

    Parameters
    ----------
    layout
        What comes in.
    rate_out
        Wanted rate in Hz, at most the rate that comes in.
    half_width
        Zero crossings of the low-pass on each side; the delay is this many samples at the lower
        of the two rates.
    """

    layout: Layout
    rate_out: float = 200.0
    half_width: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.rate_out <= self.rate:
            raise ValueError(
                f"Invalid rate: the recording has {self.rate:g} Hz, must be at least "
                f"{self.rate_out:g} Hz"
            )

    @cached_property
    def ratio(self) -> Fraction:
        """Rate that goes out over rate that comes in."""
        return exact_ratio(self.rate, self.rate_out)

    @property
    def output(self) -> Layout:
        """The same channels at the wanted rate."""
        return Layout(self.layout.channels, self.rate_out, self.layout.unit)

    @cached_property
    def taps(self) -> Array:
        """Low-pass at the common multiple of the two rates, Kaiser window with beta 5.

        It is the same in Hz for every rate that comes in, also for the wanted rate itself, so that
        what goes out does not tell one recorder from another.
        """
        from scipy.signal import firwin

        up, down = self.ratio.as_integer_ratio()
        length = 2 * self.half_width * down + 1
        return np.asarray(firwin(length, EDGE / down, window=("kaiser", 5.0)) * up)

    @property
    def delay(self) -> float:  # type: ignore[override]
        """Half of the low-pass, in seconds."""
        return (len(self.taps) - 1) / 2 / (self.ratio.numerator * self.rate)

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many samples have come in."""
        up, down = self.ratio.as_integer_ratio()
        return 1 + (samples - 1) * up // down if samples else 0

    @cached_property
    def polyphase(self) -> Polyphase:
        """The sums that give the outputs."""
        return Polyphase(self.taps, *self.ratio.as_integer_ratio())

    def initial_state(self, batch: int) -> State:
        """Return (samples still needed, samples seen)."""
        return np.zeros((batch, len(self.layout.channels), 0)), np.array(0)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Filter at the common multiple of the rates; only the wanted samples are computed."""
        kept, seen = state
        chunk = in_own_precision(chunk)
        if not chunk.shape[1]:
            return chunk, state
        if not seen:
            kept = np.repeat(chunk[:, 0, :, None], -self.polyphase.oldest(0), axis=2)
        begin, now = int(seen) - kept.shape[2], int(seen) + chunk.shape[1]
        first, stop = self.outputs(int(seen)), self.outputs(now)
        signal, channels = self._joined(kept, chunk.swapaxes(1, 2)), chunk.shape[2]
        filtered = self.polyphase.outputs(signal, begin, first, stop)[:, :channels]
        needed = slice(self.polyphase.oldest(stop) - begin, now - begin)
        return filtered.swapaxes(1, 2), (signal[:, :channels, needed].copy(), np.array(now))

    def _joined(self, kept: Array, chunk: Array) -> Array:
        """Put what was kept before a chunk, (batch, channel, sample), and zeros around it."""
        (batch, channels, before), known = kept.shape, kept.shape[2] + chunk.shape[2]
        shape = batch, even_channels(channels), known + self.polyphase.cycle[1]
        signal = np.empty(shape, chunk.dtype)
        signal[:, :channels, :before], signal[:, :channels, before:known] = kept, chunk
        signal[..., known:], signal[:, channels:] = 0.0, 0.0
        return signal
