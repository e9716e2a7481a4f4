"""What all folds of an evaluation gave together: predictions, scores, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from ranvier.beside import RIDGE, RIVALS
from ranvier.certificate import ONLY_ASSUMED
from ranvier.decoding import Prediction
from ranvier.fold_files import FoldResult
from ranvier.recipe import Recipe
from ranvier.recording import Recording
from ranvier.scoring import Scores, score_predictions


@dataclass(frozen=True, eq=False)
class AllFolds:
    """What all folds gave together.

    Parameters
    ----------
    recipe
        What was run.
    folds
        One result each.
    versions
        Of the packages that computed it.
    missing
        Names of folds that were to be run and of which nothing is there.
    recordings
        What was tested, where the signals are at hand.
    said
        Notes on the evaluation itself.
    """

    recipe: Recipe
    folds: Sequence[FoldResult]
    versions: Mapping[str, str]
    missing: Sequence[str] = ()
    recordings: Sequence[Recording] = field(default=(), repr=False)
    said: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.headline()}"

    @property
    def notes(self) -> dict[str, Sequence[str]]:
        """What was repaired, missing or not valid, by tested recording; and of the evaluation."""
        about = [*self.said, *([_missing_words(self)] if self.missing else [])]
        return {
            **({"evaluation": about} if about else {}),
            **{one.name: one.notes for one in self.predictions if one.notes},
        }

    def headline(self) -> str:
        """Say in one sentence what came out, and in a second one if the people are assumed."""
        counts_people = self.recipe.task != "movement"
        assumed = counts_people and any(fold.certificate.assumed for fold in self.folds)
        said: str = self.scores.headline()
        return f"{said} {ONLY_ASSUMED.capitalize()}." if assumed else said

    @property
    def truth(self) -> dict[str, Any]:
        """What is annotated in each tested recording, by name."""
        return {name: truth for fold in self.folds for name, truth in fold.truth.items()}

    @property
    def predictions(self) -> list[Prediction]:
        """What the networks found in the recordings of subjects that they had never seen."""
        return [prediction for fold in self.folds for prediction in fold.predictions]

    @property
    def baseline(self) -> list[Prediction]:
        """What the baselines found in the same recordings."""
        return [prediction for fold in self.folds for prediction in fold.baseline]

    @property
    def beside(self) -> dict[str, list[Prediction]]:
        """What all plain decoders found in the same recordings, by name; for movement."""
        if self.recipe.task != "movement":
            return {}
        names = [name for name in self.folds[0].beside if all(name in f.beside for f in self.folds)]
        others = {name: [one for f in self.folds for one in f.beside[name]] for name in names}
        return {RIDGE: self.baseline, **others}

    @cached_property
    def scores(self) -> Any:
        """Scores of the networks, by subject and together: a ``scoring.Scores``."""
        own: Any = self._score(self.predictions)
        others = {name: self._score(found) for name, found in self.beside.items()}
        if not others:
            return own
        return own.beside(self.recipe.network, others, RIVALS, seed=self.recipe.seed)

    @cached_property
    def baseline_scores(self) -> Any:
        """Scores of the baselines, in the same way."""
        return self._score(self.baseline)

    def _score(self, predictions: Sequence[Prediction]) -> Scores:
        task, seed = self.recipe.task, self.recipe.seed
        scores: Scores = score_predictions(
            task, predictions, self.truth, seed=seed, new=not self.recipe.in_time
        )
        return scores

    def as_dict(self) -> dict[str, Any]:
        """Return scores, certificates and versions in plain types."""
        return {
            "recipe": asdict(self.recipe),
            "scores": self.scores.as_dict(self.baseline_scores),
            "baseline": self.baseline_scores.as_dict(),
            "certificates": [fold.certificate.as_dict() for fold in self.folds],
            "notes": {name: list(notes) for name, notes in self.notes.items()},
            "missing_folds": list(self.missing),
            "versions": dict(self.versions),
        }


def _missing_words(results: AllFolds) -> str:
    wanted = len(results.folds) + len(results.missing)
    return (
        f"{len(results.missing)} of {wanted} folds are not finished and are not scored: "
        f"{', '.join(results.missing)}"
    )
