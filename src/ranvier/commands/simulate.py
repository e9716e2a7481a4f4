"""``ranvier simulate``: recordings with known truth."""

from __future__ import annotations

from typing import Literal

from ranvier.commands import Answer, check_folder


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
        Where the recordings go; it must hold no subjects.
    subjects
        How many.
    minutes
        Of signal for each subject.
    seed
        The same seed gives the same files.
    montage
        Channels of the files.
    """
    from ranvier.formats import write_bids
    from ranvier.simulate import simulate_seizures

    if task != "seizure":
        raise ValueError(f"Invalid task: {task!r}, possible options: ['seizure']")
    recordings = simulate_seizures(subjects=subjects, minutes=minutes, seed=seed, montage=montage)
    check_folder(folder)
    write_bids(folder, recordings, name="Simulated seizures", power_line_frequency=50)
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
