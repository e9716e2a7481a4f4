"""UPenn and Mayo Clinic's Seizure Detection Challenge: seconds of EEG from inside the skull.

``Patient_1/Patient_1_ictal_segment_1.mat`` of 8 patients and 4 dogs, Matlab files of version 5:

============  ========================================================================
``data``      (channel, time)
``freq``      sampling rate in Hz
``channels``  a structure with one field for each channel, called by its name
``latency``   in seizures alone: seconds from the onset of the seizure to the clip
============  ========================================================================

``ictal`` clips are seizures from beginning to end, ``interictal`` ones have none, of ``test`` ones
nothing is known. Clips of a seizure follow each other by number: where ``latency`` does not go on
a new seizure begins, and each is a session, ``seizure-1`` and so on. Values are taken as µV. The
electrodes are not those of the 10-20 system, so a montage of the scalp cannot be formed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.datasets.description import DataSet
from ranvier.datasets.layouts import subject_folders
from ranvier.recording import Array, Layout, Recording, Signal
from ranvier.truth import Event, Events

KINDS = ("ictal", "interictal", "test")
FOLDERS = (".", "clips")
NOT_SAID = "it is a test clip, whether it is a seizure is not published"

_SUBJECT = re.compile(r"(Dog|Patient)_\d+")
_CLIP = re.compile(r"((?:Dog|Patient)_\d+)_(ictal|interictal|test)_segment_(\d+)\.mat")


def _subjects(folder: Path) -> list[Path]:
    return subject_folders(folder, _SUBJECT, within=FOLDERS)


def recognise(folder: Path) -> bool:
    """Return whether a folder is a subject with a first clip, or holds one.

    The challenge of the same year on prediction writes ``segment_0001``.
    """
    return any(
        (subject / f"{subject.absolute().name}_{kind}_segment_1.mat").is_file()
        for subject in _subjects(folder)
        for kind in KINDS
    )


def read(folder: Path) -> list[Recording]:
    """Open all clips, by subject, kind and number; each is a recording.

    Raises
    ------
    ValueError
        If there is none, or one cannot be read.
    """
    clips = [one for subject in _subjects(folder) for one in _read_subject(subject)]
    if not clips:
        raise ValueError(
            f"No recordings found in {folder}, expected such as Dog_1/Dog_1_ictal_segment_1.mat"
        )
    return clips


def _read_subject(folder: Path) -> Iterator[Recording]:
    named = [(found, one) for one in folder.iterdir() if (found := _CLIP.fullmatch(one.name))]
    seizure, before = 0, math.inf
    for found, path in sorted(named, key=lambda clip: (KINDS.index(clip[0][2]), int(clip[0][3]))):
        recording, latency = read_clip(path)
        if found[2] == "ictal":
            seizure += not latency > before
            before = latency
            recording = replace(recording, session=f"seizure-{seizure}")
        yield replace(recording, subject=found[1])


def read_file(path: Path) -> Recording | None:
    """Open one clip, which alone does not say of which seizure it is; None for any other file."""
    found = _CLIP.fullmatch(path.name)
    return replace(read_clip(path)[0], subject=found[1]) if found else None


@dataclass(frozen=True)
class Clip:
    """Reader of one clip, which is read anew whenever it is asked for."""

    path: Path

    def __call__(self, first: int, last: int) -> Signal:
        """Return (time, channel)."""
        return np.asarray(_load(self.path, "data")["data"].T[first:last], np.float32)


def read_clip(path: Path) -> tuple[Recording, float]:
    """Open one clip; its signal is read when it is asked for.

    Returns
    -------
    Recording
        Without a subject.
    float
        Seconds from the onset of its seizure to its first sample, NaN where that is not said.

    Raises
    ------
    ValueError
        If it cannot be read, or has no signal or no rate.
    """
    shape = _shapes(path).get("data", ())
    known = _load(path, "freq", "channels", "latency")
    rate, latency = (_number(known.get(name)) for name in ("freq", "latency"))
    if len(shape) != 2 or not rate > 0:
        raise ValueError(
            f"{path} is no clip of the challenge: data of shape {shape} at {rate:g} Hz, must be "
            "(channel, time) at a rate above 0"
        )
    layout = Layout(_names(known.get("channels"), shape[0]), rate)
    recording = Recording(layout, shape[1], Clip(path), path.stem)
    return _annotated(recording, _CLIP.fullmatch(path.name)), latency


def _annotated(recording: Recording, found: re.Match[str] | None) -> Recording:
    if found is None or found[2] == "test":
        return recording.with_note(NOT_SAID)
    whole = (Event(0.0, recording.duration),) if found[2] == "ictal" else ()
    return replace(recording, events=Events(whole, recording.duration))


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    from scipy.io import whosmat

    return {name: shape for name, shape, _ in _opened(whosmat, path)}


def _load(path: Path, *names: str) -> dict[str, Any]:
    from scipy.io import loadmat

    found: dict[str, Any] = _opened(loadmat, path, variable_names=list(names))
    return found


def _opened(function: Any, path: Path, **options: Any) -> Any:
    """Call a function of SciPy, whose errors are of many kinds."""
    try:
        return function(path, **options)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not a Matlab file that can be read: {reason}") from None


def _number(value: Array | None) -> float:
    is_one = value is not None and value.dtype.kind in "iuf" and value.size == 1
    return float(value.item()) if is_one and value is not None else math.nan


def _names(channels: Array | None, count: int) -> tuple[str, ...]:
    """Return the fields of the structure; numbers where they do not fit the signal."""
    named = channels.dtype.names if channels is not None else None
    return tuple(named) if named and len(named) == count else tuple(map(str, range(1, count + 1)))


UPENN_MAYO = DataSet(
    name="upenn-mayo",
    title="UPenn and Mayo Clinic's Seizure Detection Challenge",
    task="seizure",
    subjects=12,
    hours=math.nan,
    gigabytes=math.nan,
    licence="rules of the competition",
    citation="UPenn and Mayo Clinic's Seizure Detection Challenge, Kaggle, 2014; Baldassano et "
    "al., Brain 140:1680, 2017",
    page="https://www.kaggle.com/c/seizure-detection",
    access="Sign in on that page and accept the rules of the competition, then download clips.",
    tested="files made to its description",
    recognise=recognise,
    read=read,
    read_file=read_file,
    options=None,
)
