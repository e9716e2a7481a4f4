"""Reading and writing: one file per format.

A new format is one file here and one line in ``READERS``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ranvier.formats.annotations_apart import with_annotations
from ranvier.formats.array_tables import read_archive, read_arrays, read_epochs
from ranvier.formats.bids import (
    SUFFIXES,
    bids_entities,
    bids_files,
    read_bids,
    read_bids_file,
    write_bids,
)
from ranvier.formats.binned import read_binned, write_binned
from ranvier.formats.edf import read_annotations, read_edf, write_edf
from ranvier.formats.folders import everything_below
from ranvier.formats.hed_score import clip_events, read_events, write_events
from ranvier.formats.hypnogram_tables import read_stages, write_hypnogram
from ranvier.formats.hypnograms import (
    offset_check,
    read_hypnogram,
    save_hypnogram,
    trim_to_lights,
    trim_wake,
)
from ranvier.formats.matlab import read_matlab
from ranvier.formats.nwb import read_nwb, write_nwb
from ranvier.formats.profusion import read_profusion, write_profusion
from ranvier.formats.signal_tables import read_table
from ranvier.formats.sleep_edf import (
    is_hypnogram_file,
    read_sleep_edf,
    with_hypnogram_beside,
    with_stages_of,
    write_sleep_edf,
)
from ranvier.formats.spike_files import read_npz, read_spikes, write_spikes
from ranvier.formats.stage_lists import (
    read_stage_list,
    read_stage_table,
    write_stage_list,
    write_stage_table,
)
from ranvier.formats.tfrecord import read_examples, read_tfrecord
from ranvier.formats.trajectory_tables import write_trajectory
from ranvier.recording import ASSUMED_SUBJECT, COUNT, Recording, Signal, annotations_of, numbered

if TYPE_CHECKING:
    import mne

    Source: TypeAlias = str | os.PathLike[str] | Recording | mne.io.BaseRaw | Sequence["Source"]

__all__ = [
    "READERS",
    "clip_events",
    "files_by_name",
    "find_files",
    "offset_check",
    "read",
    "read_annotations",
    "read_archive",
    "read_arrays",
    "read_bids",
    "read_binned",
    "read_edf",
    "read_epochs",
    "read_events",
    "read_examples",
    "read_hypnogram",
    "read_matlab",
    "read_npz",
    "read_nwb",
    "read_one",
    "read_profusion",
    "read_sleep_edf",
    "read_spikes",
    "read_stage_list",
    "read_stage_table",
    "read_stages",
    "read_table",
    "read_tfrecord",
    "repair_gain",
    "save_hypnogram",
    "trim_to_lights",
    "trim_wake",
    "with_annotations",
    "with_names",
    "write_bids",
    "write_binned",
    "write_edf",
    "write_events",
    "write_hypnogram",
    "write_nwb",
    "write_profusion",
    "write_sleep_edf",
    "write_spikes",
    "write_stage_list",
    "write_stage_table",
    "write_trajectory",
]

READERS: dict[str, Callable[[Path], Recording]] = {
    ".edf": read_edf,
    ".bdf": read_edf,
    ".npz": read_archive,
    ".nwb": read_nwb,
    ".mat": read_matlab,
    ".tfrecord": read_tfrecord,
    ".csv": read_table,
    ".tsv": read_table,
}
"""How a file is opened, by its suffix in small letters."""

IN_FOLDERS = (
    frozenset({".edf", ".bdf", ".npz", ".nwb"}),
    frozenset({".mat", ".tfrecord"}),
    frozenset({".h5"}),
)
"""What counts as a recording in a folder; later ones only where there is none of those before."""

FOLDS = "folds.json"
"""Lies in a folder that ``ranvier evaluate`` has written to."""

SPREAD_IN_VOLTS = 0.01
PLAUSIBLE_SPREAD = (0.1, 10_000.0)


class NothingFoundError(ValueError):
    """A folder has no recordings."""


def read(source: Source, *, subject: str = "") -> list[Recording]:
    """Open recordings; their signals are read when they are asked for.

    Parameters
    ----------
    source
        An EDF or BDF file, binned spikes, spike times or a signal (``.npz``), an NWB or Matlab
        file, a TFRecord of clips, a table (``.csv``, ``.tsv``), a BIDS folder, any other folder
        with such files but tables, an MNE Raw, a ``Recording``, or a sequence of these.
    subject
        Who was recorded, where the source does not say it. Without it, outside BIDS, each of the
        folders that together hold all files counts as a subject, and so does a file beside them; a
        recording has a note of that. Files that are called alike in several folders are told apart
        by their place, as ``P1/eeg`` and ``P2/eeg``.

    Returns
    -------
    list of Recording
        In µV, or counts; each keeps in ``notes`` what was repaired or left out.

    Raises
    ------
    ValueError
        If there is nothing to read or something cannot be read, in one sentence.
    """
    return numbered([repair_gain(recording) for recording in at_least_one(_read(source, subject))])


def at_least_one(recordings: list[Recording]) -> list[Recording]:
    """Refuse nothing at all."""
    if not recordings:
        raise ValueError("Invalid source: no recordings, must be at least one")
    return recordings


def _read(source: Source, subject: str) -> list[Recording]:
    if isinstance(source, Recording):
        return [replace(source, subject=source.subject or subject)]
    if isinstance(source, str | os.PathLike):
        files = find_files(source)
        named = zip(with_names(Path(source), files), _folders(files), strict=True)
        return [_read_file(file, subject, name, folder) for (file, name), folder in named]
    if hasattr(source, "get_data") and hasattr(source, "ch_names"):
        return [with_stages_of(Recording.from_mne(source, subject=subject), annotations_of(source))]
    if isinstance(source, Sequence):
        return [recording for part in source for recording in _read(part, subject)]
    raise ValueError(
        f"Invalid source: {type(source).__name__}, must be a path, a Recording, an MNE Raw or a "
        f"sequence of these"
    )


def find_files(path: str | os.PathLike[str]) -> list[Path]:
    """List the recordings of a folder, sorted by name; a file is the only one of itself.

    Hypnograms that lie beside recordings (``*-Hypnogram.edf``) are none, nor is what lies in a
    folder of results (which has ``folds.json``) below this one.

    Raises
    ------
    NothingFoundError
        If a folder has none.
    ValueError
        If the path is empty.
    """
    path = named_path(path)
    if not path.is_dir():
        return [path]
    below = _without_results(path)
    found = ([file for file in below if _is_recording(file, kinds)] for kinds in IN_FOLDERS)
    files = bids_files(path) or next(filter(None, found), [])
    if not files:
        raise NothingFoundError(
            f"No recordings found in {path}, expected EDF or BDF files, a BIDS folder, .npz, "
            ".nwb, .mat, .tfrecord or .h5 files"
        )
    return files


def named_path(path: str | os.PathLike[str]) -> Path:
    """Return a path, refuse an empty one, which would be the current folder.

    Raises
    ------
    ValueError
        If it is empty.
    """
    if not os.fspath(path):
        raise ValueError("Invalid path: '', must name a file or folder")
    return Path(path)


def _without_results(folder: Path) -> list[Path]:
    below = everything_below(folder)
    results = {one.parent for one in below if one.name == FOLDS} - {folder}
    return [one for one in below if results.isdisjoint(one.parents)]


def _is_recording(path: Path, kinds: frozenset[str]) -> bool:
    known = path.suffix.lower() in kinds and not is_hypnogram_file(path)
    return known and path.is_file()


def read_one(path: str | os.PathLike[str]) -> Recording:
    """Open one file.

    Raises
    ------
    ValueError
        If it cannot be read, or is a folder of several.
    """
    recordings = read(path)
    if len(recordings) != 1:
        raise ValueError(f"Invalid file: {path} holds {len(recordings)} recordings, must be one")
    return recordings[0]


def with_names(root: Path, files: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return files with what they are called: by their place where others are called alike."""
    stems = Counter(file.stem for file in files)
    return [
        (
            file,
            file.stem
            if stems[file.stem] == 1
            else file.relative_to(root).with_suffix("").as_posix(),
        )
        for file in files
    ]


