"""When recordings were made: starts that say nothing, overlaps, and rates that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from ranvier.inspection.findings import Finding, finding
from ranvier.recording import COUNT, Recording

DEFAULT_DATE = (1985, 1, 1)
"""The first day that EDF can name, which devices and programs write when they know none."""
AHEAD = timedelta(days=1)
"""How far a start may lie in the future; time zones differ by less."""
TOUCHING = timedelta(seconds=1)
"""By which recordings of one subject may overlap: EDF writes whole seconds."""


def check_start(recording: Recording, where: str, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with the start of one recording."""
    start = clock(recording)
    if start is None:
        told = any(note.startswith("start unknown") for note in recording.notes)
        if recording.layout.unit != COUNT and not told:
            sentence = "the file does not say when it begins, times of day are not known"
            yield finding("start_missing", where, sentence)
    elif is_default(start):
        sentence = "the start is the first day of 1985, which programs write when they know none"
        yield finding("start_default", where, sentence)
    elif start > now + AHEAD:
        sentence = "the start lies in the future, the date may have been shifted on purpose"
        yield finding("start_future", where, sentence)


def clock(recording: Recording) -> datetime | None:
    """Return the start without a time zone, so that all can be compared."""
    start = recording.start
    return start.astimezone(UTC).replace(tzinfo=None) if start and start.tzinfo else start


def is_default(start: datetime) -> bool:
    """Return whether a date stands for none."""
    return (start.year, start.month, start.day) == DEFAULT_DATE


def check_overlaps(
    recordings: Mapping[str, Recording], copies: Collection[frozenset[str]]
) -> Iterator[Finding]:
    """Yield recordings of one subject that go on at the same time and are no copies."""
    starts = {where: clock(one) for where, one in recordings.items()}
    spans = sorted(
        (one.subject, start, start + timedelta(seconds=one.duration), where)
        for where, one in recordings.items()
        if (start := starts[where]) is not None and not is_default(start)
    )
    open_until: list[tuple[str, datetime, datetime, str]] = []
    for span in spans:
        subject, start, _, where = span
        open_until = [one for one in open_until if one[0] == subject and one[2] > start + TOUCHING]
        for _, _, end, other in open_until:
            if frozenset((where, other)) not in copies:
                seconds = (min(end, span[2]) - start).total_seconds()
                sentence = f"overlaps {other} of the same subject by {seconds:.0f} s"
                yield finding("overlap_in_time", where, sentence)
        open_until.append(span)


def check_rates(recordings: Mapping[str, Recording]) -> Iterator[Finding]:
    """Yield recordings whose rate is not that of most others."""
    rates = Counter(one.layout.rate for one in recordings.values() if one.layout.unit != COUNT)
    if len(rates) < 2:
        return
    (usual, count), *_ = rates.most_common()
    for where, one in recordings.items():
        if one.layout.rate != usual and one.layout.unit != COUNT:
            sentence = f"the rate is {one.layout.rate:g} Hz, that of {count} others {usual:g} Hz"
            yield finding("rate_difference", where, sentence)
