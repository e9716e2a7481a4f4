"""The plain decoders that a network has to beat: linear ones on band powers, or on past spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.decisions import AlarmRule, MotionRule, Rule, make_decision
from ranvier.decoder import Decoder
from ranvier.decoding import Output, Prediction, collect
from ranvier.networks import make_network
from ranvier.recording import Array
from ranvier.store import Prepared, Stages
from ranvier.tasks.seizure import STAGES

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 70)}
"""First and last Hz of each band, the last one left out."""

NAMES = {
    "seizure": "logistic regression on band powers of each second",
    "seizure_type": "logistic regression on band powers of each second",
    "sleep": "logistic regression on band powers of each epoch",
    "movement": "ridge regression on the last 10 bins",
}
EPOCH_STAGES: Stages = (
    {"stage": "resample", "rate_out": 100.0},
    {"stage": "filter", "low": 0.5, "high": 40.0, "order": 2},
    {"stage": "spectrum", "features": 50},
)
EPOCH = 30
"""Seconds over which powers are averaged for staging."""
HISTORY = 10


def baseline_stages(task: str, stages: Stages) -> Stages:
    """Return what is done to a signal before the baseline: spectra, or the same as for the network.

    Parameters
    ----------
    task
        What is decoded.
    stages
        Of the network.
    """
    if task in {"seizure", "seizure_type"}:
        leads = [one for one in stages if one["stage"] in {"mark_flat", "pick", "derive_montage"}]
        return (*leads, *STAGES[2:])
    if task == "sleep":
        chosen = [stage for stage in stages if stage["stage"] == "pick"]
        return (*chosen, *EPOCH_STAGES)
    return stages


def fit_baseline(task: str, train: Sequence[Prepared], rule: Rule) -> Baseline:
    """Fit to the training recordings; all classes count the same.

    Raises
    ------
    ValueError
        If there is nothing to learn.
    """
    if task == "movement":
        return Ridge.fit(train, rule)
    return Regression.fit(train, rule, EPOCH if task == "sleep" else 1)


@dataclass(frozen=True)
class Regression:
    """Logistic regression on band powers.

    Parameters
    ----------
    model
        Of scikit-learn.
    rule
        How the probabilities become a decision.
    span
        Steps over which powers are averaged, and from one output to the next.
    """

    model: Any
    rule: Rule
    span: int = 1

    @classmethod
    def fit(cls, train: Sequence[Prepared], rule: Rule, span: int) -> Regression:
        """Fit to the outputs whose truth is known."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        features, labels = [], []
        for prepared in train:
            powers, valid = band_powers(prepared, span)
            targets = prepared.targets(span, span)
            known = valid & ~np.isnan(targets)
            features.append(powers[known])
            labels.append(targets[known])
        if len(np.unique(np.concatenate(labels))) < 2:
            raise ValueError(
                f"Nothing to learn for the baseline: the valid outputs of "
                f"{', '.join(sorted({one.subject for one in train}))} are all of one class"
            )
        regression = LogisticRegression(
            class_weight="balanced", C=0.01 if span == 1 else 1.0, max_iter=500
        )
        model = make_pipeline(StandardScaler(), regression)
        model.fit(np.concatenate(features), np.concatenate(labels))
        return cls(model, rule, span)

    def predict(self, prepared: Prepared) -> Prediction:
        """Decode a prepared recording, as ``Decoder.predict_prepared`` does."""
        powers, valid = band_powers(prepared, self.span)
        times, hop = prepared.times(self.span, self.span), self.span * prepared.hop
        first = float(times[0]) if len(times) else 0.0
        decision = make_decision(self.rule, 1 / hop, first)
        values = np.full((len(powers), len(decision.layout.channels)), np.nan)
        if valid.any():
            values[valid] = self._probabilities(powers[valid], values.shape[1])
        rows, _ = decision.step(values[None], decision.initial_state(1))
        output = Output(times, values[None], rows, rows[..., :0])
        rule, notes = self.rule, prepared.notes
        return collect([output], prepared, hop=hop, rule=rule, notes=notes, sites=())

    def _probabilities(self, powers: Array, classes: int) -> Array:
        """Return them with zeros for classes that were never seen; for alarms, of a seizure."""
        found = self.model.predict_proba(powers)
        if isinstance(self.rule, AlarmRule):
            return np.asarray(found[:, 1:])
        every = np.zeros((len(powers), classes))
        every[:, self.model.classes_.astype(int)] = found
        return every

    def decided_by(self, rule: Rule) -> Regression:
        """Return the same regression with another rule."""
        return replace(self, rule=rule)


