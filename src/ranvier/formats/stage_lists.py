"""Stages of sleep as text: one label per line, or a table with times and probabilities.

A list has neither times nor the length of an epoch: it begins with the recording, in epochs of
30 s. A table (CSV) holds both, and may hold the five probabilities of each epoch. Numbers are read
only under a convention that the caller names, because REM is 4 in some and 5 in others.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.formats.hed_score import number_of
from ranvier.formats.stage_grid import (
    UNSCORED,
    USUAL_EPOCH,
    Run,
    check_placed,
    checked_epoch,
    from_start,
    naming,
    parse_stage,
    place_runs,
    read_text,
    shared_epoch,
    whole_hypnogram,
)
from ranvier.truth import SLEEP_STAGES, Hypnogram
from ranvier.writing import write_text

_PROBABILITIES = tuple(f"p_{stage}" for stage in SLEEP_STAGES)
_SHORT = {"p_R": "p_REM"}
_COUNTED_FROM = (0, 1)


def read_stage_list(
    path: str | os.PathLike[str], *, epoch: float = USUAL_EPOCH, numbers: str = ""
) -> Hypnogram:
    """Read a list of labels, one line per epoch.

    Parameters
    ----------
    path
        UTF-8 text. Empty lines are allowed at the end only: an epoch that was not scored is ``?``.
    epoch
        Length of an epoch in seconds, which a list does not say.
    numbers
        Convention of ``NUMBERS``, for labels that are numbers.

    Raises
    ------
    ValueError
        If the file cannot be read or is empty, or a label is unknown, in one sentence.
    """
    path, epoch = Path(path), checked_epoch(epoch)
    lines = read_text(path).rstrip().splitlines()
    stages = []
    for number, line in enumerate(lines, start=1):
        with naming(f"{path}, line {number}"):
            if not line.strip():
                raise ValueError(f"empty line, an epoch that was not scored must be {UNSCORED}")
            stages.append(parse_stage(line, numbers=numbers))
    return whole_hypnogram(path, stages, epoch)


def write_stage_list(path: str | os.PathLike[str], hypnogram: Hypnogram) -> Path:
    """Write a list of labels, one line per epoch, ``?`` where none was scored.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    hypnogram
        In epochs of 30 s. One that begins some epochs after the recording gets as many unscored
        ones in front.

    Raises
    ------
    ValueError
        If its epochs are not of 30 s, or do not lie on a grid that begins with the recording.
    """
    if hypnogram.epoch != USUAL_EPOCH:
        raise ValueError(
            f"Invalid epoch: {hypnogram.epoch:g} s, must be {USUAL_EPOCH:g} s in a list of labels, "
            f"which does not say how long an epoch is"
        )
    stages = from_start(hypnogram).stages
    return write_text(path, "".join(f"{stage or UNSCORED}\n" for stage in stages))


def read_stage_table(
    path: str | os.PathLike[str], *, epoch: float | None = None, numbers: str = ""
) -> tuple[Hypnogram, npt.NDArray[np.float64] | None]:
    """Read a table of stages, separated by commas, semicolons or tabs.

    Parameters
    ----------
    path
        UTF-8 text whose header names ``stage`` and ``onset`` (s) or ``epoch`` (counted from 0 or
        from 1), perhaps ``duration`` (s) and ``p_W``, ``p_N1``, ``p_N2``, ``p_N3``, ``p_REM``.
    epoch
        Length of an epoch in seconds; by default that of all rows, else 30 s or what divides them.
    numbers
        Convention of ``NUMBERS``, for labels that are numbers.

    Returns
    -------
    Hypnogram
        What lies between rows was not scored.
    array or None
        (epoch, 5) in the order of ``SLEEP_STAGES``, NaN where there are none; None without columns.

    Raises
    ------
    ValueError
        If the file cannot be read, a cell makes no sense, or rows overlap, in one sentence.
    """
    path = Path(path)
    rows = _rows(path, ("stage",))
    with naming(str(path)):
        begins, lasts = _times(rows, epoch)
    runs, chances = [], []
    for number, (row, onset, duration) in enumerate(zip(rows, begins, lasts, strict=True), start=2):
        with naming(f"{path}, line {number}"):
            runs.append(Run(onset, duration, parse_stage(row["stage"], numbers=numbers)))
            chances.append([_probability(row, name) for name in _PROBABILITIES if name in row])
    with naming(str(path)):
        hypnogram = place_runs(runs, epoch or _row_epoch(lasts))
        return hypnogram, _spread(runs, chances, hypnogram)


def _rows(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    text = read_text(path)
    header = text.partition("\n")[0]
    separator = max("\t;,", key=header.count)
    try:
        cells = [row for row in csv.reader(text.splitlines(), delimiter=separator) if row]
    except csv.Error as error:
        raise ValueError(f"{path} is not a table of stages: {error}") from None
    names = [_SHORT.get(name.strip(), name.strip()) for name in cells[0]] if cells else []
    missing = [name for name in needed if name not in names]
    missing += [] if {"onset", "epoch"} & set(names) else ["onset or epoch"]
    if missing or len(cells) < 2:
        lacking = f"no column {' and no '.join(missing)}" if missing else "no row"
        raise ValueError(f"{path} is not a table of stages: {lacking} below {header[:80]!r}")
    for number, row in enumerate(cells[1:], start=2):
        if len(row) != len(names):
            raise ValueError(f"{path}, line {number}: {len(row)} cells, must be {len(names)}")
    return [dict(zip(names, row, strict=True)) for row in cells[1:]]


def _times(
    rows: Sequence[Mapping[str, str]], epoch: float | None
) -> tuple[list[float], list[float]]:
    """Return the onset and the duration of each row, in seconds."""
    length = checked_epoch(epoch or USUAL_EPOCH)
    lasts = [_seconds(row, "duration") if "duration" in row else length for row in rows]
    if "onset" in rows[0]:
        return [_seconds(row, "onset") for row in rows], lasts
    length = epoch or _row_epoch(lasts)
    counted = [_seconds(row, "epoch") for row in rows]
    if min(counted) not in _COUNTED_FROM or not all(one.is_integer() for one in counted):
        raise ValueError("invalid column epoch: must be whole numbers that are counted from 0 or 1")
    return [(one - min(counted)) * length for one in counted], lasts


def _seconds(row: Mapping[str, str], name: str) -> float:
    return number_of(row[name], name)


def _probability(row: Mapping[str, str], name: str) -> float:
    return number_of(row[name], name, 1.0) if row[name].strip() else math.nan


def _row_epoch(lasts: Sequence[float]) -> float:
    same = len(set(lasts)) == 1 and len(lasts) > 1
    return checked_epoch(lasts[0]) if same else shared_epoch(lasts)


def _spread(
    runs: Sequence[Run], chances: Sequence[Sequence[float]], hypnogram: Hypnogram
) -> npt.NDArray[np.float64] | None:
    """Return the probabilities epoch by epoch."""
    if not chances[0]:
        return None
    if len(chances[0]) != len(SLEEP_STAGES):
        raise ValueError(
            f"columns of probabilities are missing, must be {', '.join(_PROBABILITIES)}"
        )
    spread = np.full((len(hypnogram), len(SLEEP_STAGES)), np.nan)
    for run, row in zip(runs, chances, strict=True):
        begin = round((run.onset - hypnogram.first) / hypnogram.epoch)
        spread[begin : begin + round(run.duration / hypnogram.epoch)] = row
    return spread


def write_stage_table(
    path: str | os.PathLike[str],
    hypnogram: Hypnogram,
    *,
    probabilities: npt.ArrayLike | None = None,
) -> Path:
    """Write a table separated by commas, one row per epoch, ``?`` where none was scored.

    Parameters
    ----------
    path
        Where to write; replaced in one go when it exists.
    hypnogram
        Its ``duration`` is that of the signal, which a table does not hold.
    probabilities
        (epoch, 5) in the order of ``SLEEP_STAGES``, for five more columns; NaN is an empty cell.

    Raises
    ------
    ValueError
        If there is no epoch, or the probabilities are of another shape.
    """
    check_placed(hypnogram)
    chances = np.empty((len(hypnogram), 0)) if probabilities is None else np.asarray(probabilities)
    names = () if probabilities is None else _PROBABILITIES
    if chances.shape != (len(hypnogram), len(names)):
        raise ValueError(
            f"Invalid probabilities: shape {chances.shape}, must be ({len(hypnogram)}, 5)"
        )
    lines = [",".join(("onset", "duration", "stage", *names))]
    for number, (stage, row) in enumerate(zip(hypnogram.stages, chances, strict=True)):
        onset = hypnogram.first + number * hypnogram.epoch
        cells = ["" if math.isnan(one) else str(one) for one in row]
        lines.append(",".join((f"{onset!r}", f"{hypnogram.epoch!r}", stage or UNSCORED, *cells)))
    return write_text(path, "\n".join(lines) + "\n")
