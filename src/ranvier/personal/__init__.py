"""One patient's own decoder: learnt from the patient's past, tested on what comes after.

A decoder that was trained on others is tuned to the first seizures of a new patient. The last third
of the patient's past is held out; an update that is not better there than the decoder it began with
is refused. docs/personalise.md says what this can see and what it cannot.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ranvier.certificate import Certificate
from ranvier.datasets import opened
from ranvier.decoder import Decoder, weights_hash
from ranvier.decoding import rule_as_dict
from ranvier.fit import fit
from ranvier.fitting import (
    Progressed,
    folder_for,
    prepare_annotated,
    versions,
)
from ranvier.lesson import Lesson, validate
from ranvier.networks import make_network
from ranvier.personal.course import Course, Past
from ranvier.personal.threshold import held_out_f1, with_own_threshold
from ranvier.recipe import Recipe, packaged_recipe
from ranvier.recording import Array
from ranvier.splits import Fold, person
from ranvier.store import Prepared, code_hash
from ranvier.tasks.seizure import SeizureTask
from ranvier.training import Training

if TYPE_CHECKING:
    from ranvier.checkpoint import Progress
    from ranvier.formats import Source

Tune = Literal["choose", "readout", "all"]

UPDATES = {"readout": 10.0, "all": 1.0}
"""What may be tuned, and at which multiple of the learning rate of the network's recipe."""
NAMES = {"readout": "the readout", "all": "all weights"}
PASSES, PATIENCE, BATCH = 40, 12, 4
LEAST_GAIN = 0.01
"""In the area under the ROC of the held-out windows: less may well be chance."""


@dataclass(frozen=True)
class Personalised:
    """What came of personalising.

    Parameters
    ----------
    decoder
        The patient's own; with the weights and the rule of the base where the update was refused.
    base
        The decoder it began with.
    subject
        The patient.
    tuned
        What the update changes, ``"readout"`` or ``"all"`` weights.
    accepted
        Whether the update is in the decoder.
    qualities
        How well the base and each update did on the held-out windows.
    alarms
        Event F1 of the base and of the update on the held-out part, each with its own threshold.
    learnt_until
        Second of the patient's clock, which starts with the first recording, up to which all was
        learnt from or chosen on; only what comes later tests the decoder.
    tested_from
        Name of the first recording with something later, and the second in it; None if there is
        nothing yet.
    notes
        What is assumed or was left out, one sentence each.
    """

    decoder: Decoder
    base: Decoder = field(repr=False)
    subject: str
    tuned: str
    accepted: bool
    qualities: Mapping[str, float]
    alarms: tuple[float, float]
    learnt_until: float
    tested_from: tuple[str, float] | None
    notes: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """What the update adds to the quality on the held-out windows; not above 0 is a loss."""
        return self.qualities[self.tuned] - self.qualities["base"]

    def sentence(self) -> str:
        """Say what was done, why, and from when on it may be tested."""
        before, after = self.qualities["base"], self.qualities[self.tuned]
        found = f"{NAMES[self.tuned]} took the score on held-out windows of {self.subject}"
        done = f"tuning {found} from {before:.3f} to {after:.3f}"
        done += f", and the event F1 there from {self.alarms[0]:.2f} to {self.alarms[1]:.2f}"
        begin = "Personalised:" if self.accepted else "Refused, the decoder stays as it was:"
        place = "nothing came later yet"
        if self.tested_from:
            place = f"{self.tested_from[0]} from second {self.tested_from[1]:.0f} on"
        return f"{begin} {done}. May be tested on what came later: {place}."


