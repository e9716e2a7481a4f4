"""CHB-MIT: days of scalp EEG of children with seizures, 24 cases of 23 children.

``chb01/chb01_03.edf`` with ``chb01/chb01-summary.txt`` and, where there are seizures,
``chb01_03.edf.seizures``; a folder of one case is such a folder too. Case 21 is the girl of case 1:
subjects are called by their case, and ``splits.person`` knows that two of them are one. Montages
change between files of a case, chb12_27 to chb12_29 are referential, ``T8-P8`` stands twice and
``-`` is no channel: channels are kept as in the file, and ``channels.pick`` makes derivations of
them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from ranvier.datasets.description import Archive, DataSet
from ranvier.datasets.layouts import subject_by_folder, subject_folders
from ranvier.formats.chb_mit_labels import Listed, read_seizure_marks, read_summary
from ranvier.formats.edf import read_edf
from ranvier.recording import Recording
from ranvier.truth import Events

SAME = 1.0
"""Seconds by which two sources may differ."""
DAY = 86_400.0

_CASE = re.compile(r"chb\d\d")
_FILE = re.compile(r"chb\d\d[a-z]?_\d+\+?\.edf")


def _summary(case: Path) -> Path:
    return case / f"{case.absolute().name}-summary.txt"


def recognise(folder: Path) -> bool:
    """Return whether a folder is a case with its summary, or holds one."""
    return any(_summary(case).is_file() for case in subject_folders(folder, _CASE))


def read(folder: Path) -> list[Recording]:
    """Open all files, by case and name.

    Raises
    ------
    ValueError
        If there is none, or a file or a summary cannot be read.
    """
    recordings = [one for case in subject_folders(folder, _CASE) for one in _read_case(case)]
    if not recordings:
        raise ValueError(f"No recordings found in {folder}, expected such as chb01/chb01_01.edf")
    return recordings


def _read_case(case: Path) -> list[Recording]:
    files = sorted(path for path in case.iterdir() if _FILE.fullmatch(path.name))
    summary = read_summary(_summary(case)) if files and _summary(case).is_file() else None
    return [_read_file(path, case.absolute().name, summary) for path in files]


def read_file(path: Path) -> Recording | None:
    """Open one file of a case with its summary; None for any other file."""
    case = path.absolute().parent
    if not _FILE.fullmatch(path.name) or not _summary(case).is_file():
        return None
    return _read_file(path, case.name, read_summary(_summary(case)))


def _read_file(path: Path, subject: str, summary: dict[str, Listed] | None) -> Recording:
    listed = summary.get(path.name) if summary else None
    events, notes = _events(path, listed, in_summary=summary is not None)
    recording = read_edf(path, subject=subject, events=events)
    for note in [*notes, *_clock(recording, listed)]:
        recording = recording.with_note(note)
    return recording


def _events(
    path: Path, listed: Listed | None, *, in_summary: bool
) -> tuple[Events | None, list[str]]:
    """Take the seizures from the summary; from the marks beside the file where it is not there."""
    marks = path.with_name(f"{path.name}.seizures")
    marked = read_seizure_marks(marks) if marks.is_file() else None
    if listed is None:
        if marked is None and not in_summary:
            return None, ["neither a summary nor marks of seizures lie beside it"]
        said = "the summary does not name it, so it has no seizure but those marked beside it"
        return Events.from_intervals(marked or (), math.nan), [said] if in_summary else []
    notes = []
    if listed.announced not in {None, len(listed.seizures)}:
        notes.append(
            f"the summary announces {listed.announced} seizures and lists {len(listed.seizures)}"
        )
    if marked is not None and not _alike(listed.seizures, marked):
        notes.append(f"the summary is used, {marks.name} has other seizures: {_times(marked)}")
    return Events.from_intervals(listed.seizures, math.nan), notes


def _alike(ones: tuple[tuple[float, float], ...], others: tuple[tuple[float, float], ...]) -> bool:
    pairs = zip(sorted(ones), sorted(others), strict=False)
    close = all(abs(a - b) <= SAME for one, other in pairs for a, b in zip(one, other, strict=True))
    return len(ones) == len(others) and close


def _times(intervals: tuple[tuple[float, float], ...]) -> str:
    return ", ".join(f"{onset:g}-{end:g} s" for onset, end in intervals)


def _clock(recording: Recording, listed: Listed | None) -> list[str]:
    """Say where header and summary differ in the time of day."""
    if listed is None or listed.clock is None or recording.start is None:
        return []
    at = recording.start
    late = (at.hour * 3600 + at.minute * 60 + at.second - listed.clock + DAY / 2) % DAY - DAY / 2
    if abs(late) <= SAME:
        return []
    return [f"the header begins {late:+g} s from the summary's time of day, and is used"]


CHB_MIT = DataSet(
    name="chb-mit",
    title="CHB-MIT Scalp EEG Database 1.0.0",
    task="seizure",
    subjects=23,
    hours=982.0,
    gigabytes=42.6,
    licence="ODC-By 1.0",
    citation="Guttag, CHB-MIT Scalp EEG Database 1.0.0, PhysioNet, 2010, doi:10.13026/C2K01R; "
    "Shoeb, PhD thesis, Massachusetts Institute of Technology, 2009",
    page="https://physionet.org/content/chbmit/1.0.0/",
    access="",
    tested="real annotations",
    recognise=recognise,
    read=read,
    archive=Archive("physionet", "chbmit/1.0.0", subject_by_folder(_CASE)),
    read_file=read_file,
)
