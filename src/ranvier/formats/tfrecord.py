"""TFRecord files of ``tf.train.Example``, without TensorFlow.

A record is its length, a checksum of that, its bytes, and a checksum of these; checksums are
CRC-32C, rotated and shifted. An example maps names to lists of bytes, floats or whole numbers, in
the wire format of protocol buffers. Sources: tensorflow.org/tutorials/load_data/tfrecord;
protobuf.dev/programming-guides/encoding; RFC 3720, appendix B.4, for test vectors of CRC-32C.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier.formats.hdf5 import in_microvolts
from ranvier.formats.named_arrays import RATES, SIGNALS, plain
from ranvier.formats.stage_grid import naming
from ranvier.recording import Array, InMemory, Layout, Recording, Signal
from ranvier.truth import Event, Events, seizure_label

Feature = tuple[bytes, ...] | Array
"""Texts as bytes, float32 or int64."""
Example = dict[str, Feature]

RATE = 250.0
"""Of the Inception detector's clips, in Hz."""
LABELS = ("label", "labels", "y", "class", "target")
NO_SEIZURE = ("baseline", "background", "bckg", "interictal", "normal", "nonseizure")
LONGEST_RECORD = 1 << 28
MOST_VALUES = 500_000_000
"""Of all clips of a file together, which is 2 GB."""

_GZIP = b"\x1f\x8b"
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_BLOCK = 1024
_WORD = 0xFFFFFFFF


def read_tfrecord(
    path: str | os.PathLike[str],
    *,
    signal: str = "",
    rate: float | None = None,
    channels: Sequence[str] = ("EEG",),
) -> Recording:
    """Open a file of clips as one recording, plain or compressed with gzip.

    Each clip begins at a whole second, with NaN between two, so that no window reaches from one
    into another. The file is read and checked whole.

    Parameters
    ----------
    path
        Examples with a list of floats and perhaps a label, as the Inception detector is fed:
        ``data`` of 1024 values and ``label`` of ``seizure`` or ``baseline``.
    signal
        Which list of floats; by default the only one, or the only one with a usual name.
    rate
        In Hz; by default a number called ``rate``, ``fs`` or alike, else 250 Hz with a note.
    channels
        Names; values of several go sample by sample.

    Returns
    -------
    Recording
        Clips labelled as seizures are its events; None where labels are missing or are numbers.

    Raises
    ------
    ValueError
        If the file is cut off, a checksum is wrong, or it has no such clips.
    """
    path = Path(path)
    clips, labels, stored = _clips(path, signal, len(channels))
    told = stored if rate is None else rate
    notes = [] if told is not None else [f"the rate is not known, {RATE:g} Hz are assumed"]
    with naming(str(path)):
        layout = Layout(tuple(channels), RATE if told is None else told)
    firsts = _firsts([len(clip) for clip in clips], layout.rate)
    values = np.full((firsts[-1], len(channels)), np.nan, np.float32)
    for first, clip in zip(firsts, clips, strict=False):
        values[first : first + len(clip)] = clip
    return Recording(
        layout,
        len(values),
        InMemory(values),
        path.stem,
        events=_events(clips, labels, firsts, layout.rate),
        notes=(*notes, f"{len(clips)} clips, each from a whole second on, values taken as µV"),
    )


def _clips(
    path: Path, signal: str, channels: int
) -> tuple[list[Signal], list[Feature | None], float | None]:
    clips, labels, rates, values = [], [], set(), 0
    for number, example in enumerate(read_examples(path), start=1):
        try:
            clips.append(in_microvolts(_values(example, signal, channels), 1.0))
        except ValueError as error:
            raise ValueError(f"{path}, record {number}: {error}") from None
        labels.append(next((one for name, one in example.items() if plain(name) in LABELS), None))
        rates.add(_rate(example))
        values += clips[-1].size
        if values > MOST_VALUES:
            raise ValueError(f"{path} has more than {MOST_VALUES} values, must be split")
    if not clips:
        raise ValueError(f"{path} has no record")
    if len(rates) > 1:
        raise ValueError(f"{path} has clips at {len(rates)} different rates, must have one")
    return clips, labels, rates.pop()


