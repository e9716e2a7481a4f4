"""Annotations that lie apart from the recordings they are about: a file for each, or one table."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ranvier.formats.folders import everything_below
from ranvier.formats.hed_score import (
    LABELS,
    LONGEST,
    MISSING,
    clip_events,
    number_of,
    table_lines,
    tell_seizures,
)
from ranvier.formats.hypnogram_tables import PREFIX, clip_hypnogram, read_annotated_table
from ranvier.formats.hypnograms import HYPNOGRAM_READERS, read_hypnogram
from ranvier.formats.sleep_edf import PARTNER, is_hypnogram_file
from ranvier.formats.stage_grid import naming
from ranvier.recording import Recording
from ranvier.truth import BACKGROUND, SEIZURE, SLEEP_STAGES, Event, Events, Hypnogram, seizure_label

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "recording": ("recording", "file", "filename", "edf"),
    "onset": ("onset", "start"),
    "end": ("end", "stop", "offset"),
    "duration": ("duration",),
    "label": ("label", *map(str.lower, LABELS), "type"),
}
"""What a column of a table may be called; capital letters do not matter."""

TABLES = (".csv", ".tsv")
SUFFIXES = (".edf", ".bdf", ".npz", ".nwb", ".mat")
"""Which the name of a recording may have in a table."""
BIDS_ENDING = "_events"

Place = tuple[str, ...]
"""Folders and name of a recording, without its suffix."""


class Annotations(NamedTuple):
    """What is known of one recording, and what is not."""

    events: Events | None
    hypnogram: Hypnogram | None = None
    notes: Sequence[str] = ()


_Read = Callable[[Recording], Annotations]


class _Given(NamedTuple):
    """Annotations of one recording: what they are called, where they stand, how they are read."""

    place: Place
    where: str
    read: _Read


def with_annotations(
    recordings: Sequence[Recording],
    source: str | os.PathLike[str],
    *,
    files: Mapping[str, Path] | None = None,
) -> list[Recording]:
    """Give recordings the annotations of a folder or of one table.

    Parameters
    ----------
    recordings
        One of which nothing is said there stays as it is, with a note.
    source
        A folder with a file for each recording, called like it: a table of events
        (``NAME_events.tsv``, ``NAME.tsv``, ``NAME.csv``) or a hypnogram as of ``read_hypnogram``.
        Or one table of events, ``.csv`` or ``.tsv``, with a column ``recording`` that has the name
        of the file, alone or with folders.
    files
        Where recordings lie, by their names: folders that are named must be theirs. Without it,
        they must be part of a recording's name.

    Returns
    -------
    list of Recording
        What is given takes the place of events, or stages, that the recording had. A table whose
        columns are ``onset`` and ``end`` or ``duration``, in seconds from the first sample, has a
        seizure in each row unless a column ``label`` says otherwise. A row without times says that
        the recording was looked at.

    Raises
    ------
    ValueError
        If nothing there is called like a recording, something is called like two, two files are
        called like one, or a file cannot be read.
    """
    source = Path(source)
    given = _from_folder(source) if source.is_dir() else _from_table(source)
    found = _matched(recordings, given, files or {})
    if recordings and not any(found):
        known = ", ".join("/".join(one.place) for one in given[:3]) or "nothing"
        raise ValueError(
            f"Invalid annotations: nothing in {source} is called like any of {len(recordings)} "
            f"recordings, such as {recordings[0].name}; it tells of {known}"
        )
    if source.is_dir():
        _refuse_two(recordings, found)
    unsaid = f"nothing in {source} is about it"
    return [
        _annotated(one, [each.read(one) for each in about]) if about else one.with_note(unsaid)
        for one, about in zip(recordings, found, strict=True)
    ]


def _matched(
    recordings: Sequence[Recording], given: Sequence[_Given], files: Mapping[str, Path]
) -> list[list[_Given]]:
    """Return what is given about each recording: what is called like the end of its place."""
    places: dict[str, list[tuple[int, Place]]] = {}
    for number, recording in enumerate(recordings):
        for place in _places(recording.name, files.get(recording.name)):
            places.setdefault(place[-1], []).append((number, place))
    found: list[list[_Given]] = [[] for _ in recordings]
    for one in given:
        alike = places.get(one.place[-1], [])
        meant = sorted({n for n, place in alike if place[-len(one.place) :] == one.place})
        if len(meant) > 1:
            names = " and ".join(recordings[number].name for number in meant[:2])
            raise ValueError(
                f"Invalid annotations: {one.where} is called like {len(meant)} recordings, {names}"
                f"{', ...' if len(meant) > 2 else ''}, must be one; folders tell them apart"
            )
        for number in meant:
            found[number].append(one)
    return found


def _places(name: str, file: Path | None) -> set[Place]:
    """Return what a recording is called: by its name, and by its file without the suffix."""
    known = {_place(name)}
    if file is not None:
        known.add(_place(file.absolute().with_suffix("").as_posix()))
    return known | {(*place[:-1], place[-1].removesuffix("-PSG")) for place in known}


def _place(text: str) -> Place:
    parts = PurePosixPath(unicodedata.normalize("NFC", text.replace("\\", "/"))).parts
    return parts or ("",)


def _refuse_two(recordings: Sequence[Recording], found: Sequence[Sequence[_Given]]) -> None:
    for recording, about in zip(recordings, found, strict=True):
        if len(about) > 1:
            raise ValueError(
                f"Invalid annotations: {' and '.join(one.where for one in about)} are both called "
                f"like {recording.name}, must be one"
            )


def _annotated(recording: Recording, found: Sequence[Annotations]) -> Recording:
    notes = [note for one in found for note in one.notes]
    items = [event for one in found for event in one.events or ()]
    events, hypnogram = recording.events, recording.hypnogram
    if known := [one.events for one in found if one.events is not None]:
        events, said = clip_events(replace(known[0], items=tuple(items)), recording.duration)
        notes += said
    if staged := [one.hypnogram for one in found if one.hypnogram is not None]:
        hypnogram, said = clip_hypnogram(staged[0], recording.duration)
        notes += said
    notes = [*recording.notes, *notes]
    return replace(recording, events=events, hypnogram=hypnogram, notes=tuple(notes))


def _from_folder(folder: Path) -> list[_Given]:
    """Return what each file of a folder may be about."""
    paths = [path for path in everything_below(folder) if path.is_file() and _may_tell(path)]
    return [
        _Given(_place_of(path.relative_to(folder)), str(path), partial(_read_file, path))
        for path in paths
    ]


def _may_tell(path: Path) -> bool:
    suffix = path.suffix.lower()
    return is_hypnogram_file(path) if suffix == ".edf" else suffix in HYPNOGRAM_READERS


def _place_of(path: Path) -> Place:
    name = path.name[: -len(PARTNER)] if is_hypnogram_file(path) else path.stem
    return _place(f"{path.parent.as_posix()}/{name.removesuffix(BIDS_ENDING)}")


def _read_file(path: Path, recording: Recording) -> Annotations:
    if path.suffix.lower() not in TABLES:
        return Annotations(None, read_hypnogram(path))
    table = _Table.of(path)
    if "stage" in table.names:
        return Annotations(None, read_hypnogram(path))
    if path.suffix.lower() == ".tsv" and (path.stem.endswith(BIDS_ENDING) or table.is_of_bids):
        return Annotations(*read_annotated_table(path))
    if named := table.find("recording"):
        raise ValueError(
            f"{path} has a column {named}, must be without: one table about all recordings is to "
            "be given by its own name"
        )
    return table.events_of(table.rows, recording)


def _from_table(path: Path) -> list[_Given]:
    """Return the rows of one table that are about each recording."""
    if path.suffix.lower() not in TABLES:
        raise ValueError(
            f"Invalid annotations: {path}, must be a folder or a table, {' or '.join(TABLES)}"
        )
    table = _Table.of(path)
    named = table.column("recording")
    if "stage" in table.names:
        raise ValueError(f"{path} has stages of sleep, must have events; stages need a file each")
    if not table.rows:
        raise ValueError(f"{path} has no rows, must have one for each recording or more")
    parts: dict[Place, list[_Row]] = {}
    for row in table.rows:
        if not row.cells[named]:
            raise ValueError(f"{path}, line {row.line}: {named} is empty, must name a recording")
        parts.setdefault(_named_place(row.cells[named]), []).append(row)
    return [
        _Given(place, f"{'/'.join(place)} in {path}", partial(table.events_of, rows))
        for place, rows in parts.items()
    ]


def _named_place(text: str) -> Place:
    suffix = PurePosixPath(text).suffix
    return _place(text.removesuffix(suffix) if suffix.lower() in SUFFIXES else text)


class _Row(NamedTuple):
    """Cells by the names of their columns, and the line of the file at which they end."""

    line: int
    cells: Mapping[str, str]


class _Table(NamedTuple):
    """Rows of a table of events, by the names of its columns in small letters."""

    path: Path
    header: list[str]
    names: list[str]
    rows: list[_Row]
    separator: str

    @classmethod
    def of(cls, path: Path) -> _Table:
        lines = table_lines(path)
        first = next((n for n, line in enumerate(lines) if not _is_blank(line)), 0)
        separator = max("\t;,", key=lines[first].count)
        reader = csv.reader(lines[first:], delimiter=separator, strict=True)
        try:
            cells = [(first + reader.line_num, [*map(str.strip, row)]) for row in reader]
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {first + reader.line_num}: {error}, must be a table whose quotes "
                "are closed"
            ) from None
        header, *others = [row for row in cells if any(row[1])] or [(0, [""])]
        names = [name.lower() for name in header[1]]
        if twice := {name for name in names if name and names.count(name) > 1}:
            raise ValueError(f"{path} has columns called alike: {', '.join(sorted(twice))}")
        rows = [_row(path, line, row, names) for line, row in others]
        return cls(path, header[1], names, rows, separator)

    @property
    def is_of_bids(self) -> bool:
        """Whether it has the columns of HED-SCORE or BIDS, as these write them."""
        labelled = not set(LABELS).isdisjoint(self.header)
        return labelled and {"onset", "duration"} <= set(self.header) and self.separator == "\t"

    def find(self, what: str) -> str:
        """Return the name of a column, nothing without one."""
        return next((name for name in COLUMNS[what] if name in self.names), "")

    def column(self, what: str, other: str = "") -> str:
        """Return the name of a column, refuse a table that has none of what it may be called."""
        if found := self.find(what) or (self.find(other) if other else ""):
            return found
        allowed = [*COLUMNS[what], *(COLUMNS[other] if other else ())]
        raise ValueError(
            f"{self.path} is not a table of events: no column {' or '.join(allowed)} among "
            f"{', '.join(self.header)[:80] or 'none'}"
        )

    def events_of(self, rows: Sequence[_Row], recording: Recording) -> Annotations:
        """Return the events that rows tell of; None if they tell of no seizure."""
        self.column("onset"), self.column("end", "duration")
        items: list[Event] = []
        for line, cells in rows:
            with naming(f"{self.path}, line {line}"):
                items += self._event(cells)
        events = Events(tuple(items), recording.duration, recording.start)
        if tell_seizures(events):
            return Annotations(events)
        labels = ", ".join(sorted({event.label for event in events}))
        return Annotations(
            None, None, [f"no label in {self.path} is of a seizure or background: {labels[:80]}"]
        )

    def _event(self, cells: Mapping[str, str]) -> list[Event]:
        """Return the event of a row, none if it has no times and tells of no seizure."""
        label, onset, end, duration = (
            cells.get(self.find(one), "") for one in ("label", "onset", "end", "duration")
        )
        label = "" if label.lower() == MISSING else label
        if not (onset or end or duration) and label.lower() in ("", BACKGROUND):
            return []
        begin = self._seconds(onset, self.find("onset"))
        last = self._seconds(end or duration, self.find("end" if end else "duration") or "end")
        lasts = last - begin if end else last
        if lasts <= 0:
            raise ValueError(f"ends at {begin + lasts:g} s, must be after its onset at {begin:g} s")
        if label.lower().startswith(PREFIX) or label in SLEEP_STAGES:
            raise ValueError(f"{label} is a stage of sleep, must be in a hypnogram of its own")
        named = BACKGROUND if label.lower() == BACKGROUND else seizure_label(label)
        return [Event(begin, lasts, named or label or SEIZURE)]

    def _seconds(self, text: str, name: str) -> float:
        text = text.replace(",", ".") if self.separator == ";" else text
        return number_of(text, f"{name} in seconds from the first sample", LONGEST)


def _is_blank(line: str) -> bool:
    """Return whether a line has no cells, or is that by which Excel is told the separator."""
    return not line.strip(" \t;,") or line.lower().startswith("sep=")


def _row(path: Path, line: int, cells: Sequence[str], names: Sequence[str]) -> _Row:
    """Name the cells of a row; what is empty may be missing at its end, or too much there."""
    if any(cells[len(names) :]) or len(cells) < len(names):
        raise ValueError(f"{path}, line {line}: {len(cells)} cells, must be {len(names)}")
    return _Row(line, dict(zip(names, cells, strict=False)))
