"""``ranvier inspect``: what is in a file or folder, and what looks wrong."""

from __future__ import annotations

from ranvier.commands import Answer, showing_progress


def inspect(path: str) -> Answer:
    """Say what is in a file or folder and what looks wrong, before anything is trained.

    Parameters
    ----------
    path
        A recording, a hypnogram, a BIDS folder, a data set, a store, or any folder with such files.
    """
    from ranvier.inspection import inspect as look_at

    with showing_progress() as progress:
        inspection = look_at(path, progress=progress)
    return Answer(str(inspection), inspection.as_dict(), failed=not inspection.is_usable)
