"""BIDS folders of EEG with HED-SCORE events, as SzCORE lays them out, or with stages of sleep.

Sources: Pernet et al., Sci Data 6:103, 2019 (EEG-BIDS); Dan et al., Epilepsia,
doi:10.1111/epi.18113 (``sub-XX/ses-YY/eeg/sub-XX_ses-YY_task-szMonitoring_run-NN_eeg.edf``).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranvier.channels import ANGLES, parse_channel
from ranvier.formats.edf import read_edf, write_edf
from ranvier.formats.hed_score import (
    MISSING,
    clip_events,
    write_events,
)
from ranvier.formats.hypnogram_tables import (
    clip_hypnogram,
    read_annotated_table,
    stage_events,
    write_hypnogram,
)
from ranvier.formats.stage_grid import naming
from ranvier.recording import Layout, Recording
from ranvier.writing import write_text

SUFFIXES = (".edf", ".bdf")
TASK, SLEEP_TASK = "szMonitoring", "sleep"
BIDS_VERSION = "1.9.0"

_NESTED = re.compile(
    r"/sub-(?P<sub>[^/_]+)(?:/ses-(?P<ses>[^/_]+))?(?:/(?:eeg|ieeg|meg|nirs|beh|emg))?$"
)
_ENTITY = re.compile(r"(?:^|_)(sub|ses)-([^_]+)")


def read_bids(folder: str | os.PathLike[str]) -> list[Recording]:
    """Open all EDF and BDF files of a BIDS folder, in the order of their names.

    Parameters
    ----------
    folder
        The one that holds ``sub-*``.

    Returns
    -------
    list of Recording
        With subject and session as in the names, without ``sub-`` and ``ses-``, and the events and
        the hypnogram of the ``_events.tsv`` beside each file; None where there is none.

    Raises
    ------
    ValueError
        If there is no such file, or one of them cannot be read.
    """
    files = bids_files(folder)
    if not files:
        raise ValueError(f"No recordings found in {folder}, expected sub-*/eeg/*_eeg.edf or .bdf")
    return [read_bids_file(path) for path in files]


def bids_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the EDF and BDF files below ``sub-*``, sorted by name."""
    found = Path(folder).glob("sub-*/**/*")
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def read_bids_file(path: str | os.PathLike[str]) -> Recording:
    """Open one file of a BIDS folder, with what its name and the tables beside it say."""
    path = Path(path)
    entities = bids_entities(path)
    stem = path.stem.removesuffix("_eeg")
    table = path.with_name(f"{stem}_events.tsv")
    events, hypnogram, said = read_annotated_table(table) if table.exists() else (None, None, [])
    recording = read_edf(
        path, subject=entities.get("sub", ""), session=entities.get("ses", ""), events=events
    )
    recording = replace(recording, name=stem, notes=(*recording.notes, *said))
    if hypnogram is None:
        return recording
    hypnogram, notes = clip_hypnogram(hypnogram, recording.duration)
    return replace(recording, hypnogram=hypnogram, notes=(*recording.notes, *notes))


