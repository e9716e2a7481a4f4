"""What eight bits change in what a decoder says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.decisions import TypeRule, none_for_nan
from ranvier.decoder import Decoder
from ranvier.decoding import Prediction, rule_as_dict
from ranvier.recording import Array, Recording
from ranvier.tasks import make_task
from ranvier.tasks.movement import weighted_r2

Pairs = Sequence[tuple[Prediction, Prediction]]
"""What the decoder says of recordings, and what it says in eight bits."""


@dataclass(frozen=True)
class Cost:
    """What eight bits change.

    Parameters
    ----------
    method
        Static or dynamic.
    calibrated_on, windows
        Recordings that ranges were found from, and in how many calls; none where they are found
        anew each time.
    compared_on, outputs
        Recordings that both were compared on, and their valid outputs.
    agreement
        Share of equal stages, or types; of alarms of either that both raise, or of outputs with an
        equal alarm if that is less; for movement R² of the one against the other.
    difference
        Largest of the probabilities or physical values.
    scores
        By name, before and afterwards; none where nothing is annotated.
    sizes
        Bytes of the network's step, before and afterwards.
    margin
        Agreement that may be missing, and what each score may lose.
    """

    method: str
    calibrated_on: tuple[str, ...]
    windows: int
    compared_on: tuple[str, ...]
    outputs: int
    agreement: float
    difference: float
    scores: Mapping[str, tuple[float, float]]
    sizes: tuple[int, int]
    margin: float

    @property
    def refusals(self) -> list[str]:
        """Why it must not be saved, one sentence each; none if it may be."""
        lost = {name: before - after for name, (before, after) in self.scores.items()}
        unlike = f"agreement is {self.agreement:.4f}, must be at least {1 - self.margin:.4f}"
        return [
            *([] if self.agreement >= 1 - self.margin else [unlike]),
            *(
                f"{name} loses {loss:.4f}, must be at most {self.margin:.4f}"
                for name, loss in lost.items()
                if not (loss <= self.margin or np.isnan(self.scores[name][0]))
            ),
        ]

    def lines(self) -> list[str]:
        """Say it in words."""
        before, after = self.sizes
        source = f"ranges from {self.windows} windows of {len(self.calibrated_on)} recordings"
        return [
            f"{self.method}, {source if self.windows else 'ranges found anew in each call'}",
            f"compared on {self.outputs} outputs of {len(self.compared_on)} recordings",
            f"agreement {self.agreement:.4f}, largest difference {self.difference:.3g}",
            *(f"{name} {one:.4f}, {two:.4f} in INT8" for name, (one, two) in self.scores.items()),
            f"step {before / 1e6:.2f} MB, {after / 1e6:.2f} MB in INT8",
            *(f"refused: {why}" for why in self.refusals),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain types."""
        scores = {name: list(map(none_for_nan, both)) for name, both in self.scores.items()}
        return {
            "method": self.method,
            "calibrated_on": list(self.calibrated_on),
            "windows": self.windows,
            "compared_on": list(self.compared_on),
            "outputs": self.outputs,
            "agreement": self.agreement,
            "difference": self.difference,
            "scores": scores,
            "bytes": list(self.sizes),
            "margin": self.margin,
        }


def cost_of(
    decoder: Decoder,
    held_out: Sequence[Recording],
    pairs: Pairs,
    *,
    method: str,
    calibrated_on: tuple[str, ...],
    windows: int,
    sizes: tuple[int, int],
    margin: float,
) -> Cost:
    """Compare what a decoder says of recordings with what it says in eight bits.

    Parameters
    ----------
    decoder
        What was quantised.
    held_out, pairs
        Recordings, and what both say of them.
    method, calibrated_on, windows, sizes, margin
        As of ``Cost``.

    Raises
    ------
    ValueError
        If there is no valid output.
    """
    outputs = sum(int(before.valid.sum()) for before, _ in pairs)
    if not outputs:
        raise ValueError("Nothing to compare: the decoder has no valid output on the recordings")
    gaps = (np.abs(before.values - after.values) for before, after in pairs)
    return Cost(
        method=method,
        calibrated_on=calibrated_on,
        windows=windows,
        compared_on=tuple(one.name for one in held_out),
        outputs=outputs,
        agreement=AGREEMENTS[rule_as_dict(decoder.rule)["kind"]](pairs),
        difference=max(float(np.nanmax(gap, initial=0.0)) for gap in gaps),
        scores=_scores(decoder, held_out, pairs),
        sizes=sizes,
        margin=margin,
    )


def _joined(pairs: Pairs, what: str) -> tuple[Array, Array]:
    before, after = (
        np.concatenate([getattr(one, what) for one in both]) for both in zip(*pairs, strict=True)
    )
    return before, after


def _equal_rows(pairs: Pairs) -> float:
    """Return the share of outputs that both decide equally, of those that either decides."""
    (before, after), (known, known_after) = _joined(pairs, "rows"), _joined(pairs, "valid")
    equal = (before[:, 0] == after[:, 0]) & known & known_after
    return float(equal.sum() / (known | known_after).sum())


def _equal_alarms(pairs: Pairs) -> float:
    """Return the share of alarms of either that both raise, or of equal outputs if that is less."""
    found, shared = 0, 0
    for both in pairs:
        spans = [[(one.onset, one.onset + one.duration) for one in each.events] for each in both]
        for own, others in (spans, spans[::-1]):
            found += len(own)
            shared += sum(any(a < d and c < b for c, d in others) for a, b in own)
    return min(shared / found if found else 1.0, _equal_rows(pairs))


def _equal_movement(pairs: Pairs) -> float:
    """Return R² of what is decoded in eight bits against what is decoded without; 0 with gaps."""
    (before, after), (known, known_after) = _joined(pairs, "values"), _joined(pairs, "valid")
    same = np.array_equal(known, known_after)
    return weighted_r2(before[known], after[known]) if same else 0.0


AGREEMENTS: Mapping[str, Callable[[Pairs], float]] = {
    "stage": _equal_rows,
    "type": _equal_rows,
    "alarm": _equal_alarms,
    "motion": _equal_movement,
}
"""By the kind of the decoder's rule."""


def _scores(
    decoder: Decoder, recordings: Sequence[Recording], pairs: Pairs
) -> dict[str, tuple[float, float]]:
    """Return the task's scores of both on the outputs for which something is annotated."""
    task = make_task(decoder.task)
    truths = [task.truth_of(one) for one in recordings]
    marked = [(pair, truth) for pair, truth in zip(pairs, truths, strict=True) if truth is not None]
    if not marked:
        return {}
    targets = np.concatenate([pair[0].targets(truth) for pair, truth in marked])
    values = _joined([pair for pair, _ in marked], "values")
    known = ~np.isnan(np.column_stack([targets, *values])).any(axis=1)
    if not known.any():
        return {}
    as_logits = np.log if isinstance(decoder.rule, TypeRule) else np.asarray
    before, after = (as_logits(one[known]) for one in values)
    return {
        name: (float(quality(before, targets[known])), float(quality(after, targets[known])))
        for name, quality in task.qualities.items()
    }
