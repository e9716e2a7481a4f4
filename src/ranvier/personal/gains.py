"""Whether personalised decoders are better: base and own decoder on the same later recordings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranvier.decoding import Prediction
from ranvier.fitting import folder_for, prepare_annotated, truth_of
from ranvier.personal import Personalised, recipe_of
from ranvier.personal.course import Course
from ranvier.recording import Recording
from ranvier.scoring.seizure import SeizureScores, SubjectScore, score_predictions
from ranvier.tasks.seizure_scores import bootstrap_interval
from ranvier.truth import Events

GAINS: dict[str, Callable[[SubjectScore], float]] = {
    "auroc": lambda one: one.auroc,
    "sensitivity": lambda one: one.events.sensitivity,
    "false_alarms_per_day": lambda one: one.events.false_alarms_per_day,
    "f1": lambda one: one.events.f1,
}
"""Scores of a patient that are compared."""


@dataclass(frozen=True)
class PersonalisedScores:
    """The base and the patients' own decoders on the same later parts.

    Parameters
    ----------
    generic, personalised
        Scores of the base, and of the patients' own decoders.
    gains
        For each of ``GAINS``, own minus base: the mean over patients and its 95 % interval.
    refused
        Patients whose decoder stayed the base.
    """

    generic: SeizureScores
    personalised: SeizureScores
    gains: Mapping[str, tuple[float, float, float]]
    refused: tuple[str, ...]


def personalised_scores(
    patients: Iterable[tuple[Personalised, Sequence[Recording]]],
    *,
    after: Mapping[str, float] | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> PersonalisedScores:
    """Compare base and own decoder of each patient on what came after all that was learnt from.

    Parameters
    ----------
    patients
        What ``personalise`` gave, and all recordings of the patient.
    after
        By subject, a second of the patient's clock before which nothing is tested either, so that
        several updates are compared on the same part.
    seed
        Of the bootstrap over patients.
    out
        Where prepared recordings are kept; by default they are not.

    Raises
    ------
    ValueError
        If nothing came later, or recordings of two patients have the same name.
    """
    generic: list[Prediction] = []
    own: list[Prediction] = []
    truth: dict[str, Events] = {}
    refused: list[str] = []
    with folder_for(out) as folder:
        for result, recordings in patients:
            begin = max(result.learnt_until, (after or {}).get(result.subject, 0.0))
            later = Course.of(recordings).since(begin).recordings
            if not later:
                raise ValueError(f"Nothing to test: {result.subject} was not recorded later")
            recipe = recipe_of(result.base, seed)
            prepared = prepare_annotated(later, recipe, folder / "prepared", None)
            truth |= _not_yet_there(truth_of(prepared), truth)
            generic += [result.base.predict_prepared(one) for one in prepared]
            own += [result.decoder.predict_prepared(one) for one in prepared]
            refused += [] if result.accepted else [result.subject]
    before, after_it = (
        score_predictions(one, truth, seed=seed, new=False) for one in (generic, own)
    )
    gains = {name: _gain(before, after_it, of, seed) for name, of in GAINS.items()}
    return PersonalisedScores(before, after_it, gains, tuple(refused))


def _not_yet_there(found: Mapping[str, Events], truth: Mapping[str, Events]) -> dict[str, Events]:
    if twice := sorted(set(found) & set(truth)):
        raise ValueError(
            f"Invalid recordings: {twice[0]!r} is there for two patients, names must be unique"
        )
    return dict(found)


def _gain(
    generic: SeizureScores,
    own: SeizureScores,
    of: Callable[[SubjectScore], float],
    seed: int,
) -> tuple[float, float, float]:
    pairs = zip(generic.subjects, own.subjects, strict=True)
    differences = {", ".join(after.subjects): of(after) - of(before) for before, after in pairs}
    known = {name: one for name, one in differences.items() if not np.isnan(one)}
    if not known:
        return (np.nan, np.nan, np.nan)
    return (_mean(known.values()), *bootstrap_interval(known, _mean, seed=seed))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
