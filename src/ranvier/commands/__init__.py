"""Commands of the program: one function and one file each; only ``__main__`` prints.

A command returns an ``Answer``, or yields lines for JSON. Its signature and docstring are its
options and its help: keyword-only parameters are options, the others positional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.decoder import Decoder
    from ranvier.recording import Recording
    from ranvier.tasks import Task
    from ranvier.truth import Events

_settings = {"quiet": True}


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Parameters
    ----------
    text
        For people.
    content
        The same in plain types, for JSON.
    notes
        What was repaired or doubtful, one sentence each; goes to stderr.
    failed
        Whether the exit code is 1.
    """

    text: str
    content: Any
    notes: list[str] = field(default_factory=list)
    failed: bool = False


@dataclass(frozen=True)
class Note:
    """Something that was repaired or is doubtful, among the lines of a command that yields them."""

    text: str


class OptionError(ValueError):
    """An option is missing or makes no sense, which the exit code 2 tells from wrong data."""


def recipe_file(word: str, option: str) -> str:
    """Return the file that an option names: a recipe of the package by name, or one's own.

    Raises
    ------
    OptionError
        If a word without a suffix is neither.
    """
    from pathlib import Path

    from ranvier.recipe import named_files

    known = named_files()
    if word not in known and not Path(word).suffix and not Path(word).is_file():
        names = ", ".join(known)
        raise OptionError(f"Invalid {option}: {word!r}, must be a file or one of {names}")
    return str(known.get(word, word))


UNANNOTATED = "it is not annotated and was left out"


def unknown_labels(events: Events) -> list[str]:
    """Say which labels of events are neither seizure nor background, if any is."""
    from ranvier.inspection.annotations import check_events

    return [one.sentence for one in check_events(events.items, "") if one.kind == "unknown_label"]


def left_out(recordings: Iterable[Recording], task: Task) -> list[tuple[str, str]]:
    """Say of which recordings, and of which events, nothing is learnt."""
    from ranvier.truth import Events

    known = [(one.name, task.truth_of(one)) for one in recordings]
    notes = [(name, UNANNOTATED) for name, truth in known if truth is None]
    events = [(name, truth) for name, truth in known if isinstance(truth, Events)]
    return notes + [(name, said) for name, truth in events for said in unknown_labels(truth)]


def grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Say each note once, with the recording it is about, or of how many it is true."""
    names: dict[str, list[str]] = {}
    for name, note in notes:
        names.setdefault(note, []).append(name)
    return [
        f"{about[0]}: {note}" if len(about) == 1 else f"{len(about)} recordings: {note}"
        for note, about in names.items()
    ]


def quiet_progress(*, quiet: bool) -> None:
    """Choose whether progress bars are shown."""
    _settings["quiet"] = quiet


@contextmanager
def showing_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each thing that is worked on, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bars: dict[str, Any] = {}
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=_settings["quiet"],
    ) as progress:

        def tell(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        yield tell


def read_annotated(data: str, annotations: str = "", subset: str = "") -> list[Recording]:
    """Open the recordings of a folder, with annotations from elsewhere, or a selection of them."""
    from ranvier.datasets import read
    from ranvier.datasets.subsets import subset as chosen
    from ranvier.formats import files_by_name, with_annotations

    recordings = read(data)
    if annotations:
        recordings = with_annotations(recordings, annotations, files=files_by_name(data))
    return chosen(recordings, subset) if subset else recordings


def use_threads(threads: int) -> None:
    """Compute with this many threads.

    Raises
    ------
    ValueError
        If torch is missing or the number is below 1.
    """
    if threads < 1:
        raise ValueError(f"Invalid threads: {threads}, must be at least 1")
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError('Torch is missing: pip install "ranvier[train]"') from None
    torch.set_num_threads(threads)


def open_decoder(path: str, *, engine: str, threads: int, check: bool = False) -> Decoder:
    """Read a decoder, and compute with this engine and, in torch, with this many threads.

    Raises
    ------
    ValueError
        If the file is no decoder, the engine cannot compute it, or the threads are below 1.
    """
    from ranvier.decoder import load

    if threads < 1:
        raise ValueError(f"Invalid threads: {threads}, must be at least 1")
    decoder = load(path, engine=engine, check=check)
    if decoder.runs_on == "torch":
        use_threads(threads)
    return decoder


def check_folder(out: str) -> None:
    """Refuse a folder that cannot be written to, before any work is done.

    Raises
    ------
    ValueError
        If it cannot be made, or nothing can be written in it.
    """
    import tempfile
    from pathlib import Path

    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"Invalid out: {out} cannot be written to ({error.strerror}), must be a folder of yours"
        ) from None
