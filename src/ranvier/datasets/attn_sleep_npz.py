"""Nights as AttnSleep, DeepSleepNet and TinySleepNet prepare them: one ``.npz`` of epochs each.

Called ``SC4001E0.npz`` after Sleep-EDF or ``shhs1-200010.npz`` after SHHS. Wake beyond 30 minutes
around sleep was cut off, and in Sleep-EDF all that was not scored was cut out of the night.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ranvier.datasets.description import DataSet
from ranvier.formats.array_tables import read_epochs
from ranvier.recording import Recording

_SLEEP_EDF = re.compile(r"((?:SC4|ST7)\d\d)(\d)[A-Z][A-Z0-9]", re.IGNORECASE)
_SHHS = re.compile(r"(shhs[12])-(\d+)", re.IGNORECASE)


def _nights(folder: Path) -> Iterator[Path]:
    yield from sorted(one for one in folder.glob("*.npz") if any(_who(one.stem)))


def _who(stem: str) -> tuple[str, str]:
    """Return subject and session by the name of a night."""
    if found := _SLEEP_EDF.fullmatch(stem):
        return found[1].upper(), found[2]
    found = _SHHS.fullmatch(stem)
    return (found[2], found[1].lower()) if found else ("", "")


def recognise(folder: Path) -> bool:
    """Return whether a folder has prepared nights by their published names."""
    return any(True for _ in _nights(folder))


def read(folder: Path) -> list[Recording]:
    """Open all nights, by name."""
    return [read_night(path) for path in _nights(folder)]


def read_night(path: Path) -> Recording:
    """Open one night; its epochs are read when they are asked for.

    Raises
    ------
    ValueError
        If it cannot be read or has no epochs of 30 s with stages from 0 to 4.
    """
    subject, session = _who(path.stem)
    return replace(read_epochs(path), subject=subject, session=session)


ATTN_SLEEP_NPZ = DataSet(
    name="attn-sleep-npz",
    title="Sleep-EDF or SHHS as AttnSleep prepares it",
    task="sleep",
    subjects=78,
    hours=1600.0,
    gigabytes=2.3,
    licence="that of the recordings it was prepared from",
    citation="Eldele et al., IEEE Trans Neural Syst Rehabil Eng 29:809-818, 2021, "
    "doi:10.1109/TNSRE.2021.3076234",
    page="https://github.com/emadeldeen24/AttnSleep",
    access="Make it from Sleep-EDF or SHHS with the scripts of its page.",
    terms="self-made",
    tested="files made to its description",
    recognise=recognise,
    read=read,
)
