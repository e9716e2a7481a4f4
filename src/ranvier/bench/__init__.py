"""What a decoder costs on this machine, in each form that can run here.

Steps are timed as they come live: one answer's worth of signal at a time, with the state of the one
before. docs/deploy.md tells what each number means.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ranvier.bench.compiled import time_in_c
from ranvier.bench.machine import file_sizes, memory_of, multiplied, operations_of
from ranvier.bench.steps import (
    PARTS,
    Clock,
    Seconds,
    Steps,
    cuts_of,
    noise,
    percentiles,
    time_steps,
)
from ranvier.decoder import Decoder, load
from ranvier.recording import Recording
from ranvier.runtime import ENGINES


@dataclass(frozen=True)
class Row:
    """What a decoder costs in one form.

    Parameters
    ----------
    engine
        A name of ``runtime.ENGINES``, or ``"c"``.
    steps, missed
        How many were timed, and how many took longer than the hop.
    step, per_second
        Percentiles of ``PERCENTILES`` in seconds: of a step, and of the computing for each second
        of signal.
    parts
        The same of a step's parts; empty where they cannot be told apart.
    real_time
        Seconds of a recording that are decoded in one second.
    memory
        Most bytes of a process that does nothing else; in C of the decoder alone.
    """

    engine: str
    steps: int
    missed: int
    step: Seconds
    per_second: Seconds
    parts: Mapping[str, Seconds]
    real_time: float
    memory: float | None


@dataclass(frozen=True)
class Bench:
    """What a decoder costs on this machine.

    Parameters
    ----------
    decoder
        Task and network.
    hop, delay
        Seconds between answers, and by which a decision lags behind the signal at the least.
    seconds
        Of signal that were decoded.
    operations
        Multiplications and additions of the network for an answer; None where they are not known.
    multiplied
        Operations per second of one processor in a product of large matrices, measured.
    files
        Bytes by name.
    rows
        One for each form that can run here.
    notes
        Which could not, and why.
    """

    decoder: str
    hop: float
    delay: float
    seconds: float
    operations: int | None
    multiplied: float
    files: Mapping[str, int]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def floor(self) -> float | None:
        """Seconds in which the network's products could be done at the best."""
        return None if self.operations is None else self.operations / self.multiplied

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain types."""
        return {**asdict(self), "floor": self.floor}

    def __str__(self) -> str:
        return "\n".join([*_about(self), "", *_table(_columns(self)), "", *_sizes(self)])


def bench(
    path: str | os.PathLike[str],
    *,
    recording: Recording | None = None,
    steps: int = 200,
    clock: Clock = time.perf_counter,
) -> Bench:
    """Measure a decoder in each form that can run here.

    Parameters
    ----------
    path
        A ``.ranvier`` file.
    recording
        What is decoded; noise by default.
    steps
        Answers that are timed, fewer where the recording is shorter.
    clock
        Seconds of any time.

    Raises
    ------
    ValueError
        If the file is no decoder, or the recording is shorter than two answers.
    """
    decoder = load(path)
    if steps < 1:
        raise ValueError(f"Invalid steps: {steps}, must be at least 1")
    recording = recording or noise(decoder, steps)
    chain = decoder.bind(recording.layout)
    cuts_of(chain, recording, steps)
    rows, notes = _rows(decoder, Path(path), recording, steps=steps, clock=clock)
    operations = operations_of(decoder)
    if operations is None:
        notes.append("operations are counted in torch, where a network has a step of fixed length")
    return Bench(
        f"{decoder.task} decoder {decoder.network}",
        chain.hop,
        chain.delay,
        recording.duration,
        operations,
        multiplied(),
        file_sizes(path),
        tuple(rows),
        tuple(notes),
    )


def _rows(
    decoder: Decoder, path: Path, recording: Recording, **options: Any
) -> tuple[list[Row], list[str]]:
    """Return a row for each form, and why others have none."""
    rows: list[Row] = []
    notes: list[str] = []
    for engine in (*ENGINES[1:], "c"):
        measure = _row_in_c if engine == "c" else partial(_row, engine, path)
        try:
            rows.append(measure(decoder, recording, **options))
        except ValueError as error:
            notes.append(f"{engine}: {error}")
    if not rows:
        raise ValueError(f"Invalid decoder: nothing can compute it here ({'; '.join(notes)})")
    return rows, notes


def _row(
    engine: str, path: Path, decoder: Decoder, recording: Recording, *, steps: int, clock: Clock
) -> Row:
    decoder = decoder.on(engine)
    timed = time_steps(decoder.bind(recording.layout), recording, steps=steps, clock=clock)
    began = clock()
    decoder.predict(recording)
    took = clock() - began
    return _row_of(engine, timed, recording.duration / took, memory_of(path, engine))


def _row_in_c(decoder: Decoder, recording: Recording, *, steps: int, clock: Clock) -> Row:
    timed, took, memory = time_in_c(decoder, recording, steps=steps, clock=clock)
    return _row_of("c", timed, recording.duration / took, memory)


def _row_of(engine: str, timed: Steps, real_time: float, memory: float | None) -> Row:
    return Row(
        engine,
        len(timed.whole),
        timed.missed,
        percentiles(timed.whole),
        percentiles(timed.per_second),
        {part: percentiles(seconds) for part, seconds in timed.parts.items()},
        real_time,
        memory,
    )


def _about(found: Bench) -> list[str]:
    """Return the lines above the table."""
    lines = [
        f"{found.decoder}: an answer each {found.hop:g} s, at the least {found.delay:.2f} s behind "
        f"the signal; {found.seconds:.0f} s of signal, one answer at a time"
    ]
    if found.operations is None or found.floor is None:
        return lines
    rate = f"{found.multiplied / 1e9:.0f} GFLOP/s, measured"
    floor = f"not under {found.floor * 1e3:.3g} ms"
    return [*lines, f"{found.operations:,} operations an answer: {floor} at {rate}"]


def _columns(found: Bench) -> list[list[str]]:
    """Return a line for each measure, and in it a cell for each form."""
    columns = [_column(row, found.floor) for row in found.rows]
    names = ["", *(row.engine for row in found.rows)]
    return [names, *([name, *(column[name] for column in columns)] for name in columns[0])]


def _column(row: Row, floor: float | None) -> dict[str, str]:
    medians = {part: row.parts[part]["p50"] if row.parts else None for part in PARTS}
    network = medians["network"]
    return {
        **{f"ms a step, {name}": _milliseconds(took) for name, took in row.step.items()},
        **{f"  {part}, p50": _milliseconds(took) for part, took in medians.items()},
        "  network, times the floor": f"{network / floor:.1f}" if network and floor else "-",
        **{f"ms a second, {name}": _milliseconds(took) for name, took in row.per_second.items()},
        "steps over the hop": f"{row.missed} of {row.steps}",
        "a file, times real time": f"{row.real_time:,.0f}",
        "memory, MB": f"{row.memory / 1e6:.3g}" if row.memory else "-",
    }


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.3g}"


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def _sizes(found: Bench) -> list[str]:
    return _table([[name, f"{size:,} bytes"] for name, size in found.files.items()])
