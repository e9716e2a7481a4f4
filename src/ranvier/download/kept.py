"""What of a folder was compared with its archive, so that it need not be read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ranvier.download.remote import MARKS, RemoteFile
from ranvier.writing import write_text

Mark = tuple[int, int, str]
"""Size in bytes, time of the last change in ns, and checksum of a file when it was compared."""


def mark_of(place: Path, file: RemoteFile) -> Mark | None:
    """Return the mark of a file as it lies on disk, or None if it does not."""
    try:
        known = place.stat()
    except OSError:
        return None
    return known.st_size, known.st_mtime_ns, file.checksum


def is_marked(marks: Mapping[str, Mark], folder: Path, file: RemoteFile) -> bool:
    """Return whether a file was compared with what the archive lists, and is unchanged."""
    mark = mark_of(folder / file.path, file)
    return mark is not None and mark == marks.get(file.path) and file.size in {None, mark[0]}


def read_marks(folder: Path) -> dict[str, Mark]:
    """Return the marks of a folder by path; none if their file is missing or spoilt."""
    try:
        found = json.loads((folder / MARKS).read_text(encoding="utf-8"))["files"]
        return {str(path): (int(a), int(b), str(c)) for path, (a, b, c) in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def write_marks(folder: Path, marks: Mapping[str, Mark]) -> None:
    """Write the marks of a folder."""
    write_text(folder / MARKS, json.dumps({"format": 1, "files": marks}, indent=1))
