"""A store: the signals of any data set as memory-mapped arrays, with an index.

What stages gave can be stored, too, features among them; the index then says which stages. A
signal of 16-bit integers is kept as it is in its file, any other as float32 µV, NaN in gaps; both
come back to the last bit. ``index.json`` says what else is known of each recording.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ranvier.formats.archives import BROKEN
from ranvier.recording import Array, Recording
from ranvier.stored_recording import (
    FLOATS,
    INTEGERS,
    DamagedError,
    array_of,
    describe,
    described,
    integers_of,
    unmapped,
)
from ranvier.writing import alone, replacing, write_text

INDEX = "index.json"
FORMAT = "ranvier store"
VERSION = 1
BLOCK_SECONDS = 60.0
SECONDS_BETWEEN_INDICES = 5.0

Entry = dict[str, Any]
Done = TypeVar("Done")


def is_store(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder is a store."""
    try:
        index = json.loads((Path(folder) / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(index, dict) and index.get("format") == FORMAT


def read_store(folder: str | os.PathLike[str]) -> list[Recording]:
    """Open the recordings of a store; their signals are mapped when they are asked for.

    Raises
    ------
    ValueError
        If the folder is no store of this version, holds no recordings, or a file of it is missing
        or damaged.
    """
    folder = Path(folder)
    entries = _entries(folder)
    with _saying_what_is_broken(folder):
        missing = [one for one in _files(entries) if not _is_within(folder, one)]
        if not missing and entries:
            return [described(entry, folder) for entry in entries]
    lacks = (
        f"lacks {len(missing)} files, such as {missing[0]}" if missing else "holds no recordings"
    )
    raise ValueError(f"Invalid store: {folder} {lacks}")


@contextmanager
def _saying_what_is_broken(folder: Path) -> Iterator[None]:
    try:
        yield
    except DamagedError:
        raise
    except BROKEN as error:
        raise ValueError(f"Invalid store: {folder / INDEX} is broken ({error!r})") from None


def _files(entries: Iterable[Entry]) -> list[str]:
    """Return the names of the arrays of some entries."""
    parts = (part for one in entries for part in (one, one.get("trajectory")) if part)
    return [part["file"] for part in parts]


def _is_within(folder: Path, name: str) -> bool:
    return Path(name).name == name and (folder / name).is_file()


def _entries(folder: Path) -> list[Entry]:
    if not is_store(folder):
        raise ValueError(f"Invalid store: {folder} has no {INDEX} of a {FORMAT}")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if index.get("version") != VERSION:
        raise ValueError(
            f"Invalid store: {folder} has version {index.get('version')}, must be {VERSION}"
        )
    with _saying_what_is_broken(folder):
        return list(index["recordings"])


def write_store(
    recordings: Sequence[Recording],
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Put recordings into a store; what is there already is not written again.

    A recording that the store knows by the same name and subject is replaced. When writing stops
    early, the store holds what was done, and the same call goes on from there.

    Parameters
    ----------
    recordings
        Of different names.
    folder
        The store, new or not.
    workers
        Recordings that are written side by side.
    progress
        Told how many are done, and of how many.

    Raises
    ------
    ValueError
        If there are none, one cannot be read, two have the same name and subject, the disk is full,
        or another run is writing to the store.
    """
    folder = Path(folder)
    _check_names(recordings)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, len(recordings))

    try:
        with alone(folder):
            _write_all(recordings, folder, workers, tell)
    except OSError as error:
        raise ValueError(
            f"Cannot write {folder} ({error.strerror or error}): {done} of {len(recordings)} "
            "recordings are done, the same command goes on from there"
        ) from None
    return folder


def _write_all(
    recordings: Sequence[Recording], folder: Path, workers: int, tell: Callable[[], None]
) -> None:
    entries, written = _entries(folder) if is_store(folder) else [], time.monotonic()
    with _saying_what_is_broken(folder):
        known, before = {_key(entry): entry for entry in entries}, set(_files(entries))
    try:
        for entry in over(store_one, recordings, workers, folder):
            known[_key(entry)] = entry
            tell()
            if time.monotonic() - written > SECONDS_BETWEEN_INDICES:
                _write_index(folder, known.values())
                written = time.monotonic()
    finally:
        _write_index(folder, known.values())
    for name in before.difference(_files(known.values())):
        (folder / Path(name).name).unlink(missing_ok=True)


def _key(entry: Entry) -> tuple[str, str, str]:
    return entry["subject"], entry["session"], entry["name"]


def _check_names(recordings: Sequence[Recording]) -> None:
    if not recordings:
        raise ValueError("Invalid recordings: none, must be at least one")
    seen = set()
    for one in recordings:
        key = (one.subject, one.session, one.name)
        if key in seen:
            raise ValueError(f"Invalid recordings: {one.name!r} is there twice, must be unique")
        seen.add(key)


def over(
    work: Callable[..., Done], recordings: Iterable[Recording], workers: int, *settings: Any
) -> Iterator[Done]:
    """Yield what work makes of recordings, as each is done, by some processes."""
    if workers == 1:
        yield from (work(recording, *settings) for recording in recordings)
        return
    try:
        from joblib import Parallel, delayed
    except ModuleNotFoundError:
        raise ValueError('Joblib is missing: pip install "ranvier[train]"') from None
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
    yield from parallel(delayed(work)(recording, *settings) for recording in recordings)


def _write_index(folder: Path, entries: Iterable[Entry]) -> None:
    ordered = sorted(entries, key=_key)
    index = {"format": FORMAT, "version": VERSION, "recordings": ordered}
    write_text(folder / INDEX, json.dumps(index, indent=1, allow_nan=False) + "\n")


def store_one(recording: Recording, folder: Path) -> Entry:
    """Write the array of a recording, unless it is there, and return what the index says of it."""
    records = integers_of(recording)
    dtype = FLOATS if records is None else INTEGERS
    gains, offsets = [], []
    shape = _shape(recording)
    if records is not None:
        gains, offsets = (one.ravel().tolist() for one in (records.gain, records.offset))
    digest = _digest(recording, [dtype.str, gains, offsets, *shape[2:]])
    path = folder / f"{digest}.npy"
    if not _is_whole(path, shape, dtype):
        with replacing(path) as temporary:
            _write_array(temporary, recording, dtype)
    entry = {**describe(recording), "file": path.name, "content": digest, "shape": shape}
    if recording.trajectory is not None:
        entry["trajectory"]["file"] = _store_values(recording.trajectory.values, folder)
    return {**entry, "gains": gains, "offsets": offsets}


def _blocks(recording: Recording) -> Iterator[Array]:
    """Yield (time, channels), as it is stored, each block from a file that is mapped anew."""
    size = max(1, round(BLOCK_SECONDS * recording.layout.rate))
    reader = unmapped(recording.reader)
    for first in range(0, recording.samples, size):
        last = min(first + size, recording.samples)
        records = integers_of(recording)
        block = reader(first, last) if records is None else records.integers(first, last)
        yield np.ascontiguousarray(block)


def _digest(recording: Recording, settings: Sequence[Any]) -> str:
    layout = recording.layout
    about = [VERSION, list(layout.channels), layout.rate, layout.unit, recording.samples, *settings]
    digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=12)
    for block in _blocks(recording):
        digest.update(block.data)
    return digest.hexdigest()


def _shape(recording: Recording) -> tuple[int, ...]:
    """Return (time, channel), or (step, node, feature)."""
    return recording.samples, *recording.reader(0, 0).shape[1:]


def _is_whole(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    try:
        found = array_of(path)
    except DamagedError:
        return False
    return bool(found.shape == shape and found.dtype == dtype)


def _write_array(path: Path, recording: Recording, dtype: np.dtype[Any]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": _shape(recording)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in _blocks(recording):
            file.write(block.data)


def _store_values(values: Array, folder: Path) -> str:
    content = np.ascontiguousarray(values)
    about = f"{content.dtype.str} {content.shape}".encode()
    name = f"{hashlib.blake2b(about + content.tobytes(), digest_size=12).hexdigest()}.npy"
    if not _is_whole(folder / name, content.shape, content.dtype):
        with replacing(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, content, allow_pickle=False)
    return name
