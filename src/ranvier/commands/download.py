"""``ranvier download``: a data set from the archive that publishes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ranvier.commands import Answer, showing_progress

if TYPE_CHECKING:
    from ranvier.datasets.description import DataSet
    from ranvier.download import Downloaded

log = logging.getLogger("ranvier")


def download(name: str, out: str, *, subjects: str = "", threads: int = 4) -> Answer:
    """Download a data set from PhysioNet, Zenodo or DANDI, or go on with it.

    Parameters
    ----------
    name
        Of the data set.
    out
        Folder for its files; those that are there and unchanged are not fetched again.
    subjects
        Whose files: names between commas, and ranges, such as chb01,chb05-chb09 or 00-09; by
        default all.
    threads
        Files fetched side by side, at most 16.
    """
    import numpy as np

    from ranvier.datasets import data_set
    from ranvier.download import download as fetch
    from ranvier.download.asking import Manners

    described = data_set(name)
    if described.archive is not None:
        log.warning("note: %s", terms(described))
    with showing_progress() as progress:
        done = fetch(
            described,
            out,
            manners=Manners(np.random.default_rng()),
            subjects=subjects.replace(",", " ").split(),
            threads=threads,
            progress=progress,
        )
    return answer_for(described, done)


def terms(described: DataSet) -> str:
    """Say under which licence a data set is given, and what to cite."""
    return f"{described.title} is given under {described.licence}; cite {described.citation}"


def answer_for(described: DataSet, done: Downloaded) -> Answer:
    """Say what came, what did not, and what to do next."""
    lines = [
        f"{done.fetched} files of {described.name} fetched, {done.kept} were there already; "
        f"{done.gigabytes:.2f} GB in {done.folder}.",
        *done.failures,
    ]
    again = "The same command fetches only what is missing."
    lines += [again if done.failures else f"Next: {described.command(str(done.folder))}"]
    content = {
        "name": described.name,
        "folder": str(done.folder),
        "fetched": done.fetched,
        "kept": done.kept,
        "gigabytes": done.gigabytes,
        "failures": list(done.failures),
    }
    return Answer("\n".join(lines), content, notes_on(done), failed=bool(done.failures))


def notes_on(done: Downloaded) -> list[str]:
    """Say what was doubtful."""
    told = {
        "of the archive have no checksum and were compared by their size alone": done.unproved,
        "that were there were not those of the archive and were replaced": done.replaced,
    }
    return [f"{count} files {what}" for what, count in told.items() if count]
