"""Siena Scalp EEG Database: scalp EEG of 14 adults with focal seizures, 512 Hz.

``PN00/PN00-1.edf`` with ``PN00/Seizures-list-PN00.txt``, whose times are clock times written by
hand (``formats.siena_lists`` tells how), and ``subject_info.csv``, which has the type of each
patient's seizures. Clocks are counted from the start that the header of the file gives.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ranvier.datasets.description import Archive, DataSet
from ranvier.datasets.layouts import subject_by_folder, subject_folders
from ranvier.formats.edf import read_edf
from ranvier.formats.hed_score import clip_events
from ranvier.formats.siena_lists import DAY, ListedSeizure, match_file, read_siena_list
from ranvier.recording import Recording
from ranvier.truth import SEIZURE, Event, Events

TYPES = {"IAS": "sz_foc_ia", "WIAS": "sz_foc_a", "FBTC": "sz_foc_f2b"}
"""Code of HED-SCORE for each type: focal with impaired awareness, aware, to bilateral
tonic-clonic."""
SAME = 1.0
"""Seconds by which list and header may differ."""
TABLE = "subject_info.csv"

_PATIENT = re.compile(r"PN\d\d")


def _list(patient: Path) -> Path:
    return patient / f"Seizures-list-{patient.absolute().name}.txt"


def recognise(folder: Path) -> bool:
    """Return whether a folder is a patient with a list of seizures, or holds one."""
    return any(_list(patient).is_file() for patient in subject_folders(folder, _PATIENT))


def read(folder: Path) -> list[Recording]:
    """Open all files, by patient and name.

    Raises
    ------
    ValueError
        If there is none, or a file or a list cannot be read.
    """
    patients = subject_folders(folder, _PATIENT)
    recordings = [one for patient in patients for one in _read_patient(patient)]
    if not recordings:
        raise ValueError(f"No recordings found in {folder}, expected such as PN00/PN00-1.edf")
    return recordings


def read_file(path: Path) -> Recording | None:
    """Open one file of a patient with the list of seizures; None for any other file."""
    patient = path.absolute().parent
    if not _PATIENT.fullmatch(patient.name) or not _list(patient).is_file():
        return None
    return next((one for one in _read_patient(patient) if one.name == path.stem), None)


def _read_patient(patient: Path) -> list[Recording]:
    name = patient.absolute().name
    files = sorted(one for one in patient.iterdir() if one.suffix.lower() == ".edf")
    if not files or not _list(patient).is_file():
        said = "no list of seizures lies beside it"
        return [read_edf(path, subject=name).with_note(said) for path in files]
    listed = read_siena_list(_list(patient))
    meant = [match_file(one.file, [path.name for path in files]) for one in listed]
    label = _seizure_type(patient.absolute().parent / TABLE, name)
    pairs = list(zip(listed, meant, strict=True))
    strangers = sorted({one.file for one, file in pairs if file is None})
    opened = []
    for path in files:
        recording, own = read_edf(path, subject=name), [one for one, f in pairs if f == path.name]
        doubtful = strangers and not own
        opened.append(
            recording.with_note(f"the list does not name it, but {', '.join(strangers)}")
            if doubtful
            else _annotated(recording, own, label)
        )
    return opened


def _seizure_type(table: Path, patient: str) -> str:
    """Return the code of a patient's seizures; plain ``sz`` where the table does not say it."""
    try:
        lines = table.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return SEIZURE
    rows = list(csv.reader(lines, skipinitialspace=True))
    names = [name.strip() for name in rows[0]] if rows else []
    if not {"patient_id", "seizure"} <= {*names}:
        return SEIZURE
    known = {row[names.index("patient_id")]: row[names.index("seizure")] for row in rows if row}
    return TYPES.get(known.get(patient, "").strip(), SEIZURE)


def _annotated(recording: Recording, listed: Sequence[ListedSeizure], label: str) -> Recording:
    """Put the seizures of a list, which are clock times, on the recording's own time."""
    start = _second_of_day(recording.start)
    notes = [] if listed else ["the list does not name it, so it has no seizure"]
    items = []
    for one in listed:
        begin = one.registered if start is None else start
        if begin is None:
            raise ValueError(
                f"Cannot place the seizures of {recording.name}: neither its header nor the list "
                "says when it begins"
            )
        onset, end, is_corrected = one.seconds(begin)
        items.append(Event(onset, end - onset, label))
        if is_corrected:
            notes.append(f"the end of a seizure is hours too late in the list, taken as {end:g} s")
        notes += _clock(one, begin)
    events, cut = clip_events(Events(tuple(items), math.nan), recording.duration)
    notes = [*recording.notes, *dict.fromkeys(notes), *cut]
    return replace(recording, events=events, notes=tuple(notes))


def _second_of_day(start: datetime | None) -> float | None:
    return None if start is None else start.hour * 3600.0 + start.minute * 60 + start.second


def _clock(listed: ListedSeizure, begin: float) -> list[str]:
    """Say where header and list differ in when the recording begins."""
    if listed.registered is None:
        return []
    late = (begin - listed.registered + DAY / 2) % DAY - DAY / 2
    if abs(late) <= SAME:
        return []
    return [f"the header begins {late:+g} s from the list's registration, and is used"]


SIENA = DataSet(
    name="siena",
    title="Siena Scalp EEG Database 1.0.0",
    task="seizure",
    subjects=14,
    hours=128.0,
    gigabytes=20.3,
    licence="CC BY 4.0",
    citation="Detti et al., Processes 8:846, 2020, doi:10.3390/pr8070846; Detti, Siena Scalp EEG "
    "Database 1.0.0, PhysioNet, 2020, doi:10.13026/5d4a-j060",
    page="https://physionet.org/content/siena-scalp-eeg/1.0.0/",
    access="",
    tested="real annotations",
    recognise=recognise,
    read=read,
    archive=Archive("physionet", "siena-scalp-eeg/1.0.0", subject_by_folder(_PATIENT)),
    read_file=read_file,
)
