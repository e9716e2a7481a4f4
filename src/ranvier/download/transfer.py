"""One file: fetched into a file beside its place, gone on with where it broke off, and compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path

from ranvier.download.asking import (
    GAIN,
    DroppedError,
    Manners,
    MissingError,
    RefusedError,
    blocks,
    opened,
    patiently,
)
from ranvier.download.remote import PART, VALIDATOR, RemoteFile, matches

MOST_WRONG = 2
"""Times that a whole file is fetched whose bytes turn out wrong."""

_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)")
_STRONG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
"""What a server may call a version so that another is sure to be called otherwise."""


def size_of(file: RemoteFile, manners: Manners) -> int | None:
    """Return how many bytes a server says a file has, or None if it does not say.

    Raises
    ------
    RefusedError
        If the server cannot be asked.
    """

    def ask() -> int | None:
        with opened(file.url, manners, method="HEAD") as answer:
            told = answer.headers.get("Content-Length", "")
        return int(told) if re.fullmatch(r"\d{1,15}", told) else None

    try:
        return patiently(ask, manners)
    except MissingError:
        return None


def fetch(
    file: RemoteFile,
    place: Path,
    manners: Manners,
    tell: Callable[[int], None] = lambda _: None,
) -> None:
    """Fetch a file; it takes its place when its bytes are those of the archive.

    What is there of it under the name with ``.part`` is gone on with.

    Parameters
    ----------
    tell
        Is told how many bytes are there.

    Raises
    ------
    RefusedError
        If it cannot be had, or was wrong twice, in one sentence.
    """
    part = part_of(place)
    for path in (part, _validator_of(part)):
        if path.is_symlink():
            path.unlink()
    for _ in range(MOST_WRONG):
        gained = _gain(part)
        patiently(lambda: _receive(file, part, manners, tell), manners, gained=gained)
        if matches(part, file):
            part.replace(place)
            _validator_of(part).unlink(missing_ok=True)
            return
        _remove(part)
    raise RefusedError(f"{file.url} has not the listed checksum, {MOST_WRONG} times in a row")


def part_of(place: Path) -> Path:
    """Return where a file lies until it is whole."""
    return place.with_name(place.name + PART)


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, 0 if it is not there or cannot be."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _validator_of(part: Path) -> Path:
    return part.with_name(part.name.removesuffix(PART) + VALIDATOR)


def _remove(part: Path) -> None:
    for path in (part, _validator_of(part)):
        path.unlink(missing_ok=True)


def _gain(part: Path) -> Callable[[], bool]:
    """Return what says whether an attempt came further than any before."""
    furthest = [size_on_disk(part)]

    def gained() -> bool:
        here = size_on_disk(part)
        if here < furthest[0] + GAIN:
            return False
        furthest[0] = here
        return True

    return gained


def _receive(file: RemoteFile, part: Path, manners: Manners, tell: Callable[[int], None]) -> None:
    """Make one attempt at what is missing of a file."""
    there, version = _usable(file, part)
    if there and there == file.size:
        return
    headers = {"Range": f"bytes={there}-"} if there else {}
    if version:
        headers["If-Range"] = version
    with opened(file.url, manners, headers=headers) as answer:
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _check_end(file, part, answer)
            return
        start, size = _offered(file, part, there, answer)
        if not start:
            _begin(part, answer)
        with part.open("ab" if start else "wb") as opened_part:
            for block in blocks(answer, size - start, manners):
                opened_part.write(block)
                start += len(block)
                tell(start)
    if start < size:
        raise DroppedError(f"{file.url} broke off after {start} of {size} bytes")


def _usable(file: RemoteFile, part: Path) -> tuple[int, str]:
    """Return how many bytes can be gone on from, and what the server calls their version."""
    there = size_on_disk(part)
    try:
        version = _validator_of(part).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        version = ""
    version = version if _STRONG.fullmatch(version) else ""
    too_long = file.size is not None and there > file.size
    if too_long or not (version or file.checksum):
        _remove(part)
        return 0, ""
    return there, version if there else ""


def _begin(part: Path, answer: HTTPResponse) -> None:
    """Keep what the server calls this version of the file."""
    version = answer.headers.get("ETag", "")
    _remove(part)
    if _STRONG.fullmatch(version):
        _validator_of(part).write_text(version, encoding="ascii")


def _check_end(file: RemoteFile, part: Path, answer: HTTPResponse) -> None:
    """Accept that nothing is missing if the server says so, else begin anew."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    there = size_on_disk(part)
    whole = found is not None and there > 0 and found[2] == str(there)
    if not whole or file.size is not None:
        _remove(part)
        raise DroppedError(f"{file.url} does not go on where it broke off")


def _offered(file: RemoteFile, part: Path, there: int, answer: HTTPResponse) -> tuple[int, int]:
    """Return the first byte that an answer brings, and the size of the whole file.

    Raises
    ------
    DroppedError
        If it is not what was asked for or not of the listed size.
    RefusedError
        If nobody says how long the file is.
    """
    start, total = 0, answer.length
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or found[1] is None or int(found[1]) != there:
            _remove(part)
            raise DroppedError(f"{file.url} answers with another part than was asked for")
        start = there
        total = int(found[2]) if found[2] else total and there + total
    if total is None and file.size is None:
        raise RefusedError(f"{file.url} does not say how long it is")
    if None not in (total, file.size) and total != file.size:
        raise DroppedError(f"{file.url} promises {total} bytes where {file.size} are listed")
    return start, file.size if file.size is not None else total or 0
