"""Who was recorded: what a header gives away, copies, and one person under two names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ranvier.audit.twins import same_person, same_signal
from ranvier.inspection.findings import Finding, finding
from ranvier.inspection.samples import places_of
from ranvier.recording import Recording

PATIENT, RECORDING = slice(8, 88), slice(88, 168)
"""Bytes of the header of EDF and BDF that describe both in words."""
ANONYMOUS = re.compile(
    r"x+|n/?a|anon\w*|unknown|none|subject|patient|pseudo\w*|surrogate|de-?id\w*|masked|hidden|"
    r"test\w*|simulat\w*|control|m|f|male|female|man|woman|child|adult|years?|yrs?|mo|age|eeg|psg|sex",
    re.IGNORECASE,
)
"""Words that stand where a name would and are none."""
BIRTH = re.compile(r"\b\d{1,2}[-./](?:[A-Za-z]{3}|\d{1,2})[-./]\d{2,4}\b")
LONGEST_CODE = 4
"""Digits that a code of a study has at most; numbers of patients of a hospital have more."""
LONGEST, SHORTEST, TOGETHER = 600.0, 30.0, 7200.0
"""Seconds at the beginning of each recording in which the same signal is looked for under another
subject: of one, of each of very many, and of all together."""
COMPARED = 3
"""Places that two recordings must share to the last bit to be copies."""


def check_header(path: Path, subject: str, where: str) -> Iterator[Finding]:
    """Yield which fields of an EDF or BDF header may tell who was recorded; never what they say."""
    if path.suffix.lower() not in (".edf", ".bdf"):
        return
    with path.open("rb") as file:
        header = file.read(RECORDING.stop)
    patient, recording = (header[part].decode("latin-1").strip() for part in (PATIENT, RECORDING))
    known = f"{subject} {path.stem}".lower()
    fields = [*_told_of_patient(patient, known), *_told_of_recording(recording, known)]
    if fields:
        sentence = f"the header may tell who was recorded: {', '.join(fields)}"
        yield finding("identity", where, sentence)


def _told_of_patient(text: str, known: str) -> Iterator[str]:
    parts = text.split()
    is_plus = len(parts) >= 4 and parts[1].upper() in ("X", "M", "F")
    code, names = (parts[0], parts[3:]) if is_plus else ("", parts)
    if _is_number(code, known) or (not is_plus and any(_is_number(one, known) for one in names)):
        yield "code of the patient"
    if BIRTH.search(text):
        yield "date of birth"
    if any(_is_name(word, known) for name in names for word in re.split(r"[_,^]", name)):
        yield "name"


def _told_of_recording(text: str, known: str) -> Iterator[str]:
    parts = text.split()
    if len(parts) < 4 or parts[0] != "Startdate":
        return
    if _is_number(parts[2], known):
        yield "code of the hospital"


def _is_number(text: str, known: str) -> bool:
    long = len(re.sub(r"\D", "", text)) > LONGEST_CODE and not BIRTH.search(text)
    return long and text.lower() not in known


def _is_name(word: str, known: str) -> bool:
    """Return whether a word is of letters alone, longer than initials, and none of the known."""
    written = re.fullmatch(r"[^\W\d_]{3,}[.]?", word) is not None
    return written and not ANONYMOUS.fullmatch(word) and word.lower() not in known


def find_copies(recordings: Mapping[str, Recording]) -> list[tuple[str, str]]:
    """Return the pairs of recordings with the same content, to the last bit."""
    known: dict[object, str] = {}
    copies = []
    for where, one in recordings.items():
        content = _content(one)
        if content is not None and known.setdefault(content, where) != where:
            copies.append((known[content], where))
    return copies


def _content(recording: Recording) -> object:
    """Return what tells one signal from another; None for one that says nothing."""
    places = list(places_of(recording, COMPARED))
    if not any(np.ptp(np.nan_to_num(place)) for place in places if place.size):
        return None
    digest = hashlib.blake2b()
    for place in places:
        digest.update(np.ascontiguousarray(place).tobytes())
    return recording.samples, recording.layout.rate, digest.hexdigest()


def check_copies(
    recordings: Mapping[str, Recording], copies: list[tuple[str, str]]
) -> Iterator[Finding]:
    """Yield copies, with both subjects where they differ."""
    for first, second in copies:
        subjects = [recordings[one].subject for one in (first, second)]
        differ = subjects[0] != subjects[1]
        whose = f", under subjects {subjects[0]} and {subjects[1]}" if differ else ""
        yield finding("duplicate_recording", second, f"the same content as {first}{whose}")


def check_people(
    recordings: Mapping[str, Recording], copies: list[tuple[str, str]]
) -> Iterator[Finding]:
    """Yield one person under two names: known as such, or with the same signal, shifted or not."""
    firsts = {one.subject: where for where, one in reversed(list(recordings.items()))}
    for a, b in same_person(list(firsts)):
        sentence = f"subjects {a} and {b} are known to be one person, splits keep them together"
        yield finding("same_person", firsts[b], sentence)
    told = {frozenset(recordings[one].subject for one in pair) for pair in copies}
    for first, second, shift in same_signal(_beginnings(recordings)) if len(firsts) > 1 else ():
        pair = frozenset((first.subject, second.subject))
        if pair not in told:
            told.add(pair)
            shifted = f", {abs(shift):g} s shifted" if shift else ""
            sentence = f"the same signal as in {first.name} of subject {first.subject}{shifted}"
            yield finding("same_person", second.name, sentence)


def _beginnings(recordings: Mapping[str, Recording]) -> list[Recording]:
    seconds = min(LONGEST, max(SHORTEST, TOGETHER / max(1, len(recordings))))
    return [replace(one.until(seconds), name=where) for where, one in recordings.items()]
