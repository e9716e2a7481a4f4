"""What can be found in recordings, how bad each is, and what reading them already said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ranvier.recording import Recording

Severity = Literal["unusable", "warning", "note"]

KINDS: dict[str, Severity] = {
    "unreadable": "unusable",
    "nothing_decodable": "unusable",
    "gain": "warning",
    "gain_repaired": "note",
    "gain_between_channels": "warning",
    "gain_between_files": "warning",
    "flat": "warning",
    "clipped": "warning",
    "mains": "warning",
    "duplicate_channel": "warning",
    "polarity": "warning",
    "gap": "warning",
    "not_valid": "warning",
    "missing_data": "warning",
    "rate_difference": "note",
    "rate_too_low": "warning",
    "channel_name": "warning",
    "channel_range": "warning",
    "missing_leads": "warning",
    "start_missing": "note",
    "start_default": "note",
    "start_future": "note",
    "overlap_in_time": "warning",
    "not_annotated": "note",
    "outside_signal": "warning",
    "described_length": "warning",
    "unknown_label": "warning",
    "empty_event": "warning",
    "overlapping_events": "warning",
    "hypnogram_length": "warning",
    "hypnogram_clock": "note",
    "hypnogram_offset": "warning",
    "duplicate_recording": "warning",
    "same_person": "warning",
    "identity": "warning",
}
"""Everything that can be found: ``unusable`` stops the other commands, a ``warning`` changes what
is learnt or scored, a ``note`` was repaired or is good to know."""


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    where
        The recording or file that it is about.
    sentence
        For people, without what the header says of the patient.
    severity
        ``"unusable"``, ``"warning"`` or ``"note"``, see ``KINDS``.
    """

    kind: str
    where: str
    sentence: str
    severity: Severity


def finding(kind: str, where: str, sentence: str) -> Finding:
    """Make a finding of a kind of ``KINDS``, as bad as that kind is."""
    return Finding(kind, where, sentence, KINDS[kind])


SAID = (
    (r"values spread by .* multiplied by", "gain_repaired"),
    (r"\d+ gaps between records", "gap"),
    (r"data end at .* the header promises", "missing_data"),
    (r"\d+ bytes after the last record", "missing_data"),
    (r"the header gives .* records", "missing_data"),
    (r"left out, without a usable range", "channel_range"),
    (r"start unknown", "start_missing"),
    (r"events (before|after the end of) the signal", "outside_signal"),
    (r"events are cut at the (beginning|end)", "outside_signal"),
    (r"the events describe", "described_length"),
    (r"\d+ seizure annotations without a duration", "empty_event"),
    (r"\d+ epochs that end after the signal", "hypnogram_length"),
    (r".* begins .* the signal, its epochs are moved", "hypnogram_clock"),
)
"""How a note of reading begins, and what kind of finding it is."""


def said_while_reading(recording: Recording, where: str) -> Iterable[Finding]:
    """Yield what was repaired or left out while the recording was opened."""
    for note in recording.notes:
        for pattern, kind in SAID:
            if re.match(pattern, note):
                yield finding(kind, where, note)
