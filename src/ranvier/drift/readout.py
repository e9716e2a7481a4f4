"""A decoder for today out of yesterday's: its last layer solved anew from minutes of data.

Nothing is trained: a ridge that pulls towards the old weights, or towards none, is solved for, and
blocks of the new data say which and how hard. A Kalman filter has no such layer: there the old and
a new model of the counts are pooled. Where counts are standardised, it is by those of the new day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ranvier.certificate import Certificate
from ranvier.decoder import Decoder, weights_hash
from ranvier.drift.pooling import pool_models
from ranvier.features import Standardise
from ranvier.fitting import versions
from ranvier.recording import Array, Recording
from ranvier.splits import Fold
from ranvier.stages import build
from ranvier.store import Stages, code_hash
from ranvier.tasks.movement import SCORER, centred

PULLS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e3)
"""Penalties to choose from, in multiples of the mean sum of squares of a feature; the last leaves
little but the offset free."""
BLOCKS = 4
"""Of the new data; each is held out once."""


class Choice(NamedTuple):
    """What was chosen on held-out blocks of the new data."""

    pull: float
    """Penalty on the change of weights; of a Kalman filter, the weight of the old model."""
    towards: str
    """``"old"`` weights or ``"zero"``."""


class Seen(NamedTuple):
    """What the network made of new data, row by row, where the truth is known."""

    features: Array
    """What comes into the readout, (output, feature)."""
    targets: Array
    """(output, axis)."""


def refit_readout(decoder: Decoder, recording: Recording, *, minutes: float = 2.0) -> Decoder:
    """Solve the last layer of a decoder of movement anew, from the first minutes of a recording.

    Parameters
    ----------
    decoder
        Whose network ends in a linear layer, or is a Kalman filter.
    recording
        Of a new day, with the same channels and with a trajectory.
    minutes
        How much of it is used; nothing that comes later is looked at.

    Returns
    -------
    Decoder
        With the same network, scaled by the new data where it was scaled by the old ones;
        ``provenance["refitted"]`` says from what it was made.

    Raises
    ------
    ValueError
        If the decoder has no linear readout, the recording no trajectory, or too little is known.
    """
    if decoder.task != "movement":
        raise ValueError(f"Invalid decoder: of {decoder.task!r}, must be of 'movement'")
    if recording.trajectory is None:
        raise ValueError(f"Invalid recording: {recording.name} has no trajectory to learn from")
    if not 0 < minutes < np.inf:
        raise ValueError(f"Invalid minutes: {minutes}, must be finite and above 0")
    learnt = recording.until(min(60 * minutes, recording.duration))
    scaled = replace(decoder, stages=_scaled_anew(decoder.stages, learnt))
    if decoder.network == "kalman":
        weights, share = pool_models(scaled, learnt)
        choice = Choice(1 - share, "old")
    else:
        weights, choice = _solve_readout(scaled, learnt)
    provenance = _provenance(decoder, learnt, choice)
    return replace(scaled, weights={**decoder.weights, **weights}, provenance=provenance)


def _scaled_anew(stages: Stages, learnt: Recording) -> tuple[dict[str, Any], ...]:
    """Return the stages with every mean and deviation taken from the new data."""
    anew = [dict(stage) for stage in stages]
    for place, stage in enumerate(anew):
        if stage["stage"] == "standardise":
            before = build(anew[:place], learnt.layout)
            counts, _ = before.step(learnt.read()[None], before.initial_state(1))
            stage.update(Standardise.fit([counts]))
    return tuple(anew)


def _solve_readout(decoder: Decoder, learnt: Recording) -> tuple[dict[str, Array], Choice]:
    old = _old_readout(decoder)
    seen = look(decoder, learnt)
    overlap = getattr(decoder._module, "span", 1) - 1
    _check_enough(len(seen.targets), learnt, overlap)
    choice = _choose(seen, old, overlap)
    weights, offset = _Normal.of(seen).solved(old[0], choice)
    found = {"readout.weight": weights, "readout.bias": offset}
    return {name: np.asarray(one, dtype=np.float32) for name, one in found.items()}, choice


def _old_readout(decoder: Decoder) -> tuple[Array, Array]:
    """Return weights (axis, feature) and offsets (axis,)."""
    try:
        names = "readout.weight", "readout.bias"
        weights, offset = (np.asarray(decoder.weights[name], dtype=float) for name in names)
    except KeyError:
        raise ValueError(
            f"Invalid decoder: {decoder.network!r} has no readout, must end in a linear layer"
        ) from None
    return weights, offset


def look(decoder: Decoder, recording: Recording) -> Seen:
    """Return what comes into the readout, and what should come out, where both are known.

    Raises
    ------
    ValueError
        If the answers are not what a linear readout makes of it.
    """
    found: list[Array] = []
    keep = decoder._module.readout.register_forward_pre_hook(
        lambda _, given: found.append(given[0].detach().numpy().reshape(-1, given[0].shape[-1]))
    )
    try:
        prediction = decoder.predict(recording)
    finally:
        keep.remove()
    assert recording.trajectory is not None
    targets = prediction.targets(recording.trajectory)
    known = prediction.valid & ~np.isnan(targets).any(axis=1)
    features = np.concatenate([*found, np.zeros((0, decoder._module.readout.in_features))])
    weights, offset = _old_readout(decoder)
    same = len(features) == len(targets) and np.allclose(
        features[known] @ weights.T + offset, prediction.values[known], rtol=1e-3, atol=1e-3
    )
    if not same:
        raise ValueError(
            f"Invalid decoder: the answers of {decoder.network!r} are not those of its readout, "
            "must be linear in what comes before it"
        )
    return Seen(features[known].astype(float), targets[known].astype(float))


def _check_enough(rows: int, learnt: Recording, overlap: int) -> None:
    least = 4 * BLOCKS + 2 * BLOCKS * overlap
    if rows < least:
        raise ValueError(
            f"Invalid minutes: {learnt.duration / 60:g} of {learnt.name} have {rows} answers "
            f"with a known truth, must have at least {least}"
        )


def _choose(seen: Seen, old: tuple[Array, Array], overlap: int) -> Choice:
    """Return what errs least on blocks held out, on the axes that move."""
    choices = [Choice(pull, towards) for towards in ("old", "zero") for pull in PULLS]
    spread = (centred(seen.targets) ** 2).mean(axis=0)
    moves, lost = spread > 0, np.zeros(len(choices))
    for rest, held in _held_out(len(seen.targets), overlap):
        normal = _Normal.of(Seen(*(part[rest] for part in seen)))
        for i, choice in enumerate(choices):
            weights, offset = normal.solved(old[0], choice)
            left = seen.targets[held] - seen.features[held] @ weights.T - offset
            lost[i] += (left[:, moves] ** 2 / spread[moves]).sum()
    return choices[int(lost.argmin())]


def _held_out(rows: int, overlap: int) -> Iterator[tuple[Array, Array]]:
    """Yield the rows to learn from and those held out; rows that share bins are left out."""
    every = np.arange(rows)
    for block in np.array_split(every, BLOCKS):
        yield every[(every < block[0] - overlap) | (every > block[-1] + overlap)], block


class _Normal(NamedTuple):
    """The normal equations of centred rows, in the basis in which their products are diagonal."""

    values: Array
    vectors: Array
    answers: Array
    means: Seen

    @classmethod
    def of(cls, seen: Seen) -> _Normal:
        means = Seen(*(part.mean(axis=0) for part in seen))
        centred = seen.features - means.features
        values, vectors = np.linalg.eigh(centred.T @ centred)
        answers = vectors.T @ (centred.T @ (seen.targets - means.targets))
        return cls(np.maximum(values, 0.0), vectors, answers, means)

    def solved(self, old: Array, choice: Choice) -> tuple[Array, Array]:
        """Return weights (axis, feature) and offsets of the ridge that pulls towards some."""
        prior = old if choice.towards == "old" else np.zeros_like(old)
        penalty = choice.pull * max(self.values.mean(), 1e-12)
        left = self.answers - self.values[:, None] * (self.vectors.T @ prior.T)
        weights = prior + (self.vectors @ (left / (self.values + penalty)[:, None])).T
        return weights, self.means.targets - weights @ self.means.features


def _provenance(decoder: Decoder, learnt: Recording, choice: Choice) -> dict[str, Any]:
    first = f"{learnt.name}, first {learnt.duration:g} s"
    held_out, later = f"{first}, blocks in turn", f"{learnt.name}, later"
    scaled = any(stage["stage"] == "standardise" for stage in decoder.stages)
    chosen = {
        **({"scaling of features": "train"} if scaled else {}),
        "readout": "train",
        "pull towards old weights": "validation",
    }
    fold = Fold(0, (first,), (held_out,), (later,), in_time=True)
    refitted = {
        "recording": learnt.name,
        "subject": learnt.subject,
        "day": learnt.start.date().isoformat() if learnt.start else "",
        "session": learnt.session,
        "minutes": learnt.duration / 60,
        "pull": choice.pull,
        "towards": choice.towards,
        "base_weights_sha256": weights_hash(decoder.weights),
        "base_recordings": decoder.provenance.get("recordings", {}),
    }
    return {
        "certificate": Certificate(fold, chosen, SCORER, trims=f"all of {first}").as_dict(),
        "recordings": {"train": [learnt.name], "validation": []},
        "refitted": refitted,
        "base": dict(decoder.provenance),
        "versions": versions(),
        "code_sha256": code_hash(),
    }
