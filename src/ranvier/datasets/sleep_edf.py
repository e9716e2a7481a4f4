"""Sleep-EDF Expanded: whole nights of healthy people, staged by one scorer.

``sleep-cassette/SC4ssNE0-PSG.edf`` (subject ss, night N, about 22 h at home) and
``sleep-telemetry/ST7ssNJ0-PSG.edf`` (in hospital), each with a ``-Hypnogram.edf`` beside it whose
eighth letter is the scorer. A subject's two nights are never in different folds, because they are
of one subject here. Channels at 1 Hz (breathing, temperature, markers) are left out with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ranvier.datasets.description import Archive, DataSet
from ranvier.datasets.layouts import subject_by_name
from ranvier.formats.edf import read_edf
from ranvier.formats.sleep_edf import with_hypnogram_beside
from ranvier.recording import Recording

FOLDERS = (".", "sleep-cassette", "sleep-telemetry")
NO_HYPNOGRAM = "no hypnogram lies beside it"
MISSING = (39, 68, 69, 78, 79)
"""Numbers that no subject of the cassette study has."""
SELECTIONS = {"20": 20, "78": 83}
"""Numbers below which the subjects of the cassette study are, by the name of the selection."""

_NAME = re.compile(r"((?:SC4|ST7)\d\d)\d[A-Z][A-Z0-9]-(?:(PSG)|Hypnogram)\.edf", re.IGNORECASE)


def subjects_of(selection: Literal["20", "78"]) -> tuple[str, ...]:
    """Return the subjects of Sleep-EDF-20 or of Sleep-EDF-78, such as ``"SC400"``.

    Both are of the cassette study, with all nights of each: 39 nights of subjects 00 to 19, or 153
    nights of all 78.

    Raises
    ------
    ValueError
        If there is no such selection.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"Invalid selection: {selection!r}, possible options: {list(SELECTIONS)}")
    numbers = range(SELECTIONS[selection])
    return tuple(f"SC4{number:02}" for number in numbers if number not in MISSING)


def _nights(folder: Path) -> Iterator[Path]:
    for part in FOLDERS:
        yield from sorted(path for path in folder.glob(f"{part}/*") if _is_night(path))


def _is_night(path: Path) -> bool:
    found = _NAME.fullmatch(path.name)
    return found is not None and found[2] is not None


def recognise(folder: Path) -> bool:
    """Return whether a folder has nights by their published names, in it or in its two parts."""
    return any(True for _ in _nights(folder))


def read(folder: Path) -> list[Recording]:
    """Open all nights; cassette before telemetry, each by subject and night."""
    return [_read_night(path) for path in _nights(folder)]


def _read_night(path: Path) -> Recording:
    recording = with_hypnogram_beside(read_edf(path), path)
    return recording if recording.hypnogram else recording.with_note(NO_HYPNOGRAM)


SLEEP_EDF = DataSet(
    name="sleep-edf",
    title="Sleep-EDF Database Expanded 1.0.0",
    task="sleep",
    subjects=100,
    hours=3850.0,
    gigabytes=8.1,
    licence="ODC-By 1.0",
    citation="Kemp et al., IEEE Trans Biomed Eng 47:1185-1194, 2000, doi:10.13026/C2X676",
    page="https://physionet.org/content/sleep-edfx/1.0.0/",
    access="",
    tested="real annotations",
    recognise=recognise,
    read=read,
    archive=Archive("physionet", "sleep-edfx/1.0.0", subject_by_name(_NAME, str.upper)),
)
