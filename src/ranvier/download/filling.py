"""A folder is filled: what is there is compared, what is missing is fetched."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ranvier.download.asking import Manners, MissingError, RefusedError
from ranvier.download.kept import Mark, is_marked, mark_of, read_marks, write_marks
from ranvier.download.remote import RemoteFile, matches, place_of
from ranvier.download.side_by_side import News, side_by_side
from ranvier.download.transfer import fetch, part_of, size_of, size_on_disk

MOST_FAILURES = 3
"""Files that may fail for another reason than that the archive does not have them."""
MOST_MISSING = 20
"""Files that may fail for any reason."""
OF_ONE_NAME = {
    errno.EACCES, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR,
    errno.ENOTEMPTY, errno.EPERM,
}  # fmt: skip
"""Why the system refuses a file while it may write others."""
OFTEN = 16
"""Files after which it is written down what is done."""

Tell = Callable[[Any], None]
Progress = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and of how much."""


@dataclass(frozen=True)
class Downloaded:
    """What a download came to.

    Parameters
    ----------
    folder
        Where the files are.
    fetched
        How many files came.
    replaced
        How many of these were there with other bytes than those of the archive.
    kept
        How many were there before.
    gigabytes
        Of all that are there.
    unproved
        How many have no checksum in the archive and were compared by their size.
    failures
        Why files are missing, one sentence each.
    """

    folder: Path
    fetched: int
    replaced: int
    kept: int
    gigabytes: float
    unproved: int
    failures: tuple[str, ...]


@dataclass
class _Tally:
    """What was done so far."""

    marks: dict[str, Mark]
    done: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    costly: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    bytes_there: int = 0

    def come(self, path: str, size: int) -> None:
        self.bytes_there += size - self.sizes.get(path, 0)
        self.sizes[path] = size

    def is_hopeless(self) -> bool:
        return self.costly >= MOST_FAILURES or len(self.failures) >= MOST_MISSING

    def count(self, how: str) -> int:
        return sum(one == how for one in self.done.values())


def fill(
    folder: Path,
    files: Sequence[RemoteFile],
    manners: Manners,
    *,
    threads: int,
    progress: Progress,
) -> Downloaded:
    """Fetch what is missing of the files of a folder, side by side.

    Raises
    ------
    ValueError
        If there is no room for it or the archive cannot be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marks = read_marks(folder)
    rest = [one for one in files if not is_marked(marks, folder, one)]
    rest = _with_sizes(rest, manners, threads, progress)
    check_room(rest, folder)
    tally = _Tally(marks)
    if rest:
        _bring_all(rest, folder, tally, manners, threads=threads, progress=progress)
    replaced = tally.count("replaced")
    return Downloaded(
        folder,
        fetched=tally.count("fetched") + replaced,
        replaced=replaced,
        kept=len(files) - len(rest) + tally.count("found"),
        gigabytes=sum(size_on_disk(folder / one.path) for one in files) / 1e9,
        unproved=sum(not one.checksum for one in files),
        failures=tuple(tally.failures),
    )


def _with_sizes(
    files: Sequence[RemoteFile], manners: Manners, threads: int, progress: Progress
) -> list[RemoteFile]:
    """Ask for the sizes that a list of files did not have."""
    unknown = [one for one in files if one.size is None]
    sizes: dict[RemoteFile, int | None] = {}

    def ask(file: RemoteFile, _tell: Tell) -> int | None:
        return size_of(file, manners)

    with _news(ask, unknown, threads) as news:
        for one in news:
            if one.error is not None:
                raise one.error
            sizes[one.item] = one.value
            progress("asking for sizes", len(sizes), len(unknown))
    return [replace(one, size=sizes.get(one, one.size)) for one in files]


def check_room(files: Sequence[RemoteFile], folder: Path) -> None:
    """Refuse to begin what the disk has no room for.

    Raises
    ------
    RefusedError
        With the gigabytes that are needed and free.
    """
    needed = sum(_missing(one, folder / one.path) for one in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RefusedError(
            f"Not enough space in {folder}: {needed / 1e9:.3g} GB are needed, {free / 1e9:.3g} GB "
            "are free"
        )


def _missing(file: RemoteFile, place: Path) -> int:
    size = file.size or 0
    return 0 if size_on_disk(place) == size else max(0, size - size_on_disk(part_of(place)))


def _bring_all(
    files: Sequence[RemoteFile],
    folder: Path,
    tally: _Tally,
    manners: Manners,
    *,
    threads: int,
    progress: Progress,
) -> None:
    total = sum(one.size or 0 for one in files)
    work = partial(_bring, folder=folder, manners=manners)
    try:
        with _news(work, files, threads) as news:
            for one in news:
                _note(one, folder, tally)
                progress("MB", tally.bytes_there // 10**6, total // 10**6)
                if tally.is_hopeless():
                    tried = len(tally.done) + len(tally.failures)
                    tally.failures.append(f"{len(files) - tried} more files were not tried")
                    break
    finally:
        write_marks(folder, tally.marks)


def _bring(
    file: RemoteFile, tell: Tell, *, folder: Path, manners: Manners
) -> Literal["found", "fetched", "replaced"]:
    """Compare a file that is there, or fetch it."""
    try:
        return _found_or_fetched(file, tell, place_of(file, folder), manners)
    except OSError as error:
        if error.errno not in OF_ONE_NAME:
            raise
        raise RefusedError(f"{folder / file.path} cannot be written ({error.strerror})") from None


def _found_or_fetched(
    file: RemoteFile, tell: Tell, place: Path, manners: Manners
) -> Literal["found", "fetched", "replaced"]:
    was_there = place.is_file()
    if was_there and matches(place, file, tell):
        return "found"
    fetch(file, place, manners, tell)
    return "replaced" if was_there else "fetched"


def _note(news: News[RemoteFile], folder: Path, tally: _Tally) -> None:
    """Keep track of what is heard of a file."""
    path = news.item.path
    if not news.is_end:
        tally.come(path, news.value)
    elif news.error is None:
        tally.done[path] = news.value
        tally.come(path, size_on_disk(folder / path))
        if mark := mark_of(folder / path, news.item):
            tally.marks[path] = mark
        if len(tally.done) % OFTEN == 0:
            write_marks(folder, tally.marks)
    elif isinstance(news.error, RefusedError):
        tally.failures.append(str(news.error))
        tally.costly += not isinstance(news.error, MissingError)
    else:
        raise news.error


def _news(
    work: Callable[[RemoteFile, Tell], Any], files: Sequence[RemoteFile], threads: int
) -> closing[Generator[News[RemoteFile], None, None]]:
    return closing(side_by_side(work, files, threads=threads))
