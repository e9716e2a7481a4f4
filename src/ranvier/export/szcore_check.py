"""What the challenge tries with a container, tried here without one.

``python -m ranvier.export.szcore_check FOLDER`` runs the code in the wheel of an exported folder on
EDF files of many kinds: as a user without rights where this one may become such a user, without a
network, with what comes in closed to writing. Then it looks at each table.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.export.szcore_algorithm import check_algorithm
from ranvier.export.szcore_entry import HEADER
from ranvier.formats.edf import write_edf
from ranvier.recording import Layout
from ranvier.truth import BACKGROUND, SEIZURE

UID = 10001
"""The user of the container, who owns nothing."""

START = datetime(2024, 2, 29, 23, 59, 58)
AVERAGED = tuple(f"{lead}-Avg" for lead in TEN_TWENTY)
ALONE = "ranvier.export.szcore_alone"
LONGEST = 600.0


@dataclass(frozen=True)
class Case:
    """A file that the program is run on.

    Parameters
    ----------
    name
        What is special about it.
    channels, seconds, rate
        Of the file; without channels it is no EDF file.
    spread
        Standard deviation of its noise in µV.
    closed
        Whether only the table, which is there and empty, can be written to, not its folder: so it
        is where the challenge evaluates.
    silent
        Whether nothing can be decoded, so one background row must span the file.
    """

    name: str
    channels: tuple[str, ...] = AVERAGED
    seconds: float = 60.0
    rate: float = 256.0
    spread: float = 30.0
    closed: bool = False
    silent: bool = False


CASES = (
    Case("referential, a minute", seconds=60.5),
    Case("two seconds", seconds=2.0, silent=True),
    Case("two seconds into a closed folder", seconds=2.0, closed=True, silent=True),
    Case("bipolar", DOUBLE_BANANA, closed=True),
    Case("leads missing", AVERAGED[:7]),
    Case("no known lead", ("X1", "X2"), silent=True),
    Case("another rate", rate=500.0),
    Case("flat", spread=0.0, silent=True),
    Case("no EDF file", ()),
)


@dataclass(frozen=True)
class Finding:
    """What came of one file.

    Parameters
    ----------
    name
        Of the case.
    seconds
        That the program took.
    said
        What it wrote to stderr.
    fault
        What is wrong, in a sentence; empty where nothing is.
    """

    name: str
    seconds: float
    said: str
    fault: str = ""


def check_folder(folder: Path) -> tuple[Finding, ...]:
    """Check the algorithm file and the decoder of an exported folder.

    Parameters
    ----------
    folder
        From ``export_szcore``.

    Raises
    ------
    ValueError
        If it lacks the decoder, the wheel or the algorithm file, the latter is not what SzCORE
        accepts, or the program cannot be started.
    """
    import yaml

    patterns = ("*.ranvier", "*.whl", "*.yaml")
    decoder, wheel, algorithm = (_only(folder, pattern) for pattern in patterns)
    check_algorithm(yaml.safe_load(algorithm.read_text(encoding="utf-8")))
    return check_decoder(decoder, wheel)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(
            f"Invalid folder: {folder} has {len(found)} files {pattern}, must have one"
        )
    return found[0]


def check_decoder(decoder: Path, wheel: Path) -> tuple[Finding, ...]:
    """Run the program of the container on every case, and look at the tables.

    Parameters
    ----------
    decoder, wheel
        What the container has: the detector and the code.

    Raises
    ------
    ValueError
        If it cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="szcore-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        decoder, wheel = (Path(shutil.copy(one, root)) for one in (decoder, wheel))
        for one in (decoder, wheel):
            one.chmod(0o444)
        tables = [_lay_out(case, root / str(number)) for number, case in enumerate(CASES)]
        inputs = [_input(table) for table in tables]
        before = [path.read_bytes() for path in inputs]
        done = run_alone(decoder, wheel, inputs, tables)
        changed = [path.read_bytes() != old for path, old in zip(inputs, before, strict=True)]
        return tuple(
            Finding(case.name, one["seconds"], one["said"], _fault(case, one, table, spoilt))
            for case, one, table, spoilt in zip(CASES, done, tables, changed, strict=True)
        )


def _input(table: Path) -> Path:
    return table.parents[1] / "data" / "recording.edf"


def _lay_out(case: Case, folder: Path) -> Path:
    """Make the two folders of a container, with the file that comes in; return the table."""
    table = folder / "output" / "recording.tsv"
    source = _input(table)
    for one in (source.parent, table.parent):
        one.mkdir(parents=True)
    if case.channels:
        _write_noise(case, source)
    else:
        source.write_bytes(b"this is no recording")
    if case.closed:
        table.touch()
        table.chmod(0o666)
    source.chmod(0o444)
    source.parent.chmod(0o555)
    table.parent.chmod(0o555 if case.closed else 0o1777)
    return table


