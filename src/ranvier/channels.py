"""Names and places of EEG electrodes, and what can be derived from the channels of a file."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TEN_TWENTY = tuple("Fp1 F3 C3 P3 O1 F7 T3 T5 Fz Cz Pz Fp2 F4 C4 P4 O2 F8 T4 T6".split())
"""The 19 leads of the 10-20 system, in the order that SzCORE fixes."""

DOUBLE_BANANA = tuple(
    "Fp1-F3 F3-C3 C3-P3 P3-O1 Fp1-F7 F7-T3 T3-T5 T5-O1 Fz-Cz Cz-Pz "
    "Fp2-F4 F4-C4 C4-P4 P4-O2 Fp2-F8 F8-T4 T4-T6 T6-O2".split()
)
"""The 18 derivations of the longitudinal bipolar montage, in the order that SzCORE fixes."""

MONTAGES = {"double_banana": DOUBLE_BANANA, "referential": TEN_TWENTY}

SYNONYMS = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
"""Names of the 10-10 system for leads of the 10-20 system."""

REFERENCES = (
    "REF", "VREF", "G2", "LE", "LER", "LM", "AVG", "AV", "AVE", "AVERAGE", "AR", "CAR", "A1A2",
    "M1M2", "CS2",
)  # fmt: skip
"""Ways in which files write that a channel is measured against a common reference."""

# Inclination from the vertex and azimuth from the right ear, in degrees: the angles of the
# extended 10-20 system on a sphere (Oostenveld & Praamstra, Clin Neurophysiol 112:713, 2001).
ANGLES = {
    "Fp1": (-92, -72), "Fpz": (92, 90), "Fp2": (92, 72),
    "AF7": (-92, -54), "AF3": (-74, -68), "AFz": (69, 90), "AF4": (74, 68), "AF8": (92, 54),
    "F9": (-115, -36), "F7": (-92, -36), "F5": (-75, -41), "F3": (-60, -51), "F1": (-50, -68),
    "Fz": (46, 90), "F2": (50, 68), "F4": (60, 51), "F6": (75, 41), "F8": (92, 36),
    "F10": (115, 36),
    "FT9": (-115, -18), "FT7": (-92, -18), "FC5": (-72, -21), "FC3": (-50, -28),
    "FC1": (-31, -46), "FCz": (23, 90), "FC2": (31, 46), "FC4": (50, 28), "FC6": (72, 21),
    "FT8": (92, 18), "FT10": (115, 18),
    "T9": (-115, 0), "T3": (-92, 0), "C5": (-69, 0), "C3": (-46, 0), "C1": (-23, 0), "Cz": (0, 0),
    "C2": (23, 0), "C4": (46, 0), "C6": (69, 0), "T4": (92, 0), "T10": (115, 0),
    "TP9": (-115, 18), "TP7": (-92, 18), "CP5": (-72, 21), "CP3": (-50, 28), "CP1": (-31, 46),
    "CPz": (23, -90), "CP2": (31, -46), "CP4": (50, -28), "CP6": (72, -21), "TP8": (92, -18),
    "TP10": (115, -18),
    "P9": (-115, 36), "T5": (-92, 36), "P5": (-75, 41), "P3": (-60, 51), "P1": (-50, 68),
    "Pz": (46, -90), "P2": (50, -68), "P4": (60, -51), "P6": (75, -41), "T6": (92, -36),
    "P10": (115, -36),
    "PO7": (-92, 54), "PO3": (-74, 68), "POz": (69, -90), "PO4": (74, -68), "PO8": (92, -54),
    "O1": (-92, 72), "Oz": (92, -90), "O2": (92, -72), "Iz": (115, -90),
    "A1": (-125, 5), "M1": (-120, 20), "A2": (125, -5), "M2": (120, -20),
}  # fmt: skip

_PREFIX = re.compile(r"^(EEG|POL|SEEG)[ _:]+", re.IGNORECASE)
_SPACE = re.compile(r"[ _]+")
_SUM = re.compile(r"[()+]|/2$")
_SPELLING = {name.upper(): name for name in ANGLES} | SYNONYMS


@dataclass(frozen=True)
class Channel:
    """What a label of a file says: an electrode against another, or against a reference.

    ``reference`` is an electrode, or one of the words for a common reference (``"REF"``), or empty
    when the label names none.
    """

    electrode: str
    reference: str = ""

    @property
    def name(self) -> str:
        """Name in one spelling, such as ``"Fp1"`` or ``"Fp1-F7"``."""
        return f"{self.electrode}-{self.reference}" if self.reference in ANGLES else self.electrode


def parse_channel(label: str) -> Channel | None:
    """Read a label such as ``"EEG FP1-REF"``, ``"EEG_Fp1_Avg"``, ``"T8 P8"``, ``"Fc5."``, ``"Cz"``.

    Returns
    -------
    Channel or None
        In 10-20 names (T3, not T7); None when the label names no electrode of the scalp.
    """
    bare = _PREFIX.sub("", label.strip()).rstrip(".")
    return _parse(bare.replace(" ", "")) or _parse(_SPACE.sub("-", bare))


def _parse(label: str) -> Channel | None:
    first, _, second = label.partition("-")
    electrode = _SPELLING.get(first.upper())
    if electrode is None:
        return None
    second = re.sub(r"-\d+$", "", second)
    if not second or second.isdigit():
        return Channel(electrode)
    if (word := _SUM.sub("", second.upper())) in REFERENCES:
        return Channel(electrode, word)
    reference = _SPELLING.get(second.upper())
    return Channel(electrode, reference) if reference else None


def position(name: str) -> npt.NDArray[np.float64]:
    """Return the place of an electrode, or the middle of a derivation's two, on a unit sphere.

    Parameters
    ----------
    name
        Such as ``"Fp1"``, ``"T7"`` or ``"Fp1-F7"``.

    Returns
    -------
    ndarray, shape (3,)
        To the right, to the front, upwards.

    Raises
    ------
    ValueError
        If an electrode is not known.
    """
    channel = parse_channel(name)
    if channel is None:
        raise ValueError(f"Invalid electrode: {name!r}, must be a name of the 10-10 system")
    ends = [end for end in (channel.electrode, channel.reference) if end in ANGLES]
    return np.asarray(np.mean([_on_sphere(*ANGLES[end]) for end in ends], axis=0))


def _on_sphere(inclination: float, azimuth: float) -> npt.NDArray[np.float64]:
    theta, phi = np.radians(inclination), np.radians(azimuth)
    return np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


@dataclass(frozen=True)
class Derivation:
    """How one wanted channel is made: the sum of (index in the file, sign); empty if it cannot."""

    name: str
    terms: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Coverage:
    """How a montage is derived from the channels of a file, and what could not be.

    Parameters
    ----------
    derivations
        One per channel of the montage, in its order.
    ignored
        Labels that name no electrode of the scalp.
    duplicates
        Labels that stand more than once; the first is used.
    references
        Common references that leads are measured against, as the labels write them; empty where
        they name none.
    """

    derivations: tuple[Derivation, ...]
    ignored: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Channels of the montage that the file cannot give."""
        return tuple(derivation.name for derivation in self.derivations if not derivation.terms)

    def notes(self) -> tuple[str, ...]:
        """Say in one sentence each what was missing and what was done."""
        total = len(self.derivations)
        notes = []
        if self.missing:
            notes.append(
                f"{len(self.missing)} of {total} derivations cannot be formed and are "
                f"left out: {', '.join(self.missing)}"
            )
        if self.missing and len(self.references) > 1:
            named = ", ".join(one or "none named" for one in self.references)
            notes.append(f"channels against different references are not combined: {named}")
        if self.duplicates:
            notes.append(
                f"the first of several channels was used for: {', '.join(self.duplicates)}"
            )
        return tuple(notes)


