"""What is left in a folder of the result of another evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ranvier.fold_files import FOLD, RESCORED, TRUTH, read_json
from ranvier.formats import FOLDS

OF_FOLD = (
    FOLD, "decoder.ranvier", "predictions.npz", "baseline.npz", "checkpoint.safetensors", "log.txt",
)  # fmt: skip
"""Files that every fold has, and those of its training."""
ABOUT_FOLDS = (
    "scores.json", "report.html", "live.json", "movement.csv", "classification.txt",
    "classification.csv", "classification.xlsx",
)  # fmt: skip
"""Files that say what came out of all folds."""
REPLACED = "replaces the result of other settings, recordings or code that was in the folder"


def forget_others(folder: Path, keys: Mapping[str, str]) -> tuple[str, ...]:
    """Remove what is left of a result with other keys, as far as an evaluation wrote it.

    Folds that are in both plans stay until they are run.

    Parameters
    ----------
    folder
        Of the evaluation.
    keys
        Of the folds that are to be run, as in ``Plan``.

    Returns
    -------
    tuple of str
        A note on it, if there was a finished fold.
    """
    try:
        before = dict(read_json(folder / FOLDS)["folds"]) if (folder / FOLDS).exists() else {}
    except (ValueError, KeyError, TypeError):
        return ()
    if before in (keys, {}):
        return ()
    folds = [folder / name for name in before if re.fullmatch(r"fold-\d+", name)]
    was_finished = any((fold / FOLD).exists() for fold in folds)
    for fold in folds:
        if fold.name not in keys:
            forget_fold(fold)
    for place in (folder, folder / RESCORED):
        _remove(place, ABOUT_FOLDS)
    return (REPLACED,) if was_finished else ()


def forget_fold(place: Path) -> None:
    """Remove the files that ``keep_fold`` and training wrote, and folders that are empty then."""
    try:
        about = read_json(place / FOLD)
        truth = [Path(one["file"]).name for one in about.get("truth", {}).values()]
    except (ValueError, KeyError, TypeError, AttributeError):
        truth = []
    _remove(place / TRUTH, truth)
    _remove(place, [*OF_FOLD, *(one.name for one in place.glob("beside-*.npz"))])


def _remove(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