def _values(example: Example, signal: str, channels: int) -> Array:
    lists = {name: one for name, one in example.items() if _is_floats(one)}
    usual = [name for name in lists if plain(name) in SIGNALS]
    found = next((names for names in (list(lists), usual) if len(names) == 1), [])
    name = signal or (found[0] if found else "")
    if name not in lists or len(lists[name]) % channels:
        raise ValueError(
            f"no clip of {channels} channels among the lists of floats, found: "
            f"{', '.join(f'{one} of {len(lists[one])}' for one in lists) or 'none'}; say which "
            f"with signal= and channels="
        )
    return np.asarray(lists[name], np.float32).reshape(-1, channels)


def _is_floats(feature: Feature) -> bool:
    return isinstance(feature, np.ndarray) and feature.dtype.kind == "f" and feature.size > 1


def _rate(example: Example) -> float | None:
    named = [one for name, one in example.items() if plain(name) in RATES]
    rates = [float(one[0]) for one in named if isinstance(one, np.ndarray) and one.size == 1]
    return rates[0] if rates else None


def _firsts(lengths: Sequence[int], rate: float) -> list[int]:
    """Return the first sample of each clip, and the end of the last."""
    firsts, second = [], 0
    for length in lengths:
        firsts.append(math.ceil(second * rate))
        second = math.ceil((firsts[-1] + length + 1) / rate)
    return [*firsts, firsts[-1] + lengths[-1]]


def _events(
    clips: Sequence[Signal], labels: Sequence[Feature | None], firsts: Sequence[int], rate: float
) -> Events | None:
    texts = [_text(label) for label in labels]
    if not all(seizure_label(one) or plain(one) in NO_SEIZURE for one in texts):
        return None
    items = [
        Event(first / rate, len(clip) / rate, code)
        for clip, text, first in zip(clips, texts, firsts, strict=False)
        if (code := seizure_label(text))
    ]
    return Events(tuple(items), firsts[-1] / rate)


def _text(label: Feature | None) -> str:
    return label[0].decode("utf-8", "replace") if isinstance(label, tuple) and label else ""


def read_examples(path: str | os.PathLike[str]) -> Iterator[Example]:
    """Read the examples of a file one after the other.

    Yields
    ------
    dict
        Name to a tuple of bytes, or to an array of float32 or int64.

    Raises
    ------
    ValueError
        If the file is cut off, a checksum is wrong, or a record is no example.
    """
    path = Path(path)
    for number, record in enumerate(read_records(path), start=1):
        try:
            yield parse_example(record)
        except (IndexError, struct.error, ValueError) as error:
            raise ValueError(f"{path}, record {number} is no tf.train.Example: {error}") from None


