"""The import doctor: what is in a file or folder, and what looks wrong, before anything is trained.

docs/inspect.md says what is looked at, what is stated and what is found.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ranvier.datasets import read as read_data_set
from ranvier.datasets import recognise
from ranvier.formats import find_files, named_path, read, read_hypnogram, read_table
from ranvier.formats.edf_header import read_header
from ranvier.formats.hypnograms import HYPNOGRAM_READERS
from ranvier.formats.sleep_edf import is_hypnogram_file
from ranvier.inspection.annotations import check_annotations, count_stages
from ranvier.inspection.clock import check_overlaps, check_rates, check_start
from ranvier.inspection.description import Description, describe_recording, page
from ranvier.inspection.findings import KINDS, Finding, finding, said_while_reading
from ranvier.inspection.identity import check_copies, check_header, check_people, find_copies
from ranvier.inspection.leads import check_leads, understand
from ranvier.inspection.samples import ALL_PLACES, FEWEST_PLACES, PLACES, Looked, look
from ranvier.inspection.signal import check_gains, check_signal
from ranvier.recording import COUNT, Recording
from ranvier.signal_store import is_store, read_store
from ranvier.stored_recording import origin_of

__all__ = ["KINDS", "Finding", "Inspection", "inspect"]

Progress = Callable[[str, int, int], None]
TABLES = (".csv", ".tsv")
"""May hold a signal or stages."""
NAMED = 3
"""Recordings that are named with a finding before the rest is counted."""


@dataclass(frozen=True)
class Inspection:
    """What is in a file or folder, and what looks wrong; printed as one page.

    Parameters
    ----------
    path
        What was inspected.
    recordings
        What each recording is.
    stages
        Path and content of each hypnogram that lies there without a signal.
    findings
        What looks wrong, the worst first.
    """

    path: str
    recordings: tuple[Description, ...]
    stages: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        """Whether everything can be read, and something in it can be decoded."""
        return all(one.severity != "unusable" for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "path": self.path,
            "usable": self.is_usable,
            "recordings": [one.as_dict() for one in self.recordings],
            "stages": [{"where": where, "content": said} for where, said in self.stages],
            "findings": [asdict(one) for one in self.findings],
        }

    def __str__(self) -> str:
        lines = [self.path, ""]
        lines += page(self.recordings) if self.recordings else []
        lines += [f"{where}: {said}" for where, said in self.stages[:NAMED]]
        more = len(self.stages) - NAMED
        lines += [f"and {more} more hypnograms"] if more > 0 else []
        return "\n".join([*lines, "", *_listed(self.findings)])


def _listed(findings: Sequence[Finding]) -> list[str]:
    """Say each sentence once, with the recordings that it is true of."""
    if not findings:
        return ["Nothing looks wrong."]
    places: dict[tuple[str, str, str], list[str]] = {}
    for one in findings:
        places.setdefault((one.severity, one.kind, one.sentence), []).append(one.where)
    lines = []
    for (severity, kind, sentence), where in places.items():
        named = ", ".join(where[:NAMED])
        named += f" and {len(where) - NAMED} more" if len(where) > NAMED else ""
        lines += [f"{severity:8} {kind}: {sentence}", f"         {named}"]
    return lines


@dataclass(frozen=True, eq=False)
class _Opened:
    """A recording with where it lies; the path is not known within a data set or a store."""

    where: str
    path: Path | None
    recording: Recording


def inspect(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Inspection:
    """Look at a file or folder, and say what it is and what looks wrong.

    Places of each signal are looked at, never the whole; see docs/inspect.md.

    Parameters
    ----------
    path
        A recording, a hypnogram, a BIDS folder, a data set, a store, or any folder with such files.
    progress
        Called with what is done, how much of it, and how much there is.

    Returns
    -------
    Inspection
        What cannot be read is a finding, too; nothing is raised for it.

    Raises
    ------
    ValueError
        If the path is empty.
    """
    root = named_path(path)
    files = _files(root)
    if files and all(map(_has_stages_only, files)):
        return _inspect_stages(root, files)
    opened, findings = _open(root, files)
    return _inspect_opened(root, opened, findings, progress)


def _files(root: Path) -> list[Path]:
    try:
        return find_files(root)
    except ValueError:
        return sorted(file for file in root.rglob("*.edf") if is_hypnogram_file(file))


def _has_stages_only(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() not in HYPNOGRAM_READERS:
        return False
    if path.suffix.lower() in TABLES:
        return _can_be_read(read_hypnogram, path) or not _can_be_read(read_table, path)
    if path.suffix.lower() != ".edf" or is_hypnogram_file(path):
        return True
    try:
        return all(channel.is_annotation for channel in read_header(path).channels)
    except (ValueError, OSError):
        return False


def _can_be_read(reader: Callable[[Path], object], path: Path) -> bool:
    try:
        reader(path)
    except ValueError:
        return False
    return True


def _inspect_stages(root: Path, files: Sequence[Path]) -> Inspection:
    said, findings = [], []
    for file, where in zip(files, _wheres(root, files), strict=True):
        try:
            said.append((where, str(count_stages(read_hypnogram(file)))))
        except ValueError as error:
            findings.append(finding("unreadable", where, str(error)))
            continue
        findings += check_header(file, "", where)
    return Inspection(str(root), (), tuple(said), _sorted(findings))


def _wheres(root: Path, files: Sequence[Path]) -> list[str]:
    """Return the names of files, or their paths within the folder where names are not enough."""
    names = [file.name for file in files]
    if len(set(names)) == len(names):
        return names
    return [str(file.relative_to(root)) for file in files]


def _open(root: Path, files: Sequence[Path]) -> tuple[list[_Opened], list[Finding]]:
    """Open a data set as one, and anything else file by file, so that one may be broken."""
    if is_store(root):
        return _open_store(root)
    if known := recognise(root):
        try:
            recordings = read_data_set(root)
        except ValueError as error:
            return [], [finding("unreadable", known.name, str(error))]
        names = _distinct([one.name for one in recordings])
        opened = [_Opened(name, None, one) for name, one in zip(names, recordings, strict=True)]
        named = zip(files, _wheres(root, files), strict=True)
        return opened, [found for file, where in named for found in check_header(file, "", where)]
    opened, findings = [], []
    for file, where in zip(files, _wheres(root, files), strict=True):
        try:
            opened += [_Opened(where, file, one) for one in read(file)]
        except ValueError as error:
            findings.append(finding("unreadable", where, str(error)))
    if not files:
        findings = [finding("unreadable", root.name, f"no recordings are found in {root}")]
    return opened, findings


def _open_store(root: Path) -> tuple[list[_Opened], list[Finding]]:
    try:
        recordings = read_store(root)
    except ValueError as error:
        return [], [finding("unreadable", root.name, str(error))]
    opened, findings = [], []
    names = _distinct([one.name for one in recordings])
    for where, one in zip(names, recordings, strict=True):
        if trouble := _trouble_with(one):
            findings.append(finding("unreadable", where, trouble))
        else:
            opened.append(_Opened(where, None, one))
    return opened, findings


def _trouble_with(recording: Recording) -> str:
    """Say why a recording of a store has no signal to look at; nothing if it has one."""
    try:
        if recording.reader(0, 0).ndim == 2:
            return ""
    except ValueError as error:
        return str(error)
    origin = origin_of(recording)
    stages = ", ".join(str(one.get("stage")) for one in origin.stages) if origin else "unknown"
    return f"features after {stages} are no signal, the files they were made of must be inspected"


def _distinct(names: Sequence[str]) -> list[str]:
    """Add a number to each name that was there before."""
    seen: Counter[str] = Counter()
    told = []
    for name in names:
        seen[name] += 1
        told.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return told


def _inspect_opened(
    root: Path, opened: Sequence[_Opened], findings: list[Finding], progress: Progress | None
) -> Inspection:
    count = min(PLACES, max(FEWEST_PLACES, ALL_PLACES // max(1, len(opened))))
    described, looked = [], {}
    for number, one in enumerate(opened, start=1):
        spikes = one.recording.layout.unit == COUNT
        seen = None if spikes else look(one.recording, count)
        if seen:
            looked[one.where] = seen
        description, found = _inspect_one(one, seen)
        described.append(description)
        findings += found
        if progress:
            progress("inspecting", number, len(opened))
    findings += _inspect_together(opened, looked, findings)
    if opened and not any(one.leads.serves for one in described):
        sentence = "no recording has channels and a rate that a task could be decoded from"
        findings.append(finding("nothing_decodable", root.name, sentence))
    return Inspection(str(root), tuple(described), (), _sorted(findings))


def _inspect_one(one: _Opened, looked: Looked | None) -> tuple[Description, list[Finding]]:
    recording, where = one.recording, one.where
    leads = understand(recording, looked)
    findings = [
        *said_while_reading(recording, where),
        *check_leads(recording, leads, where),
        *(check_signal(looked, where) if looked else ()),
        *check_start(recording, where, datetime.now()),
        *check_annotations(recording, where, one.path),
        *(check_header(one.path, recording.subject, where) if one.path else ()),
    ]
    return describe_recording(recording, where, one.path, looked, leads), findings


def _inspect_together(
    opened: Sequence[_Opened], looked: dict[str, Looked], findings: Sequence[Finding]
) -> Iterator[Finding]:
    recordings = {one.where: one.recording for one in opened}
    known = {one.where for one in findings if one.kind == "gain"}
    copies = find_copies(recordings)
    yield from check_gains(looked, known)
    yield from check_rates(recordings)
    yield from check_overlaps(recordings, {frozenset(pair) for pair in copies})
    yield from check_copies(recordings, copies)
    yield from check_people(recordings, copies)


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    order = list(KINDS)
    worst = ("unusable", "warning", "note")
    ranked = sorted(findings, key=lambda one: (worst.index(one.severity), order.index(one.kind)))
    return tuple(ranked)
