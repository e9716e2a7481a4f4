"""``ranvier anonymise``: copies of EDF and BDF files that can be given away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.commands import Answer, check_folder, showing_progress
from ranvier.recording import ASSUMED_SUBJECT

if TYPE_CHECKING:
    from ranvier.formats.edf_anonymous import Anonymised

SUFFIXES = (".edf", ".bdf")
PATIENT, SEXES = slice(8, 88), ("X", "M", "F")
"""Where the header names the patient, and what says that it does so as EDF+ does."""


def anonymise(
    paths: list[str],
    *,
    out: str,
    mapping: str | None = None,
    keep_date: bool = False,
    drop_time: bool = False,
    drop_annotations: bool = False,
) -> Answer:
    """Copy EDF and BDF files without what their headers and names tell of who was recorded.

    Signals are copied to the last bit. A file that cannot be read is named and the others are
    copied; the exit code is then 1.

    Parameters
    ----------
    paths
        Files, or folders of them.
    out
        Folder for sub-0001.edf and so on; it must be new or empty.
    mapping
        Table that says which copy is of which file, outside of the folder; none unless told.
    keep_date
        Keep the date of the start, which is 1 January 1985 otherwise.
    drop_time
        Begin at midnight instead of at the time of day of the start; a hypnogram as long before or
        after it as before or after its recording.
    drop_annotations
        Leave out all annotations, whose texts may hold names.
    """
    from ranvier.formats.edf_anonymous import anonymise_edf

    files = _find(paths)
    _check_places(Path(out), mapping)
    copies = {file: Path(out) / name for file, name in name_copies(files).items()}
    partners = _partners(files)
    done: dict[Path, Anonymised] = {}
    refused: list[str] = []
    with showing_progress() as progress:
        for number, (file, copy) in enumerate(copies.items(), start=1):
            try:
                done[file] = anonymise_edf(
                    file,
                    copy,
                    keep_date=keep_date,
                    drop_time=drop_time,
                    drop_annotations=drop_annotations,
                    beside=partners.get(file),
                )
            except ValueError as error:
                refused.append(f"not copied: {error}")
            progress("copying", number, len(copies))
    if not done:
        raise ValueError("; ".join(refused))
    if mapping:
        _write_mapping(Path(mapping), {file: one.copy for file, one in done.items()})
    return _answer(out, list(done.values()), refused, dropped=drop_annotations)


def _find(paths: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f"Cannot read {path}: no such file or folder")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        known = [one for one in inside if one.suffix.lower() in SUFFIXES and one.is_file()]
        if not known:
            raise ValueError(f"Invalid path: {path} has no EDF or BDF file, suffix .edf or .bdf")
        files += [one.absolute() for one in known]
    return list(dict.fromkeys(files))


def _check_places(out: Path, mapping: str | None) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"Invalid out: {out} has something in it, must be new or empty")
    if mapping and out.resolve() in Path(mapping).resolve().parents:
        raise ValueError(
            f"Invalid mapping: {mapping} lies in {out}, must lie outside of what is given away"
        )
    if mapping and Path(mapping).exists():
        raise ValueError(f"Invalid mapping: {mapping} is there already, must be new")
    check_folder(str(out))


def name_copies(files: Sequence[Path]) -> dict[Path, str]:
    """Return a name for the copy of each file, which numbers subjects in the order of the files.

    Files are of one subject where names or headers say so. A hypnogram is called as its recording.
    """
    from ranvier.formats.sleep_edf import PARTNER, is_hypnogram_file

    partners = _partners(files)
    subjects = {file: _subject(file) for file in files if file not in partners}
    numbers = {subject: number for number, subject in enumerate(dict.fromkeys(subjects.values()))}
    counts, runs = Counter(subjects.values()), Counter[str]()
    stems: dict[Path, str] = {}
    for file, subject in subjects.items():
        runs[subject] += 1
        run = f"_run-{runs[subject]:02d}" if counts[subject] > 1 else ""
        stems[file] = f"sub-{numbers[subject] + 1:04d}{run}"
    endings = {file: PARTNER if is_hypnogram_file(file) else file.suffix.lower() for file in files}
    return {file: stems[partners.get(file, file)] + endings[file] for file in files}


def _partners(files: Sequence[Path]) -> dict[Path, Path]:
    """Return the recording of each hypnogram that lies beside one."""
    from ranvier.formats.sleep_edf import find_hypnogram_files, is_hypnogram_file

    partners: dict[Path, Path] = {}
    for file in files:
        if not is_hypnogram_file(file):
            beside = (one for one in find_hypnogram_files(file) if one in files)
            partners |= dict.fromkeys(islice(beside, 1), file)
    return partners


def _subject(path: Path) -> str:
    """Return of whom a file is, by its name or header; its path where neither says it."""
    from ranvier.formats import read_one

    try:
        recording = read_one(path)
    except ValueError:
        recording = None
    if recording and recording.subject and ASSUMED_SUBJECT not in recording.notes:
        return f"subject {recording.subject}"
    with path.open("rb") as file:
        code, *others = (*file.read(PATIENT.stop)[PATIENT].decode("latin-1").split(), "")
    named = len(others) > 3 and others[0] in SEXES and code != "X"
    return f"code {code}" if named else f"file {path}"


def _write_mapping(path: Path, copies: Mapping[Path, Path]) -> None:
    from ranvier.writing import write_text

    rows = [("file", "copy"), *((str(file), copy.name) for file, copy in copies.items())]
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def _answer(out: str, done: Sequence[Anonymised], refused: list[str], *, dropped: bool) -> Answer:
    """Say what was copied, and nothing that would tell of which file."""
    subjects = {one.copy.name[: len("sub-0001")] for one in done}
    texts = sum(one.texts for one in done)
    kept = "left out" if dropped else "kept"
    said = [f"{len(done)} copies of {len(subjects)} subjects in {out}"]
    said += [f"{texts} annotations that may hold names are {kept}"] if texts else []
    notes = [
        f"{one.copy.name}: {one.texts} annotations may hold names, look at them or leave them out "
        f"with --drop_annotations"
        for one in done
        if one.texts and not dropped
    ]
    notes += [
        f"{one.copy.name}: {one.left_out} bytes after the last record are not copied"
        for one in done
        if one.left_out
    ]
    copies = [
        {"copy": str(one.copy), "free_texts": one.texts, "left_out_bytes": one.left_out}
        for one in done
    ]
    content: dict[str, Any] = {"copies": copies, "annotations": kept, "notes": [*notes, *refused]}
    return Answer("\n".join(said), content, [*notes, *refused], failed=bool(refused))
