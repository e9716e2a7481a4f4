"""Tables of numbers as signals: a header of names, a column of times, a row for each sample."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ranvier.formats.hdf5 import in_microvolts
from ranvier.formats.named_arrays import plain
from ranvier.formats.stage_grid import naming
from ranvier.recording import MICROVOLTS, Array, InMemory, Layout, Recording, microvolts_per

TIMES = ("time", "times", "t", "seconds", "second", "sec", "s", "timestamp", "timestamps")
MILLISECONDS = ("timems", "ms", "milliseconds", "timestampms", "timestampsms", "tms")
_NAMED_UNIT = re.compile(r"(s|sec|seconds)$")
_VOLTAGE = re.compile(rf"(.*\S)\s*[(\[]\s*({'|'.join(MICROVOLTS)})\s*[)\]]")
"""A name and its unit, as in Fp1 (mV)."""
LATE = 0.25
"""Share of a step by which a time may lie beside its place, as times that were rounded do."""
MISSING = ("", "n/a", "nan", "na")


def read_table(
    path: str | os.PathLike[str],
    *,
    time: str = "",
    rate: float | None = None,
    unit: str = "",
) -> Recording:
    """Read a table: a header of names, one of them of the times, and a row for each sample.

    Parameters
    ----------
    path
        UTF-8 text, separated by commas, semicolons or tabs. An empty cell or ``n/a`` is NaN.
    time
        Column of times; by default the one called ``time``, ``t``, ``seconds``, ``time_ms`` or
        alike. In seconds, unless its name ends in ms.
    rate
        In Hz, for a table without times.
    unit
        V, mV, µV or nV of all channels; else what stands behind the name of each, as in
        ``Fp1 (mV)``, or µV with a note.

    Returns
    -------
    Recording
        Read whole, with every other column a channel.

    Raises
    ------
    ValueError
        If it cannot be read, a cell is no number, or the times are not even.
    """
    path = Path(path)
    names, values = _cells(path)
    with naming(str(path)):
        place = _time_column(names, time, rate)
        kept = [column for column in range(len(names)) if column != place]
        if place is not None:
            milliseconds = plain(names[place]) in MILLISECONDS or names[place].endswith("ms")
            rate, begin = even_rate(values[:, place] / (1000.0 if milliseconds else 1.0))
        channels, units = _split_units([names[column] for column in kept])
        layout = Layout(channels, rate or 0.0)
        factors = np.array([microvolts_per(unit or one or "µV") for one in units])
        signal = in_microvolts(values[:, kept] * factors, 1.0)
    notes = () if unit or all(units) else (_not_known(channels, units),)
    if place is not None and begin:
        notes = (*notes, f"the first sample is at {begin:g} s of the table's clock")
    return Recording(layout, len(signal), InMemory(signal), path.stem, notes=notes)


def _split_units(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return channels, and the unit behind the name of each, or nothing."""
    found = [_VOLTAGE.fullmatch(name) for name in names]
    channels = tuple(one[1] if one else name for one, name in zip(found, names, strict=True))
    if len(set(channels)) < len(channels):
        raise ValueError(f"invalid channels: {', '.join(names[:12])}, must differ without the unit")
    return channels, [one[2] if one else "" for one in found]


def _not_known(channels: Sequence[str], units: Sequence[str]) -> str:
    without = [name for name, unit in zip(channels, units, strict=True) if not unit]
    some = f" of {', '.join(without)}" if any(units) else ""
    return f"the unit{some} is not known, values are taken as µV"


def _cells(path: Path) -> tuple[list[str], Array]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            separator = max("\t;,", key=header.count)
            names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
            rows = [line for line in file if line.strip()]
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a table: {error}") from None
    named = len(set(names)) == len(names) and all(one and one.isprintable() for one in names)
    if not named or all(map(_is_number, names)) or not rows:
        raise ValueError(
            f"{path} is not a table of a signal: must have a header of different names and a row "
            f"below, found {header.strip()[:80]!r} and {len(rows)} rows"
        )
    with naming(str(path)):
        return names, _numbers(rows, separator, len(names))


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _numbers(rows: Sequence[str], separator: str, columns: int) -> Array:
    try:
        values = np.loadtxt(rows, delimiter=separator, comments=None, quotechar='"', ndmin=2)
    except ValueError:
        values = np.array(
            [_row(row, separator, at, columns) for at, row in enumerate(rows, start=2)]
        )
    if values.ndim != 2 or values.shape[1] != columns:
        raise ValueError(f"rows of {values.shape[-1]} cells, must have {columns} as in the header")
    return values


def _row(row: str, separator: str, line: int, columns: int) -> list[float]:
    try:
        cells = next(csv.reader([row], delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"line {line}: {error}") from None
    if len(cells) != columns:
        raise ValueError(f"line {line}: {len(cells)} cells, must be {columns} as in the header")
    return [_cell(cell.strip(), line) for cell in cells]


def _cell(text: str, line: int) -> float:
    try:
        return np.nan if text.lower() in MISSING else float(text)
    except ValueError:
        raise ValueError(f"line {line}: {text[:40]!r}, must be a number or n/a") from None


def _time_column(names: Sequence[str], time: str, rate: float | None) -> int | None:
    usual = [at for at, name in enumerate(names) if _is_time(name)]
    found = [names.index(time)] if time in names else [] if time else usual
    if len(found) != 1 and rate is None:
        raise ValueError(
            f"{len(found)} columns of times, must be one called time, t, seconds or time_ms, "
            f"found: {', '.join(names[:12])}; say it with time= or rate="
        )
    return found[0] if len(found) == 1 else None


def _is_time(name: str) -> bool:
    short = plain(name)
    return short in (*TIMES, *MILLISECONDS) or _NAMED_UNIT.sub("", short) in ("time", "timestamp")


def even_rate(times: Array) -> tuple[float, float]:
    """Return samples per second and the first time, of times that are even but for rounding.

    The rate is a whole number of Hz where all times fit one.

    Raises
    ------
    ValueError
        If one lies more than a quarter of a step beside its place.
    """
    if len(times) < 2 or not np.isfinite(times).all() or not times[-1] > times[0]:
        raise ValueError(f"invalid times: {len(times)}, must be two or more, finite and rising")
    steps = np.arange(len(times))
    rate = (len(times) - 1) / (times[-1] - times[0])
    for candidate in (float(round(rate)), rate):
        if candidate and (np.abs(times - times[0] - steps / candidate) <= LATE / candidate).all():
            return candidate, float(times[0])
    late = int(np.argmax(np.abs(times - times[0] - steps / rate)))
    raise ValueError(
        f"uneven times: row {late + 1} at {times[late]:g} s lies beside its place at {rate:g} Hz, "
        f"must be even"
    )
