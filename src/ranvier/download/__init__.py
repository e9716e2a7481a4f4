"""Data sets from the archives that publish them: PhysioNet, Zenodo and DANDI.

One module for each archive lists its files. They are fetched side by side, each goes on where it
broke off, and has its name only when its bytes were compared with the archive's checksum.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path

from ranvier.datasets.description import Archive, DataSet
from ranvier.download.asking import Manners
from ranvier.download.filling import Downloaded, Progress, fill
from ranvier.download.remote import RemoteFile, checked
from ranvier.download.side_by_side import side_by_side
from ranvier.download.subjects import chosen_subjects

__all__ = ["Downloaded", "Manners", "download", "list_files"]

ARCHIVES = {
    "physionet": "ranvier.download.physionet",
    "zenodo": "ranvier.download.zenodo",
    "dandi": "ranvier.download.dandi",
}
"""Modules with ``BASE``, an address, and ``remote_files(record, manners, base=BASE)``."""

MOST_THREADS = 16


def _silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def download(
    data_set: DataSet,
    folder: str | os.PathLike[str],
    *,
    manners: Manners,
    subjects: Sequence[str] = (),
    threads: int = 4,
    base: str = "",
    progress: Progress = _silent,
) -> Downloaded:
    """Download a data set, or go on with it.

    A second call fetches nothing that is there and unchanged.

    Parameters
    ----------
    folder
        Is made if it is not there.
    manners
        How patiently servers are asked.
    subjects
        Whose files, names or ranges of names as ``chosen_subjects`` takes them; by default all.
    threads
        Files fetched side by side, at most 16.
    base
        Address of another server with the same interface.
    progress
        Is told what is done, how much of it, and of how much.

    Returns
    -------
    Downloaded
        With a sentence for each file that could not be had.

    Raises
    ------
    ValueError
        If it must be had in another way, there is no room for it, or the archive cannot be asked.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"Invalid threads: {threads}, must be from 1 to {MOST_THREADS}")
    if data_set.archive is None:
        how = data_set.access.rstrip(".") or "See its page"
        page = "" if data_set.page in how else f" ({data_set.page})"
        raise ValueError(f"{data_set.name} cannot be downloaded by this command: {how}{page}")
    listed = list_files(data_set.archive, manners, base=base)
    wanted = _of_subjects(listed, data_set.archive, subjects)
    return fill(Path(folder), wanted, manners, threads=threads, progress=progress)


def list_files(archive: Archive, manners: Manners, *, base: str = "") -> list[RemoteFile]:
    """Return the files of an archive, all of them fit to be written.

    Raises
    ------
    ValueError
        If the list cannot be had, makes no sense, or has a name that would leave a folder.
    """
    module = import_module(ARCHIVES[archive.host])

    def ask(one: Archive, _tell: object) -> list[RemoteFile]:
        found: list[RemoteFile] = module.remote_files(one.record, manners, base=base or module.BASE)
        return found

    with closing(side_by_side(ask, [archive], threads=1)) as news:
        ended = next(news)
    if ended.error is not None:
        raise ended.error
    return checked(ended.value, f"{archive.host} {archive.record}")


def _of_subjects(
    files: list[RemoteFile], archive: Archive, subjects: Sequence[str]
) -> list[RemoteFile]:
    """Return the files of some subjects and those that everybody needs."""
    if not subjects:
        return files
    owners = {one.path: archive.subject_of(one.path) for one in files}
    known = sorted(set(owners.values()) - {""})
    wanted = {"", *chosen_subjects(subjects, known)}
    return [one for one in files if owners[one.path] in wanted]
