"""Short clips of recordings, as papers train and test on them: wholly in a seizure, or in none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from ranvier.recording import Array
from ranvier.store import Prepared
from ranvier.tasks.seizure import SeizureTask
from ranvier.truth import Events

ROUNDING = 1e-9


@dataclass(frozen=True)
class Clip(Prepared):
    """A piece of a prepared recording that is learnt from and tested on by itself.

    Parameters
    ----------
    signal
        What lies on disk of it, (step, channel) or (step, node, feature), in memory.
    event
        Which seizure it lies in; empty for background.
    """

    signal: Array = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)
    event: str = ""

    @property
    def stored(self) -> Array:
        """What lies on disk of it."""
        return self.signal

    @property
    def seizure(self) -> bool:
        """Whether it lies in a seizure."""
        return bool(self.event)

    def targets_at(self, times: Array, hop: int) -> Array:  # noqa: ARG002
        """Return its class, whatever the time."""
        return np.full(len(times), float(self.seizure))

    @classmethod
    def of(cls, whole: Prepared, begin: int, steps: int, event: str) -> Clip:
        """Cut a clip out of a recording; its times stay those of the recording."""
        kept = {one.name: getattr(whole, one.name) for one in fields(Prepared)}
        kept["name"] = f"{whole.name}_clip-{begin // steps:05}"
        kept["first"] = whole.first + whole.hop * begin
        return cls(**kept, signal=np.array(whole.stored[begin : begin + steps]), event=event)


class ClipTask(SeizureTask):
    """Seizure detection in clips, each of which is one stretch."""

    aligned = True


def cut_clips(
    recordings: Sequence[Prepared], steps: int, *, background: float = 1.0, seed: int = 0
) -> list[Clip]:
    """Cut recordings into clips that do not overlap; what the border of a seizure cuts is left out.

    Parameters
    ----------
    recordings
        With events.
    steps
        Length of a clip.
    background
        Clips without a seizure for each one with, drawn from all there are.
    seed
        Of the drawing.

    Returns
    -------
    list of Clip
        In the order of the recordings and of time.

    Raises
    ------
    ValueError
        If no clip lies in a seizure, or none outside.
    """
    found = [(one, *place) for one in recordings for place in _places(one, steps)]
    inside = [number for number, (*_, event) in enumerate(found) if event]
    outside = [number for number, (*_, event) in enumerate(found) if not event]
    wanted = min(len(outside), round(background * len(inside)))
    if not wanted:
        raise ValueError(
            f"Nothing to learn: {len(inside)} clips of {steps} steps lie in a seizure and "
            f"{len(outside)} in none, must be at least 1 of each"
        )
    drawn = np.random.default_rng(seed).choice(outside, wanted, replace=False).tolist()
    chosen = (found[number] for number in sorted(inside + drawn))
    return [Clip.of(whole, begin, steps, event) for whole, begin, event in chosen]


def _places(whole: Prepared, steps: int) -> Iterator[tuple[int, str]]:
    """Yield the first step of each clip, and the seizure it lies in."""
    count = len(whole) // steps
    if not (count and isinstance(whole.truth, Events)):
        return
    edges = whole.first + whole.hop * (steps * np.arange(count + 1) - 1)
    seizures = whole.truth.seizures()
    onsets = np.array([event.onset for event in seizures])
    for number, share in enumerate(seizures.share(edges).tolist()):
        if share < ROUNDING:
            yield number * steps, ""
        elif share > 1 - ROUNDING:
            last = int(np.searchsorted(onsets, edges[number] + whole.hop / 2, side="right"))
            yield number * steps, f"{whole.name} seizure {last}"
