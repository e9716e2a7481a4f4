"""What labels of sleep stages mean, and how stages lie on a grid of epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ranvier.formats.hed_score import LONGEST
from ranvier.truth import Hypnogram

USUAL_EPOCH, SHORTEST_EPOCH = 30.0, 1.0
ROUNDING = 0.011
"""Seconds by which times written with two decimals may differ from the grid of epochs."""
MOST_EPOCHS = 1_000_000
UNSCORED = "?"
LABELS = {
    "w": "W", "wake": "W", "n1": "N1", "s1": "N1", "n2": "N2", "s2": "N2", "n3": "N3", "s3": "N3",
    "s4": "N3", "r": "REM", "rem": "REM", "?": "", "m": "", "mt": "", "movement": "", "art": "",
    "uns": "", "unscored": "", "unknown": "",
}  # fmt: skip
"""Stage that a label means, of AASM or of Rechtschaffen and Kales, in small letters."""

_UP_TO_N3 = {0: "W", 1: "N1", 2: "N2", 3: "N3"}
NUMBERS: Mapping[str, Mapping[int, str]] = {
    "rem4": {**_UP_TO_N3, 4: "REM", -1: "", -2: ""},
    "rem5": {**_UP_TO_N3, 4: "N3", 5: "REM", 6: "", 9: ""},
}
"""Stage that a number means: ``rem4`` counts the AASM stages, with -1 artefact and -2 unscored;
``rem5`` those of Rechtschaffen and Kales, with 6 movement and 9 unscored, as NSRR does."""

_EXACT = 1e-6


class Run(NamedTuple):
    """One stage that lasts; onset and duration in seconds."""

    onset: float
    duration: float
    stage: str


def parse_stage(text: str, *, numbers: str = "") -> str:
    """Return the stage of ``SLEEP_STAGES`` that a label means, ``""`` for unscored.

    Parameters
    ----------
    text
        Such as ``W``, ``Wake``, ``N1``, ``S1``, ``S4``, ``R``, ``REM``, ``?``, in any case.
    numbers
        Convention of ``NUMBERS`` by which a number is understood.

    Raises
    ------
    ValueError
        If the label is unknown, or a number without a convention.
    """
    code = _code(text)
    if code is None:
        known, shown = LABELS.get(text.strip().lower()), "W, N1, N2, N3, REM, S1 to S4, ?"
    elif numbers in NUMBERS:
        known, shown = NUMBERS[numbers].get(code), ", ".join(map(str, NUMBERS[numbers]))
    else:
        raise ValueError(
            f"stages are numbers, and REM is 4 in some conventions, 5 in others: numbers is "
            f"{numbers!r}, possible options: {', '.join(NUMBERS)}"
        )
    if known is None:
        raise ValueError(f"invalid stage: {text.strip()[:40]!r}, possible options: {shown}")
    return known


def _code(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def place_runs(runs: Iterable[Run], epoch: float | None = None) -> Hypnogram:
    """Put runs of stages on a grid of epochs; what lies between them was not scored.

    Parameters
    ----------
    runs
        At least one, in any order.
    epoch
        Its length in seconds, by default 30 s if that divides all runs, else what does.

    Raises
    ------
    ValueError
        If one begins before second 0, they overlap, or they fit no grid, in words that follow a
        file's name.
    """
    ordered = sorted(_checked_run(run) for run in runs)
    epoch = shared_epoch(run.duration for run in ordered) if epoch is None else epoch
    first = ordered[0].onset
    stages: list[str] = []
    for run in ordered:
        begin, count = _epochs(run.onset - first, run, epoch), _epochs(run.duration, run, epoch)
        if begin < len(stages):
            raise ValueError(f"the stage at {run.onset:g} s overlaps the one before it")
        if begin + count > MOST_EPOCHS:
            raise ValueError(f"{begin + count} epochs, must be at most {MOST_EPOCHS}")
        stages += [""] * (begin - len(stages)) + [run.stage] * count
    return Hypnogram(tuple(stages), first + len(stages) * epoch, epoch, first)


def _checked_run(run: Run) -> Run:
    if run.onset < 0:
        raise ValueError(f"the stage at {run.onset:g} s begins before the recording")
    if not (run.onset <= LONGEST and ROUNDING < run.duration <= LONGEST):
        raise ValueError(
            f"the stage at {run.onset:g} s lasts {run.duration:g} s, must last above 0 s and begin "
            f"within {LONGEST:g} s"
        )
    return run


def _epochs(seconds: float, run: Run, epoch: float) -> int:
    count = round(seconds / epoch)
    if abs(seconds - count * epoch) > ROUNDING:
        raise ValueError(
            f"the stage at {run.onset:g} s, which lasts {run.duration:g} s, does not fit epochs of "
            f"{epoch:g} s"
        )
    return count


def shared_epoch(durations: Iterable[float]) -> float:
    """Return 30 s if that divides all durations, else what does."""
    length = math.gcd(*(round(100 * duration) for duration in durations)) / 100
    return checked_epoch(USUAL_EPOCH if length and length % USUAL_EPOCH == 0 else length)


def checked_epoch(epoch: float) -> float:
    """Return the length of an epoch in seconds if it is one."""
    if not (SHORTEST_EPOCH <= epoch < math.inf):
        raise ValueError(f"invalid epoch: {epoch:g} s, must be {SHORTEST_EPOCH:g} s or longer")
    return float(epoch)


def whole_hypnogram(path: Path, stages: Sequence[str], epoch: float) -> Hypnogram:
    """Return a hypnogram that begins with the recording, refuse one without an epoch."""
    if not 0 < len(stages) <= MOST_EPOCHS:
        raise ValueError(f"{path} has {len(stages)} stages of sleep, must be 1 to {MOST_EPOCHS}")
    return Hypnogram(tuple(stages), len(stages) * epoch, epoch)


def from_start(hypnogram: Hypnogram) -> Hypnogram:
    """Put unscored epochs in front, so that the first begins with the recording.

    Raises
    ------
    ValueError
        If there is none, or the first does not begin a whole number of epochs after second 0.
    """
    check_placed(hypnogram)
    gone = round(hypnogram.first / hypnogram.epoch)
    if abs(hypnogram.first - gone * hypnogram.epoch) > _EXACT:
        raise ValueError(
            f"Invalid first: {hypnogram.first:g} s, must be a whole number of epochs of "
            f"{hypnogram.epoch:g} s in a format that has no times"
        )
    return replace(hypnogram, stages=("",) * gone + hypnogram.stages, first=0.0)


def check_placed(hypnogram: Hypnogram) -> None:
    """Refuse a hypnogram without epochs, or with some before the recording."""
    if not hypnogram.stages or not 0 <= hypnogram.first < math.inf:
        raise ValueError(
            f"Invalid hypnogram: {len(hypnogram)} epochs from {hypnogram.first:g} s, must have "
            f"epochs that begin at 0 s or later"
        )


def read_text(path: Path) -> str:
    """Return a file's text, refuse what is none in one sentence."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} has no stages of sleep: it is not UTF-8 text") from None


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Say where an error is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
