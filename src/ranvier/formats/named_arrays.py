"""Which of several named arrays is the signal, how fast it is sampled, and what its channels are.

Names count without capital letters, spaces and underscores, and without what stands before a dot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranvier.recording import Array, Layout, microvolts_per

SIGNALS = ("signal", "signals", "data", "eeg", "x", "val")
RATES = (
    "rate", "fs", "srate", "sfreq", "freq", "frequency", "samplingrate", "samplerate",
    "samplingfreq", "samplingfrequency", "samplefrequency",
)  # fmt: skip
CHANNELS = (
    "channels", "channelnames", "channellabels", "chnames", "channames", "chlabel", "chlabels",
    "chanlabels", "labels", "electrodes",
)  # fmt: skip
UNITS = ("unit", "units")
MOST_CHANNELS = 100_000
_SHOWN = 12


@dataclass(frozen=True)
class Contents:
    """What a file holds, by name.

    Parameters
    ----------
    shapes
        Of all arrays of real numbers, none of which need have been read.
    numbers
        Single numbers.
    texts
        Texts and lists of texts.
    """

    shapes: Mapping[str, tuple[int, ...]]
    numbers: Mapping[str, float]
    texts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Wish:
    """What a caller says of a file that does not say it, or says it twice.

    Parameters
    ----------
    signal
        Name of the array; empty to find it.
    rate
        In Hz; None to find it.
    channels
        Names; empty to find them.
    unit
        Of the values; empty to find it.
    """

    signal: str = ""
    rate: float | None = None
    channels: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Choice:
    """The signal of a file: where it is, which axis is time, how long it is, and its layout."""

    name: str
    time_axis: int
    samples: int
    layout: Layout
    factor: float
    notes: tuple[str, ...]


def plain(name: str) -> str:
    """Return a name in small letters and digits, without what stands before a dot."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())


def choose_signal(contents: Contents, wish: Wish) -> Choice:
    """Find the signal among named arrays.

    Raises
    ------
    ValueError
        If there is none or more than one, or its rate or channels are not clear, in words that
        follow the name of a file and name what was found.
    """
    name = wish.signal or _signal(contents)
    shape = contents.shapes.get(name, ())
    if len(shape) != 2 or not all(shape):
        found = shape or "no array of numbers"
        raise ValueError(f"invalid {name}: {found}, must be numbers (time, channel)")
    channels, named = _channels(contents, wish, shape)
    axis, by_length = _time_axis(name, shape, channels)
    unit, assumed = _unit(contents, wish)
    count = shape[1 - axis]
    layout = Layout(channels or _numbered(name, count), _rate(contents, wish))
    return Choice(
        name, axis, shape[axis], layout, microvolts_per(unit), (*named, *by_length, *assumed)
    )


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more or "none"


def _signal(contents: Contents) -> str:
    shapes = {name: shape for name, shape in contents.shapes.items() if len(shape) == 2}
    tables = [name for name, shape in shapes.items() if min(shape) > 1]
    found = tables or [name for name, shape in shapes.items() if max(shape) > 1]
    usual = [name for name in found if plain(name) in SIGNALS]
    for names in (found, usual):
        if len(names) == 1:
            return names[0]
    if not found:
        raise ValueError(f"it has no array (time, channel), found: {_listed(contents.shapes)}")
    raise ValueError(
        f"it has several arrays (time, channel): {_listed(found)}; say which with signal="
    )


def _rate(contents: Contents, wish: Wish) -> float:
    if wish.rate is not None:
        return wish.rate
    named = {name: rate for name, rate in contents.numbers.items() if plain(name) in RATES}
    if len(set(named.values())) != 1:
        found = ", ".join(f"{name} {rate:g}" for name, rate in named.items()) or (
            f"{_listed([*contents.numbers, *contents.shapes])}"
        )
        raise ValueError(
            f"its sampling rate is not clear, must be one number called fs, srate or "
            f"sampling_rate, found: {found}; say it with rate="
        )
    return next(iter(named.values()))


def _channels(
    contents: Contents, wish: Wish, shape: Sequence[int]
) -> tuple[tuple[str, ...], list[str]]:
    """Return names of channels, none if they are unknown, and what was found wrong with them."""
    if wish.channels:
        found = tuple(wish.channels)
        if len(found) not in shape or len(set(found)) != len(found):
            raise ValueError(
                f"invalid channels: {len(set(found))} different names, must be one of {shape}"
            )
        return found, []
    named = [texts for name, texts in contents.texts.items() if plain(name) in CHANNELS]
    fitting = {texts for texts in named if len(texts) in shape and len(set(texts)) == len(texts)}
    if len(fitting) == 1:
        return next(iter(fitting)), []
    return (), ["names of channels do not fit the signal and are numbers instead"] if named else []


def _numbered(name: str, count: int) -> tuple[str, ...]:
    if count > MOST_CHANNELS:
        raise ValueError(f"invalid {name}: {count} channels, must be at most {MOST_CHANNELS}")
    return tuple(f"channel {number + 1}" for number in range(count))


def _time_axis(name: str, shape: Sequence[int], channels: Sequence[str]) -> tuple[int, list[str]]:
    fits = [axis for axis in (0, 1) if shape[1 - axis] == len(channels)]
    if len(fits) == 1:
        return fits[0], []
    if shape[0] == shape[1]:
        raise ValueError(f"invalid {name}: shape {tuple(shape)}, which axis is time is not clear")
    return int(shape[1] > shape[0]), [f"the longer axis of {name}, {max(shape)}, is taken as time"]


def _unit(contents: Contents, wish: Wish) -> tuple[str, list[str]]:
    named = {texts[0] for name, texts in contents.texts.items() if plain(name) in UNITS and texts}
    if wish.unit or len(named) == 1:
        return wish.unit or next(iter(named)), []
    return "µV", ["the unit is not known, values are taken as µV"]


def one_number(value: Array) -> float | None:
    """Return the number that an array of one is, else None."""
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        return None
    return float(value.item())