def personalise(
    decoder: Decoder,
    recordings: Source,
    *,
    seizures: int = 2,
    tune: Tune = "choose",
    least_gain: float = LEAST_GAIN,
    training: Training | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: Progressed | None = None,
) -> Personalised:
    """Tune a seizure decoder to the first seizures of one patient, or refuse to.

    Parameters
    ----------
    decoder
        Of seizures, trained on other people.
    recordings
        Of one patient, with annotations; or what ``read`` takes.
    seizures
        Everything up to the end of this many is learnt from; nothing later is looked at.
    tune
        ``"readout"``, ``"all"`` weights, or the one of them that does better on the held-out
        windows.
    least_gain
        How much better than the base an update must be on the held-out windows. Its alarms there
        must be no worse either.
    training
        How it is tuned; by default as in the recipe of the network, with few passes, early
        stopping, no decay of weights, and a rate of its own for each update.
    seed
        Of everything that is drawn.
    out
        Where prepared recordings and checkpoints are kept; by default they are not.
    progress
        Told how far it is.

    Raises
    ------
    ValueError
        If the decoder is not of seizures or knows the patient, the recordings cannot be put in
        order, or there are fewer seizures.
    """
    if tune not in {"choose", *UPDATES}:
        raise ValueError(f"Invalid tune: {tune!r}, possible options: {['choose', *UPDATES]}")
    course = Course.of(opened(recordings))
    _refuse_known(decoder, course.subject)
    past = Past.of(course, seizures)
    tried = [tune] if tune in UPDATES else list(UPDATES)
    with folder_for(out) as folder:
        recipe = recipe_of(decoder, seed)
        prepared = prepare_annotated(past.course.recordings, recipe, folder / "prepared", progress)
        tuning = _Tuning(decoder, *past.parts(prepared), training, recipe, folder, progress)
        base, best, *others = tuning.base(), *sorted(map(tuning.tune, tried), key=_from_the_best)
        own = with_own_threshold(replace(decoder, weights=best.weights), past.calm(prepared))
        before, after = (held_out_f1(one, tuning.held_out) for one in (decoder, own))
    accepted = best.quality >= base.quality + least_gain and after >= before
    result = Personalised(
        decoder=own if accepted else decoder,
        base=decoder,
        subject=course.subject,
        tuned=best.update,
        accepted=accepted,
        qualities={one.update: one.quality for one in (base, best, *others)},
        alarms=(before, after),
        learnt_until=past.until,
        tested_from=past.followed_by(course),
        notes=course.notes,
    )
    provenance = _provenance(result, past, best)
    return replace(result, decoder=replace(result.decoder, provenance=provenance))


def _refuse_known(decoder: Decoder, subject: str) -> None:
    if decoder.task != "seizure":
        raise ValueError(f"Invalid decoder: of {decoder.task!r}, must be of 'seizure'")
    before = decoder.provenance.get("personalised", {"accepted": False})
    if before["accepted"]:
        raise ValueError(
            f"Invalid decoder: it was personalised to {before['subject']!r} already, must be the "
            "base that it began with"
        )
    fold = decoder.provenance.get("certificate", {}).get("fold", {})
    known = {person(one) for part in ("train", "validation") for one in fold.get(part, ())}
    if person(subject) in known:
        raise ValueError(
            f"Invalid decoder: it was trained on subject {subject!r}, must be new to the patient; "
            "if this is another person, give another name"
        )


def recipe_of(decoder: Decoder, seed: int) -> Recipe:
    """Return what the decoder is made of, as far as preparing recordings needs it."""
    return Recipe(
        task=decoder.task,
        network=decoder.network,
        network_settings=decoder.network_settings,
        stages=decoder.stages,
        seed=seed,
    )


@dataclass(frozen=True)
class _Tuned:
    """What one update came to; that of the base is called ``"base"``."""

    update: str
    weights: Mapping[str, Array]
    quality: float
    history: Sequence[Mapping[str, float]] = ()
    class_weights: Array | None = None


def _from_the_best(tuned: _Tuned) -> float:
    return -tuned.quality


