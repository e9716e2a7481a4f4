"""``ranvier decode``: events, hypnograms and trajectories from files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.commands import Answer, check_folder, grouped, open_decoder, showing_progress
from ranvier.commands.decoded_files import Form, chosen_forms
from ranvier.page import count
from ranvier.truth import SEIZURE, SLEEP_STAGES, Hypnogram, Trajectory, Truth

if TYPE_CHECKING:
    from ranvier.decoding import Prediction
    from ranvier.recording import Recording


def decode(
    decoder: str,
    paths: list[str],
    *,
    out: str,
    format: str = "tsv",  # noqa: A002
    threads: int = 1,
    engine: str = "auto",
) -> Answer:
    """Decode files and folders to tables: seizures or their types, stages of sleep, or movement.

    A file that cannot be read is named and the others are decoded; the exit code is then 1.

    Parameters
    ----------
    decoder
        A .ranvier file.
    paths
        Recordings, or folders of them.
    out
        Folder for the tables; recordings of a BIDS folder keep their place in it, and so do files
        that are called alike.
    format
        tsv, or edf for annotations of EDF+; stages of sleep also xml of NSRR and csv with
        probabilities. Several are separated by commas.
    threads
        For computing in torch; ONNX Runtime takes one.
    engine
        torch, onnx for ONNX Runtime, int8 for its step of eight bits, or auto: int8 where the
        decoder has one, else torch where it is installed.
    """
    from ranvier.formats import find_files, with_names

    loaded = open_decoder(decoder, engine=engine, threads=threads)
    forms = chosen_forms(format, loaded.rule)
    files = [one for path in paths for one in with_names(Path(path), find_files(path))]
    check_folder(out)
    answers: list[dict[str, Any]] = []
    notes: list[tuple[str, str]] = []
    refused: list[str] = []
    used: set[Path] = set()
    with showing_progress() as progress:
        for done, (file, name) in enumerate(files, start=1):
            try:
                recording = read_named(file, name)
                prediction = loaded.predict(recording)
                places = place(recording, file, Path(out), forms, used)
                tables = [form.write(one, prediction) for one, form in places.items()]
            except ValueError as error:
                refused.append(f"not decoded: {error}")
                continue
            except OSError as error:
                left = f"stopped after {len(answers)} of {count(len(files), 'recording')}"
                refused.append(f"Cannot write {error.filename} ({error.strerror}), {left}")
                break
            notes += [(prediction.name, note) for note in prediction.notes]
            answers.append(describe(prediction, file, tables))
            progress("decoding", done, len(files))
    if not answers:
        raise ValueError("; ".join(refused))
    text = "\n".join(one_line(answer) for answer in answers)
    said = [*grouped(notes), *refused]
    return Answer(text, {"recordings": answers, "notes": said}, said, failed=bool(refused))


def read_named(file: Path, name: str) -> Recording:
    """Open a file, called as in its folder, where neither a data set nor BIDS says its name."""
    from ranvier.datasets import read_one

    recording = read_one(file)
    return replace(recording, name=name) if recording.name == file.stem else recording


def place(
    recording: Recording, file: Path, out: Path, forms: Sequence[Form], used: set[Path]
) -> dict[Path, Form]:
    """Return where the tables of a recording go, and remember them; the folder is made.

    Raises
    ------
    ValueError
        If one would stand where another one stands, or where the annotations of the file are.
    """
    subject, session = recording.subject, recording.session
    parts = [f"sub-{subject}", *([f"ses-{session}"] if session else []), "eeg"]
    in_bids = recording.name.startswith(f"sub-{subject}_")
    base = (out.joinpath(*parts) if in_bids else out) / recording.name
    base.parent.mkdir(parents=True, exist_ok=True)
    places = {base.with_name(f"{base.name}{form.ending}"): form for form in forms}
    for table in places:
        _check_place(table, file, used)
    used |= set(places)
    return places


def _check_place(table: Path, file: Path, used: set[Path]) -> None:
    beside = table.resolve().parent == file.resolve().parent
    if table in used:
        raise ValueError(f"{file}: {table} was written for another recording of this name")
    if beside and table.exists():
        raise ValueError(f"{file}: {table} stands beside it already, out must be another folder")
    if beside and table.suffix == ".edf":
        raise ValueError(
            f"{file}: {table} would be taken for a recording there, out must be another folder"
        )


def describe(prediction: Prediction, file: Path, tables: Sequence[Path]) -> dict[str, Any]:
    """Say in plain types what was found in one recording."""
    return {
        "recording": prediction.name,
        "file": str(file),
        "events_file": str(tables[0]),
        "files": [str(table) for table in tables],
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
        counted = ", ".join(f"{stage} {number}" for stage, number in answer["epochs"].items())
        return f"{answer['recording']}: {counted} ({_files(answer)})"
    if "samples" in answer:
        found = f"{answer['samples']} samples of {', '.join(answer['axes'])}"
        return f"{answer['recording']}: {found} ({_files(answer)})"
    found = ", ".join(map(_span, answer["events"]))
    return f"{answer['recording']}: {found or 'nothing'} ({_files(answer)})"


def _files(answer: dict[str, Any]) -> str:
    return ", ".join(answer["files"])


def _span(event: dict[str, Any]) -> str:
    label = "" if event["label"] == SEIZURE else f"{event['label']} "
    return f"{label}{event['onset']:.0f}+{event['duration']:.0f} s"
