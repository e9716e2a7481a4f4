"""``ranvier simulate``: recordings with known truth."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ranvier.commands import Answer, check_folder, showing_progress
from ranvier.page import size

if TYPE_CHECKING:
    from ranvier.recording import Recording

SHORTEST_NIGHT = 6
"""Minutes."""
SAMPLE_BYTES = 2
"""In EDF."""
Write = Callable[..., Any]
Found = tuple[str, dict[str, Any]]
"""What is in the recordings, for people and for JSON."""


def simulate(
    task: Literal["seizure", "sleep", "movement"],
    folder: str,
    *,
    subjects: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    montage: Literal["referential", "double_banana"] | None = None,
    types: bool = False,
    nights: int | None = None,
    sessions: int | None = None,
    units: int | None = None,
    bin_seconds: float | None = None,
    gaps: bool = False,
    files: Literal["binned", "spikes", "nwb"] | None = None,
) -> Answer:
    """Simulate recordings with known truth, as a BIDS folder of EDF files or as files of spikes.

    Parameters
    ----------
    task
        What is to be decoded: seizure, sleep or movement.
    folder
        Where the recordings go; it must be new or empty.
    subjects
        How many; by default 8, of movement 4.
    minutes
        Of signal for each subject, by default 50; of each night, 240; of each session of movement,
        5; at most a day.
    seed
        The same seed gives the same files.
    montage
        Channels of files with seizures: referential, the default, or double_banana.
    types
        Whether there is one focal, generalised, absence and tonic seizure in every file.
    nights
        Of each sleeper, by default 1.
    sessions
        Of movement for each subject, by default 1.
    units
        Recorded while something moves, by default 60.
    bin_seconds
        Length of a bin of spikes, by default 0.05 s.
    gaps
        Whether movement is cut into trials.
    files
        Of movement: binned spikes, the default; spike times, as spikes in .npz or as nwb.
    """
    given = {
        "subjects": subjects, "minutes": minutes, "montage": montage, "nights": nights,
        "sessions": sessions, "units": units, "bin_seconds": bin_seconds, "gaps": gaps or None,
        "types": types or None, "files": files,
    }  # fmt: skip
    settings = {name: value for name, value in given.items() if value is not None}
    recordings = write_simulated(Path(folder), task=task, seed=seed, **settings)
    people = len({recording.subject for recording in recordings})
    hours = sum(recording.duration for recording in recordings) / 3600
    found, counted = TASKS[task].describe(recordings)
    content = {
        "folder": str(folder),
        "task": task,
        "subjects": people,
        "recordings": len(recordings),
        "hours": hours,
        **counted,
        "seed": seed,
    }
    text = (
        f"{folder}: {len(recordings)} recordings of {people} simulated subjects, "
        f"{_length(hours)} with {found}"
    )
    return Answer(text, content)


def _length(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 0.1 else f"{60 * hours:.0f} min"


def write_simulated(folder: Path, *, task: str = "seizure", **settings: Any) -> list[Recording]:
    """Simulate recordings into a folder that appears when all are written.

    Raises
    ------
    ValueError
        If the task is unknown or has no such setting, or the folder has something in it.
    """
    if task not in TASKS:
        raise ValueError(f"Invalid task: {task!r}, possible options: {list(TASKS)}")
    simulated = TASKS[task]
    for name in settings:
        if name not in simulated.options:
            options = ", ".join(simulated.options)
            raise ValueError(f"Invalid {name}: {task} has no such option, possible: {options}")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"Invalid folder: {folder} has something in it, must be new or empty")
    recordings = simulated.make(**settings)
    check_folder(str(folder.absolute().parent))
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with showing_progress() as progress:
        done: list[Recording] = []

        def tell(recording: Recording) -> None:
            done.append(recording)
            progress("simulating", len(done), len(recordings))

        how = {"files": settings["files"]} if "files" in settings else {}
        simulated.write(unfinished, recordings, tell, **how)
    unfinished.rename(folder)
    return recordings


def _make_seizures(*, types: bool = False, **settings: Any) -> list[Recording]:
    from ranvier.simulate import simulate_seizures
    from ranvier.simulate.seizure_kinds import KINDS

    return simulate_seizures(**settings, types=tuple(KINDS) if types else ())


def _make_nights(*, minutes: float = 240.0, **settings: Any) -> list[Recording]:
    from ranvier.simulate import simulate_nights
    from ranvier.simulate.limits import LONGEST, check_within

    check_within("minutes", minutes, SHORTEST_NIGHT, LONGEST)
    return simulate_nights(hours=minutes / 60, **settings)


def _make_reaches(*, files: str = "binned", **settings: Any) -> list[Recording]:
    from ranvier.simulate import simulate_reaches

    return simulate_reaches(**settings, spikes=files != "binned")


def _write_bids(name: str) -> Write:
    def write(folder: Path, recordings: Sequence[Recording], tell: Write) -> None:
        from ranvier.formats import write_bids

        _check_room(folder.absolute().parent, recordings)
        write_bids(folder, recordings, name=name, power_line_frequency=50, progress=tell)

    return write


def _check_room(folder: Path, recordings: Sequence[Recording]) -> None:
    samples = sum(one.samples * len(one.layout.channels) for one in recordings)
    needed, free = SAMPLE_BYTES * samples, shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"Not enough space in {folder}: {size(needed)} are needed, {size(free)} are free"
        )


def _write_reaches(
    folder: Path, recordings: Sequence[Recording], tell: Write, files: str = "binned"
) -> None:
    from ranvier.formats import write_binned, write_nwb, write_spikes

    writers = {"binned": write_binned, "spikes": write_spikes, "nwb": write_nwb}
    suffix = "nwb" if files == "nwb" else "npz"
    for recording in recordings:
        writers[files](folder / f"{recording.name}.{suffix}", recording)
        tell(recording)


def _describe_seizures(recordings: Sequence[Recording]) -> Found:
    seizures = sum(len(recording.events or ()) for recording in recordings)
    return f"{seizures} seizures", {"seizures": seizures}


def _describe_nights(recordings: Sequence[Recording]) -> Found:
    from ranvier.truth import SLEEP_STAGES

    nights = [recording.hypnogram for recording in recordings if recording.hypnogram]
    counts = Counter(stage for night in nights for stage in night.stages)
    stages = {stage: counts[stage] for stage in SLEEP_STAGES}
    epochs = sum(stages.values())
    shares = ", ".join(f"{stage} {count / epochs:.0%}" for stage, count in stages.items())
    return f"{epochs} epochs: {shares}", {"epochs": epochs, "stages": stages}


def _describe_reaches(recordings: Sequence[Recording]) -> Found:
    layout = recordings[0].layout
    units, bins = len(layout.channels), sum(recording.samples for recording in recordings)
    counted = {"bins": bins, "bin_seconds": 1 / layout.rate, "units": units}
    return f"{units} units in bins of {1000 / layout.rate:g} ms", counted


@dataclass(frozen=True)
class _Simulated:
    """How recordings for a task are made, written and described, and with which options."""

    make: Callable[..., list[Recording]]
    options: tuple[str, ...]
    write: Write
    describe: Callable[[Sequence[Recording]], Found]


TASKS = {
    "seizure": _Simulated(
        _make_seizures,
        ("subjects", "minutes", "seed", "montage", "types"),
        _write_bids("Simulated seizures"),
        _describe_seizures,
    ),
    "sleep": _Simulated(
        _make_nights,
        ("subjects", "minutes", "seed", "nights"),
        _write_bids("Simulated nights"),
        _describe_nights,
    ),
    "movement": _Simulated(
        _make_reaches,
        ("subjects", "minutes", "seed", "sessions", "units", "bin_seconds", "gaps", "files"),
        _write_reaches,
        _describe_reaches,
    ),
}
