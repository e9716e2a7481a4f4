"""Seizures as CHB-MIT annotates them: the summary of a case, and ``.edf.seizures`` beside a file.

A summary, ``chb01-summary.txt``, lists for each file when it begins and ends and when its seizures
do. Blocks of channel names stand between the files and are passed over. A seizure may or may not
have a number, hours count on beyond 24, and case 24 has no times of day.

``chb01_03.edf.seizures`` is an annotation file of WFDB in its MIT format
(https://physionet.org/physiotools/wag/annot-5.htm), of 16-bit words with the low byte first:

=========================  =====================================================================
a word                     a code in the upper 6 bits, samples since the last word in the lower 10
a word of 0                the end
code 22                    a remark; nothing happens there
code 32, code 33           a seizure begins, ends
code 59                    the next 4 bytes are more samples, signed: the upper 16 bits come first
codes 60, 61, 62           a property of the last annotation; its lower 10 bits are no time
code 63                    as many bytes of text follow, and one more if they are odd
=========================  =====================================================================

The text ``## time resolution: 256`` says how many samples a second has.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

RATE = 256.0
"""Where a file does not say it, in Hz."""

_BEGIN, _END = 32, 33
_SKIP, _PROPERTIES, _TEXT = 59, (60, 61, 62), 63
_RESOLUTION = re.compile(rb"## time resolution: (\d+(?:\.\d+)?)")
_FIELD = re.compile(r"\s*(File Name|File Start Time|Number of Seizures in File)\s*:(.*)", re.I)
_SEIZURE = re.compile(r"\s*Seizure\s*\d*\s*(Start|End)\s*Time\s*:\s*(\d+(?:\.\d+)?)", re.I)
_CLOCK = re.compile(r"\b(\d{1,4}):(\d\d):(\d\d)")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Listed:
    """What a summary says of one file.

    Parameters
    ----------
    clock
        Second of the day at which it begins, from 0 to 86,400; None where it is not said.
    announced
        How many seizures it is said to have; None where it is not said.
    seizures
        Onset and end of each in seconds from its first sample.
    """

    clock: float | None
    announced: int | None
    seizures: tuple[Interval, ...]


def read_summary(path: str | os.PathLike[str]) -> dict[str, Listed]:
    """Read the summary of a case.

    Returns
    -------
    dict
        By the name of the file, as ``"chb01_03.edf"``, in the order of the summary.

    Raises
    ------
    ValueError
        If the file cannot be read, lists nothing, or a seizure lacks its beginning or end.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    parts = _parts(lines)
    if not parts:
        raise ValueError(f"{path} is not a summary of CHB-MIT: no line begins with 'File Name:'")
    return {name: _listed(part, f"{path}, {name}") for name, part in parts.items()}


def _parts(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines that follow each name of a file."""
    parts: dict[str, list[str]] = {}
    part: list[str] = []
    for line in lines:
        found = _FIELD.match(line)
        if found and found[1].lower() == "file name":
            part = parts.setdefault(found[2].strip(), [])
        part.append(line)
    return parts


def _listed(lines: Sequence[str], where: str) -> Listed:
    fields = {found[1].lower(): found[2] for found in map(_FIELD.match, lines) if found}
    times = [(found[1].lower(), float(found[2])) for found in map(_SEIZURE.match, lines) if found]
    starts = [time for which, time in times if which == "start"]
    ends = [time for which, time in times if which == "end"]
    seizures = tuple(zip(starts, ends, strict=False))
    if len(starts) != len(ends) or not all(start <= end < math.inf for start, end in seizures):
        raise ValueError(f"{where}: seizures begin at {starts} s and end at {ends} s, must match")
    clock = _CLOCK.search(fields.get("file start time", ""))
    announced = fields.get("number of seizures in file", "").strip()
    return Listed(
        _second_of_day(clock) if clock else None,
        int(announced) if re.fullmatch(r"\d{1,6}", announced) else None,
        seizures,
    )


def _second_of_day(clock: re.Match[str]) -> float:
    hours, minutes, seconds = map(int, clock.groups())
    return float((hours % 24) * 3600 + minutes * 60 + seconds)


def read_seizure_marks(path: str | os.PathLike[str]) -> tuple[Interval, ...]:
    """Read a ``.edf.seizures`` file.

    Returns
    -------
    tuple
        Onset and end of each seizure in seconds from the first sample.

    Raises
    ------
    ValueError
        If the file cannot be read, is cut off, or a seizure lacks its beginning or end.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    stated = _RESOLUTION.search(content)
    rate = float(stated[1]) if stated else 0.0
    marks = [mark for mark in _annotations(content, path) if mark[0] in (_BEGIN, _END)]
    codes, seconds = [code for code, _ in marks], [time / (rate or RATE) for _, time in marks]
    if codes != [_BEGIN, _END] * (len(codes) // 2):
        raise ValueError(f"{path} has marks {codes}, must be {_BEGIN} and {_END} by turns")
    if not all(first <= second < math.inf for first, second in pairwise([0.0, *seconds])):
        raise ValueError(f"{path} has marks at {seconds} s, must be in order and 0 or more")
    return tuple(zip(seconds[::2], seconds[1::2], strict=True))


def _annotations(content: bytes, path: Path) -> Iterator[tuple[int, int]]:
    """Yield code and sample of each annotation."""
    place = sample = 0
    while place + 2 <= len(content):
        word = int.from_bytes(content[place : place + 2], "little")
        code, amount = word >> 10, word & 0x3FF
        place += 2
        if word == 0:
            return
        if code == _SKIP:
            high, low = content[place : place + 2], content[place + 2 : place + 4]
            sample += int.from_bytes(low + high, "little", signed=True)
            place += 4
        elif code == _TEXT:
            place += amount + amount % 2
        elif code not in _PROPERTIES:
            sample += amount
            yield code, sample
    raise ValueError(f"{path} is not a file of annotations, or is cut off: it has no end mark")
