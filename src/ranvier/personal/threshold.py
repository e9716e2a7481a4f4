"""Which probability raises an alarm for one patient, chosen on the patient's past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ranvier.decisions import AlarmRule
from ranvier.decoder import Decoder
from ranvier.decoding import Prediction
from ranvier.personal.course import EventsWithin
from ranvier.recording import Array
from ranvier.scoring.seizure import event_f1
from ranvier.store import Prepared
from ranvier.truth import Events

LEVELS = 60
CERTAIN = 1e-9
"""Probabilities are kept so far from 0 and 1, so that their logits are finite."""

Known = tuple[list[Prediction], dict[str, Events]]
"""Predictions that are valid in some windows alone, and the seizures there by name."""


def predict_known(decoder: Decoder, past: Sequence[Prepared]) -> Known:
    """Decode the recordings, and keep what lies in the windows whose targets are known."""
    predictions, truth = [], {}
    for one in past:
        if not isinstance(one.truth, EventsWithin):
            raise ValueError(f"Invalid truth: of {one.name}, must be EventsWithin")
        found = decoder.predict_prepared(one)
        known = ~np.isnan(one.truth.targets(found.times, found.hop))
        masked = replace(found, values=np.where(known[:, None], found.values, np.nan))
        predictions.append(masked.decided_by(decoder.rule))
        truth[one.name] = one.truth.within
    return predictions, truth


def held_out_f1(decoder: Decoder, held_out: Sequence[Prepared]) -> float:
    """Return the event F1 of a decoder in the held-out windows; 0 where it has no meaning."""
    return float(np.nan_to_num(event_f1(*predict_known(decoder, held_out))))


def with_own_threshold(decoder: Decoder, past: Sequence[Prepared]) -> Decoder:
    """Choose the threshold with the best event F1 where targets are known.

    A few seizures leave many thresholds equally good: the one in the middle of their logits is
    taken, as far from false alarms as from missed seizures. Where nothing is found at any, the
    threshold stays.
    """
    rule = decoder.rule
    predictions, truth = predict_known(decoder, past)
    known = np.concatenate([one.probability[one.valid] for one in predictions])
    if not isinstance(rule, AlarmRule) or not len(known):
        return decoder
    levels = np.unique(np.quantile(known, 1 - np.geomspace(1 / len(known), 0.5, LEVELS)))
    rules = [replace(rule, threshold=level) for level in levels.tolist()]
    scores = np.nan_to_num(
        [event_f1([one.decided_by(tried) for one in predictions], truth) for tried in rules]
    )
    if not scores.any():
        return decoder
    best = levels[scores >= scores.max() - 1e-9]
    return replace(decoder, rule=replace(rule, threshold=_middle(best)))


def _middle(levels: Array) -> float:
    """Return the level whose logit is nearest to the middle between the first and the last."""
    kept = np.clip(levels, CERTAIN, 1 - CERTAIN)
    logits = np.log(kept / (1 - kept))
    return float(levels[np.argmin(np.abs(logits - (logits[0] + logits[-1]) / 2))])
