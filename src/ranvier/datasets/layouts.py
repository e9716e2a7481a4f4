"""What the layouts of several data sets share: a folder for each subject, or subjects in names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path


def subject_folders(
    folder: Path, pattern: re.Pattern[str], *, within: Sequence[str] = (".",)
) -> list[Path]:
    """Return the folder of each subject, by name; a folder of one subject is its own.

    Parameters
    ----------
    folder
        Of a data set, or of one subject.
    pattern
        Of the names of subjects.
    within
        Folders in which those of subjects may lie.
    """
    if pattern.fullmatch(folder.absolute().name):
        return [folder]
    inside = (one for part in within for one in folder.glob(f"{part}/*") if one.is_dir())
    return sorted(one for one in inside if pattern.fullmatch(one.name))


def subject_by_folder(pattern: re.Pattern[str]) -> Callable[[str], str]:
    """Return what tells the subject of a file of an archive from the first folder of its path.

    It gives nothing for files that everybody needs, such as tables.
    """

    def subject_of(path: str) -> str:
        subject, _, name = path.partition("/")
        return subject if name and pattern.fullmatch(subject) else ""

    return subject_of


def subject_by_name(
    pattern: re.Pattern[str], written: Callable[[str], str]
) -> Callable[[str], str]:
    """Return what tells the subject of a file of an archive from its name.

    Parameters
    ----------
    pattern
        Of the names of files; its first group is the subject. Others are for everybody.
    written
        How a subject is written, such as ``str.upper``.
    """

    def subject_of(path: str) -> str:
        found = pattern.fullmatch(path.rpartition("/")[2])
        return written(found[1]) if found else ""

    return subject_of
