"""The auditor's probes: each changes something, or looks at something, and names what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranvier.audit.changes import with_gap, with_other_labels, with_other_signal
from ranvier.audit.subject import Fault, Found, Outputs, Run, Split, Trained, Windows
from ranvier.audit.twins import same_person, same_signal
from ranvier.recording import Array, Recording
from ranvier.splits import PARTS

TIGHT = 1e-6
"""Change, as a share of the largest output, up to which outputs are the same."""
GAP = 3.0
"""Seconds of the gap that is made, or hops of the outputs where these are more."""
SWITCHES = 2
"""How often windows in a row may change sides: a test part may lie in the middle."""


def ask_people(recordings: Sequence[Recording], split: Split) -> Found:
    """Ask whether one patient stands under two names."""
    part = {subject: part for part in PARTS for subject in getattr(split, part)}
    name = "one patient under two names"
    known = [
        Fault(name, f"{a!r} in the {part[a]} part and {b!r} in the {part[b]} part are one person")
        for a, b in same_person(list(part))
        if part[a] != part[b]
    ]
    seen = [
        Fault(
            name,
            f"{twin.first.name} of {twin.first.subject!r} and {twin.second.name} of "
            f"{twin.second.subject!r} hold the same signal, shifted by {twin.shift:g} s",
        )
        for twin in same_signal(recordings)
    ]
    return Found((*known, *seen))


def ask_windows(trained: Trained, recordings: Sequence[Recording]) -> Found:
    """Ask whether windows lie within what was recorded, and apart from those that are tested."""
    if not any(trained.windows.values()):
        return Found(unasked="the pipeline does not tell its windows")
    named = {one.name: one for one in recordings}
    told = [one for part in trained.windows.values() for one in part]
    over = next((fault for one in told if (fault := _over(one, named[one.recording]))), None)
    others = [
        (part, one, tested)
        for part in PARTS[:-1]
        for one in trained.windows.get(part, ())
        for tested in trained.windows.get("test", ())
        if one.recording == tested.recording
    ]
    shuffled = next((fault for one in others if (fault := _shuffled(*one))), None)
    return Found(tuple(fault for fault in (over, shuffled) if fault))


def _over(windows: Windows, recording: Recording) -> Fault | None:
    """Find windows that lie over a gap or an end of their recording."""
    half = 0.5 / recording.layout.rate
    if ((windows.starts < -half) | (windows.stops > recording.duration + half)).any():
        text = f"windows of {recording.name} lie over its beginning or end"
        return Fault("window over the end", text)
    missing = np.isnan(recording.read()).all(axis=1)
    count = np.concatenate([[0], np.cumsum(missing)])
    first, last = (
        np.rint(seconds * recording.layout.rate).astype(int)
        for seconds in (windows.starts, windows.stops)
    )
    gaps = count[last] > count[first]
    if gaps.any():
        text = f"{gaps.sum()} of {len(gaps)} windows of {recording.name} lie over a gap"
        return Fault("window over a gap", text)
    return None


def _shuffled(part: str, windows: Windows, tested: Windows) -> Fault | None:
    """Find windows on both sides that share samples, or lie among each other."""
    starts = np.concatenate([windows.starts, tested.starts])
    stops = np.concatenate([windows.stops, tested.stops])
    side = np.repeat([0, 1], [len(windows.starts), len(tested.starts)])
    order = np.argsort(starts, kind="stable")
    starts, stops, side = starts[order], stops[order], side[order]
    latest = np.stack([np.maximum.accumulate(np.where(side == s, stops, -np.inf)) for s in (1, 0)])
    shared = int((latest[side, np.arange(len(side))] > starts + 1e-6).sum())
    switches = int((side[1:] != side[:-1]).sum())
    if not shared and switches <= SWITCHES:
        return None
    how = f"{shared} of them share samples" if shared else f"they change sides {switches} times"
    text = (
        f"windows of {windows.recording} are both in the {part} part and in the test part, and "
        f"{how}"
    )
    return Fault("shuffled windows", text)


def ask_test_part(
    run: Run, before: Trained, recordings: Sequence[Recording], split: Split, *, seed: int = 0
) -> Found:
    """Ask whether anything that is fitted or chosen changes with the signals and labels tested.

    Raises
    ------
    ValueError
        If the pipeline is fitted otherwise each time.
    """
    tested = [one.subject in split.test for one in recordings]
    quiet = [
        with_other_labels(one) if changed else one
        for one, changed in zip(recordings, tested, strict=True)
    ]
    other = [
        with_other_signal(one, seed=seed) if changed else one
        for one, changed in zip(quiet, tested, strict=True)
    ]
    after = run(other, split)
    what = _first_change(before, after)
    if not what:
        return _hidden(before, after, longest_tested(recordings, split))
    if same := _first_change(before, run(recordings, split)):
        raise ValueError(
            f"Invalid pipeline: {same} differs between two runs on the same recordings, must be "
            "the same; draw what is random from a seed"
        )
    by = "labels" if _first_change(before, run(quiet, split)) == what else "signals"
    text = f"with other {by} in the test part, what training gives for {what} is different"
    return Found((Fault(f"{what} from the test part", text),))


def longest_tested(recordings: Sequence[Recording], split: Split) -> Recording:
    """Return the longest recording of the test part.

    Raises
    ------
    ValueError
        If there is none.
    """
    tested = [one for one in recordings if one.subject in split.test]
    if not tested:
        raise ValueError(
            f"Invalid split: none of {len(recordings)} recordings is of the test part, must be at "
            "least 1"
        )
    return max(tested, key=lambda one: one.duration)


def _first_change(before: Trained, after: Trained) -> str:
    """Return the name of the first thing that was fitted otherwise."""
    old, new = before.bits(), after.bits()
    return next((name for name in old | new if old.get(name) != new.get(name)), "")


def _hidden(before: Trained, after: Trained, recording: Recording) -> Found:
    """Ask whether what was not told is fitted: then the same signal is answered otherwise."""
    old, new = before.predict(recording), after.predict(recording)
    where = next((name for name in old if (changes(old[name], new[name]) > TIGHT).any()), "")
    if not where:
        return Found()
    text = f"the {where} of {recording.name} change with the test part, but nothing told does"
    return Found((Fault("something untold from the test part", text),))


def ask_labels(trained: Trained, recording: Recording) -> Found:
    """Ask whether outputs change with the annotations of what is decoded."""
    old, new = trained.predict(recording), trained.predict(with_other_labels(recording))
    where = next((name for name in old if (changes(old[name], new[name]) > TIGHT).any()), "")
    if not where:
        return Found()
    text = f"the {where} of {recording.name} change with its annotations"
    return Found((Fault("labels in the outputs", text),))


def ask_gap(trained: Trained, recording: Recording) -> Found:
    """Ask whether an output that looks over a gap is valid."""
    whole = trained.predict(recording)
    told = {name: one for name, one in whole.items() if one.starts is not None}
    if not told:
        return Found(unasked="the pipeline does not tell since when outputs look at the signal")
    hops = [float(np.median(np.diff(one.times))) for one in told.values() if len(one.times) > 1]
    start, length = 0.55 * recording.duration, GAP * max(1.0, *hops)
    heard = hops and all(one.valid.any() for one in told.values())
    if start + length > recording.duration or not heard:
        return Found(unasked=f"{recording.name} is too short for a gap of {length:g} s")
    try:
        found = trained.predict(with_gap(recording, start, start + length))
    except ValueError:
        return Found(unasked="the pipeline refuses a recording with a gap")
    for name in told:
        if over := _valid_over(found[name], start, start + length, 0.5 / recording.layout.rate):
            text = f"{over} valid {name} look over a gap of {length:g} s in {recording.name}"
            return Found((Fault("window over a gap", text),))
    return Found()


def _valid_over(outputs: Outputs, start: float, stop: float, least: float) -> int:
    starts = outputs.times if outputs.starts is None else outputs.starts
    over = (starts < stop - least) & (outputs.times > start + least)
    return int((over & outputs.valid).sum())


def changes(before: Outputs, after: Outputs) -> Array:
    """Return how much each output of ``before`` changed, as a share of the largest.

    An output that is gone, or became valid or not valid, has changed without limit.
    """
    sizes = np.full(len(before.times), np.inf)
    _, old, new = np.intersect1d(
        np.round(before.times, 6), np.round(after.times, 6), return_indices=True
    )
    a, b = (
        np.asarray(one.values, dtype=float).reshape(len(one.times), -1) for one in (before, after)
    )
    largest = float(np.nanmax(np.abs(a), initial=0.0)) or 1.0
    difference = np.abs(np.nan_to_num(a[old]) - np.nan_to_num(b[new])).max(axis=1, initial=0.0)
    alike = (np.isnan(a[old]) == np.isnan(b[new])).all(axis=1)
    sizes[old] = np.where(alike, difference / largest, np.inf)
    return sizes
