"""TUH EEG Seizure Corpus: clinical EEG with the type and channels of each seizure.

====  ===================================================================================
2.x   ``edf/train/aaaaaaac/s001_2002/01_tcp_ar/aaaaaaac_s001_t000.edf``
1.x   ``edf/train/01_tcp_ar/002/00000258/s002_2003_07_21/00000258_s002_t000.edf``
====  ===================================================================================

The folder of the corpus is read, ``edf`` in it, or one official part: ``train``, ``dev``
(``dev_test`` in older releases) or ``eval``, so that one can be trained on and another one tested.
Each recording says its part (``official_parts``). Subjects are patients; parts of 2.x share none.
Leads are against the average (``01_tcp_ar``, ``03_tcp_ar_a``: ``EEG FP1-REF``) or
linked ears (``02_tcp_le``: ``EEG FP1-LE``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ranvier.datasets.description import DataSet
from ranvier.datasets.official_parts import with_official_part
from ranvier.formats.edf import read_edf
from ranvier.formats.tusz_labels import labels_beside
from ranvier.recording import Recording

PARTS = {"train": "train", "dev": "dev", "dev_test": "dev", "eval": "eval"}
"""Official part for each name of its folder, in the order in which they are read."""

_MONTAGE = re.compile(r"0[1-4]_tcp_\w+")
_SESSION = re.compile(r"s\d{3}_\d{4}.*")
_OLD_PATIENT = re.compile(r"\d{8}")
_PATIENT = re.compile(r"[a-z]{8}")
_FILE = re.compile(r"([a-z]{8}|\d{8})_s\d{3}_t\d{3}\.edf")


def _parts(folder: Path) -> list[tuple[str, Path]]:
    """Return name and folder of each official part that is there."""
    if folder.absolute().name in PARTS:
        return [(PARTS[folder.absolute().name], folder)]
    place = folder / "edf" if (folder / "edf").is_dir() else folder
    named = ((part, place / name) for name, part in PARTS.items())
    return [(part, path) for part, path in named if path.is_dir()]


def recognise(folder: Path) -> bool:
    """Return whether a folder has a part with patients, or with montages, as the corpus has."""
    return any(_is_part(path) for _, path in _parts(folder))


def _is_part(folder: Path) -> bool:
    names = [one for one in folder.iterdir() if one.is_dir()]
    old = (one for one in names if _MONTAGE.fullmatch(one.name))
    new = (one for one in names if _PATIENT.fullmatch(one.name))
    return any(_has(one, "*/*", _OLD_PATIENT) for one in old) or any(
        _has(one, "*", _SESSION) for one in new
    )


def _has(folder: Path, pattern: str, name: re.Pattern[str]) -> bool:
    return any(name.fullmatch(one.name) for one in folder.glob(pattern))


def read(folder: Path) -> list[Recording]:
    """Open all files, by part, patient, session and file.

    Raises
    ------
    ValueError
        If there is none, or a file or its labels cannot be read.
    """
    found = [(path, part) for part, place in _parts(folder) for path in _files(place)]
    if not found:
        raise ValueError(
            f"No recordings found in {folder}, expected such as "
            "train/aaaaaaac/s001_2002/01_tcp_ar/aaaaaaac_s001_t000.edf"
        )
    return [_read_file(path, part) for path, part in found]


def read_file(path: Path) -> Recording | None:
    """Open one file of an official part with its labels; None for any other file."""
    folders = [folder.name for folder in path.absolute().parents]
    part = next((PARTS[name] for name in folders if name in PARTS), "")
    if not part or not _FILE.fullmatch(path.name) or not any(map(_MONTAGE.fullmatch, folders)):
        return None
    return _read_file(path, part)


def _files(part: Path) -> Iterator[Path]:
    """Yield each file once: two sessions of early releases also lie in the older montage."""
    once = {path.name: path for path in sorted(part.rglob("*.edf")) if _FILE.fullmatch(path.name)}
    yield from (once[name] for name in sorted(once))


def _read_file(path: Path, part: str) -> Recording:
    events, notes = labels_beside(path)
    recording = read_edf(
        path, subject=path.name.partition("_")[0], session=_session(path), events=events
    )
    noted = replace(recording, notes=(*recording.notes, *notes))
    return with_official_part(noted, part)


def _session(path: Path) -> str:
    folders = (folder.name for folder in path.parents)
    return next((name for name in folders if _SESSION.fullmatch(name)), "")


TUSZ = DataSet(
    name="tusz",
    title="TUH EEG Seizure Corpus 2.0.3",
    task="seizure",
    subjects=675,
    hours=1476.0,
    gigabytes=math.nan,
    licence="agreement with Temple University",
    citation="Shah et al., Front Neuroinform 12:83, 2018, doi:10.3389/fninf.2018.00083",
    page="https://isip.piconepress.com/projects/nedc/html/tuh_eeg/",
    access="Ask Temple University for access with their form; it is free, and files come by rsync.",
    tested="files made to its description",
    recognise=recognise,
    read=read,
    read_file=read_file,
    options=("--protocol", "official"),
)
