"""Which part of a data set a recording is published in: to learn from, to choose on, or to test.

A loader says it as a note, which a store keeps and ``ranvier prepare`` tells.
"""

from __future__ import annotations

from collections.abc import Iterable

from ranvier.recording import Recording

OFFICIAL_PARTS = ("train", "dev", "eval")
"""To learn from, to choose on and to test, in this order."""
SAID = "official part: "


def with_official_part(recording: Recording, part: str) -> Recording:
    """Return a recording that says in which official part it is.

    Raises
    ------
    ValueError
        If the part is none of ``OFFICIAL_PARTS``.
    """
    if part not in OFFICIAL_PARTS:
        raise ValueError(
            f"Invalid official part: {part!r}, possible options: {list(OFFICIAL_PARTS)}"
        )
    return recording.with_note(f"{SAID}{part}")


def official_part(notes: Iterable[str]) -> str:
    """Return the official part that the notes of a recording say, empty where they say none."""
    said = (note.removeprefix(SAID) for note in notes if note.startswith(SAID))
    return next((part for part in said if part in OFFICIAL_PARTS), "")
