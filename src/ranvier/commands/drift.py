"""``ranvier drift``: what a decoder of one day is worth on another."""

from __future__ import annotations

from pathlib import Path

from ranvier.commands import Answer, check_folder, grouped, showing_progress, use_threads
from ranvier.commands.evaluate import aligned
from ranvier.recipe import Recipe


def drift(*, data: str, out: str, recipe: Recipe, minutes: float = 2.0, threads: int = 1) -> Answer:
    """Train on each day of a subject and test on each day, as it is and adapted.

    Parameters
    ----------
    data
        Folder with sessions of one subject, with the same channels and with trajectories.
    out
        Folder for drift.json and drift.svg.
    recipe
        Of a decoder of movement: give --task movement.
    minutes
        Of a day, from its beginning, that the readout of a decoder is refitted to.
    threads
        For computing.
    """
    from ranvier.datasets import read
    from ranvier.drift import drift_matrix
    from ranvier.evaluation import write_json
    from ranvier.figures_drift import as_file, drift_matrix_figure
    from ranvier.writing import replacing

    check_folder(out)
    use_threads(threads)
    recordings = read(data)
    with showing_progress() as progress:
        matrix = drift_matrix(recordings, recipe, minutes=minutes, progress=progress)
    path = write_json(Path(out) / "drift.json", matrix.as_dict())
    with replacing(Path(out) / "drift.svg") as temporary:
        temporary.write_text(as_file(drift_matrix_figure(matrix)), encoding="utf-8")
    lines = [line for way in matrix.scores for line in (*aligned(matrix.table(way)), "")]
    notes = [(one.name, note) for one in recordings for note in one.notes]
    return Answer("\n".join([*lines, str(path)]), matrix.as_dict(), grouped(notes))
