"""Arrays of others in NumPy's ``.npz``: one signal, or epochs of sleep.

==========================  ===================================================================
``signal``                  (time, channel); or ``data``, ``eeg``, ``x``; or any single one
``rate``                    in Hz; or ``fs``, ``sfreq``, ``srate``, ``sampling_rate``
``channels``                a name for each channel; or ``ch_names``, ``labels``
``unit``                    V, mV, µV or nV; µV with a note unless told
``seizures``                (seizure, 2), onset and end in seconds; none of them is (0, 2)
``stages``                  (epoch,) of ``W``, ``N1``, ``N2``, ``N3``, ``REM`` or ``?``
``epoch_s``, ``first_s``    length of an epoch and begin of the first; 30 and 0 unless told
``subject``, ``session``    who was recorded, and when
``start``                   date and time of the first sample
==========================  ===================================================================

The first two must be there. An archive with epochs instead, as AttnSleep and DeepSleepNet prepare
them, has ``x`` (epoch, sample, channel), ``y`` from 0 to 4 for the stages of ``SLEEP_STAGES``, and
``fs``. Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.lib.format as npy

from ranvier.formats.archives import (
    BROKEN,
    Stored,
    date,
    load_archive,
    number,
    old_headers_allowed,
    text,
    why,
)
from ranvier.formats.hdf5 import in_microvolts
from ranvier.formats.hypnogram_tables import clip_hypnogram
from ranvier.formats.named_arrays import (
    CHANNELS,
    RATES,
    UNITS,
    Choice,
    Contents,
    Wish,
    choose_signal,
    one_number,
    plain,
)
from ranvier.formats.spike_files import read_npz
from ranvier.formats.stage_grid import NUMBERS, USUAL_EPOCH, checked_epoch, naming, parse_stage
from ranvier.recording import Array, Layout, Recording, Signal
from ranvier.truth import Events, Hypnogram

WHAT = "arrays"
EPOCHS = ("x", "y", "fs")
"""Names of an archive of epochs."""
GLUED = "epochs that were not scored were cut out before, so neighbours need not be neighbours"
TRUTHS = ("seizures", "stages", "epoch_s", "first_s", "subject", "session", "start")


def read_archive(path: str | os.PathLike[str]) -> Recording:
    """Open a ``.npz`` of spike times, of binned spikes, of a signal or of epochs.

    Raises
    ------
    ValueError
        If it is none of these, or cannot be read.
    """
    path = Path(path)
    names = set(load_archive(path, None, "binned spikes"))
    told = {"counts", "firing_rates", "bin_s", "spike_times", "spike_units"} & names
    if told:
        return read_npz(path)
    return read_epochs(path) if names >= set(EPOCHS) else read_arrays(path)


def read_arrays(
    path: str | os.PathLike[str],
    *,
    signal: str = "",
    rate: float | None = None,
    channels: Sequence[str] = (),
    unit: str = "",
) -> Recording:
    """Open a ``.npz`` with one signal.

    Parameters
    ----------
    path
        With the names that the module's docstring lists.
    signal, rate, channels, unit
        What is not in the file, or not clear; see ``read_matlab``.

    Raises
    ------
    ValueError
        If the file cannot be read, the signal or its rate is not clear, or an array makes no
        sense.
    """
    path = Path(path)
    heads = _heads(path)
    known = [name for name in heads if plain(name) in (*RATES, *CHANNELS, *UNITS)]
    stored = load_archive(path, (*known, *TRUTHS), WHAT)
    with naming(str(path)):
        chosen = choose_signal(_contents(heads, stored), Wish(signal, rate, tuple(channels), unit))
        return _recording(path, chosen, stored)


def _heads(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of each array without reading it."""
    load_archive(path, None, WHAT)
    found = {}
    try:
        with old_headers_allowed(), zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    major, _ = npy.read_magic(member)
                    read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
                    shape, _, kind = read(member)
                found[name.removesuffix(".npy")] = (shape, kind)
    except BROKEN as error:
        raise ValueError(f"{path} is not a file of {WHAT}: {why(error)}") from None
    return found


def _contents(heads: Mapping[str, tuple[tuple[int, ...], np.dtype]], stored: Stored) -> Contents:
    numbers = {name: one_number(value) for name, value in stored.items()}
    shapes = {name: shape for name, (shape, kind) in heads.items() if kind.kind in "iuf"}
    return Contents(
        {name: shape for name, shape in shapes.items() if name not in TRUTHS},
        {name: value for name, value in numbers.items() if value is not None},
        {
            name: tuple(str(one) for one in value.ravel())
            for name, value in stored.items()
            if value.dtype.kind == "U"
        },
    )


