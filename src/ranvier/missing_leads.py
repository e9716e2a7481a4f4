"""What it costs a seizure detector to leave leads out, measured on recordings that have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ranvier.channels import parse_channel
from ranvier.decoder import Decoder
from ranvier.recording import Layout, Recording, Signal
from ranvier.scoring import score_predictions
from ranvier.scoring.seizure import SeizureScores, SubjectScore
from ranvier.splits import patient
from ranvier.tasks.seizure_events import pool
from ranvier.tasks.seizure_scores import auroc, bootstrap_interval

NOT_MEASURABLE = "not measurable in less than an hour of background"
DRAWS = 1000
"""Bootstrap samples of subjects behind an interval."""

Parts = Sequence[SubjectScore]

MEASURES: dict[str, Callable[[Parts], float]] = {
    "auroc": lambda parts: auroc(
        np.concatenate([one.labels for one in parts]),
        np.concatenate([one.probability for one in parts]),
    ),
    "sensitivity": lambda parts: pool(one.events for one in parts).sensitivity,
    "false_alarms_per_day": lambda parts: pool(one.events for one in parts).false_alarms_per_day,
}
"""What is compared, over the subjects together."""


class Difference(NamedTuple):
    """A score without the leads minus the score with them, and its 95 % interval over subjects."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    """What it costs to leave leads out.

    Parameters
    ----------
    leads
        Which ones.
    whole, without
        Scores of the same recordings with all that they have, and without the leads.
    differences
        By the names of ``MEASURES``.
    known
        Subjects by the names of whom the decoder has learnt, so that the scores may flatter it.
    """

    leads: tuple[str, ...]
    whole: SeizureScores
    without: SeizureScores
    differences: Mapping[str, Difference]
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in one sentence, and in a second one whom the decoder may know."""
        found = [one.pooled.events.true_positives for one in (self.without, self.whole)]
        area, _, alarms = (self.differences[name] for name in MEASURES)
        told = self.whole.pooled.events.false_alarms_measurable
        known = f". The decoder has learnt from {', '.join(self.known)}" if self.known else ""
        return (
            f"Without {', '.join(self.leads)}: {found[0]} instead of {found[1]} of "
            f"{self.whole.pooled.events.references} seizures found, AUROC {_signed(area, '.3f')}, "
            f"false alarms a day {_signed(alarms, '.1f') if told else NOT_MEASURABLE}{known}"
        )


def _signed(difference: Difference, form: str) -> str:
    """Write a difference, and its interval where there is more than one subject."""
    value, low, high = (format(number, f"+{form}") for number in difference)
    return value if math.isnan(difference.low) else f"{value} ({low} to {high})"


def cost_of_missing(
    decoder: Decoder, recordings: Sequence[Recording], leads: Sequence[str], *, seed: int = 0
) -> Cost:
    """Decode recordings with and without some leads, and compare.

    Parameters
    ----------
    decoder
        Of seizures.
    recordings
        Annotated, of subjects whom the decoder was not trained on.
    leads
        Electrodes to leave out, such as ``["Fp1", "Fp2"]``.
    seed
        Of the bootstrap over subjects.

    Raises
    ------
    ValueError
        If a lead is unknown, none is left, or a recording is not annotated.
    """
    whole = decode_and_score(decoder, recordings, seed=seed)
    fewer = [without_leads(recording, leads) for recording in recordings]
    without = decode_and_score(decoder, fewer, seed=seed)
    differences = paired_differences(whole, [without], seed=seed)
    return Cost(tuple(leads), whole, without, differences, _known(decoder, recordings))


def _known(decoder: Decoder, recordings: Sequence[Recording]) -> tuple[str, ...]:
    fold = decoder.provenance.get("certificate", {}).get("fold", {})
    learnt = {patient(one) for part in ("train", "validation") for one in fold.get(part, ())}
    return tuple(sorted({one.subject for one in recordings if patient(one.subject) in learnt}))


def decode_and_score(
    decoder: Decoder, recordings: Sequence[Recording], *, seed: int = 0
) -> SeizureScores:
    """Score a decoder on annotated recordings.

    Raises
    ------
    ValueError
        If a recording is not annotated with seizures, or cannot be decoded.
    """
    truth = {one.name: one.events for one in recordings if one.events is not None}
    if unknown := [one.name for one in recordings if one.name not in truth]:
        raise ValueError(f"Invalid recordings: {', '.join(unknown)}, must be annotated")
    predictions = [decoder.predict(recording) for recording in recordings]
    scores: SeizureScores = score_predictions("seizure", predictions, truth, seed=seed)
    return scores


def without_leads(recording: Recording, leads: Sequence[str]) -> Recording:
    """Return a recording without the channels that take part in some leads.

    Parameters
    ----------
    recording
        Referential or bipolar; of a bipolar one, each derivation with one of the leads goes.
    leads
        Electrodes in any spelling, such as ``"Fp1"`` or ``"T7"``.

    Raises
    ------
    ValueError
        If a lead is no electrode.
    """
    gone = {_electrode(lead) for lead in leads}
    parsed = [parse_channel(label) for label in recording.layout.channels]
    kept = [
        i for i, one in enumerate(parsed) if not (one and gone & {one.electrode, one.reference})
    ]
    names = tuple(recording.layout.channels[i] for i in kept)
    layout = Layout(names, recording.layout.rate, recording.layout.unit)
    return replace(recording, layout=layout, reader=partial(_read_some, recording.reader, kept))


def _read_some(
    reader: Callable[[int, int], Signal], kept: Sequence[int], first: int, last: int
) -> Signal:
    return reader(first, last)[:, kept]


def _electrode(lead: str) -> str:
    channel = parse_channel(lead)
    if channel is None or channel.reference:
        raise ValueError(f"Invalid lead: {lead!r}, must be an electrode of the 10-10 system")
    return channel.electrode


def paired_differences(
    whole: SeizureScores, without: Sequence[SeizureScores], *, seed: int = 0
) -> dict[str, Difference]:
    """Compare scores of the same subjects, with an interval from drawing the subjects anew.

    Parameters
    ----------
    whole
        With all leads.
    without
        Without some; of several choices of what is left out the mean is taken.
    seed
        Of the bootstrap.
    """
    choices = zip(*(one.subjects for one in (whole, *without)), strict=True)
    by_subject = {subject[0].subjects[0]: subject for subject in choices}
    everyone = list(by_subject.values())
    changes = {name: partial(_mean_change, of=of) for name, of in MEASURES.items()}
    return {
        name: Difference(
            change(everyone), *bootstrap_interval(by_subject, change, seed=seed, draws=DRAWS)
        )
        for name, change in changes.items()
    }


def _mean_change(drawn: Sequence[Parts], of: Callable[[Parts], float]) -> float:
    """Each drawn subject has its score with all leads, and then one for each choice."""
    first, *others = (of(parts) for parts in zip(*drawn, strict=True))
    return float(np.mean(others)) - first