def pick(labels: Sequence[str], montage: str) -> Coverage:
    """Find out how each channel of a montage is made from the channels of a file.

    A channel of a file is a known difference between two electrodes, or between an electrode and a
    common reference. A derivation is a way from one electrode to the other along such differences;
    the shortest is taken, and of equally short ones the first in the order of the file. So
    referential and bipolar files give the same derivations, and channels against different
    references are never mixed. A referential channel is a way to the reference of most leads.

    Parameters
    ----------
    labels
        As written in the file.
    montage
        ``"double_banana"`` or ``"referential"``.

    Raises
    ------
    ValueError
        If the montage is unknown or not one of its channels can be formed.
    """
    if montage not in MONTAGES:
        raise ValueError(f"Invalid montage: {montage!r}, possible options: {list(MONTAGES)}")
    parsed = [parse_channel(label) for label in labels]
    counts = Counter(channel for channel in parsed if channel)
    first = {channel: parsed.index(channel) for channel in counts}
    references = _common_references(first)
    derivations = tuple(
        Derivation(name, _find_way(*_ends(name, references), first)) for name in MONTAGES[montage]
    )
    if not any(derivation.terms for derivation in derivations):
        raise ValueError(
            f"No usable lead: none of the {len(derivations)} channels of the {montage} montage can "
            f"be formed from {', '.join(labels) or 'no channels'}"
        )
    return Coverage(
        derivations,
        ignored=tuple(label for label, channel in zip(labels, parsed, strict=True) if not channel),
        duplicates=tuple(labels[first[channel]] for channel, n in counts.items() if n > 1),
        references=references,
    )


def _common_references(channels: Iterable[Channel]) -> tuple[str, ...]:
    """Return the references that are no electrodes, that of most leads of the montages first."""
    leads = [channel for channel in channels if channel.electrode in TEN_TWENTY]
    counts = Counter(channel.reference for channel in leads if channel.reference not in ANGLES)
    return tuple(reference for reference, _ in counts.most_common())


def _ends(name: str, references: Sequence[str]) -> tuple[str, str | None]:
    """Return the two places whose difference is wanted; None where there is no reference."""
    start, _, end = name.partition("-")
    return start, end or (references[0] if references else None)


def _find_way(
    start: str, end: str | None, channels: Mapping[Channel, int]
) -> tuple[tuple[int, int], ...]:
    """Return the shortest sum of channels that is the difference of two places, or nothing."""
    ways: dict[str, tuple[tuple[int, int], ...]] = {start: ()}
    waiting = deque([start])
    while waiting and end not in ways:
        here = waiting.popleft()
        for there, step in _neighbours(here, channels):
            if there not in ways:
                ways[there] = (*ways[here], step)
                waiting.append(there)
    return ways.get(end, ()) if end is not None else ()


def _neighbours(
    place: str, channels: Mapping[Channel, int]
) -> Iterator[tuple[str, tuple[int, int]]]:
    for channel, index in channels.items():
        if channel.electrode == place:
            yield channel.reference, (index, 1)
        elif channel.reference == place:
            yield channel.electrode, (index, -1)
