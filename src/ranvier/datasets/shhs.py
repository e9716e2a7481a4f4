"""The Sleep Heart Health Study, and other sets of the National Sleep Research Resource.

``polysomnography/edfs/shhs1/shhs1-200001.edf``, with stages in
``polysomnography/annotations-events-profusion/shhs1/shhs1-200001-profusion.xml`` or
``annotations-events-nsrr/shhs1/shhs1-200001-nsrr.xml``; other sets have the same folders, some
without the inner one. What follows the last hyphen is the subject and the rest the session, so
that both visits of a person are of one subject.

The study calls C4-A1 ``EEG`` and C3-A2 ``EEG(sec)``. They are called by their electrodes here,
because a name that contains ``EEG`` fits both, and which comes first differs. In its second visit
the heart is sampled twice as fast; channels at the rate of the EEG are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ranvier.datasets.description import AT_100_HZ, DataSet, stages_of
from ranvier.formats.edf import read_edf
from ranvier.formats.edf_header import Channel, read_header
from ranvier.formats.edf_records import OnDemand, map_records, records_of
from ranvier.formats.hypnogram_tables import clip_hypnogram
from ranvier.formats.profusion import read_profusion
from ranvier.recording import Layout, Recording

SIGNALS = "edfs"
ANNOTATIONS = (
    ("annotations-events-profusion", "-profusion.xml"),
    ("annotations-events-nsrr", "-nsrr.xml"),
)
"""Folder and ending of the files that hold stages; the first there is is read."""
NO_HYPNOGRAM = "no stages of it lie in the folders of annotations"
ELECTRODES = {"eeg": "C4-A1", "eegsec": "C3-A2", "eeg2": "C3-A2"}
"""What the study's channels are, by their names in small letters and digits."""

_STUDY = re.compile(r"shhs[12]-\d+", re.IGNORECASE)


def _root(folder: Path) -> Path:
    inner = folder / "polysomnography"
    return inner if inner.is_dir() else folder


def _nights(folder: Path) -> Iterator[Path]:
    signals = _root(folder) / SIGNALS
    yield from sorted(signals.glob("*.edf"))
    yield from sorted(signals.glob("*/*.edf"))


def _is_resource(folder: Path) -> bool:
    annotated = any((_root(folder) / name).is_dir() for name, _ in ANNOTATIONS)
    return annotated and any(True for _ in _nights(folder))


def recognise(folder: Path) -> bool:
    """Return whether a folder, or ``polysomnography`` in it, is of the study."""
    first = next(_nights(folder), None)
    return _is_resource(folder) and first is not None and bool(_STUDY.fullmatch(first.stem))


def read(folder: Path) -> list[Recording]:
    """Open all nights of the study, by visit and subject."""
    return [_annotated(folder, path, read_visit(path)) for path in _nights(folder)]


def read_other(folder: Path) -> list[Recording]:
    """Open all nights of another set of the resource, with channels as the files call them."""
    return [_annotated(folder, path, read_edf(path)) for path in _nights(folder)]


def read_file(path: Path) -> Recording | None:
    """Open one night of the study with its stages; None for any other file."""
    root = _root_of(path)
    is_visit = root is not None and _STUDY.fullmatch(path.stem)
    return _annotated(root, path, read_visit(path)) if root and is_visit else None


def read_other_file(path: Path) -> Recording | None:
    """Open one night of another set of the resource; None for any other file."""
    root = _root_of(path)
    return _annotated(root, path, read_edf(path)) if root else None


def _root_of(path: Path) -> Path | None:
    """Return the folder of signals and annotations that a file of signals lies in."""
    above = path.absolute().parents[:2]
    roots = (one.parent for one in above if one.name == SIGNALS)
    return next((one for one in roots if _is_resource(one)), None)


def _annotated(folder: Path, path: Path, recording: Recording) -> Recording:
    session, _, subject = path.stem.rpartition("-")
    recording = replace(recording, subject=subject, session=session)
    beside = path.absolute().parent.relative_to((_root(folder) / SIGNALS).absolute())
    files = (_root(folder) / name / beside / f"{path.stem}{end}" for name, end in ANNOTATIONS)
    file = next((one for one in files if one.is_file()), None)
    if file is None:
        return recording.with_note(NO_HYPNOGRAM)
    hypnogram, notes = clip_hypnogram(read_profusion(file), recording.duration)
    return replace(recording, hypnogram=hypnogram, notes=(*recording.notes, *notes))


def read_visit(path: Path) -> Recording:
    """Open a file of the study, with its two EEG channels by the names of their electrodes.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    recording, header = read_edf(path), read_header(path)
    usable = [one for one in header.channels if one.is_usable and one.microvolts is not None]
    sizes = {one.samples for one in usable if _electrode(one)}
    if len(sizes) != 1:
        return recording
    kept = [one for one in usable if one.samples in sizes]
    size, stored = sizes.pop(), len(map_records(path, header)[0])
    names = [_electrode(one) or one.label for one in kept]
    left_out = [one.label for one in header.channels if one not in kept]
    notes = [f"left out, at another rate or no voltage: {', '.join(left_out)}"] if left_out else []
    called = [f"{one.label} is {_electrode(one)}" for one in kept if _electrode(one)]
    others = [note for note in recording.notes if not note.startswith("left out")]
    return replace(
        recording,
        layout=Layout(tuple(names), size / header.seconds),
        samples=stored * size,
        reader=OnDemand(partial(records_of, path, header, kept)),
        notes=(*others, *notes, *called),
    )


def _electrode(channel: Channel) -> str:
    return ELECTRODES.get(re.sub(r"[^a-z0-9]", "", channel.label.lower()), "")


_ACCESS = "Ask for access at {page}, then fetch polysomnography with the resource's own nsrr tool."
_RESOURCE = "Zhang et al., J Am Med Inform Assoc 25:1351-1358, 2018"

SHHS = DataSet(
    name="shhs",
    title="Sleep Heart Health Study, visits 1 and 2",
    task="sleep",
    subjects=5804,
    hours=72_000.0,
    gigabytes=360.0,
    licence="data use agreement of the NSRR",
    citation=f"Quan et al., Sleep 20:1077-1085, 1997; {_RESOURCE}",
    page="https://sleepdata.org/datasets/shhs",
    access=_ACCESS.format(page="https://sleepdata.org/datasets/shhs"),
    tested="files made to its description",
    recognise=recognise,
    read=read,
    read_file=read_file,
    options=("--config", "shhs"),
)

NSRR = DataSet(
    name="nsrr",
    title="Any other set of the National Sleep Research Resource (MESA, MrOS, CFS, CHAT, SOF, ...)",
    task="sleep",
    subjects=26_808,
    hours=250_000.0,
    gigabytes=3000.0,
    licence="data use agreement of the NSRR",
    citation=_RESOURCE,
    page="https://sleepdata.org/datasets",
    access=_ACCESS.format(page="https://sleepdata.org/datasets"),
    tested="files made to its description",
    recognise=_is_resource,
    read=read_other,
    read_file=read_other_file,
    options=stages_of({"stage": "pick", "channels": ["EEG1"]}, AT_100_HZ),
)
