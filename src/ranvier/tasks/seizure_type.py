"""Typing of seizures as something to learn: which kind a seizure is, once there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ranvier.decisions import Rule, TypeRule, none_for_nan
from ranvier.recording import Array, Recording
from ranvier.seizure_types import TypedSeizures, classes_of
from ranvier.tasks.sleep import cross_entropy, temperature
from ranvier.truth import Truth

if TYPE_CHECKING:
    from ranvier.tasks import Loss, Quality

SCORER = (
    "Types of seizures, Ranvier rules 1 (outputs inside seizures of a known type; a seizure is of "
    "the type with the highest mean probability over its outputs)"
)
NAN_RULE = (
    "Precision is NaN for a type that was never found, recall for one that was never marked, F1 "
    "for one that was neither; macro-F1 is the mean over the other types, weighted F1 weighs each "
    "type by what was marked. Kappa is NaN where chance alone would agree fully. Seizures and "
    "outputs without a valid answer are counted and left out of the scores."
)
MOST = 10.0
"""How much more a rare type may count than if all were as frequent."""


class SeizureTypeTask:
    """Which type a seizure is of.

    Parameters
    ----------
    labels
        Set of labels, in ``seizure_types.LABEL_SETS``. A class that is missing in the training
        part stays an output and weighs nothing: it is hardly ever found.
    """

    name = "seizure_type"
    split: Literal["subject", "time"] = "subject"
    aligned = False
    scorer = SCORER

    def __init__(self, labels: str = "combined") -> None:
        self.labels = labels
        self.names = classes_of(labels)
        self.default_rule: Rule = TypeRule(self.names)
        self.losses: Mapping[str, Loss] = {"cross_entropy": cross_entropy}
        self.qualities: Mapping[str, Quality] = {
            "log_likelihood": log_likelihood,
            "weighted_f1": lambda outputs, targets: self._score(outputs, targets).weighted_f1,
            "macro_f1": lambda outputs, targets: self._score(outputs, targets).macro_f1,
            "kappa": lambda outputs, targets: self._score(outputs, targets).kappa,
            "accuracy": lambda outputs, targets: self._score(outputs, targets).accuracy,
        }

    def truth_of(self, recording: Recording) -> Truth | None:
        """Return the seizures with their types; None where there is no seizure to type."""
        if recording.events is None:
            return None
        typed = TypedSeizures.of(recording.events, self.labels)
        return typed if len(typed.seizures()) else None

    def begin(self, recording: Recording) -> Recording:
        """Return the recording as it is, with a note on seizures whose type is not known."""
        truth = self.truth_of(recording)
        if not isinstance(truth, TypedSeizures) or not truth.untyped:
            return recording
        found = ", ".join(sorted(set(truth.untyped)))
        return recording.with_note(
            f"{len(truth.untyped)} of {len(truth.seizures())} seizures are of no type in the set "
            f"{self.labels!r} and were left out ({found})"
        )

    def classes(self, truths: Sequence[Truth]) -> int:  # noqa: ARG002
        """Return how many classes the set of labels has."""
        return len(self.names)

    def rule_for(self, rule: Rule, truths: Sequence[Truth]) -> Rule:  # noqa: ARG002
        """Name the classes."""
        return TypeRule(self.names)

    def telling(self, targets: Array) -> bool:
        """Return whether a seizure of a known type is among the targets."""
        return bool((~np.isnan(targets)).any())

    def weights(self, targets: Array) -> Array:
        """Return how much each class counts: as rare as it is, up to 10; 0 where it is missing."""
        known = targets[~np.isnan(targets)].astype(int)
        counts = np.bincount(known, minlength=len(self.names))
        present = np.count_nonzero(counts)
        if present < 2:
            found = ", ".join(n for n, count in zip(self.names, counts, strict=True) if count)
            raise ValueError(
                f"Nothing to learn: {len(known)} outputs on the training recordings lie in seizures"
                f" of the types {', '.join(self.names)}, those found are {found or 'none'}, must "
                "be at least two"
            )
        rarity = counts.sum() / (present * np.maximum(counts, 1))
        return np.where(counts > 0, np.minimum(rarity, MOST), 0.0)

    def scaling(self, targets: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return that classes are not scaled."""
        return np.zeros(()), np.ones(())

    def calibration(self, outputs: Array, targets: Array) -> tuple[Any, Any]:
        """Return the temperature that makes probabilities mean what they say, as a scale."""
        return 1.0 / temperature(outputs, targets), 0.0

    def note_on(self, weights: Array | None) -> dict[str, str]:
        """Say how much the types count, and what else is chosen."""
        if weights is None:
            return {"calibration": "validation"}
        listed = ", ".join(f"{n} {w:.2f}" for n, w in zip(self.names, weights, strict=True))
        return {f"class weights ({listed})": "train", "calibration": "validation"}

    def _score(self, outputs: Array, targets: Array) -> TypeScore:
        return TypeScore.of(targets, outputs.argmax(axis=-1), self.names)


