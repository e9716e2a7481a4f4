"""``ranvier simulate``: recordings with known truth."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ranvier.commands import Answer, check_folder, showing_progress

if TYPE_CHECKING:
    from ranvier.recording import Recording


def simulate(
    task: Literal["seizure"],
    folder: str,
    *,
    subjects: int = 8,
    minutes: float = 50.0,
    seed: int = 0,
    montage: Literal["referential", "double_banana"] = "referential",
) -> Answer:
    """Simulate recordings with known truth, as a BIDS folder of EDF files.

    Parameters
    ----------
    task
        What is to be decoded: seizure.
    folder
        Where the recordings go; it must be new or empty.
    subjects
        How many.
    minutes
        Of signal for each subject.
    seed
        The same seed gives the same files.
    montage
        Channels of the files.
    """
    if task != "seizure":
        raise ValueError(f"Invalid task: {task!r}, possible options: ['seizure']")
    recordings = write_simulated(
        Path(folder), subjects=subjects, minutes=minutes, seed=seed, montage=montage
    )
    hours = sum(recording.duration for recording in recordings) / 3600
    seizures = sum(len(recording.events or ()) for recording in recordings)
    content = {
        "folder": str(folder),
        "subjects": subjects,
        "recordings": len(recordings),
        "hours": hours,
        "seizures": seizures,
        "seed": seed,
    }
    text = (
        f"{folder}: {len(recordings)} recordings of {subjects} simulated subjects, {hours:.1f} h "
        f"with {seizures} seizures"
    )
    return Answer(text, content)


def write_simulated(folder: Path, **settings: Any) -> list[Recording]:
    """Simulate recordings into a folder that appears when all are written.

    Raises
    ------
    ValueError
        If the folder has something in it.
    """
    from ranvier.formats import write_bids
    from ranvier.simulate import simulate_seizures

    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"Invalid folder: {folder} has something in it, must be new or empty")
    recordings = simulate_seizures(**settings)
    check_folder(str(folder.absolute().parent))
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with showing_progress() as progress:
        done: list[Recording] = []

        def tell(recording: Recording) -> None:
            done.append(recording)
            progress("simulating", len(done), len(recordings))

        write_bids(
            unfinished,
            recordings,
            name="Simulated seizures",
            power_line_frequency=50,
            progress=tell,
        )
    unfinished.rename(folder)
    return recordings
