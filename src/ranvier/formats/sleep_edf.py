"""Stages of sleep as annotations of EDF+, as Sleep-EDF has them beside its recordings.

Labels are those of Rechtschaffen and Kales or of AASM: stages 3 and 4 are N3, movement time and
``?`` were not scored. Sources: Kemp et al., IEEE Trans Biomed Eng 47:1185, 2000 (Sleep-EDF, file
names ``SC4ssNE0-PSG.edf`` and ``SC4ssNEx-Hypnogram.edf``: subject ss, night N, scorer x); the
standard texts of EDF+, https://www.edfplus.info/specs/edftexts.html.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import edfio

from ranvier.formats.edf import check_start, first_onset, header_code, read_annotations
from ranvier.formats.edf_header import Header, read_header
from ranvier.formats.hypnogram_tables import clip_hypnogram
from ranvier.formats.stage_grid import (
    LABELS,
    UNSCORED,
    USUAL_EPOCH,
    Run,
    check_placed,
    checked_epoch,
    naming,
    place_runs,
)
from ranvier.recording import Recording
from ranvier.truth import Hypnogram
from ranvier.writing import replacing

PREFIX, MOVEMENT, PARTNER = "sleep stage", "movement time", "-Hypnogram.edf"
_STAGES = LABELS | {"1": "N1", "2": "N2", "3": "N3", "4": "N3"}
_TEXTS = {"REM": "R", "": UNSCORED}
_NAME = re.compile(r"((?:SC4|ST7)\d\d)(\d)[A-Z][A-Z0-9](?:-PSG)?", re.IGNORECASE)
_EPOCH = re.compile(r"\bEpoch_(\d+(?:\.\d+)?)_s\b")
_HALF_DAY = 43_200.0

Annotation = tuple[float, float, str]
"""Onset and duration in seconds, NaN for none, and text."""


def read_sleep_edf(path: str | os.PathLike[str], *, epoch: float | None = None) -> Hypnogram:
    """Read the stages among the annotations of an EDF+ file.

    Parameters
    ----------
    path
        With or without signals; annotations that are no stages are passed over. One without a
        duration lasts until the next. Times count from the first record.
    epoch
        Length of an epoch in seconds; by default what the header names (as ``Epoch_20_s``), else
        30 s if that divides all annotations, else what does.

    Raises
    ------
    ValueError
        If the file cannot be read, has no stages or an unknown one, or they overlap, in one
        sentence that names it.
    """
    path = Path(path)
    found = _stages_among(read_annotations(path))
    if not found:
        raise ValueError(f"{path} has no stages of sleep, such as 'Sleep stage W', as annotations")
    named = _EPOCH.search(read_header(path).recording)
    with naming(str(path)):
        length = float(named[1]) if named and epoch is None else epoch
        runs = _runs(found, length or USUAL_EPOCH)
        hypnogram = place_runs(runs, None if length is None else checked_epoch(length))
    return hypnogram.since(first_onset(path))


def with_stages_of(recording: Recording, annotations: Iterable[Annotation]) -> Recording:
    """Return a recording with the stages among annotations in seconds from its first sample.

    Stages that make no sense are left out, with a note.
    """
    found = _stages_among(annotations)
    if not found:
        return recording
    try:
        hypnogram, notes = clip_hypnogram(_cropped(found), recording.duration)
    except ValueError as error:
        return recording.with_note(f"stages of sleep are left out: {error}")
    return replace(recording, hypnogram=hypnogram, notes=(*recording.notes, *notes))


def _cropped(found: Sequence[Annotation]) -> Hypnogram:
    """Place stages of which the first and the last one may have been cut within an epoch."""
    runs = _runs(found, USUAL_EPOCH)
    try:
        return place_runs(runs)
    except ValueError:
        gone = runs[0].duration % USUAL_EPOCH
        runs[0] = Run(runs[0].onset + gone, runs[0].duration - gone, runs[0].stage)
        runs[-1] = runs[-1]._replace(duration=runs[-1].duration // USUAL_EPOCH * USUAL_EPOCH)
        return place_runs([run for run in runs if run.duration])


def _stages_among(annotations: Iterable[Annotation]) -> list[Annotation]:
    return sorted(one for one in annotations if _is_stage(one[2]))


def _is_stage(text: str) -> bool:
    return text.strip().lower().startswith((PREFIX, MOVEMENT))


def _runs(found: Sequence[Annotation], last: float) -> list[Run]:
    nexts = [onset for onset, _, _ in found[1:]] + [found[-1][0] + last]
    return [
        Run(onset, until - onset if math.isnan(duration) else duration, _stage(text))
        for (onset, duration, text), until in zip(found, nexts, strict=True)
    ]


def _stage(text: str) -> str:
    label = text.strip().lower()
    stage = "" if label == MOVEMENT else _STAGES.get(label.removeprefix(PREFIX).strip())
    if stage is None:
        raise ValueError(
            f"invalid stage: {text[:60]!r}, possible options: Sleep stage W, 1, 2, 3, 4, N1, N2, "
            f"N3, R or ?, Movement time"
        )
    return stage


def write_sleep_edf(
    path: str | os.PathLike[str],
    hypnogram: Hypnogram,
    *,
    start: datetime | None = None,
    subject: str = "",
) -> Path:
    """Write an EDF+ file of annotations, one for each run of a stage, in the names of AASM.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    hypnogram
        Its ``duration`` is that of the signal, which annotations do not hold.
    start
        Date and time of second 0, for the header, which holds whole seconds; years 1985 to 2084.
    subject
        For the header; spaces become underscores.

    Raises
    ------
    ValueError
        If there is no epoch, the first begins before second 0, or the year is another.
    """
    check_placed(hypnogram)
    check_start(start)
    edf = edfio.Edf(
        [],
        patient=edfio.Patient(code=header_code(subject)),
        recording=edfio.Recording(
            startdate=start.date() if start else None,
            additional=(f"Epoch_{hypnogram.epoch!r}".removesuffix(".0") + "_s",),
        ),
        starttime=start.time().replace(microsecond=0) if start else None,
        annotations=_annotations(hypnogram),
    )
    with replacing(path) as temporary:
        edf.write(temporary)
    return Path(path)


def _annotations(hypnogram: Hypnogram) -> list[edfio.EdfAnnotation]:
    annotations, begin = [], 0
    for stage, run in groupby(hypnogram.stages):
        count = sum(1 for _ in run)
        onset, text = hypnogram.first + begin * hypnogram.epoch, _TEXTS.get(stage, stage)
        lasts = count * hypnogram.epoch
        annotations.append(edfio.EdfAnnotation(onset, lasts, f"Sleep stage {text}"))
        begin += count
    return annotations


def is_hypnogram_file(path: Path) -> bool:
    """Return whether a file is by its name the hypnogram of another, and no recording."""
    return path.name.lower().endswith(PARTNER.lower())


def find_hypnogram_files(path: Path) -> list[Path]:
    """List the hypnograms that lie beside a recording, sorted by name.

    One is called as the recording, or shares the six letters of Sleep-EDF for subject and night.
    """
    known = _NAME.fullmatch(path.stem)
    if known:
        return sorted(path.parent.glob(f"{known[1]}{known[2]}*{PARTNER}"))
    named = path.with_name(path.stem.removesuffix("-PSG") + PARTNER)
    return [named] if named.is_file() else []


def with_hypnogram_beside(recording: Recording, path: Path) -> Recording:
    """Return a recording with what its name and the hypnogram beside its file say.

    Where both files say when they begin, and differ in the time of day, the stages are moved to
    the signal's clock, and a note says how far.
    """
    known = _NAME.fullmatch(path.stem)
    if known:
        subject, session = recording.subject or known[1].upper(), recording.session or known[2]
        recording = replace(recording, subject=subject, session=session)
    files = find_hypnogram_files(path)
    if not files:
        return recording
    file, *others = files
    if others:
        left_out = ", ".join(other.name for other in others)
        recording = recording.with_note(f"stages are from {file.name}, left out: {left_out}")
    return _with_stages(recording, path, file)


def _with_stages(recording: Recording, path: Path, file: Path) -> Recording:
    hypnogram, late = read_sleep_edf(file), _seconds_late(file, path, recording.start)
    if late:
        recording = recording.with_note(
            f"{file.name} begins {abs(late):g} s {'after' if late > 0 else 'before'} the signal, "
            f"its epochs are moved by that"
        )
    hypnogram, notes = clip_hypnogram(_moved(hypnogram, late), recording.duration)
    return replace(recording, hypnogram=hypnogram, notes=(*recording.notes, *notes))


def _seconds_late(file: Path, path: Path, start: datetime | None) -> float:
    """Return how much later a hypnogram begins, by headers that may hold whole seconds only."""
    try:
        header, offset = read_header(file), first_onset(file)
        if start is None:
            return late_by_headers(header, read_header(path))
        begins = header.start(offset)
    except (ValueError, OverflowError, OSError):
        return 0.0
    return _seconds_between(start if offset else start.replace(microsecond=0), begins)


def late_by_headers(hypnogram: Header, signal: Header) -> float:
    """Return how many seconds after a signal its hypnogram begins, 0 when one does not say it.

    A signal that begins at midnight of no date is compared with a hypnogram of no date only.

    Raises
    ------
    ValueError
        If a date or time makes no sense.
    """
    midnight = signal.clock() if hypnogram.has_no_date else None
    return _seconds_between(signal.start(0.0) or midnight, hypnogram.start(0.0))


def _seconds_between(start: datetime | None, begins: datetime | None) -> float:
    """Compare times of day, at most half a day apart."""
    if start is None or begins is None:
        return 0.0
    seconds = (begins - start) / timedelta(seconds=1)
    return (seconds + _HALF_DAY) % (2 * _HALF_DAY) - _HALF_DAY


def _moved(hypnogram: Hypnogram, seconds: float) -> Hypnogram:
    if seconds < 0:
        return hypnogram.since(-seconds)
    moved = hypnogram.duration + seconds
    return replace(hypnogram, first=hypnogram.first + seconds, duration=moved)