@dataclass(frozen=True)
class _Tuning:
    """All that the updates of one decoder have in common."""

    decoder: Decoder
    learnt: Sequence[Prepared]
    held_out: Sequence[Prepared]
    training: Training | None
    recipe: Recipe
    folder: Path
    progress: Progressed | None

    def base(self) -> _Tuned:
        network = network_of(self.decoder).eval()
        return _Tuned("base", self.decoder.weights, self._quality(network, self._settings("all")))

    def tune(self, update: str) -> _Tuned:
        network, settings = network_of(self.decoder, update), self._settings(update)
        place = self.folder / update
        place.mkdir(parents=True, exist_ok=True)

        def tell(state: Progress) -> None:
            if self.progress:
                self.progress(f"tuning {NAMES[update]}", state.passes, settings.passes)

        fitted = fit(
            network,
            self.recipe.learnt,
            self.learnt,
            self.held_out,
            settings,
            place,
            about=[self.recipe.network, self.recipe.stages, update],
            seed=self.recipe.seed,
            progress=tell,
        )
        quality = self._quality(network, settings)
        return _Tuned(update, fitted.weights, quality, fitted.history, fitted.class_weights)

    def _settings(self, update: str) -> Training:
        return self.training or gentle(self.decoder.network, update)

    def _quality(self, network: Any, settings: Training) -> float:
        window, hop = network.window, network.hop
        targets = np.concatenate([one.targets(window, hop) for one in self.held_out])
        if not {0.0, 1.0} <= set(targets.tolist()):
            raise ValueError(
                "Invalid seizures: too few, the held-out third of the past must have windows both "
                "in a seizure and outside"
            )
        lesson = Lesson.of(self.recipe.learnt, network, self.learnt, settings)
        return validate(network, lesson, self.held_out, settings.eval_batch)


def gentle(network: str, update: str) -> Training:
    """Return how a network is tuned: its recipe with few passes, stopped early, and no decay."""
    training = packaged_recipe("seizure", network).training
    return replace(
        training,
        passes=PASSES,
        patience=PATIENCE,
        learning_rate=training.learning_rate * UPDATES[update],
        weight_decay=0.0,
        batch=BATCH,
        schedule="constant",
        schedule_settings={},
    )


def network_of(decoder: Decoder, update: str = "all") -> Any:
    """Make the network of a decoder anew, of which an update alone can be learnt.

    What BatchNorm knows of the training patients stays as it is.
    """
    import torch

    network = make_network(decoder.network, decoder.channels, decoder.network_settings)
    weights = {name: torch.as_tensor(np.array(one)) for name, one in decoder.weights.items()}
    network.load_state_dict(weights)
    if update == "readout":
        network.requires_grad_(requires_grad=False)
        network.readout.requires_grad_(requires_grad=True)
    network.register_forward_pre_hook(_hold_statistics)
    return network


def _hold_statistics(network: Any, _: object) -> None:
    from torch.nn.modules.batchnorm import _BatchNorm

    for part in network.modules():
        if isinstance(part, _BatchNorm):
            part.eval()


def _provenance(result: Personalised, past: Past, best: _Tuned) -> dict[str, Any]:
    base, first = result.base, past.course.recordings[0].start
    personalised = {
        "subject": result.subject,
        "accepted": result.accepted,
        "tuned": result.tuned,
        "quality_on_held_out": dict(result.qualities),
        "event_f1_on_held_out": result.alarms,
        "seizures": len(past.course.seizures),
        "recordings": [one.name for one in past.course.recordings],
        "clock_starts": first.isoformat() if first else "",
        "learnt_until_second": result.learnt_until,
        "tested_from": result.tested_from,
        "base_weights_sha256": weights_hash(base.weights),
        "base_rule": rule_as_dict(base.rule),
        "sentence": result.sentence(),
    }
    if not result.accepted:
        return {**base.provenance, "personalised": personalised}
    return {
        "certificate": _certificate(result, best).as_dict(),
        "personalised": personalised,
        "base": dict(base.provenance),
        "history": list(best.history),
        "versions": versions(),
        "code_sha256": code_hash(),
    }


def _certificate(result: Personalised, best: _Tuned) -> Certificate:
    subject = result.subject
    learnt, held_out, later = ((f"{subject} {part}",) for part in ("learnt", "held out", "later"))
    chosen = {
        "weights": "train",
        "best pass": "validation",
        "what is tuned": "validation",
        **SeizureTask().note_on(best.class_weights),
        "alarm threshold": "validation part and background of the train",
    }
    trims = (
        f"personalised to {subject}: all before second {result.learnt_until:.0f} of the patient's "
        "recordings"
    )
    fold = Fold(0, learnt, held_out, later, in_time=True)
    return Certificate(fold, chosen, SeizureTask.scorer, trims)