def files_by_name(source: str | os.PathLike[str]) -> dict[str, Path]:
    """Return where the recordings of a file or folder lie, by what they are called.

    Raises
    ------
    ValueError
        If the folder cannot be read.
    """
    try:
        files = find_files(source)
    except NothingFoundError:
        return {}
    named = [(name, file) for file, name in with_names(Path(source), files)]
    return {name.removesuffix("_eeg"): file for name, file in named} | dict(named)


def _folders(files: Sequence[Path]) -> list[str]:
    """Return in which folder each file lies of those that together hold all; none for beside."""
    shared = Path(os.path.commonpath([file.parent for file in files]))
    places = [file.relative_to(shared).parts for file in files]
    return [parts[0] if len(parts) > 1 else "" for parts in places]


def _read_file(path: Path, subject: str, name: str, folder: str) -> Recording:
    reader = READERS.get(path.suffix.lower())
    if not path.exists():
        raise ValueError(f"Cannot read {path}: no such file or folder")
    if reader is None:
        raise ValueError(f"Invalid file: {path}, possible suffixes: {', '.join(READERS)}")
    if not path.is_file():
        raise ValueError(f"Invalid file: {path} is no ordinary file")
    if "sub" in bids_entities(path) and path.suffix.lower() in SUFFIXES:
        recording = read_bids_file(path)
        return recording if recording.hypnogram else with_hypnogram_beside(recording, path)
    recording = with_hypnogram_beside(replace(reader(path), name=name), path)
    if recording.subject or subject:
        return replace(recording, subject=recording.subject or subject)
    return replace(recording, subject=folder or name).with_note(ASSUMED_SUBJECT)


def repair_gain(recording: Recording) -> Recording:
    """Multiply by a million what was stored in volts but labelled as µV.

    That is assumed when the standard deviation within one second, the median over channels and up
    to ten places of the recording, lies below 0.01 µV but is plausible in volts. A repaired
    recording has a note of it; others come back as they are, and counts always do.
    """
    if recording.layout.unit == COUNT:
        return recording
    spread = _typical_spread(recording)
    low, high = PLAUSIBLE_SPREAD
    if not (0 < spread < SPREAD_IN_VOLTS and low <= spread * 1e6 <= high):
        return recording
    note = f"values spread by {spread:.2g} µV only, taken as volts and multiplied by 1000000"
    return replace(recording, reader=partial(_read_volts, recording.reader)).with_note(note)


def _read_volts(reader: Callable[[int, int], Signal], first: int, last: int) -> Signal:
    return reader(first, last) * np.float32(1e6)


def _typical_spread(recording: Recording) -> float:
    if recording.samples == 0:
        return 0.0
    size = max(1, min(recording.samples, round(recording.layout.rate)))
    firsts = np.unique(np.linspace(0, recording.samples - size, 10).astype(int))
    blocks = [recording.reader(first, first + size).astype(float) for first in firsts.tolist()]
    valid = [block[np.isfinite(block).all(axis=1)] for block in blocks]
    spreads = [block.std(axis=0) for block in valid if len(block) > 1]
    return float(np.median(spreads)) if spreads else 0.0