def _recording(path: Path, chosen: Choice, stored: Stored) -> Recording:
    duration = chosen.samples / chosen.layout.rate
    hypnogram, notes = _hypnogram(stored, duration)
    return Recording(
        chosen.layout,
        chosen.samples,
        StoredArray(path, chosen.name, chosen.time_axis, chosen.factor),
        path.stem,
        text(stored, "subject"),
        text(stored, "session"),
        date(stored),
        _seizures(stored, duration),
        hypnogram,
        notes=(*chosen.notes, *notes),
    )


def _seizures(stored: Stored, duration: float) -> Events | None:
    if "seizures" not in stored:
        return None
    spans = stored["seizures"]
    shaped = spans.dtype.kind in "iuf" and spans.ndim == 2 and spans.shape[1] == 2
    if not shaped or not ((spans[:, 0] >= 0) & (spans[:, 0] < spans[:, 1])).all():
        raise ValueError(
            f"invalid seizures: {spans.dtype} of shape {spans.shape}, must be onset and end in "
            f"seconds, (seizure, 2)"
        )
    return Events.from_intervals(spans.tolist(), duration).until(duration)


def _hypnogram(stored: Stored, duration: float) -> tuple[Hypnogram | None, list[str]]:
    if "stages" not in stored:
        return None, []
    labels = tuple(parse_stage(str(one)) for one in stored["stages"].ravel())
    epoch = number(stored, "epoch_s")
    epoch, first = checked_epoch(USUAL_EPOCH if epoch is None else epoch), number(stored, "first_s")
    begin = first or 0.0
    return clip_hypnogram(Hypnogram(labels, begin + len(labels) * epoch, epoch, begin), duration)


@dataclass(frozen=True)
class StoredArray:
    """Reader of an array of an archive, which is kept in memory while it is in use.

    Parameters
    ----------
    path, name
        The archive and the array.
    time_axis
        Which of its two axes is time; -1 for (epoch, sample, channel).
    factor
        What turns values into µV.
    """

    path: Path
    name: str
    time_axis: int
    factor: float

    def __call__(self, first: int, last: int) -> Signal:
        """Return (time, channels)."""
        about = self.path.stat()
        values = _loaded(str(self.path), self.name, (about.st_mtime_ns, about.st_size))
        if self.time_axis < 0:
            values = values.reshape(values.shape[0] * values.shape[1], -1)
        along = values.T if self.time_axis == 1 else values
        return in_microvolts(along[first:last], self.factor)


@lru_cache(maxsize=2)
def _loaded(path: str, name: str, stamp: tuple[int, int]) -> Array:  # noqa: ARG001
    return load_archive(Path(path), (name,), WHAT)[name]


def read_epochs(path: str | os.PathLike[str]) -> Recording:
    """Open an archive of epochs of 30 s, as AttnSleep prepares them.

    Parameters
    ----------
    path
        A ``.npz`` with ``x`` (epoch, sample) or (epoch, sample, channel) in µV, ``y`` (epoch,)
        from 0 to 4, ``fs`` in Hz, and perhaps ``ch_label``.

    Returns
    -------
    Recording
        The epochs one after the other, with a note that some may have been cut out between them.

    Raises
    ------
    ValueError
        If it cannot be read, lacks an array, or they do not belong together.
    """
    path = Path(path)
    shape, kind = _heads(path).get("x", ((), np.dtype("U1")))
    stored = load_archive(path, ("y", "fs", "ch_label"), WHAT)
    with naming(str(path)):
        rate, stages = _epoch_truth(stored, shape, kind)
        label = text(stored, "ch_label")
        count = shape[2] if len(shape) == 3 else 1
        channels = (label or "EEG",) if count == 1 else tuple(f"{n + 1}" for n in range(count))
        layout = Layout(channels, rate)
    notes = (GLUED,) if label else (GLUED, "the name of the channel is not known")
    return Recording(
        layout,
        shape[0] * shape[1],
        StoredArray(path, "x", -1, 1.0),
        path.stem,
        hypnogram=Hypnogram(stages, len(stages) * USUAL_EPOCH),
        notes=notes,
    )


def _epoch_truth(
    stored: Stored, shape: tuple[int, ...], kind: np.dtype
) -> tuple[float, tuple[str, ...]]:
    rate, stages = number(stored, "fs"), stored.get("y", np.zeros(0))
    samples = 0 if rate is None else round(rate * USUAL_EPOCH)
    if len(shape) not in (2, 3) or kind.kind not in "iuf" or not samples or shape[1] != samples:
        raise ValueError(
            f"invalid x: {kind} of shape {shape}, must be numbers (epoch, {samples or '30 s'}, "
            f"channel) at an fs of {rate} Hz"
        )
    known = NUMBERS["rem4"]
    if stages.shape != shape[:1] or stages.dtype.kind not in "iu" or not set(stages) <= set(known):
        raise ValueError(
            f"invalid y: {stages.dtype} of shape {stages.shape}, must be {shape[0]} whole numbers "
            f"of {', '.join(map(str, known))}"
        )
    return rate or 0.0, tuple(known[int(one)] for one in stages)
