"""Seizures as the TUH EEG Seizure Corpus annotates them, beside each EDF file.

======================  =====================================================================
``.csv_bi``, since 2.0  ``channel,start_time,stop_time,label,confidence`` below comments (``#``);
                        ``TERM`` for all channels, ``seiz`` or ``bckg``
``.csv``, since 2.0     the same for each channel, with the type of the seizure
``.tse_bi``, 1.x        ``start stop label confidence`` below ``version = tse_v1.0.0``; two classes
``.tse``, 1.x           the same with the type
======================  =====================================================================

When a seizure begins and ends is taken from the file of two classes, by which detectors are
scored, and its type from the other one; from that one alone where it is alone. Codes become those
of HED-SCORE, in which every seizure is ``sz`` or begins with it. ``NESZ`` is a seizure of no type.
``.lbl`` and ``.lbl_bi`` repeat the others and are not read. Source: Shah et al., Front Neuroinform
12:83, 2018, and the corpus's own AAREADME.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ranvier.truth import CODES, SEIZURE, Array, Event, Events, merge_overlapping

TIMES, TYPES = (".csv_bi", ".tse_bi"), (".csv", ".tse")
"""Suffixes of the files of two classes and of those with types, the newer form first."""

HED = {"SEIZ": SEIZURE, "NESZ": SEIZURE, **{code: meant[0] for code, meant in CODES.items()}}
"""Code of HED-SCORE for each code of the corpus."""
BACKGROUND = "BCKG"
ALL_CHANNELS = "TERM"

_DURATION = re.compile(r"#\s*duration\s*=\s*(\d+(?:\.\d+)?)")
_NO_ROW = re.compile(r"\s*(#|version\b|channel\s*,|$)")


class Row(NamedTuple):
    """One line of a file of labels; times in seconds, codes in capitals."""

    channel: str
    onset: float
    end: float
    code: str
    confidence: float


def labels_beside(path: Path) -> tuple[Events | None, list[str]]:
    """Read what is annotated beside an EDF file.

    Returns
    -------
    Events or None
        Seizures with their types; its duration is NaN where no file says it. None where there is
        no file of labels.
    list of str
        What the files do not agree on, or what was passed over, one sentence each.

    Raises
    ------
    ValueError
        If a file cannot be read, or a line makes no sense.
    """
    times, types = (_first_beside(path, suffixes) for suffixes in (TIMES, TYPES))
    if times is None and types is None:
        return None, [f"no labels lie beside it ({', '.join(TIMES + TYPES)})"]
    rows = {file: read_labels(file) for file in (times, types) if file}
    found = {file: _seizures(of_file) for file, of_file in rows.items()}
    notes = _passed_over(row.code for of_file in rows.values() for row in of_file)
    durations = [_duration(file) for file in rows]
    if times is None or types is None:
        (items,) = found.values()
    else:
        items, more = _typed(found[times], found[types])
        notes += more
    return Events(tuple(items), durations[0]), notes


def _first_beside(path: Path, suffixes: Sequence[str]) -> Path | None:
    beside = (path.with_suffix(suffix) for suffix in suffixes)
    return next((file for file in beside if file.is_file()), None)


def read_labels(path: Path) -> list[Row]:
    """Read the lines of a ``.csv``, ``.csv_bi``, ``.tse`` or ``.tse_bi`` file.

    Raises
    ------
    ValueError
        If it cannot be read, or a line makes no sense.
    """
    is_table = path.suffix.lower().startswith(".csv")
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        if _NO_ROW.match(line.lower()):
            continue
        cells = line.split(",") if is_table else [ALL_CHANNELS, *line.split()]
        try:
            rows.append(_row([cell.strip() for cell in cells]))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return rows


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None


def _row(cells: Sequence[str]) -> Row:
    if len(cells) < 4:
        raise ValueError(f"{len(cells)} cells, must be a channel, start, stop and a label")
    channel, onset, end, code, *rest = cells
    try:
        begins, ends = float(onset), float(end)
        confidence = float(rest[0]) if rest and rest[0] else math.nan
    except ValueError:
        raise ValueError(f"invalid times or confidence {cells[1:]}, must be numbers") from None
    if not 0 <= begins <= ends < math.inf:
        raise ValueError(f"invalid times: {onset} to {end} s, must be in order and 0 or more")
    if not (math.isnan(confidence) or 0 <= confidence <= 1):
        raise ValueError(f"invalid confidence: {rest[0]}, must be from 0 to 1")
    return Row(channel, begins, ends, code.upper(), confidence)


def _duration(path: Path) -> float:
    found = map(_DURATION.match, _lines(path))
    seconds = next((float(one[1]) for one in found if one), math.nan)
    return seconds if math.isfinite(seconds) else math.nan


def _passed_over(codes: Iterable[str]) -> list[str]:
    unknown = sorted(set(codes) - {*HED, BACKGROUND})
    return [f"labels that are no seizures are passed over: {', '.join(unknown)}"] if unknown else []


def _seizures(rows: Sequence[Row]) -> list[Event]:
    """Join what is marked on several channels to one event for each stretch of a type."""
    found: list[Event] = []
    for label in dict.fromkeys(HED.values()):
        of_label = [row for row in rows if HED.get(row.code) == label]
        for onset, end in merge_overlapping(_spans(of_label)):
            parts = [row for row in of_label if onset <= row.onset <= row.end <= end]
            channels = dict.fromkeys(row.channel for row in parts if row.channel != ALL_CHANNELS)
            sure = min(row.confidence for row in parts)
            names = ",".join(channels) or "n/a"
            found.append(Event(onset, end - onset, label, sure, names))
    return sorted(found, key=lambda event: (event.onset, event.end))


def _spans(rows: Sequence[Row]) -> Array:
    return np.array(sorted((row.onset, row.end) for row in rows)).reshape(-1, 2)


def _typed(timed: Sequence[Event], typed: Sequence[Event]) -> tuple[list[Event], list[str]]:
    """Give seizures of known times their types."""
    pieces = [piece for one in timed for piece in _pieces(one, typed)]
    outside = [one for one in typed if not any(_overlap(one, other) for other in timed)]
    stretches = ", ".join(f"{one.label} {one.onset:.2f}-{one.end:.2f} s" for one in outside)
    said = f"seizures that only the file of types has are left out: {stretches}"
    return pieces, [said] if outside else []


def _overlap(one: Event, other: Event) -> bool:
    return one.onset < other.end and other.onset < one.end


def _pieces(whole: Event, typed: Sequence[Event]) -> Iterator[Event]:
    """Cut one seizure where its type changes; together the pieces are as long as it is."""
    inside = [one for one in typed if _overlap(one, whole)]
    if not inside:
        yield whole
        return
    onsets = [whole.onset, *(max(one.onset, whole.onset) for one in inside[1:])]
    ends = [min(one.end, whole.end) for one in inside]
    ends[ends.index(max(ends))] = whole.end
    nexts = [after for _, after in pairwise(onsets)] + [whole.onset]
    for one, onset, end, after in zip(inside, onsets, ends, nexts, strict=True):
        yield replace(one, onset=onset, duration=max(end, after) - onset)
