"""What is known of a data set before a file of it is opened."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ranvier.recording import Recording

AT_100_HZ = {"stage": "resample", "rate_out": 100.0}


def stages_of(*stages: Mapping[str, Any]) -> tuple[str, str]:
    """Return the option of a command that puts these stages before a network."""
    return "--stages", json.dumps(stages)


@dataclass(frozen=True)
class Archive:
    """Where the files of a data set can be had without asking.

    Parameters
    ----------
    host
        Which archive.
    record
        What the archive calls it: ``"chbmit/1.0.0"``, a number of Zenodo, a number of DANDI.
    subject_of
        From the path of a file in the archive to the subject it belongs to; empty for files that
        everybody needs.
    """

    host: Literal["physionet", "zenodo", "dandi"]
    record: str
    subject_of: Callable[[str], str]


@dataclass(frozen=True)
class DataSet:
    """A published collection of recordings.

    Parameters
    ----------
    name
        What commands call it.
    title
        Its name in full.
    task
        Which task its annotations serve.
    subjects
        How many people or animals.
    hours
        Of recording, about; NaN where it is not known.
    gigabytes
        To download, about; NaN where it is not known.
    licence
        Under which it is given.
    citation
        What to cite.
    page
        Where people read about it, and ask for access.
    access
        Empty where ``ranvier download`` gets it; else one sentence on how to get it.
    terms
        ``"open"`` or ``"self-made"`` where ``access`` does not mean asking somebody.
    tested
        On what its reading was tried: ``"real files"``, ``"real annotations"``, or ``"files made
        to its description"``.
    recognise
        Whether a folder has its published layout.
    read
        Opens all recordings of such a folder, in a fixed order.
    archive
        Where it is downloaded from; None where it cannot be without asking.
    read_file
        Opens one of its files with what lies around it, and gives None for any other file; None
        where a file alone says as much.
    options
        Options of ``ranvier evaluate``, besides the task, that its recordings need: which channels,
        or how spikes are counted; None where a network cannot be tested on others of it.
    """

    name: str
    title: str
    task: Literal["seizure", "sleep", "movement"]
    subjects: int
    hours: float
    gigabytes: float
    licence: str
    citation: str
    page: str
    access: str
    tested: Literal["real files", "real annotations", "files made to its description"]
    recognise: Callable[[Path], bool]
    read: Callable[[Path], list[Recording]]
    archive: Archive | None = None
    terms: Literal["", "open", "self-made"] = ""
    read_file: Callable[[Path], Recording | None] | None = None
    options: tuple[str, ...] | None = ()

    def command(self, folder: str, out: str = "results") -> str:
        """Return the command that evaluates a decoder on a folder of it, empty where none can."""
        if self.options is None:
            return ""
        words = ("--task", self.task, *self.options, "--data", folder, "--out", out)
        return shlex.join(("ranvier", "evaluate", *words))
