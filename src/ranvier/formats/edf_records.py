"""The records of EDF and BDF files as one signal."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.formats.edf_header import Channel, Header, UnreadableError, record_onset
from ranvier.recording import Array, Signal

MOST_MAPPED = 64
"""Files that are kept mapped at a time."""

Reader = Callable[[int, int], Signal]
"""From the first and last sample to float32, (time, channels)."""


def map_records(path: Path, header: Header) -> tuple[Array, list[str]]:
    """Map int16 (records, samples), or bytes (records, samples, 3) for BDF."""
    samples = header.record_samples
    record_bytes = header.sample_bytes * samples
    size = path.stat().st_size - header.size
    available = size // record_bytes if record_bytes else 0
    records = min(available, header.records) if header.records > 0 else available
    if records < 1:
        raise UnreadableError(
            f"has no whole record: {size} bytes after the header, a record has {record_bytes}"
        )
    notes = []
    if header.records < 1:
        notes.append(f"the header gives {header.records} records, the file's size {records}")
    elif records < header.records:
        ends = (records * header.seconds, header.records * header.seconds)
        notes.append(f"data end at {ends[0]:.10g} s, the header promises {ends[1]:.10g} s")
    elif size > records * record_bytes:
        notes.append(f"{size - records * record_bytes} bytes after the last record are ignored")
    is_bdf = header.sample_bytes == 3
    shape = (records, samples, 3) if is_bdf else (records, samples)
    mapped = np.memmap(path, np.uint8 if is_bdf else "<i2", "r", offset=header.size, shape=shape)
    return np.asarray(mapped), notes


@dataclass(frozen=True, eq=False)
class Records:
    """Reader of stored records; ``records[a:b, selection]`` is (record, channel, sample)."""

    records: Array
    selection: slice | Array
    samples: int
    gain: Signal
    offset: Signal

    @classmethod
    def of(cls, stored: Array, channels: Sequence[Channel]) -> Records:
        """Take channels of equal length out of what ``map_records`` gives."""
        samples = channels[0].samples
        firsts = np.array([channel.first for channel in channels])
        begin, places = firsts[0], (firsts - firsts[0]) // samples
        selection: slice | Array = firsts[:, None] + np.arange(samples)
        if not ((firsts - begin) % samples).any():
            span = stored[:, begin : firsts[-1] + samples]
            stored = span.reshape(len(stored), -1, samples, *stored.shape[2:])
            selection = slice(None) if len(places) == stored.shape[1] else places
        factors = np.array([channel.gain_and_offset for channel in channels], np.float32)
        gain, offset = factors.T[:, :, None, None]
        return cls(stored, selection, samples, gain, offset)

    def __call__(self, first: int, last: int) -> Signal:
        """Read only the records that hold these samples."""
        start, stop = first // self.samples, -(-last // self.samples)
        block = self.records[start:stop, self.selection]
        digital = _join_bytes(block) if block.ndim == 4 else block
        signal = digital.transpose(1, 0, 2).astype(np.float32, order="C")
        signal *= self.gain
        inside = slice(first - start * self.samples, last - start * self.samples)
        asked = signal.reshape(len(signal), -1)[:, inside]
        asked += self.offset[:, 0]
        return asked.T

    def integers(self, first: int, last: int) -> Array:
        """Read 16-bit samples as they are stored, (time, channel)."""
        start, stop = first // self.samples, -(-last // self.samples)
        block = self.records[start:stop, self.selection].transpose(0, 2, 1)
        inside = slice(first - start * self.samples, last - start * self.samples)
        return block.reshape(-1, len(self.gain))[inside]


def records_of(path: Path, header: Header, channels: Sequence[Channel]) -> Records:
    """Map a file and return the reader of some of its channels."""
    return Records.of(map_records(path, header)[0], channels)


class Mapping(Hashable, Protocol):
    """A reader that maps a file before it reads."""

    @property
    def make(self) -> Callable[[], Reader]:
        """Map the file and return a reader of it."""


@dataclass(frozen=True, eq=False)
class OnDemand:
    """Reader that maps its file when it is asked, and lets go of it when many others are asked.

    A map keeps its file open, and a data set has more files than a process may have open.
    """

    make: Callable[[], Reader]

    def __call__(self, first: int, last: int) -> Signal:
        """Read these samples."""
        return mapped(self)(first, last)


@lru_cache(maxsize=MOST_MAPPED)
def mapped(reader: Mapping) -> Reader:
    """Return what a reader makes of its file, which stays mapped until many others were asked."""
    return reader.make()


def _join_bytes(triples: Array) -> npt.NDArray[np.int32]:
    """Turn little-endian signed triples of bytes (..., 3) into whole numbers (...)."""
    padded = np.zeros((*triples.shape[:-1], 4), np.uint8)
    padded[..., 1:] = triples
    return padded.view("<i4")[..., 0] >> 8


class Piece(NamedTuple):
    """A stretch without a gap: first sample in the recording and in the file, and length."""

    start: int
    source: int
    samples: int


@dataclass(frozen=True, eq=False)
class Pieces:
    """Reader that puts NaN between pieces."""

    reader: Reader
    pieces: Sequence[Piece]
    channels: int

    def __call__(self, first: int, last: int) -> Signal:
        """Read what was recorded and leave the rest NaN."""
        signal = np.full((last - first, self.channels), np.nan, np.float32)
        reached = bisect_right(self.pieces, first, key=lambda piece: piece.start)
        ahead = islice(self.pieces, max(0, reached - 1), None)
        for start, source, samples in takewhile(lambda piece: piece.start < last, ahead):
            begin, end = max(first, start), min(last, start + samples)
            if begin < end:
                read = self.reader(source + begin - start, source + end - start)
                signal[begin - first : end - first] = read
        return signal


def place_records(rows: Sequence[bytes], samples: int, rate: float) -> list[Piece]:
    """Place the records of a discontinuous file where they say that they begin."""
    onsets = [onset for onset in map(record_onset, rows) if onset is not None]
    if not rows or len(onsets) < len(rows):
        raise UnreadableError("is discontinuous, but not every record says when it begins")
    pieces = [Piece(0, 0, 0)]
    for number, onset in enumerate(onsets):
        last = pieces[-1]
        place, due = round((onset - onsets[0]) * rate), last.start + last.samples
        if place < due - 1:
            raise UnreadableError(
                f"has records out of order: record {number + 1} begins at {onset:.10g} s, "
                f"before the end of the one before it"
            )
        if place > due + 1:
            pieces.append(Piece(place, number * samples, samples))
        else:
            pieces[-1] = last._replace(samples=last.samples + samples)
    return pieces


def describe_gaps(pieces: Sequence[Piece], rate: float) -> tuple[int, list[str]]:
    """Return the length with gaps, in samples, and a sentence about them if there are any."""
    samples = pieces[-1].start + pieces[-1].samples
    missing = (samples - sum(piece.samples for piece in pieces)) / rate
    gaps = f"{len(pieces) - 1} gaps between records, {missing:.10g} s in all, are NaN"
    return samples, [gaps] if missing else []


def annotation_bytes(header: Header, stored: Array) -> list[bytes]:
    """Return the bytes of all annotations, record by record; empty without any."""
    channels = [channel for channel in header.channels if channel.is_annotation]
    if not channels:
        return []
    parts = [stored[:, channel.first :][:, : channel.samples] for channel in channels]
    return [row.tobytes() for row in np.concatenate(parts, axis=1)]
