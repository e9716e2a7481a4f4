"""What the auditor looks at: a whole pipeline with its training, and what is found out about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.recording import Array, Recording
from ranvier.splits import Fold


@dataclass(frozen=True)
class Parts:
    """Subjects to train, to choose and to test on, as somebody split them; nothing is refused."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


Split = Fold | Parts


@dataclass(frozen=True)
class Outputs:
    """What a pipeline says of one recording, or what it makes of it on the way there.

    Parameters
    ----------
    times
        Seconds at which the outputs are known, (output,): the signal up to there has come in.
    values
        (output, ...); NaN where not valid.
    starts
        Second from which on each output looks at the signal, (output,); None where that has no
        meaning, as for what remembers everything.
    """

    times: Array
    values: Array
    starts: Array | None = None

    @property
    def valid(self) -> Array:
        """Whether each output is valid."""
        rows = np.isnan(np.asarray(self.values, dtype=float)).reshape(len(self.times), -1)
        return np.asarray(~rows.any(axis=1))


@dataclass(frozen=True)
class Windows:
    """Which stretches of a recording a pipeline used.

    Parameters
    ----------
    recording
        Its name.
    starts, stops
        In seconds, (window,).
    """

    recording: str
    starts: Array
    stops: Array


@dataclass(frozen=True)
class Trained:
    """What a pipeline is after its training.

    Parameters
    ----------
    fitted
        Everything that was fitted or chosen, by name and in the order in which it was: arrays,
        bytes, numbers or text. Of several that change, the first is named.
    predict
        From a recording to the outputs, by name and in the order in which they are computed. Give
        what comes before the outputs as well, such as the filtered signal, and the auditor names
        where the fault is.
    windows
        For each of ``"train"``, ``"validation"`` and ``"test"``, what was used of which recording;
        none where they are not told.
    """

    fitted: Mapping[str, Any]
    predict: Callable[[Recording], Mapping[str, Outputs]]
    windows: Mapping[str, Sequence[Windows]] = field(default_factory=dict)

    def bits(self) -> dict[str, bytes]:
        """Return everything that was fitted, to the last bit."""
        return {name: _bits(name, value) for name, value in self.fitted.items()}


def _bits(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise ValueError(
            f"Invalid fitted {name!r}: {type(value).__name__}, must be an array, bytes, a number "
            "or text"
        )
    return f"{array.dtype}{array.shape}".encode() + array.tobytes()


Run = Callable[[Sequence[Recording], Any], Trained]
"""Trains a pipeline on recordings as a split says: a function of (recordings, split)."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Parameters
    ----------
    name
        Of the fault, such as ``"zero-phase filter"``.
    text
        What was seen, in one sentence.
    seconds
        How far ahead is looked; None where that has no meaning.
    """

    name: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True)
class Found:
    """What one probe found.

    Parameters
    ----------
    faults
        None where all is well.
    unasked
        Why the probe has nothing to say; empty where it has.
    """

    faults: tuple[Fault, ...] = ()
    unasked: str = ""