def bids_entities(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return subject and session, ``"sub"`` and ``"ses"``, from a file's name or folders.

    Folders count as BIDS nests them: ``sub-01``, in it ``ses-02`` or none, in it ``eeg`` or alike
    or none, in it the file. Empty when neither says ``sub-``.
    """
    path = Path(path).absolute()
    nested = _NESTED.search(path.parent.as_posix())
    entities = {name: one for name, one in nested.groupdict().items() if one} if nested else {}
    return entities | dict(_ENTITY.findall(path.stem))


def write_bids(
    folder: str | os.PathLike[str],
    recordings: Sequence[Recording],
    *,
    name: str = "EEG recordings",
    power_line_frequency: float | None = None,
    progress: Callable[[Recording], None] | None = None,
) -> Path:
    """Write recordings as a BIDS folder that SzCORE and MNE-BIDS can read.

    Subjects and sessions keep their letters and digits; recordings of one session are numbered as
    runs, from 00. A recording of which neither events nor stages are known gets no table. One of
    which only stages are known is of the task ``sleep``, and has a row for each epoch.

    Parameters
    ----------
    folder
        New, or without subjects.
    recordings
        Each with a subject; without a session it is the first, ``01``.
    name
        Of the data set.
    power_line_frequency
        In Hz, where known.
    progress
        Called with each recording that is written.

    Raises
    ------
    ValueError
        If the folder has subjects, a recording has none, or a signal does not fit EDF; nothing is
        left of the folder then.
    """
    folder = Path(folder)
    if any(folder.glob("sub-*")):
        raise ValueError(f"Invalid folder: {folder} has subjects already, must be new")
    stems = _stems(recordings)
    with _filling(folder) as new:
        for recording, stem in zip(recordings, stems, strict=True):
            with naming(recording.name):
                _write_recording(new, recording, stem, power_line_frequency)
            if progress:
                progress(recording)
        _describe(new, name, sorted({stem.partition("_")[0] for stem in stems}))
    return folder


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """Give a temporary folder within, whose content takes its place if all goes well."""
    is_new, temporary = not folder.exists(), folder / f".{os.getpid()}.tmp"
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for one in sorted(temporary.iterdir(), reverse=True):
            one.replace(folder / one.name)
    finally:
        shutil.rmtree(temporary)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _describe(folder: Path, name: str, subjects: Sequence[str]) -> None:
    description = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "ranvier"}],
    }
    _write_json(folder / "dataset_description.json", description)
    write_text(folder / "participants.tsv", "\n".join(["participant_id", *subjects]) + "\n")


def _stems(recordings: Sequence[Recording]) -> list[str]:
    labels: dict[str, str] = {}
    runs: Counter[str] = Counter()
    stems = []
    for recording in recordings:
        subject = _label(recording.subject)
        if not subject or labels.setdefault(subject, recording.subject) != recording.subject:
            raise ValueError(
                f"Invalid subject of {recording.name}: {recording.subject!r}, must have letters "
                f"from A to Z or digits that no other subject has"
            )
        task = f"sub-{subject}_ses-{_label(recording.session) or '01'}_task-{_task(recording)}"
        stems.append(f"{task}_run-{runs[task]:02d}")
        runs[task] += 1
    return stems


def _task(recording: Recording) -> str:
    return SLEEP_TASK if recording.hypnogram and recording.events is None else TASK


def _label(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", unicodedata.normalize("NFKD", text))


def _write_recording(
    folder: Path, recording: Recording, stem: str, power_line_frequency: float | None
) -> None:
    subject, session = stem.split("_")[:2]
    base = folder / subject / session / "eeg" / stem
    edf = write_edf(
        f"{base}_eeg.edf",
        recording.read(),
        recording.layout,
        start=recording.start,
        subject=subject.removeprefix("sub-"),
        recording_id=recording.name,
    )
    duration = read_edf(edf).duration
    sidecar = _sidecar(recording.layout, duration, power_line_frequency)
    _write_json(Path(f"{base}_eeg.json"), {"TaskName": _task(recording), **sidecar})
    _write_table(f"{base}_events.tsv", recording, duration)


def _write_table(path: str, recording: Recording, duration: float) -> None:
    """Write events and stages into the one table that BIDS has for both."""
    hypnogram = recording.hypnogram and clip_hypnogram(recording.hypnogram, duration)[0]
    if recording.events is None:
        if hypnogram:
            write_hypnogram(path, hypnogram)
        return
    events, _ = clip_events(recording.events, duration)
    items = (*events.items, *(stage_events(hypnogram) if hypnogram else ()))
    write_events(path, replace(events, items=items, start=events.start or recording.start))


def _sidecar(layout: Layout, duration: float, power_line_frequency: float | None) -> dict[str, Any]:
    return {
        "SamplingFrequency": layout.rate,
        "EEGReference": _reference(layout.channels),
        "PowerLineFrequency": power_line_frequency or MISSING,
        "SoftwareFilters": MISSING,
        "RecordingDuration": duration,
        "RecordingType": "continuous",
        "EEGChannelCount": sum(parse_channel(label) is not None for label in layout.channels),
    }


def _reference(labels: Sequence[str]) -> str:
    parsed = [parse_channel(label) for label in labels]
    references = {channel.reference for channel in parsed if channel}
    if references and all(reference in ANGLES for reference in references):
        return "bipolar derivations"
    return references.pop() or MISSING if len(references) == 1 else MISSING


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
