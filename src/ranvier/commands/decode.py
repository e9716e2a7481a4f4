"""``ranvier decode``: events, hypnograms and trajectories from files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.commands import Answer, check_folder, grouped, showing_progress, use_threads
from ranvier.truth import SEIZURE, SLEEP_STAGES, Hypnogram, Trajectory, Truth

if TYPE_CHECKING:
    from ranvier.decoding import Prediction
    from ranvier.recording import Recording


def decode(decoder: str, paths: list[str], *, out: str, threads: int = 1) -> Answer:
    """Decode files and folders to tables: seizures or their types, stages of sleep, or movement.

    A file that cannot be read is named and the others are decoded; the exit code is then 1.

    Parameters
    ----------
    decoder
        A .ranvier file.
    paths
        Recordings, or folders of them.
    out
        Folder for the tables; recordings of a BIDS folder keep their place in it.
    threads
        For computing.
    """
    from ranvier.decoder import load
    from ranvier.formats import find_files, read_one

    use_threads(threads)
    loaded = load(decoder)
    files = [file for path in paths for file in find_files(path)]
    check_folder(out)
    answers: list[dict[str, Any]] = []
    notes: list[tuple[str, str]] = []
    refused: list[str] = []
    used: set[Path] = set()
    with showing_progress() as progress:
        for done, file in enumerate(files, start=1):
            try:
                recording = read_one(file)
                prediction = loaded.predict(recording)
                table = write_decoded(prediction, place(recording, file, Path(out), used))
            except ValueError as error:
                refused.append(f"not decoded: {error}")
                continue
            notes += [(prediction.name, note) for note in prediction.notes]
            answers.append(describe(prediction, file, table))
            progress("decoding", done, len(files))
    if not answers:
        raise ValueError("; ".join(refused))
    text = "\n".join(one_line(answer) for answer in answers)
    said = [*grouped(notes), *refused]
    return Answer(text, {"recordings": answers, "notes": said}, said, failed=bool(refused))


def place(recording: Recording, file: Path, out: Path, used: set[Path]) -> Path:
    """Return where the table of a recording goes, and remember it; the folder is made.

    Raises
    ------
    ValueError
        If it would stand where another one stands, or where the annotations of the file are.
    """
    subject, session = recording.subject, recording.session
    parts = [f"sub-{subject}", *([f"ses-{session}"] if session else []), "eeg"]
    in_bids = recording.name.startswith(f"sub-{subject}_")
    folder = out.joinpath(*parts) if in_bids else out
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"{recording.name}_events.tsv"
    if table in used:
        raise ValueError(f"{file}: {table} was written for another recording of this name")
    if table.exists() and table.resolve().parent == file.resolve().parent:
        raise ValueError(f"{file}: {table} stands beside it already, out must be another folder")
    used.add(table)
    return table


def write_decoded(prediction: Prediction, table: Path) -> Path:
    """Write what was decided in the form of its task."""
    from ranvier.formats import write_events, write_hypnogram, write_trajectory

    decoded = prediction.decoded
    if isinstance(decoded, Hypnogram):
        return write_hypnogram(table, decoded)
    if isinstance(decoded, Trajectory):
        return write_trajectory(
            table.with_name(table.name.replace("_events", "_trajectory")), decoded
        )
    return write_events(table, prediction.events)


def describe(prediction: Prediction, file: Path, table: Path) -> dict[str, Any]:
    """Say in plain types what was found in one recording."""
    return {
        "recording": prediction.name,
        "file": str(file),
        "events_file": str(table),
        "duration": prediction.duration,
        **_decided(prediction.decoded),
        "valid_share": float(prediction.valid.mean()) if len(prediction.valid) else 0.0,
        "notes": list(prediction.notes),
    }


def _decided(decoded: Truth) -> dict[str, Any]:
    if isinstance(decoded, Hypnogram):
        return {"epochs": {stage: decoded.stages.count(stage) for stage in SLEEP_STAGES}}
    if isinstance(decoded, Trajectory):
        return {"samples": len(decoded), "axes": list(decoded.axes), "unit": decoded.unit}
    spans = ("onset", "duration", "label", "confidence")
    return {"events": [{name: getattr(one, name) for name in spans} for one in decoded]}


def one_line(answer: dict[str, Any]) -> str:
    """Say in one line what was found in one recording."""
    if "epochs" in answer:
        counted = ", ".join(f"{stage} {count}" for stage, count in answer["epochs"].items())
        return f"{answer['recording']}: {counted} ({answer['events_file']})"
    if "samples" in answer:
        found = f"{answer['samples']} samples of {', '.join(answer['axes'])}"
        return f"{answer['recording']}: {found} ({answer['events_file']})"
    found = ", ".join(map(_span, answer["events"]))
    return f"{answer['recording']}: {found or 'nothing'} ({answer['events_file']})"


def _span(event: dict[str, Any]) -> str:
    label = "" if event["label"] == SEIZURE else f"{event['label']} "
    return f"{label}{event['onset']:.0f}+{event['duration']:.0f} s"
