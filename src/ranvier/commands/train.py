"""``ranvier train``: one decoder from all recordings."""

from __future__ import annotations

from pathlib import Path

from ranvier.commands import (
    Answer,
    check_folder,
    grouped,
    left_out,
    read_annotated,
    showing_progress,
    use_threads,
)
from ranvier.page import count
from ranvier.recipe import Recipe


def train(
    *,
    data: str,
    out: str,
    recipe: Recipe,
    name: str = "decoder",
    threads: int = 1,
    annotations: str = "",
    subset: str = "",
) -> Answer:
    """Train one decoder; stopped and started again, it goes on where it was.

    Parameters
    ----------
    data
        Folder of annotated recordings.
    out
        Folder for the decoder and for what is needed to go on.
    recipe
        What is trained, and how.
    name
        Of the decoder file, without its suffix.
    threads
        For computing.
    annotations
        Where the annotations are, if not with the recordings: a folder of files that are called
        like them, or one table with the columns recording, onset and end.
    subset
        Subjects to keep of those in the folder: "sleep-edf-20", "sleep-edf-78", or a file with
        one a line.
    """
    from ranvier.fitting import train as fit

    if not name or Path(name).name != name:
        raise ValueError(f"Invalid name: {name!r}, must be the name of a file without a folder")
    check_folder(out)
    use_threads(threads)
    recordings = read_annotated(data, annotations, subset)
    with showing_progress() as progress:
        decoder = fit(recipe.task, recordings, recipe=recipe, out=out, progress=progress)
    path = Path(out) / f"{name}.ranvier"
    before = path.read_bytes() if path.exists() else b""
    decoder.save(path)
    truth_of = recipe.learnt.truth_of
    used = [one for one in recordings if truth_of(one) is not None]
    notes = [(one.name, note) for one in used for note in one.notes]
    notes += left_out(recordings, recipe.learnt)
    if before not in (b"", path.read_bytes()):
        notes.append((path.name, "replaces a decoder of other settings, recordings or code"))
    text = f"{path}: trained on {count(len(used), 'recording')}, {decoder.rule}"
    return Answer(text, {"decoder": str(path), **decoder.as_dict()}, grouped(notes))
