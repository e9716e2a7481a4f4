"""Channels by their names: what is understood, what is left out, and what is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ranvier.channels import ANGLES, DOUBLE_BANANA, TEN_TWENTY, Channel, parse_channel, pick
from ranvier.inspection.findings import Finding, finding
from ranvier.inspection.samples import PIECE, Looked
from ranvier.recording import COUNT, Recording

OTHERS = re.compile(
    r"ECG|EKG|EOG|EMG|LOC|ROC|\bE[12]\b|RESP|FLOW|THOR|ABD|CHEST|SPO2|SAO2|OSAT|PULSE|PLETH|\bHR\b|"
    r"\bPR\b|TEMP|SNOR|LIGHT|POS|MARK|EVENT|TRIG|STATUS|STI|\bDC\d*|PHOTIC|IBI|BURST|SUPPR|VNS|CO2|"
    r"LEG|TIB|CHIN|ACC|GYR|BATT?|AUX|\bX\d+|\bSTAT|CANN|CPAP|STAGE|OX|PRES|EFFORT|LAT|RAT",
    re.IGNORECASE,
)
"""Parts of names of channels that are known and no electrode of the scalp."""
UNPLACED = re.compile(r"EEG|ECOG", re.IGNORECASE)
"""Parts of names of channels of the brain that may not say where they are."""
AVERAGES = ("AVG", "AV", "AVE", "AR", "CAR")
EARS = ("A1", "A2", "M1", "M2")
USUAL_REFERENCES = ("Cz", "FCz", "CPz", "Fz", "Pz", "AFz", "Fpz", *EARS)
"""Where the electrode lies that others are measured against; stored, it is zero throughout."""
FEWEST_AVERAGED = 8
"""Electrodes of which a sum near zero tells of an average reference and not of chance."""
CANCELLED = 0.05
"""Spread of the mean of all leads, as a share of the mean of their spreads. After an average
reference only rounding is left; without one what the leads share is many times more."""
SEIZURE_LEADS = 0.25
"""Share of the derivations below which a seizure detector has no output."""
MEANT = 0.5
"""Share of the derivations from which on a file is meant to have all of them."""
RATES = {"seizure": 200.0, "sleep": 100.0}
"""Hz to which signals are brought before they are decoded; nothing is ever brought upwards."""


@dataclass(frozen=True)
class Leads:
    """How channels are understood.

    Parameters
    ----------
    understood
        Canonical name, and the name in the file.
    left_out
        What is not used and why, one sentence each.
    reference
        What the channels are measured against, and how that is known.
    derivations
        How many of the 18 derivations of the double banana can be formed of leads that are alive.
    electrodes
        Canonical names of what is alive.
    serves
        Tasks that the channels are enough for, one phrase each.
    """

    understood: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    reference: str
    derivations: int
    electrodes: tuple[str, ...]
    serves: tuple[str, ...]


def understand(recording: Recording, looked: Looked | None) -> Leads:
    """Find out what the channels of a recording are."""
    if recording.layout.unit == COUNT:
        units = len(recording.layout.channels)
        moved = "with what moved" if recording.trajectory else "without what moved"
        return Leads((), (), "none, spikes", 0, (), (f"movement ({units} units, {moved})",))
    labels = recording.layout.channels
    parsed = [parse_channel(label) for label in labels]
    understood = tuple((one.name, label) for one, label in zip(parsed, labels, strict=True) if one)
    alive = [
        label for label, dead in zip(labels, _dead(recording, looked), strict=True) if not dead
    ]
    electrodes = tuple(one.name for one in map(parse_channel, alive) if one)
    derivations = count_derivations(alive)
    rate = recording.layout.rate
    serves = _serves(derivations, electrodes, rate)
    if not electrodes:
        serves = _serve_unplaced([one for one in alive if _is_unplaced(one, recording)], rate)
    return Leads(
        understood,
        tuple(_left_out(recording)),
        _reference(parsed, looked),
        derivations,
        electrodes,
        tuple(serves),
    )


def _dead(recording: Recording, looked: Looked | None) -> Sequence[bool]:
    if looked is not None:
        return [bool(dead) for dead in looked.flat == 1]
    return [recording.duration >= PIECE] * len(recording.layout.channels)


def _is_unplaced(label: str, recording: Recording) -> bool:
    """Whether a channel is of the brain by its name, or by what was annotated there."""
    events = recording.events
    annotated = recording.hypnogram is not None or bool(events and events.seizures())
    return bool(UNPLACED.search(label)) or (annotated and is_odd(label))


def count_derivations(labels: Sequence[str]) -> int:
    """Return how many derivations of the double banana can be formed of these channels."""
    try:
        return len(DOUBLE_BANANA) - len(pick(labels, "double_banana").missing)
    except ValueError:
        return 0


def _serves(derivations: int, electrodes: Sequence[str], rate: float) -> Iterator[str]:
    total = len(DOUBLE_BANANA)
    if derivations >= SEIZURE_LEADS * total and rate >= RATES["seizure"]:
        yield f"seizure ({derivations} of {total} derivations of the double banana)"
    if electrodes and rate >= RATES["sleep"]:
        yield f"sleep ({len(electrodes)} EEG channels: {_some(electrodes)})"


def _serve_unplaced(labels: Sequence[str], rate: float) -> Iterator[str]:
    for task, least in RATES.items():
        if labels and rate >= least:
            yield f"{task} ({_some(labels)}, not known where, to be picked by name)"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def _left_out(recording: Recording) -> Iterator[str]:
    labels = recording.layout.channels
    others = [label for label in labels if not parse_channel(label)]
    if others:
        yield f"no electrode of the scalp: {', '.join(label or 'unnamed' for label in others)}"
    doubled = [label for label, count in Counter(labels).items() if count > 1]
    if doubled:
        yield f"name stands more than once, the first is used: {', '.join(doubled)}"
    yield from (note for note in recording.notes if note.startswith("left out, "))
    yield from (note for note in recording.notes if "taken as" in note and "unit" in note)


def _reference(parsed: Sequence[Channel | None], looked: Looked | None) -> str:
    """Guess by names, then by the signal."""
    channels = [one for one in parsed if one]
    against = Counter(one.reference for one in channels)
    if not channels:
        return "unknown"
    if all(one in ANGLES for one in against):
        if set(against) <= set(EARS) or (len(against) == 1 and len(channels) > 1):
            return f"referential against {', '.join(sorted(against))}, by the names"
        return "bipolar, by the names"
    seen = looked and _reference_in_signal(parsed, looked)
    named = ", ".join(sorted(one for one in against if one))
    average = named in AVERAGES
    if average and seen != "average":
        return f"average ({named}), by the names; what is here does not sum to zero"
    if seen:
        return f"{seen}, by {'names and signal' if average else 'the signal'}"
    return f"referential against {named}, by the names" if named else "unknown, the same for all"


def _reference_in_signal(parsed: Sequence[Channel | None], looked: Looked) -> str:
    if (zero := stored_reference(looked)) is not None:
        return f"{zero}, stored as zeros"
    places = [n for n, one in enumerate(parsed) if one and one.reference not in ANGLES]
    if len(places) < FEWEST_AVERAGED:
        return ""
    products = looked.products[np.ix_(places, places)]
    whole = np.sqrt(max(products.mean(), 0.0))
    return "average" if whole < CANCELLED * np.sqrt(np.diag(products)).mean() else ""


def stored_reference(looked: Looked) -> str | None:
    """Return the one electrode that is zero throughout and may be what the others are against."""
    parsed = [parse_channel(label) for label in looked.recording.layout.channels]
    zero = [one for one, is_zero in zip(parsed, looked.zero, strict=True) if is_zero and one]
    if len(zero) != 1 or int(looked.zero.sum()) != 1 or zero[0].reference in ANGLES:
        return None
    alive = [one for one in parsed if one and one is not zero[0]]
    referential = len(alive) > 1 and all(one.reference not in ANGLES for one in alive)
    return zero[0].electrode if referential and zero[0].electrode in USUAL_REFERENCES else None


def check_leads(recording: Recording, leads: Leads, where: str) -> Iterator[Finding]:
    """Yield names that say nothing, leads that are missing, and rates that are too low."""
    if recording.layout.unit == COUNT:
        return
    labels = recording.layout.channels
    odd = [label for label in labels if is_odd(label)]
    if odd:
        sentence = f"{len(odd)} of {len(labels)} channel names are not understood: "
        yield finding("channel_name", where, sentence + ", ".join(odd))
    yield from _missing(recording, where)
    yield from _too_slow(recording.layout.rate, leads, where)


def is_odd(label: str) -> bool:
    """Return whether a name is neither an electrode, nor a known other, nor a placeholder."""
    placeholder = re.fullmatch(r"([-–_.\s]+\d*)?", label)
    return not (placeholder or parse_channel(label) or OTHERS.search(label))


def _missing(recording: Recording, where: str) -> Iterator[Finding]:
    labels, total = recording.layout.channels, len(DOUBLE_BANANA)
    formed = count_derivations(labels)
    wanted = formed >= MEANT * total or bool(recording.events and recording.events.seizures())
    if not wanted or formed == total:
        return
    here = {
        end for one in map(parse_channel, labels) if one for end in (one.electrode, one.reference)
    }
    gone = [lead for lead in TEN_TWENTY if lead not in here]
    named = f", missing: {', '.join(gone)}" if gone else ""
    sentence = f"{formed} of {total} derivations of the double banana can be formed{named}"
    yield finding("missing_leads", where, sentence)


def _too_slow(rate: float, leads: Leads, where: str) -> Iterator[Finding]:
    enough = {
        "seizure": leads.derivations >= SEIZURE_LEADS * len(DOUBLE_BANANA),
        "sleep": bool(leads.electrodes),
    }
    slow = [task for task, least in RATES.items() if enough[task] and rate < least]
    if slow:
        needed = " and ".join(f"{RATES[task]:g} Hz for {task}" for task in slow)
        yield finding("rate_too_low", where, f"the rate is {rate:g} Hz, must be at least {needed}")
