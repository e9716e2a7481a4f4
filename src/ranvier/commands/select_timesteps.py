"""``ranvier select-timesteps``: how much history a decoder needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ranvier.commands import Answer, check_folder, grouped, showing_progress, use_threads
from ranvier.commands.evaluate import aligned
from ranvier.recipe import Recipe


def select_timesteps(
    *,
    data: str,
    out: str,
    recipe: Recipe,
    windows: Sequence[int] = (),
    seeds: int = 3,
    blocks: int = 4,
    margin: float = 0.01,
    share: float = 0.9,
    threads: int = 1,
) -> Answer:
    """Choose how many of the newest steps a network has to look at, and say what it costs.

    Parameters
    ----------
    data
        Folder of annotated recordings.
    out
        Folder for the result; a run that was stopped goes on.
    recipe
        Of a network with a window, which is the full one.
    windows
        Shorter ones to try, in steps; by default five.
    seeds
        How often everything is done anew.
    blocks
        Of the training part, each held out once to choose on.
    margin
        Loss of quality that is put up with.
    share
        Of the attention, which the newest steps must have together.
    threads
        For computing.
    """
    from ranvier.datasets import read
    from ranvier.evaluation import write_json
    from ranvier.timesteps import select_timesteps as select

    check_folder(out)
    use_threads(threads)
    recordings = read(data)
    with showing_progress() as progress:
        selection = select(
            recordings,
            recipe,
            windows=windows,
            seeds=seeds,
            blocks=blocks,
            margin=margin,
            share=share,
            out=out,
            progress=progress,
        )
    path = write_json(Path(out) / "timesteps.json", selection.as_dict())
    lines = [*aligned(selection.curve()), "", *aligned(selection.table()), "", str(path)]
    notes = [(one.name, note) for one in recordings for note in one.notes]
    return Answer("\n".join(lines), selection.as_dict(), grouped(notes))
