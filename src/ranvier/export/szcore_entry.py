"""What a SzCORE container runs: one EDF file comes in, one HED-SCORE table goes out.

``python -m ranvier.export.szcore_entry DECODER INPUT OUTPUT``. The least that is true is written
first: a header as soon as the program runs, a background row as soon as the file can be read, then
what was detected. So a table stands there whatever happens; the exit code says whether to trust it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from ranvier.decoder import load
from ranvier.formats import repair_gain
from ranvier.formats.edf import read_edf
from ranvier.formats.hed_score import COLUMNS, MISSING
from ranvier.truth import BACKGROUND, Event, Events
from ranvier.writing import write_text

HEADER = "\t".join(COLUMNS)
"""The first line of a table, which the challenge looks at."""

NOT_DONE = 1
WRONG_ARGUMENTS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Decode a file and return the exit code.

    Parameters
    ----------
    arguments
        Decoder, input and output; by default those of the command line.

    Returns
    -------
    int
        0 for a file that could be read, also where nothing in it can be decoded; 1 for a decoder
        or a file that cannot be read, or a table that cannot be written; 2 for wrong arguments.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 3:
        print("usage: ... szcore_entry DECODER INPUT OUTPUT", file=sys.stderr)
        return WRONG_ARGUMENTS
    try:
        notes = answer(*map(Path, given))
    except (ValueError, OSError) as error:
        print(f"szcore: {' '.join(str(error).split())}", file=sys.stderr)
        return NOT_DONE
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def answer(decoder: Path, source: Path, target: Path) -> tuple[str, ...]:
    """Write what a decoder detects in a file.

    Parameters
    ----------
    decoder
        A ``.ranvier`` file, which is computed by ONNX Runtime.
    source
        An EDF or BDF file; its first bytes say what it is, not its suffix.
    target
        The table. A file that is there is written into, for its folder may be closed.

    Returns
    -------
    tuple of str
        What was repaired, missing or could not be decoded, one sentence each.

    Raises
    ------
    ValueError
        If the decoder or the file cannot be read; the table then has its header alone.
    """
    put(target, table(Events((), math.nan)))
    detector = load(decoder, engine="onnx")
    recording = repair_gain(read_edf(source))
    nothing = Events((), recording.duration, recording.start)
    put(target, table(nothing))
    try:
        prediction = detector.predict(recording)
    except ValueError as error:
        return (*recording.notes, f"nothing was decoded: {error}")
    found = prediction.events.seizures()
    put(target, table(Events(found.items, recording.duration, recording.start)))
    return prediction.notes


def table(events: Events) -> str:
    """Return the text of a table, with the seven columns of the standard and no other.

    Without a seizure, one background row spans the recording; there is none where the recording
    has no length.
    """
    background = (Event(0.0, events.duration, BACKGROUND),) if events.duration > 0 else ()
    rows = [_row(event, events) for event in events.items or background]
    return "".join(f"{line}\n" for line in (HEADER, *rows))


def _row(event: Event, events: Events) -> str:
    onset, end = round(event.onset, 2), round(event.end, 2)
    confidence = MISSING if math.isnan(event.confidence) else f"{event.confidence:.2f}"
    date = events.start.strftime("%Y-%m-%d %H:%M:%S") if events.start else MISSING
    times = f"{onset:.2f}", f"{end - onset:.2f}"
    length = f"{events.duration:.2f}"
    return "\t".join((*times, event.label, confidence, event.channels, date, length))


def put(path: Path, text: str) -> None:
    """Write a table: into the file that is there, else to a temporary name that is then renamed.

    Raises
    ------
    ValueError
        If the path is a folder.
    OSError
        If it cannot be written.
    """
    if path.is_dir():
        raise ValueError(f"Invalid output: {path} is a folder, must be the name of a table")
    if path.exists():
        path.write_text(text, encoding="utf-8", newline="\n")
    else:
        write_text(path, text)


if __name__ == "__main__":
    sys.exit(main())