def log_likelihood(outputs: Array, targets: Array) -> float:
    """Return the mean logarithm of the probability of the true class."""
    from scipy.special import log_softmax

    chosen = log_softmax(outputs, axis=1)[np.arange(len(targets)), targets.astype(int)]
    return float(chosen.mean())


@dataclass(frozen=True)
class TypeScore:
    """How well types are told apart, all from the table of what was marked and what was found.

    Parameters
    ----------
    names
        Of the classes.
    confusion
        (marked, found), outputs or seizures.
    """

    names: tuple[str, ...]
    confusion: Array

    @classmethod
    def of(cls, marked: Array, found: Array, names: Sequence[str]) -> TypeScore:
        """Count what is known in both, by the numbers of the classes."""
        known = ~(np.isnan(marked) | np.isnan(found))
        count = len(names)
        pairs = marked[known].astype(int) * count + found[known].astype(int)
        table = np.bincount(pairs, minlength=count**2).reshape(count, count)
        return cls(tuple(names), table)

    def __add__(self, other: TypeScore) -> TypeScore:
        """Pool two."""
        return TypeScore(self.names, self.confusion + other.confusion)

    @property
    def total(self) -> int:
        """How many were scored."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """How many of them are of the type that was marked."""
        return int(np.trace(self.confusion))

    @property
    def marked(self) -> Array:
        """How many were marked of each type."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def found(self) -> Array:
        """How many were found of each type."""
        return np.asarray(self.confusion.sum(axis=0))

    @property
    def accuracy(self) -> float:
        """Share that is right."""
        return self.right / self.total if self.total else float("nan")

    @property
    def precision(self) -> Array:
        """Share of what was found of each type that is right."""
        return _ratio(np.diag(self.confusion), self.found)

    @property
    def recall(self) -> Array:
        """Share of what was marked of each type that was found."""
        return _ratio(np.diag(self.confusion), self.marked)

    @property
    def f1(self) -> Array:
        """F1 of each type."""
        return _ratio(2 * np.diag(self.confusion), self.marked + self.found)

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the types that were marked or found."""
        return float(np.nanmean(self.f1)) if self.total else float("nan")

    @property
    def weighted_f1(self) -> float:
        """Mean F1 over the types, each weighing as much as was marked of it."""
        if not self.total:
            return float("nan")
        return float(np.nan_to_num(self.f1) @ self.marked / self.total)

    @property
    def kappa(self) -> float:
        """Cohen's kappa."""
        if not self.total:
            return float("nan")
        chance = float(self.marked @ self.found) / self.total**2
        return (self.accuracy - chance) / (1 - chance) if chance < 1 else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        whole = {name: none_for_nan(getattr(self, name)) for name in AVERAGES}
        each = {name: self._by_class(getattr(self, name)) for name in ("precision", "recall", "f1")}
        counts = {"marked": self._by_class(self.marked), "confusion": self.confusion.tolist()}
        return {"total": self.total, **whole, **each, **counts}

    def _by_class(self, values: Array) -> dict[str, Any]:
        return dict(zip(self.names, map(none_for_nan, values.tolist()), strict=True))


AVERAGES = ("weighted_f1", "macro_f1", "accuracy", "kappa")
"""Scores of all types together."""


def _ratio(part: Array, whole: Array) -> Array:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
