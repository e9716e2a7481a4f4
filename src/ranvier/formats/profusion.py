"""Stages of sleep in the two XML files of the National Sleep Research Resource.

Profusion's ``CMPStudyConfig`` has one number per epoch: 0 wake, 1 to 4, 5 REM, 6 movement, 9 not
scored. NSRR's ``PSGAnnotation`` has the same numbers behind the names of runs. A document type is
refused before anything in it is expanded or fetched.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree as ET

from ranvier.formats.stage_grid import (
    MOST_EPOCHS,
    USUAL_EPOCH,
    Run,
    check_placed,
    checked_epoch,
    from_start,
    naming,
    parse_stage,
    place_runs,
    whole_hypnogram,
)
from ranvier.truth import Hypnogram
from ranvier.writing import write_text

STUDY, ANNOTATION = "CMPStudyConfig", "PSGAnnotation"
MOST_BYTES = 100_000_000
_STAGES = "Stages|Stages"
_CODES = {"W": 0, "N1": 1, "N2": 2, "N3": 3, "REM": 5, "": 9}
_CONCEPTS = {
    "W": "Wake", "N1": "Stage 1 sleep", "N2": "Stage 2 sleep", "N3": "Stage 3 sleep",
    "REM": "REM sleep", "": "Unscored",
}  # fmt: skip
_WHOLE = "Recording Start Time"


class _NoDocumentType(ET.TreeBuilder):
    """Entities can only be declared in a document type."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:  # noqa: ARG002
        """Refuse it."""
        raise ValueError("has a document type, which files of sleep stages do not have")


def read_profusion(path: str | os.PathLike[str]) -> Hypnogram:
    """Read the stages of a Profusion or an NSRR file.

    Parameters
    ----------
    path
        XML whose root is ``CMPStudyConfig`` or ``PSGAnnotation``; epochs of 30 s where it does not
        say how long they are.

    Raises
    ------
    ValueError
        If the file cannot be read, has no stages or an unknown one, in one sentence that names it.
    """
    path = Path(path)
    root = _parse(path)
    with naming(str(path)):
        epoch = checked_epoch(_number(root, "EpochLength", USUAL_EPOCH))
    if root.tag == ANNOTATION:
        return _from_events(path, root, epoch)
    codes = [stage.text or "" for stage in root.findall("SleepStages/SleepStage")]
    with naming(str(path)):
        stages = [_stage(code) for code in codes]
    return whole_hypnogram(path, stages, epoch)


def _parse(path: Path) -> ET.Element:
    parser = ET.XMLParser(target=_NoDocumentType())
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"is longer than {MOST_BYTES} bytes")
        root = ET.fromstring(path.read_bytes(), parser)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    except ET.ParseError as error:
        raise ValueError(f"{path} is not a whole XML file: {error}") from None
    except (ValueError, LookupError) as error:
        raise ValueError(f"{path} {error}") from None
    if root.tag not in (STUDY, ANNOTATION):
        raise ValueError(
            f"{path} has no stages of sleep: its root is {root.tag[:40]}, must be {STUDY} or "
            f"{ANNOTATION}"
        )
    return root


def _number(element: ET.Element, name: str, default: float | None = None) -> float:
    text = element.findtext(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"invalid {name}: {(text or '')[:40]!r}, must be a finite number")
    return value


def _stage(code: str) -> str:
    try:
        int(code)
    except ValueError:
        raise ValueError(f"invalid stage: {code.strip()[:40]!r}, must be a number") from None
    return parse_stage(code, numbers="rem5")


def _from_events(path: Path, root: ET.Element, epoch: float) -> Hypnogram:
    events = root.findall("ScoredEvents/ScoredEvent")
    staged = [event for event in events if event.findtext("EventType") == _STAGES]
    if not staged:
        raise ValueError(f"{path} has 0 stages of sleep, must be 1 to {MOST_EPOCHS}")
    with naming(str(path)):
        return place_runs((_run(event) for event in staged), epoch)


def _run(event: ET.Element) -> Run:
    code = (event.findtext("EventConcept") or "").rpartition("|")[2]
    return Run(_number(event, "Start"), _number(event, "Duration"), _stage(code))


def write_profusion(path: str | os.PathLike[str], hypnogram: Hypnogram) -> Path:
    """Write a Profusion file, one number per epoch, 9 where none was scored.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    hypnogram
        One that begins some epochs after the recording gets as many unscored ones in front.

    Raises
    ------
    ValueError
        If its epochs do not lie on a grid that begins with the recording.
    """
    root = ET.Element(STUDY)
    ET.SubElement(root, "EpochLength").text = _seconds(hypnogram.epoch)
    stages = ET.SubElement(root, "SleepStages")
    for stage in from_start(hypnogram).stages:
        ET.SubElement(stages, "SleepStage").text = str(_CODES[stage])
    return _write(path, root)


def _seconds(value: float) -> str:
    return f"{value!r}".removesuffix(".0")


def _write(path: str | os.PathLike[str], root: ET.Element) -> Path:
    ET.indent(root)
    document = ET.tostring(root, encoding="unicode")
    return write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{document}\n')


def write_nsrr(
    path: str | os.PathLike[str], hypnogram: Hypnogram, *, start: datetime | None = None
) -> Path:
    """Write a file of NSRR, one event for each run of a stage.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    hypnogram
        Its ``duration`` is that of the event which spans the recording.
    start
        Date and time of second 0; only the time of day is written.

    Raises
    ------
    ValueError
        If there is no epoch, or the first begins before second 0.
    """
    check_placed(hypnogram)
    root = ET.Element(ANNOTATION)
    ET.SubElement(root, "EpochLength").text = _seconds(hypnogram.epoch)
    events = ET.SubElement(root, "ScoredEvents")
    _add_event(events, "", _WHOLE, (0.0, hypnogram.duration), start)
    for run in _runs(hypnogram):
        concept = f"{_CONCEPTS[run.stage]}|{_CODES[run.stage]}"
        _add_event(events, _STAGES, concept, (run.onset, run.duration), start)
    return _write(path, root)


def _runs(hypnogram: Hypnogram) -> Iterator[Run]:
    begin = 0
    for stage, run in groupby(hypnogram.stages):
        count = sum(1 for _ in run)
        onset = hypnogram.first + begin * hypnogram.epoch
        yield Run(onset, count * hypnogram.epoch, stage)
        begin += count


def _add_event(
    events: ET.Element,
    kind: str,
    concept: str,
    span: tuple[float, float],
    start: datetime | None,
) -> None:
    event = ET.SubElement(events, "ScoredEvent")
    texts = {"EventType": kind, "EventConcept": concept}
    texts |= dict(zip(("Start", "Duration"), map(_seconds, span), strict=True))
    if start:
        texts["ClockTime"] = f"00.00.00 {start + timedelta(seconds=span[0]):%H.%M.%S}"
    for name, text in texts.items():
        ET.SubElement(event, name).text = text
