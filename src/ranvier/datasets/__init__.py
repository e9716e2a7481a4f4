"""The data sets: one file each, which knows its layout, its subjects, its licence and its source.

A new data set is one file here and one line in ``DATASETS``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.datasets.description import DataSet
from ranvier.formats import at_least_one, named_path, repair_gain
from ranvier.formats import read as read_files
from ranvier.formats import read_one as read_any_one
from ranvier.recording import Recording, numbered
from ranvier.signal_store import is_store, read_store

if TYPE_CHECKING:
    from ranvier.formats import Source

DATASETS: dict[str, str] = {
    "chb-mit": "ranvier.datasets.chb_mit:CHB_MIT",
    "siena": "ranvier.datasets.siena:SIENA",
    "tusz": "ranvier.datasets.tusz:TUSZ",
    "seizeit1": "ranvier.datasets.seizeit1:SEIZEIT1",
    "upenn-mayo": "ranvier.datasets.upenn_mayo:UPENN_MAYO",
    "sleep-edf": "ranvier.datasets.sleep_edf:SLEEP_EDF",
    "shhs": "ranvier.datasets.shhs:SHHS",
    "nsrr": "ranvier.datasets.shhs:NSRR",
    "dod": "ranvier.datasets.dod:DOD",
    "attn-sleep-npz": "ranvier.datasets.attn_sleep_npz:ATTN_SLEEP_NPZ",
    "indy-loco": "ranvier.datasets.indy_loco:INDY_LOCO",
}
"""Where each is described, in the order in which a folder is compared with them."""


def data_set(name: str) -> DataSet:
    """Return the description of a data set.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in DATASETS:
        raise ValueError(f"Invalid data set: {name!r}, possible options: {list(DATASETS)}")
    module, _, described = DATASETS[name].partition(":")
    found: DataSet = getattr(import_module(module), described)
    return found


def recognise(folder: str | os.PathLike[str]) -> DataSet | None:
    """Return the data set whose published layout a folder has, or None."""
    path = Path(folder)
    if not path.is_dir():
        return None
    return next((one for one in map(data_set, DATASETS) if one.recognise(path)), None)


def read_file(path: str | os.PathLike[str]) -> Recording | None:
    """Open one file of a data set, with what its layout says of it beside the file itself.

    Returns
    -------
    Recording or None
        None for a file that is of no data set by its name and place.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    path = Path(path)
    readers = (one.read_file for one in map(data_set, DATASETS) if one.read_file)
    opened = (reader(path) for reader in readers) if path.is_file() else ()
    return next((repair_gain(one) for one in opened if one is not None), None)


def read_one(source: Source) -> Recording:
    """Open one file, of a data set or not, or an MNE Raw.

    Raises
    ------
    ValueError
        If it cannot be read, or is several.
    """
    if isinstance(source, str | os.PathLike):
        return read_file(source) or read_any_one(source)
    recordings = opened(source)
    if len(recordings) != 1:
        raise ValueError(f"Invalid recording: {len(recordings)} recordings, must be one")
    return recordings[0]


def opened(source: Source) -> list[Recording]:
    """Return recordings as they are, and read what is none yet.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    given = source if isinstance(source, list | tuple) else [source]
    found = [one for one in given if isinstance(one, Recording)]
    return found if len(found) == len(given) else read(source)


def read(source: Source, *, subject: str = "") -> list[Recording]:
    """Open recordings; their signals are read when they are asked for.

    Parameters
    ----------
    source
        A store, a data set in its published layout or a file of it, any file, a BIDS folder, any
        other folder with recordings, an MNE Raw, a ``Recording``, or a sequence of these.
    subject
        Who was recorded, where the source does not say it. Without it, a file outside BIDS counts
        as a subject of its own, and its recording has a note of that.

    Returns
    -------
    list of Recording
        In µV, or counts; each keeps in ``notes`` what was repaired or left out.

    Raises
    ------
    ValueError
        If there is nothing to read or something cannot be read, in one sentence.
    """
    return numbered(at_least_one(_read(source, subject)))


def _read(source: Source, subject: str) -> list[Recording]:
    if isinstance(source, list | tuple):
        return [recording for part in source for recording in _read(part, subject)]
    if not isinstance(source, str | os.PathLike):
        return read_files(source, subject=subject)
    if is_store(source := named_path(source)):
        return [replace(one, subject=one.subject or subject) for one in read_store(source)]
    if known := recognise(source):
        recordings = [repair_gain(one) for one in known.read(source)]
    elif one := read_file(source):
        recordings = [one]
    else:
        return read_files(source, subject=subject)
    return [replace(one, subject=one.subject or subject) for one in recordings]
