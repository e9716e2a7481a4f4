"""``ranvier prepare``: any data set as memory-mapped arrays with an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ranvier.commands import (
    Answer,
    check_folder,
    grouped,
    read_annotated,
    recipe_file,
    showing_progress,
)

MOST_SETTINGS = 10_000
"""In a file of stages."""


def prepare(
    data: str,
    store: str,
    *,
    annotations: str = "",
    stages: str = "",
    states: str = "",
    workers: int = 1,
) -> Answer:
    """Put the signals of a data set into a store; what is there already is kept.

    Parameters
    ----------
    data
        Folder of recordings, or one file.
    store
        Folder for the arrays and the index; --data of other commands takes it.
    annotations
        Where the annotations are, if not with the recordings: a folder of files that are called
        like them, or one table with the columns recording, onset and end.
    stages
        YAML file with a list of ``stages``, or a recipe of the package by name, such as
        "rest_seizure", that the signals go through before:
        from the first that is fitted to training subjects on they are left to training. What comes
        out may be features; of these, stages without memory at the end are left to training, too.
        By default the signals are kept as they are in the files.
    states
        The same; the states of these stages are kept for every minute of the store, so that random
        windows behind them can be read at once.
    workers
        Recordings that are prepared side by side.
    """
    from ranvier.signal_store import read_store, write_store
    from ranvier.staged import after_stages, storable
    from ranvier.windows import save_states

    if workers < 1:
        raise ValueError(f"Invalid workers: {workers}, must be at least 1")
    check_folder(store)
    given = {"stages": stages, "states": states}
    asked, after = (read_stages(recipe_file(v, n)) if v else () for n, v in given.items())
    recordings = read_annotated(data, annotations)
    before = storable(asked, recordings[0]) if asked else ()
    if before:
        recordings = [after_stages(one, before) for one in recordings]
    with showing_progress() as progress:
        told = partial(progress, "preparing")
        write_store(recordings, store, workers=workers, progress=told)
        if after:
            told, kept = partial(progress, "states"), read_store(store)
            save_states(kept, after, Path(store), workers=workers, progress=told)
    content = {**about(Path(store)), "stages": list(before)}
    applied = f", after {', '.join(str(one['stage']) for one in before)}" if before else ""
    text = (
        f"{store}: {content['recordings']} recordings of {content['subjects']} subjects, "
        f"{content['hours']:.1f} h, {content['bytes'] / 1e6:.0f} MB{applied}"
    )
    return Answer(
        text, content, grouped((one.name, note) for one in recordings for note in one.notes)
    )


def read_stages(path: str) -> tuple[Mapping[str, Any], ...]:
    """Read the stages of a YAML file.

    Raises
    ------
    ValueError
        If the file has no list of stages.
    """
    import yaml

    try:
        found = _plain(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        found = None
    stages = found.get("stages") if isinstance(found, dict) else found
    if (
        not isinstance(stages, list)
        or not all(isinstance(one, dict) for one in stages)
        or not stages
    ):
        raise ValueError(f"Invalid stages: {path} must hold a list of settings, each with a stage")
    return tuple(stages)


def _plain(settings: Any) -> Any:
    """Return settings as JSON has them; a few references can stand for billions, which it has not.

    Raises
    ------
    ValueError
        If there are too many.
    """
    waiting, seen = [settings], 0
    while waiting and seen <= MOST_SETTINGS:
        one = waiting.pop()
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        seen += 1
    if waiting:
        raise ValueError(f"more than {MOST_SETTINGS} settings")
    return json.loads(json.dumps(settings))


def about(store: Path) -> dict[str, Any]:
    """Return what a store holds."""
    from ranvier.signal_store import read_store

    recordings = read_store(store)
    return {
        "store": str(store),
        "recordings": len(recordings),
        "subjects": len({one.subject for one in recordings}),
        "hours": sum(one.duration for one in recordings) / 3600,
        "bytes": sum(one.stat().st_size for one in store.iterdir() if one.is_file()),
    }
