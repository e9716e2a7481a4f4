"""A file of an archive, and which names of files are fit to be written."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranvier.download.asking import BLOCK, Manners, RefusedError, text_of

MOST_FILES = 200_000
MARKS = ".ranvier-download.json"
PART, VALIDATOR = ".part", ".part.etag"
"""What stands behind the name of a file that is not whole yet, and of what its server calls it."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\:]|(^|/)(\.{0,2}|[^/]*[. ])(/|$)")
"""Control characters, drive letters, parts that are empty, climb, or end as Windows forgets."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that an archive says it has.

    Parameters
    ----------
    path
        In the archive and below the folder, with ``/``.
    url
        Where it is.
    size
        In bytes; None if the list does not say it.
    checksum
        ``"sha256:..."`` or ``"md5:..."``; empty if the archive has none.
    """

    path: str
    url: str
    size: int | None = None
    checksum: str = ""


def checked(files: Iterable[RemoteFile], source: str) -> list[RemoteFile]:
    """Return the files of a list if all of them are fit to be written.

    Raises
    ------
    RefusedError
        If there are none or too many, or a name would leave the folder or stands twice.
    """
    found = list(dict.fromkeys(files))
    if not found:
        raise RefusedError(f"{source} lists no files")
    if len(found) > MOST_FILES:
        raise RefusedError(f"{source} lists {len(found)} files, must be at most {MOST_FILES}")
    for one in found:
        if _UNFIT.search(one.path) or one.path.casefold().endswith((MARKS, PART, VALIDATOR)):
            raise RefusedError(f"{source} lists a file that is not safe to write: {one.path!r}")
    if twice := [path for path, times in Counter(one.path for one in found).items() if times > 1]:
        raise RefusedError(f"{source} lists {twice[0]!r} twice, and not the same")
    return found


def place_of(file: RemoteFile, folder: Path) -> Path:
    """Return where a file is to be written, and make the folder for it.

    Raises
    ------
    RefusedError
        If a link leads out of ``folder``, or a folder is there.
    """
    place = folder / file.path
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise RefusedError(f"{place} lies behind a link that leads out of {folder}")
    if place.is_dir():
        raise RefusedError(f"{place} cannot be written (a folder has its name)")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def matches(path: Path, file: RemoteFile, tell: Callable[[int], None] = lambda _: None) -> bool:
    """Return whether the bytes on disk are those of the archive, as far as it describes them."""
    if file.size is not None and path.stat().st_size != file.size:
        return False
    kind, _, digits = file.checksum.partition(":")
    if not digits:
        return file.size is not None
    digest, done = hashlib.new(kind, usedforsecurity=False), 0
    with path.open("rb") as opened:
        while block := opened.read(BLOCK * 16):
            digest.update(block)
            tell(done := done + len(block))
    return digest.hexdigest() == digits


def json_of(url: str, manners: Manners) -> dict[str, Any]:
    """Return an answer of an archive that must be an object of JSON.

    Raises
    ------
    RefusedError
        If it cannot be had or is something else.
    """
    try:
        found = json.loads(text_of(url, manners))
    except (json.JSONDecodeError, RecursionError):
        raise RefusedError(f"{url} is no list of files: it is not JSON") from None
    if not isinstance(found, dict):
        raise RefusedError(f"{url} is no list of files: it is no object")
    return found


def checksum_from(told: object) -> str:
    """Return a checksum in the form of ``RemoteFile``, or an empty text if it is not one."""
    known = r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}"
    return told if isinstance(told, str) and re.fullmatch(known, told) else ""


def path_from(told: object, source: str) -> str:
    """Return the path of a file.

    Raises
    ------
    RefusedError
        If it is not a text.
    """
    if not isinstance(told, str):
        raise RefusedError(f"{source} lists a file called {told!r:.40}, must be a text")
    return told


def size_from(told: object, source: str) -> int:
    """Return a size in bytes.

    Raises
    ------
    RefusedError
        If it is not a whole number from 0 on.
    """
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told < 1 << 53:
        raise RefusedError(f"{source} lists a size of {told!r:.40}, must be a number from 0 on")
    return told