def _write_noise(case: Case, path: Path) -> None:
    shape = (round(case.seconds * case.rate), len(case.channels))
    noise = np.random.default_rng(0).normal(0, 1, shape) * case.spread
    write_edf(path, noise, Layout(case.channels, case.rate), start=START)


def run_alone(
    decoder: Path, wheel: Path, inputs: Sequence[Path], tables: Sequence[Path]
) -> list[Any]:
    """Run the program on files, shut off from the rest of the machine as far as may be.

    Parameters
    ----------
    decoder, wheel
        As for ``check_decoder``; where a user without rights can read them.
    inputs, tables
        What comes in, and what goes out.

    Returns
    -------
    list of dict
        For each file its exit ``code``, what it ``said``, and how many ``seconds`` it took.

    Raises
    ------
    ValueError
        If it cannot be started.
    """
    cases = [
        {"input": str(source), "output": str(table)}
        for source, table in zip(inputs, tables, strict=True)
    ]
    asked = {"decoder": str(decoder), "uid": UID if is_root() else None, "cases": cases}
    words = [*without_network(), sys.executable, "-m", ALONE]
    settings = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(wheel)}
    done = subprocess.run(
        words,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        env={**os.environ, **settings},
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ValueError(f"The program of the container cannot be started: {reason}")
    return list(json.loads(done.stdout))


def is_root() -> bool:
    """Return whether this user may become any other."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


@cache
def without_network() -> tuple[str, ...]:
    """Return the words that shut a program off from every network; none where that cannot be."""
    words = ("unshare", "--net")
    if not (is_root() and shutil.which(words[0])):
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else ()


def limits() -> tuple[str, ...]:
    """Say what of a container could not be had here, one sentence each."""
    root, apart = is_root(), bool(without_network())
    return (
        *(() if root else ("the check ran as this user: only root can become one without rights",)),
        *(() if apart else ("the check refused networks in Python alone, not in the system",)),
    )


def _fault(case: Case, done: dict[str, Any], table: Path, spoilt: bool) -> str:  # noqa: FBT001
    expected = 0 if case.channels else 1
    if done["code"] != expected:
        last = done["said"].rpartition("\n")[2]
        return f"the exit code is {done['code']}, must be {expected}: {last}"
    if spoilt:
        return "the file that comes in was changed"
    found = sorted(path.name for path in table.parent.iterdir())
    if found != [table.name]:
        return f"the output folder has {', '.join(found) or 'nothing'}, must have the table alone"
    return _fault_in_table(case, table.read_text(encoding="utf-8").split("\n"))


def _fault_in_table(case: Case, lines: list[str]) -> str:
    header, *rows, rest = lines
    if header != HEADER or rest:
        return f"the first line is {header!r}, must be {HEADER!r}, and each line must end"
    if not case.channels:
        return f"there are {len(rows)} rows, must be none" if rows else ""
    faults = (_fault_in_row(case, row.split("\t")) for row in rows)
    silent = not case.silent or [row.split("\t")[2] for row in rows] == [BACKGROUND]
    if not rows or not silent:
        return f"there are {len(rows)} rows, must be one of background that spans the file"
    return next(filter(None, faults), "")


def _fault_in_row(case: Case, cells: list[str]) -> str:
    if len(cells) != len(HEADER.split("\t")):
        return f"a row has {len(cells)} cells, must have {len(HEADER.split())}"
    onset, duration, label, *_, date, length = cells
    if length != f"{case.seconds:.2f}":
        return f"recordingDuration is {length}, must be {case.seconds:.2f}"
    if date != f"{START}":
        return f"dateTime is {date}, must be {START}"
    if not 0 <= float(onset) <= float(onset) + float(duration) <= case.seconds + 0.005:
        return f"an event of {duration} s begins at {onset} s, must lie within {length} s"
    known = label == BACKGROUND or label.startswith(SEIZURE)
    return "" if known else f"eventType is {label!r}, must be {BACKGROUND!r} or a seizure"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder, say what was found, and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        print("usage: python -m ranvier.export.szcore_check FOLDER", file=sys.stderr)
        return 2
    try:
        findings = check_folder(Path(given[0]))
    except (ValueError, OSError) as error:
        print(f"szcore: {error}", file=sys.stderr)
        return 1
    for one in findings:
        print(f"{one.name:36} {one.fault or 'as it must be'} ({one.seconds:.2f} s)")
    for note in limits():
        print(f"note: {note}", file=sys.stderr)
    return int(any(one.fault for one in findings))


if __name__ == "__main__":
    sys.exit(main())