def band_powers(prepared: Prepared, span: int = 1) -> tuple[Array, Array]:
    """Return mean log powers (output, node x band), and which outputs have any valid node.

    Parameters
    ----------
    prepared
        Spectra, (step, node, feature).
    span
        Steps of each output.
    """
    stored = prepared.stored
    bands = [(a, b) for a, b in BANDS.values() if a < stored.shape[2]]
    powers = np.stack([stored[..., a:b].mean(axis=2, dtype=np.float64) for a, b in bands], axis=2)
    whole = len(stored) // span * span
    powers = powers[:whole].reshape(-1, span, *powers.shape[1:]).mean(axis=1)
    missing = np.isnan(powers[..., 0])
    valid = ~np.asarray(missing.all(axis=1))
    mean = np.where(missing[..., None], 0.0, powers).sum(axis=1, keepdims=True)
    mean = mean / np.maximum((~missing).sum(axis=1), 1)[:, None, None]
    filled = np.where(missing[..., None], mean, powers)
    return filled.reshape(len(powers), powers.shape[1] * powers.shape[2]), valid


@dataclass(frozen=True)
class Ridge:
    """Ridge regression with history.

    Parameters
    ----------
    decoder
        With the network ``wiener``.
    """

    decoder: Decoder

    @property
    def rule(self) -> Rule:
        """What moves."""
        return self.decoder.rule

    @classmethod
    def fit(
        cls, train: Sequence[Prepared], rule: Rule, *, inputs: Sequence[Array] | None = None
    ) -> Ridge:
        """Solve for the weights; ``inputs`` stand for what was recorded, (bin, unit) each."""
        settings = {"window": HISTORY, "least": 1}
        return cls(linear_decoder("wiener", settings, train, rule, inputs=inputs))

    def predict(self, prepared: Prepared) -> Prediction:
        """Decode a prepared recording."""
        return self.decoder.predict_features(prepared)

    def decided_by(self, rule: Rule) -> Ridge:
        """Return the same regression with another rule."""
        return Ridge(replace(self.decoder, rule=rule))


def linear_decoder(
    network: str,
    settings: Mapping[str, Any],
    train: Sequence[Prepared],
    rule: Rule,
    *,
    inputs: Sequence[Array] | None = None,
) -> Decoder:
    """Solve a linear network for movement on the training part.

    Parameters
    ----------
    network, settings
        Name and keywords, as for ``networks.make_network``; it must have ``solve``.
    train
        Recordings of the training part.
    rule
        What moves.
    inputs
        Counts that stand for those of the recordings, (bin, unit) each.

    Raises
    ------
    ValueError
        If the rule is of another task, or there is too little to learn from.
    """
    import torch

    if not isinstance(rule, MotionRule):
        raise ValueError(f"Invalid rule: {rule!r}, must be a MotionRule")
    layout, known = train[0].layout, {**settings, "classes": len(rule.axes)}
    module = make_network(network, layout.channels, known)
    counts = inputs or [one.features() for one in train]
    targets = [torch.as_tensor(one.targets(), dtype=torch.float32) for one in train]
    module.solve([torch.tensor(one) for one in counts], targets)
    weights = {name: weight.numpy() for name, weight in module.state_dict().items()}
    return Decoder("movement", (), layout.channels, layout.rate, network, known, weights, rule)


Baseline = Regression | Ridge
"""Each has ``rule``, ``predict`` and ``decided_by``."""
