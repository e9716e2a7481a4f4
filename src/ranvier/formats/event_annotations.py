"""Events as annotations of EDF+, in a file of their own, beside which no signal is needed.

A seizure is called ``seizure``, one of a known type by its HED-SCORE code, so that programs that
group annotations by their text show one group. How sure it is stands in a second annotation of the
same time. ``Recording ends`` closes the file, which says how long the recording is and that it was
looked at even if nothing was found.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import edfio

from ranvier.formats.edf import check_start
from ranvier.truth import SEIZURE, Event, Events
from ranvier.writing import replacing

SEIZURE_TEXT, END_TEXT, CONFIDENCE_TEXT = "seizure", "Recording ends", "confidence"

Annotation = tuple[float, float, str]
"""Onset and duration in seconds, NaN for none, and text, as ``read_annotations`` gives them."""


def write_annotations(
    path: str | os.PathLike[str],
    annotations: Iterable[Annotation],
    *,
    start: datetime | None = None,
) -> Path:
    """Write a file of EDF+ that has annotations only.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    annotations
        At least one; onsets in seconds from the start.
    start
        For the header, which holds whole seconds; years 1985 to 2084.

    Raises
    ------
    ValueError
        If there is no annotation, a time is not finite, or the year is another.
    """
    check_start(start)
    made = [_made(*annotation) for annotation in annotations]
    if not made:
        raise ValueError("Invalid annotations: none, a file of EDF+ must have one or more")
    edf = edfio.Edf(
        [],
        recording=edfio.Recording(startdate=start.date() if start else None),
        starttime=start.time().replace(microsecond=0) if start else None,
        annotations=made,
    )
    with replacing(path) as temporary:
        edf.write(temporary)
    return Path(path)


def _made(onset: float, duration: float, text: str) -> edfio.EdfAnnotation:
    if not math.isfinite(onset) or math.isinf(duration) or duration < 0:
        raise ValueError(
            f"Invalid annotation {text!r}: at {onset:g} s for {duration:g} s, must be finite and "
            f"last 0 s or more"
        )
    return edfio.EdfAnnotation(onset, None if math.isnan(duration) else duration, text)


def write_event_annotations(path: str | os.PathLike[str], events: Events) -> Path:
    """Write events as annotations of EDF+.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    events
        Onsets count from the first sample, as the times of the file do; the header has the start
        without fractions of a second.

    Raises
    ------
    ValueError
        If a time is not finite.
    """
    rows = [row for event in events for row in _rows(event)]
    rows.append((events.duration, math.nan, END_TEXT))
    return write_annotations(path, rows, start=events.start)


def _rows(event: Event) -> Iterator[Annotation]:
    text = SEIZURE_TEXT if event.label == SEIZURE else event.label
    yield event.onset, event.duration, text
    if not math.isnan(event.confidence):
        yield event.onset, event.duration, f"{CONFIDENCE_TEXT} {event.confidence:.3g}"
