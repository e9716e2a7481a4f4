"""Annotations that lie apart from the recordings they are about: a file for each, or one table."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ranvier.formats.hed_score import LABELS, clip_events, number_of, table_lines
from ranvier.formats.hypnogram_tables import clip_hypnogram, read_annotated_table
from ranvier.formats.hypnograms import HYPNOGRAM_READERS, read_hypnogram
from ranvier.formats.sleep_edf import is_hypnogram_file
from ranvier.formats.stage_grid import naming
from ranvier.recording import Recording
from ranvier.truth import BACKGROUND, SEIZURE, Event, Events, Hypnogram, seizure_label

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "recording": ("recording", "file", "filename", "edf"),
    "onset": ("onset", "start"),
    "end": ("end", "stop", "offset"),
    "duration": ("duration",),
    "label": ("label", *map(str.lower, LABELS), "type"),
}
"""What a column of a table may be called; capital letters do not matter."""

TABLES = (".csv", ".tsv")
SUFFIXES = (".edf", ".bdf", ".npz", ".nwb", ".mat", *HYPNOGRAM_READERS)
"""Which a name may have that means a recording."""
_ENDINGS = re.compile(r"(_events|_eeg|-Hypnogram)$", re.IGNORECASE)


class Annotations(NamedTuple):
    """What is known of one recording, and what is not."""

    events: Events | None
    hypnogram: Hypnogram | None = None
    notes: Sequence[str] = ()


def with_annotations(
    recordings: Sequence[Recording], source: str | os.PathLike[str]
) -> list[Recording]:
    """Give recordings the annotations of a folder or of one table.

    Parameters
    ----------
    recordings
        One of which nothing is said there stays as it is.
    source
        A folder with a file for each recording, called like it: a table of events
        (``NAME_events.tsv``, ``NAME.tsv``, ``NAME.csv``) or a hypnogram as of ``read_hypnogram``.
        Or one table of events, ``.csv`` or ``.tsv``, with a column ``recording`` that has the name
        of the file, alone or with folders.

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
        If nothing there is called like a recording, two files are called like one, or a file cannot
        be read.
    """
    source = Path(source)
    known = _Known(source, _files(source) if source.is_dir() else _parts(source))
    found = [known.of(recording.name) for recording in recordings]
    if not any(found):
        raise ValueError(
            f"Invalid annotations: nothing in {source} is called like any of {len(recordings)} "
            f"recordings, such as {recordings[0].name}"
        )
    return [
        _annotated(recording, read(recording)) if read else recording
        for recording, read in zip(recordings, found, strict=True)
    ]


_Read = Callable[[Recording], Annotations]


class _Known:
    """What reads the annotations at each place of a folder or a table."""

    def __init__(self, source: Path, readers: Mapping[str, _Read]) -> None:
        self.source, self.readers = source, readers
        self.places: dict[str, list[str]] = {}
        for place in readers:
            self.places.setdefault(place.rpartition("/")[2], []).append(place)

    def of(self, name: str) -> _Read | None:
        """Return what reads those of a recording, known by its name or by its place and name."""
        wanted = _place(name)
        alike = self.places.get(wanted.rpartition("/")[2], [])
        called = [place for place in alike if f"/{place}".endswith(f"/{wanted}")]
        if len(called) > 1:
            raise ValueError(
                f"Invalid annotations: {' and '.join(called)} in {self.source} are both called "
                f"like the recording {name}, must be one"
            )
        return self.readers[called[0]] if called else None


def _annotated(recording: Recording, found: Annotations) -> Recording:
    events, hypnogram, notes = found
    if events is not None:
        events, said = clip_events(events, recording.duration)
        notes = [*notes, *said]
    if hypnogram is not None:
        hypnogram, said = clip_hypnogram(hypnogram, recording.duration)
        notes = [*notes, *said]
    return replace(
        recording,
        events=recording.events if events is None else events,
        hypnogram=hypnogram or recording.hypnogram,
        notes=(*recording.notes, *notes),
    )


def _files(folder: Path) -> dict[str, _Read]:
    """Return what reads each file of a folder, by its place there without its ending."""
    known: dict[str, _Read] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix.lower() not in HYPNOGRAM_READERS:
            continue
        if path.suffix.lower() == ".edf" and not is_hypnogram_file(path):
            continue
        place = _place(path.relative_to(folder).as_posix())
        if place in known:
            raise ValueError(
                f"Invalid annotations: {folder} has two files for {place}, must be one"
            )
        known[place] = _reader_of(path)
    return known


def _place(text: str) -> str:
    """Return what a recording and its annotations are both called, with their place."""
    text = text.strip().replace("\\", "/")
    return _ENDINGS.sub("", next((text[: -len(one)] for one in SUFFIXES if _ends(text, one)), text))


def _ends(text: str, suffix: str) -> bool:
    return text.lower().endswith(suffix)


def _reader_of(path: Path) -> _Read:
    def read(recording: Recording) -> Annotations:
        if path.suffix.lower() not in TABLES:
            return Annotations(None, read_hypnogram(path))
        table = _Table.of(path)
        if "stage" in table.names:
            return Annotations(None, read_hypnogram(path))
        if path.suffix.lower() == ".tsv" and table.is_of_bids:
            return Annotations(*read_annotated_table(path))
        return table.events_of(table.rows, recording)

    return read


def _parts(path: Path) -> dict[str, _Read]:
    """Return what gives the rows of one table that are about each recording."""
    if path.suffix.lower() not in TABLES:
        raise ValueError(
            f"Invalid annotations: {path}, must be a folder or a table, {' or '.join(TABLES)}"
        )
    table = _Table.of(path)
    named = table.column("recording")
    parts: dict[str, list[_Row]] = {}
    for row in table.rows:
        parts.setdefault(_place(row.cells[named]), []).append(row)
    return {place: partial(table.events_of, rows) for place, rows in parts.items()}


class _Row(NamedTuple):
    """Cells by the names of their columns, and which row it is in its file."""

    number: int
    cells: Mapping[str, str]


class _Table(NamedTuple):
    """Rows of a table of events, by the names of its columns in small letters."""

    path: Path
    names: list[str]
    rows: list[_Row]
    separator: str

    @classmethod
    def of(cls, path: Path) -> _Table:
        lines = table_lines(path)
        separator = max("\t;,", key=lines[0].count)
        try:
            cells = [row for row in csv.reader(lines, delimiter=separator) if any(row)]
        except csv.Error as error:
            raise ValueError(f"{path} is not a table of events: {error}") from None
        names = [name.strip().lower() for name in cells[0]] if cells else []
        rows = []
        for number, row in enumerate(cells[1:], start=2):
            if len(row) != len(names):
                raise ValueError(f"{path}, row {number}: {len(row)} cells, must be {len(names)}")
            rows.append(_Row(number, dict(zip(names, map(str.strip, row), strict=True))))
        return cls(path, names, rows, separator)

    @property
    def is_of_bids(self) -> bool:
        """Whether it has the columns of HED-SCORE or BIDS."""
        labelled = not {one.lower() for one in LABELS}.isdisjoint(self.names)
        return labelled and {"onset", "duration"} <= set(self.names)

    def column(self, what: str, *others: str) -> str:
        """Return the name of a column, refuse a table that has none of what it may be called."""
        allowed = [name for one in (what, *others) for name in COLUMNS[one]]
        found = next((name for name in allowed if name in self.names), None)
        if found is None:
            raise ValueError(
                f"{self.path} is not a table of events: no column {' or '.join(allowed)} among "
                f"{', '.join(self.names)[:80] or 'none'}"
            )
        return found

    def events_of(self, rows: Sequence[_Row], recording: Recording) -> Annotations:
        """Return the events that rows tell of."""
        onset, last = self.column("onset"), self.column("end", "duration")
        items = []
        for number, cells in rows:
            with naming(f"{self.path}, row {number}"):
                items += self._event(cells, onset, last)
        return Annotations(Events(tuple(items), recording.duration, recording.start))

    def _event(self, row: Mapping[str, str], onset: str, last: str) -> list[Event]:
        """Return the event of a row, none if it has no times and tells of no seizure."""
        label = next((row[name] for name in COLUMNS["label"] if row.get(name)), "")
        if not row[onset] and not row[last] and label.lower() in ("", BACKGROUND):
            return []
        begin, end = self._seconds(row, onset), self._seconds(row, last)
        duration = end if last in COLUMNS["duration"] else end - begin
        if duration < 0:
            raise ValueError(f"{last} {end:g} s lies before {onset} {begin:g} s")
        if label.lower() == BACKGROUND:
            return [Event(begin, duration, BACKGROUND)]
        return [Event(begin, duration, seizure_label(label) or label or SEIZURE)]

    def _seconds(self, row: Mapping[str, str], name: str) -> float:
        text = row[name] if self.separator == "," else row[name].replace(",", ".")
        return number_of(text, f"{name} in seconds from the first sample")
