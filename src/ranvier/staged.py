"""Recordings after stages that depend on no fold: signals, or features such as spectra.

They say what they were before, so that nothing that was done is done again, and nothing is taken
for a signal that is none.
"""

from __future__ import annotations

from dataclasses import replace

from ranvier.recording import Recording
from ranvier.stages import build
from ranvier.store import Stages
from ranvier.stored_recording import Origin, origin_of
from ranvier.windows import Windows


class Staged(Windows):
    """Reader of a recording after stages that says what came in and which stages they are."""

    @property
    def origin(self) -> Origin:
        """What the recording was before all stages, those that were done earlier included."""
        earlier = origin_of(self.recording)
        if earlier is None:
            layout, samples = self.recording.layout, self.recording.samples
            return Origin(layout, samples, tuple(self.stages))
        return replace(earlier, stages=(*earlier.stages, *self.stages))


def storable(stages: Stages, recording: Recording) -> Stages:
    """Return the first of some stages: those whose output is worth keeping for all folds.

    Up to the first one that has to be fitted to the training part of a fold. Where features come
    out, up to the last one with memory: later ones cost nothing, and not all that learns from
    features looks behind them.

    Raises
    ------
    ValueError
        If there is none, or they do not fit the recording.
    """
    unfitted = (one.get("stage") == "standardise" and "mean" not in one for one in stages)
    known = stages[: next((place for place, found in enumerate(unfitted) if found), len(stages))]
    whole = build(known, recording.layout)
    nothing, _ = whole.step(recording.reader(0, 0)[None], whole.initial_state(1))
    if nothing.ndim > 3:
        with_memory = (n for n, one in enumerate(whole.stages, 1) if not one.memoryless)
        known = known[: max(with_memory, default=0)]
    if not known:
        raise ValueError(
            "Invalid stages: all are left to training, which fits them or applies them to features "
            "at no cost, must begin with one that is worth keeping"
        )
    return known


def after_stages(recording: Recording, stages: Stages) -> Recording:
    """Return a recording as it is after stages; what is known of it stays known.

    Parameters
    ----------
    recording
        A signal.
    stages
        As for ``stages.build``; none that is fitted to the training part of a fold.

    Returns
    -------
    Recording
        Whose channels are those of the last stage, or its nodes; its reader gives float32,
        (time, channel) or (step, node, feature).

    Raises
    ------
    ValueError
        If the stages do not fit the recording, or one has to be fitted first.
    """
    reader = Staged(recording, stages)
    return replace(recording, layout=reader.pipeline.output, samples=len(reader), reader=reader)
