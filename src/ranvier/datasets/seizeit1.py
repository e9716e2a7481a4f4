"""SeizeIT1: days of scalp and behind-the-ear EEG of 42 adults before surgery, 250 Hz.

``P_ID10/P_ID10_r5.edf`` with ``P_ID10_r5_a1.tsv``: lines of onset, end, type and comment between
tabs, below comments (``#``). Twelve seizures have ``None`` for their end, and are taken as 30 s
long, as SzCORE does. Only where there is no ``_a1.tsv`` is ``_a2.tsv`` read.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from ranvier.datasets.description import DataSet
from ranvier.datasets.layouts import subject_folders
from ranvier.formats.edf import read_edf
from ranvier.recording import Recording
from ranvier.truth import SEIZURE, Event, Events

FOLDERS = (".", "Data")
TABLES = ("_a1.tsv", "_a2.tsv")
"""Behind the name of a file, the one that is read first."""
WITHOUT_END = 30.0
"""Seconds that a seizure without an end is taken to last."""
TYPES = {
    "FIA": "sz_foc_ia", "FIAS": "sz_foc_ia", "FA": "sz_foc_a", "FAS": "sz_foc_a",
    "F-BTC": "sz_foc_f2b", "FBTC": "sz_foc_f2b",
}  # fmt: skip
"""Code of HED-SCORE for each type; others are plain seizures."""

_PATIENT = re.compile(r"P_ID\d+")
_FILE = re.compile(r"(P_ID\d+)_r(\d+)\.edf")


def _patients(folder: Path) -> list[Path]:
    return subject_folders(folder, _PATIENT, within=FOLDERS)


def _files(patient: Path) -> list[Path]:
    named = [(found, one) for one in patient.iterdir() if (found := _FILE.fullmatch(one.name))]
    return [path for _, path in sorted(named, key=lambda pair: int(pair[0][2]))]


def recognise(folder: Path) -> bool:
    """Return whether a folder is a patient with recordings by their names, or holds one."""
    return any(_files(patient) for patient in _patients(folder))


def read(folder: Path) -> list[Recording]:
    """Open all files, by patient and number.

    Raises
    ------
    ValueError
        If there is none, or a file or its table cannot be read.
    """
    files = [path for patient in _patients(folder) for path in _files(patient)]
    if not files:
        raise ValueError(f"No recordings found in {folder}, expected such as P_ID10/P_ID10_r1.edf")
    return [_read_file(path) for path in files]


def read_file(path: Path) -> Recording | None:
    """Open one file with its table of seizures; None for any other file."""
    return _read_file(path) if _FILE.fullmatch(path.name) else None


def _read_file(path: Path) -> Recording:
    subject = path.name.rpartition("_")[0]
    tables = (path.with_name(path.stem + ending) for ending in TABLES)
    table = next((one for one in tables if one.is_file()), None)
    if table is None:
        return read_edf(path, subject=subject).with_note("no table of seizures lies beside it")
    events, notes = read_table(table)
    recording = read_edf(path, subject=subject, events=events)
    if not table.name.endswith(TABLES[0]):
        notes.append(f"seizures are from *{TABLES[1]}, there is no *{TABLES[0]}")
    for note in notes:
        recording = recording.with_note(note)
    return recording


def read_table(path: Path) -> tuple[Events, list[str]]:
    """Read a table of seizures.

    Returns
    -------
    Events
        Their duration is NaN: the table does not say it.
    list of str
        What was assumed, one sentence each.

    Raises
    ------
    ValueError
        If it cannot be read, or a line makes no sense.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    items, without_end = [], 0
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            event = _event(line, f"{path}, line {number}")
            without_end += math.isnan(event.duration)
            items.append(event)
    ended = tuple(_ended(event) for event in items)
    said = f"seizures without an end, taken as {WITHOUT_END:g} s long: {without_end}"
    return Events(ended, math.nan), [said] if without_end else []


def _event(line: str, where: str) -> Event:
    onset, end, kind, *_ = [cell.strip() for cell in line.split("\t")] + [""] * 3
    try:
        begins = float(onset)
        ends = math.nan if end.lower() in {"none", "nan", ""} else float(end)
    except ValueError:
        begins, ends = math.nan, math.nan
    if not 0 <= begins < math.inf or ends < begins:
        raise ValueError(f"{where}: {line.strip()[:60]!r}, must be an onset, an end and a type")
    return Event(begins, ends - begins, TYPES.get(kind.upper(), SEIZURE))


def _ended(event: Event) -> Event:
    lasts = WITHOUT_END if math.isnan(event.duration) else event.duration
    return Event(event.onset, lasts, event.label)


SEIZEIT1 = DataSet(
    name="seizeit1",
    title="SeizeIT1",
    task="seizure",
    subjects=42,
    hours=4211.0,
    gigabytes=math.nan,
    licence="custom licence of KU Leuven",
    citation="Vandecasteele et al., Epilepsia 61:766, 2020; doi:10.48804/P5Q0OJ",
    page="https://rdr.kuleuven.be/dataset.xhtml?persistentId=doi:10.48804/P5Q0OJ",
    access="Ask KU Leuven for access on that page; it asks for an agreement on sharing data.",
    tested="files made to its description",
    recognise=recognise,
    read=read,
    read_file=read_file,
)
