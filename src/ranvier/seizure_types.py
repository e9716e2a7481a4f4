"""Types of seizures: the codes of TUSZ and HED-SCORE, sets of labels, and what is annotated.

The codes of TUSZ are those of its annotations, FNSZ to MYSZ. A code of HED-SCORE has the type of
the longest code in ``CODES`` that it begins with: ``sz_foc_ia_m_tonic`` is a CPSZ. Seizures of
unknown onset (``sz_uo...``) and plain ``sz`` have no type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.truth import CODES, Array, Event, Events, merge_overlapping

_BY_HED = {hed: code for code, all_of_it in CODES.items() for hed in all_of_it}

LABEL_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "combined": {
        "CF": ("FNSZ", "SPSZ", "CPSZ"),
        "GN": ("GNSZ",),
        "AB": ("ABSZ",),
        "CT": ("TNSZ", "TCSZ"),
    },
    "tusz": {code: (code,) for code in CODES},
}
"""Classes of each set and the codes that they hold. ``"combined"`` is the one of the papers on
graph networks, REST among them: combined focal, generalised, absence, combined tonic."""


def code_of(label: str) -> str | None:
    """Return the code of TUSZ that the label of an event means, None if it names no type."""
    if (upper := label.strip().upper()) in CODES:
        return upper
    parts = label.strip().lower().replace("-", "_").split("_")
    beginnings = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((_BY_HED[one] for one in beginnings if one in _BY_HED), None)


def classes_of(label_set: str) -> tuple[str, ...]:
    """Return the classes of a set of labels, in the order of the outputs.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    if label_set not in LABEL_SETS:
        raise ValueError(f"Invalid labels: {label_set!r}, possible options: {list(LABEL_SETS)}")
    return tuple(LABEL_SETS[label_set])


class Span(NamedTuple):
    """One seizure of a known type: the number of its class, and its onset and end in seconds."""

    number: int
    onset: float
    end: float


@dataclass(frozen=True)
class TypedSeizures(Events):
    """What happened in a recording, as far as it tells the types of seizures.

    Parameters
    ----------
    label_set
        Name in ``LABEL_SETS``.
    """

    label_set: str = "combined"

    @classmethod
    def of(cls, events: Events, label_set: str) -> TypedSeizures:
        """Look at events by a set of labels."""
        return cls(events.items, events.duration, events.start, label_set)

    def seizures(self) -> TypedSeizures:
        """Only the seizures, of any type or none."""
        items = tuple(one for one in self if one.is_seizure or code_of(one.label))
        return TypedSeizures(items, self.duration, self.start, self.label_set)

    @property
    def untyped(self) -> tuple[str, ...]:
        """Labels of the seizures that are of no class of the set."""
        known = {code for codes in LABEL_SETS[self.label_set].values() for code in codes}
        return tuple(one.label for one in self.seizures() if code_of(one.label) not in known)

    def spans(self) -> list[Span]:
        """Return the seizures of each class; where those of one class overlap they are one."""
        found = []
        for number, codes in enumerate(LABEL_SETS[self.label_set].values()):
            items = tuple(one for one in self if code_of(one.label) in codes)
            joined = merge_overlapping(Events(items, self.duration).intervals())
            found += [Span(number, onset, end) for onset, end in joined]
        return found

    def targets(self, times: Array, hop: float) -> npt.NDArray[np.float64]:
        """Return the class of the seizure that fills at least half of the hop before each time.

        NaN where there is none, where its type is not known, and where two classes do so.
        """
        if not len(times):
            return np.zeros(0)
        edges = np.concatenate([times - hop, times[-1:]])
        inside = np.zeros((len(LABEL_SETS[self.label_set]), len(times)), dtype=bool)
        spans = self.spans()
        for number in {one.number for one in spans}:
            pairs = [(one.onset, one.end) for one in spans if one.number == number]
            share = Events.from_intervals(pairs, self.duration).share(edges)
            inside[number] = share >= 0.5
        return np.where(inside.sum(axis=0) == 1, inside.argmax(axis=0), np.nan)


def runs_of(
    numbers: Array, values: Array, times: Array, hop: float, classes: Sequence[str]
) -> tuple[Event, ...]:
    """Join outputs of one class that follow each other to events with its name.

    Parameters
    ----------
    numbers
        Of the class of each output, (output,); NaN where nothing is known.
    values
        Probabilities, (output, class); the confidence of an event is the mean of its class.
    times, hop
        Seconds at which the outputs are known, and between them.
    classes
        Their names.
    """
    borders = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(numbers)]
    events = []
    for first, last in pairwise(borders):
        if first == last or np.isnan(numbers[first]):
            continue
        number = int(numbers[first])
        onset = max(0.0, round(float(times[first] - hop), 6))
        sure = float(values[first:last, number].mean())
        events.append(Event(onset, float(times[last - 1]) - onset, classes[number], sure))
    return tuple(events)