def read_records(path: Path) -> Iterator[bytes]:
    """Read the records of a file, whose checksums must be right.

    Raises
    ------
    ValueError
        If the file is cut off or damaged.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.peek(2)[:2] == _GZIP
            with gzip.open(file) if is_gzip else file as opened:
                yield from _records(path, opened)  # type: ignore[arg-type]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is a damaged or unfinished gzip file: {error}") from None
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None


def _records(path: Path, file: BinaryIO) -> Iterator[bytes]:
    number = 1
    while head := file.read(12):
        length = _checked(path, number, head[:8], head[8:])
        size = struct.unpack("<Q", length)[0]
        if size > LONGEST_RECORD:
            raise ValueError(
                f"{path}, record {number}: {size} bytes, must be at most {LONGEST_RECORD}"
            )
        body = file.read(size + 4)
        if len(body) < size + 4:
            raise ValueError(f"{path} is cut off in record {number}")
        yield _checked(path, number, body[:size], body[size:])
        number += 1


def _checked(path: Path, number: int, content: bytes, checksum: bytes) -> bytes:
    if len(checksum) < 4:
        raise ValueError(f"{path} is cut off in record {number}")
    if struct.unpack("<I", checksum)[0] != masked_crc32c(content):
        raise ValueError(f"{path} is no TFRecord file or damaged: checksum of record {number}")
    return content


def masked_crc32c(content: bytes) -> int:
    """Return the checksum of a TFRecord: CRC-32C, rotated right by 15, and a constant added."""
    crc = crc32c(content)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _WORD


def crc32c(content: bytes) -> int:
    """Return the cyclic redundancy check with Castagnoli's polynomial.

    The register after a block is the sum, without carry, of what each byte leaves in it, the first
    four of them added to the register before.
    """
    register, table = _WORD, _table()
    for place in range(0, len(content), _BLOCK):
        block = np.frombuffer(content[place : place + _BLOCK], np.uint8).copy()
        head = min(4, len(block))
        block[:head] ^= np.frombuffer(register.to_bytes(4, "little"), np.uint8)[:head]
        left = np.arange(len(block) - 1, -1, -1)
        register = int(np.bitwise_xor.reduce(table[left, block])) ^ register >> 8 * head
    return register ^ _WORD


@lru_cache(maxsize=1)
def _table() -> npt.NDArray[np.uint32]:
    """Return what a byte leaves in the register after so many zero bytes, (zeros, byte)."""
    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = np.where(row & 1, row >> 1 ^ np.uint32(_POLYNOMIAL), row >> 1).astype(np.uint32)
    rows = [row]
    for _ in range(_BLOCK - 1):
        rows.append(row[rows[-1] & 255] ^ rows[-1] >> 8)
    return np.array(rows)


def parse_example(record: bytes) -> Example:
    """Return the features of a ``tf.train.Example``.

    Raises
    ------
    ValueError
        If the bytes are none.
    """
    found: Example = {}
    for features in _messages(record, 1):
        for entry in _messages(features, 1):
            name = b"".join(_messages(entry, 1)[-1:]).decode("utf-8", "replace")
            for feature in _messages(entry, 2)[-1:]:
                for value in _feature(feature):
                    found[name] = value
    return found


def _feature(feature: bytes) -> Iterator[Feature]:
    for number, _, value in _fields(feature):
        if isinstance(value, bytes) and number == 1:
            yield tuple(_messages(value, 1))
        elif isinstance(value, bytes) and number == 2:
            packed = b"".join(one for _, _, one in _fields(value) if isinstance(one, bytes))
            yield np.frombuffer(packed, "<f4")
        elif isinstance(value, bytes) and number == 3:
            yield np.array(list(_whole_numbers(value)), np.uint64).astype(np.int64)


def _whole_numbers(value: bytes) -> Iterator[int]:
    for _, _, one in _fields(value):
        if isinstance(one, int):
            yield one
        else:
            place = 0
            while place < len(one):
                number, place = _varint(one, place)
                yield number


def _messages(content: bytes, wanted: int) -> list[bytes]:
    return [
        value
        for number, wire, value in _fields(content)
        if number == wanted and wire == 2 and isinstance(value, bytes)
    ]


_FIXED: Mapping[int, int] = {1: 8, 5: 4}
"""Bytes of values by their type on the wire."""


def _fields(content: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield number, type and value of each field."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield number, wire, value
            continue
        if wire not in (*_FIXED, 2):
            raise ValueError(f"field {number} of type {wire}, must be 0, 1, 2 or 5")
        size, place = (_FIXED[wire], place) if wire in _FIXED else _varint(content, place)
        if place + size > len(content):
            raise ValueError(f"field {number} ends after its message")
        yield number, wire, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a whole number, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise ValueError("it ends within a number")
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, place
    raise ValueError("a number of more than ten bytes")
