"""The auditor's look at the future: changes what comes later, and names what changes before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ranvier.audit.changes import with_other_future
from ranvier.audit.probes import TIGHT, changes
from ranvier.audit.subject import Fault, Found, Outputs, Trained
from ranvier.recording import Array, Recording

CUTS = (0.307, 0.553, 0.811)
"""Shares of the recording after which the signal is changed: from the next output on."""
FINE = 16
"""Cuts from one output to the next, to tell how far ahead one that looks ahead looks."""
FAINT = 1e-10
"""Change, as a share of the largest output, up to which a look-ahead that fades is followed."""
END, FADED = 0.85, 1e-3
"""Share of a look-ahead behind which it ends, and of its largest change there if it has faded."""


class Early(NamedTuple):
    """Outputs that were known before the signal was changed."""

    leads: Array
    """Seconds from each output to the change, (output,), the first output first."""
    sizes: Array
    """How much each of them changed."""
    after: float
    """The largest change of what came later."""

    @property
    def changed(self) -> Array:
        """Whether each of them changed."""
        return np.asarray(self.sizes > TIGHT)


def ask_future(trained: Trained, recording: Recording, *, seed: int = 0) -> Found:
    """Ask whether an output changes with what comes later, and how far it looks ahead.

    Where none does, it is also asked whether one changes when nothing comes later.

    Parameters
    ----------
    trained
        What is asked.
    recording
        Is changed from some samples on, to its end, and ended there.
    seed
        Of what is put there.
    """
    before = trained.predict(recording)
    cuts = _cuts(recording, before)
    other = partial(with_other_future, recording, seed=seed)
    seen = _look(trained, recording, before, cuts, other)
    if not (where := _first_changed(seen)):
        told = [early for of_one in seen.values() for early in of_one]
        heard = any(len(e.leads) for e in told) and any(e.after > TIGHT for e in told)
        if not heard:
            return Found(unasked=f"no output changes with {recording.name}")
        return _ask_length(trained, recording, before, cuts)
    if (fault := _far(where, seen[where])) is None:
        hop = float(np.median(np.diff(before[where].times)))
        step = max(1.0, hop * recording.layout.rate / FINE)
        finer = [cut + round(i * step) for cut in cuts for i in range(1, FINE)]
        near = _look(trained, recording, before, finer, other)[where]
        fault = _near(where, [*seen[where], *near])
    return Found((fault,))


def _cuts(recording: Recording, before: Mapping[str, Outputs]) -> list[int]:
    """Return samples that no output needs that is known by then: a single one ahead is seen."""
    rarest = min(before.values(), key=lambda one: len(one.times)).times
    wanted = np.searchsorted(rarest, np.array(CUTS) * recording.duration)
    known = rarest[np.minimum(wanted, len(rarest) - 1)] if len(rarest) else np.array(CUTS[:0])
    return np.ceil(known * recording.layout.rate - 1e-3).astype(int).tolist()  # type: ignore[no-any-return]


def _look(
    trained: Trained,
    recording: Recording,
    before: Mapping[str, Outputs],
    cuts: Sequence[int],
    other: Callable[[int], Recording],
) -> dict[str, list[Early]]:
    """Change what comes from each of these samples on, and see what changes of what was before."""
    seen: dict[str, list[Early]] = {name: [] for name in before}
    for cut in cuts:
        after = trained.predict(other(cut))
        second = cut / recording.layout.rate
        for name, old in before.items():
            sizes = changes(old, after[name])
            early = (old.times <= second + 1e-6) & (old.valid | (sizes > 0))
            late = sizes[old.times > second + 1e-6]
            leads = second - old.times[early]
            seen[name].append(Early(leads, sizes[early], float(late.max(initial=0.0))))
    return seen


def _first_changed(seen: Mapping[str, Sequence[Early]]) -> str:
    return next((name for name, own in seen.items() if any(e.changed.any() for e in own)), "")


def _ask_length(
    trained: Trained, recording: Recording, before: Mapping[str, Outputs], cuts: Sequence[int]
) -> Found:
    """End the recording at each cut that leaves enough, and ask whether an output changes."""
    rate, asked = recording.layout.rate, False
    for cut in cuts:
        try:
            seen = _look(trained, recording, before, [cut], lambda cut: recording.until(cut / rate))
        except ValueError:
            continue
        asked = True
        if where := _first_changed(seen):
            text = f"the {where} change with how long the recording is"
            return Found((Fault("length of the recording", text),))
    return Found(unasked="" if asked else "the pipeline refuses a shorter recording")


def _far(where: str, seen: Sequence[Early]) -> Fault | None:
    """Name what reaches back to the beginning; None where only what is near looks ahead."""
    last = next(early for early in reversed(seen) if early.changed.any())
    places = np.flatnonzero(last.changed)
    if last.leads[places[0]] <= 0.5 * last.leads[0]:
        return None
    if places[-1] < 0.5 * len(last.leads):
        text = f"the end of the recording changes the {where} at its beginning alone"
        return Fault("wrap-around index", text, float(last.leads[places[0]]))
    text = f"the {where} change from the beginning on with what comes at the end of the recording"
    return Fault("whole-recording scaling", text, float(last.leads[places[0]]))


def _near(where: str, seen: Sequence[Early]) -> Fault:
    leads, sizes = (np.concatenate([getattr(e, name) for e in seen]) for name in ("leads", "sizes"))
    reach, faint = (float(leads[sizes > least].max()) for least in (TIGHT, FAINT))
    end = sizes[(leads >= END * faint) & (leads <= faint)].max()
    if end < FADED * sizes.max():
        text = f"the {where} look {reach:.2g} s ahead, the farther the less"
        return Fault("zero-phase filter", text, reach)
    return Fault("centred smoothing", f"the {where} look {reach:.2g} s ahead, no farther", reach)
