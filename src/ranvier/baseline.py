"""The plain detector that a network has to beat: logistic regression on band powers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.decisions import Alarm, AlarmRule
from ranvier.decoding import Output, Prediction, collect
from ranvier.recording import Array, Layout
from ranvier.store import Prepared

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 70)}
"""First and last Hz of each band, the last one left out."""

NAME = "logistic regression on band powers of each second"


@dataclass(frozen=True)
class Baseline:
    """A fitted logistic regression.

    Parameters
    ----------
    model
        Of scikit-learn.
    rule
        When a probability becomes an alarm.
    """

    model: Any
    rule: AlarmRule

    def predict(self, prepared: Prepared) -> Prediction:
        """Decode a prepared recording, as ``Decoder.predict_prepared`` does."""
        powers, valid = band_powers(prepared)
        probability = np.full(len(powers), np.nan)
        if valid.any():
            probability[valid] = self.model.predict_proba(powers[valid])[:, 1]
        alarm = Alarm(Layout(("probability",), 1 / prepared.hop), prepared.first, self.rule)
        rows, _ = alarm.step(probability[None, :, None], alarm.initial_state(1))
        sites = np.empty((1, len(powers), 0))
        output = Output(prepared.times, probability[None], rows, sites)
        return collect([output], prepared, hop=prepared.hop, notes=prepared.notes, sites=())

    def with_threshold(self, threshold: float) -> Baseline:
        """Return the same regression with another threshold."""
        return replace(self, rule=replace(self.rule, threshold=threshold))


def band_powers(prepared: Prepared) -> tuple[Array, Array]:
    """Return mean log powers (step, node x band), and which steps have any valid node."""
    stored = prepared.stored
    bands = [(a, b) for a, b in BANDS.values() if a < stored.shape[2]]
    missing = np.asarray(np.isnan(stored[..., 0]))
    powers = np.stack([stored[..., a:b].mean(axis=2, dtype=np.float64) for a, b in bands], axis=2)
    valid = ~np.asarray(missing.all(axis=1))
    mean = np.where(missing[..., None], 0.0, powers).sum(axis=1, keepdims=True)
    mean = mean / np.maximum((~missing).sum(axis=1), 1)[:, None, None]
    filled = np.where(missing[..., None], mean, powers)
    return filled.reshape(len(stored), stored.shape[1] * len(bands)), valid


def fit_baseline(train: Sequence[Prepared], rule: AlarmRule) -> Baseline:
    """Fit to the training recordings; both classes count the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = [], []
    for prepared in train:
        powers, valid = band_powers(prepared)
        features.append(powers[valid])
        labels.append(prepared.labels()[valid])
    if len(np.unique(np.concatenate(labels))) < 2:
        raise ValueError(
            f"Nothing to learn for the baseline: the valid seconds of "
            f"{', '.join(sorted({one.subject for one in train}))} are all of one class"
        )
    regression = LogisticRegression(class_weight="balanced", C=0.01, max_iter=200)
    model = make_pipeline(StandardScaler(), regression)
    model.fit(np.concatenate(features), np.concatenate(labels))
    return Baseline(model, rule)
