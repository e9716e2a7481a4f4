"""What looks wrong in a signal: gain, dead and clipped leads, mains, copies, wrong signs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from ranvier.channels import ANGLES, parse_channel
from ranvier.inspection.findings import Finding, finding
from ranvier.inspection.leads import stored_reference
from ranvier.inspection.samples import Flags, Looked, Values

PLAUSIBLE = (0.5, 2000.0)
"""µV that EEG spreads within a second, scalp to brain; a prefix that slipped is 1000 times off."""
LIKELY = (1.0, 500.0)
"""µV in which a factor must end to be named as the likely one."""
FACTORS = (1e3, 1e6, 1e-3, 1e-6)
BETWEEN_CHANNELS = 100.0
"""Times the median of the leads; blinks and loose electrodes stay below, a prefix does not."""
BETWEEN_FILES = 20.0
"""Times the median of a subject's files. The median over all leads of a file hardly moves: sleep
and seizures change it a few times."""
FLAT = 0.1
"""Share of the pieces of 2 s; a lead that came off for a tenth of the time is worth a word."""
STUCK, RUNS = 0.001, 5
"""Share of samples and number of runs at a limit, from which on a lead is clipped: one crest of a
slow wave is one run, and an amplifier at its limit is there again and again."""
MAINS = 0.5
"""Share of the power above 1 Hz: more hum than brain."""
ALIKE = 1e-5
"""Share of their power by which two channels may differ: rounding to 16 bits is less, neighbours
on the scalp and even electrodes bridged by gel differ by more."""
NOT_VALID = 0.001
"""Share of samples; rounding at the end of a file is less."""
SMALLEST = 1e-9
"""µV; what spreads less is divided by this."""
CLOSED, OPEN = 0.01, 0.1
"""Share of the power of a loop that is left when it is closed, and when it is not."""
LOOPS = {
    "left": "Fp1-F3 F3-C3 C3-P3 P3-O1 Fp1-F7 F7-T3 T3-T5 T5-O1".split(),
    "right": "Fp2-F4 F4-C4 C4-P4 P4-O2 Fp2-F8 F8-T4 T4-T6 T6-O2".split(),
}
"""Derivations of which the first four sum to the same as the last four."""


def check_signal(looked: Looked, where: str) -> Iterator[Finding]:
    """Yield what looks wrong in one recording; of its electrodes, where it has any."""
    watched, flat = _watched(looked), looked.flat >= FLAT
    gaps = any("gaps between records" in note for note in looked.recording.notes)
    if looked.not_valid > NOT_VALID and not gaps:
        sentence = f"{looked.not_valid:.1%} of the samples that were looked at are not valid"
        yield finding("not_valid", where, sentence)
    yield from _flat(looked, watched & flat, where)
    alive = watched & ~flat
    if alive.any():
        for check in (_gain, _clipped, _mains, _copies, _turned):
            yield from check(looked, alive, where)


def _watched(looked: Looked) -> Flags:
    """Return which channels matter: electrodes of the scalp, or all where there is none."""
    parsed = [parse_channel(label) for label in looked.recording.layout.channels]
    electrodes = np.array([one is not None for one in parsed])
    return electrodes if electrodes.any() else ~electrodes


def _names(looked: Looked, chosen: Flags) -> str:
    return ", ".join(np.array(looked.recording.layout.channels, dtype=object)[chosen])


def _flat(looked: Looked, dead: Flags, where: str) -> Iterator[Finding]:
    reference = stored_reference(looked)
    if reference is not None:
        dead = dead & ~looked.zero
    if dead.any():
        low, high = looked.flat[dead].min(), looked.flat[dead].max()
        how = "ever" if low == 1 else f"for {low:.0%} to {high:.0%} of the time"
        yield finding("flat", where, f"channels do not change {how}: {_names(looked, dead)}")


def typical_spread(looked: Looked) -> float:
    """Return the median spread over the electrodes that are alive, 0 where none is."""
    alive = _watched(looked) & (looked.flat < FLAT)
    return float(np.median(looked.spread[alive])) if alive.any() else 0.0


def _gain(looked: Looked, alive: Flags, where: str) -> Iterator[Finding]:
    spread, (low, high) = typical_spread(looked), PLAUSIBLE
    if not low <= spread <= high:
        size = "small" if spread < low else "large"
        sentence = f"values spread by {spread:.2g} µV within a second, too {size} for EEG"
        yield finding("gain", where, sentence + _likely(spread))
    ratios = looked.spread / max(spread, SMALLEST)
    off = alive & ((ratios > BETWEEN_CHANNELS) | (ratios < 1 / BETWEEN_CHANNELS))
    if off.any():
        sentence = f"channels spread {_times(ratios[off])} the median of the leads: "
        yield finding("gain_between_channels", where, sentence + _names(looked, off))


def _likely(spread: float) -> str:
    fitting = [one for one in FACTORS if LIKELY[0] <= spread * one <= LIKELY[1]]
    return f"; {fitting[0]:g} times that would be plausible, check the unit" if fitting else ""


def _times(ratios: Values) -> str:
    low, high = ratios.min(), ratios.max()
    return f"{low:.2g} times" if low == high else f"{low:.2g} to {high:.2g} times"


def _clipped(looked: Looked, alive: Flags, where: str) -> Iterator[Finding]:
    clipped = alive & (looked.stuck >= STUCK) & (looked.runs >= RUNS)
    if clipped.any():
        share = looked.stuck[clipped].max()
        sentence = f"channels stay at their limits for up to {share:.1%} of the samples: "
        yield finding("clipped", where, sentence + _names(looked, clipped))


def _mains(looked: Looked, alive: Flags, where: str) -> Iterator[Finding]:
    for hertz, shares in looked.mains.items():
        humming = alive & (np.nan_to_num(shares) > MAINS)
        if humming.any():
            sentence = f"more than half of the power is {hertz:g} Hz mains: "
            yield finding("mains", where, sentence + _names(looked, humming))


def _copies(looked: Looked, alive: Flags, where: str) -> Iterator[Finding]:
    power, labels = np.diag(looked.products), looked.recording.layout.channels
    left = power[:, None] + power - 2 * looked.products
    same = [
        f"{labels[a]} and {labels[b]}"
        for a, b in combinations(np.flatnonzero(alive).tolist(), 2)
        if left[a, b] <= ALIKE * min(power[a], power[b])
    ]
    if same:
        yield finding(
            "duplicate_channel", where, f"channels hold the same signal: {', '.join(same)}"
        )


def _turned(looked: Looked, alive: Flags, where: str) -> Iterator[Finding]:
    """Yield derivations that close their loop only when their sign is turned."""
    places: dict[str, int] = {}
    for place, label in enumerate(looked.recording.layout.channels):
        channel = parse_channel(label)
        if channel and channel.reference in ANGLES and alive[place]:
            places.setdefault(channel.name, place)
    for names in LOOPS.values():
        if all(name in places for name in names):
            turned = _closing(looked.products, [places[name] for name in names])
            for one in turned:
                label = looked.recording.layout.channels[one]
                sentence = f"{label} is upside down: only turned does it fit the derivations around"
                yield finding("polarity", where, sentence)


def _closing(products: Values, places: Sequence[int]) -> list[int]:
    """Return the one channel whose turning closes the loop, or nothing."""
    inside = products[np.ix_(places, places)]
    signs = np.repeat([1.0, -1.0], len(places) // 2)
    power = max(float(np.trace(inside)), 1e-30)
    if signs @ inside @ signs <= OPEN * power:
        return []
    turned = [np.where(np.arange(len(places)) == one, -signs, signs) for one in range(len(places))]
    left = [float(one @ inside @ one) / power for one in turned]
    closing = [place for place, rest in zip(places, left, strict=True) if rest < CLOSED]
    return closing if len(closing) == 1 else []


def check_gains(looked: Mapping[str, Looked], known: set[str]) -> Iterator[Finding]:
    """Yield files whose gain differs from that of the subject's others, unless known as wrong."""
    subjects: dict[str, dict[str, float]] = {}
    for where, one in looked.items():
        if where not in known and (spread := typical_spread(one)) > 0:
            subjects.setdefault(one.recording.subject, {})[where] = spread
    for subject, spreads in subjects.items():
        usual = float(np.median(list(spreads.values())))
        low, high = min(spreads.values()), max(spreads.values())
        for where, spread in spreads.items():
            differs = high / low > BETWEEN_FILES if len(spreads) == 2 else False
            if differs and spread == high:
                sentence = f"values spread {high / low:.2g} times those of the other file"
            elif not differs and max(spread / usual, usual / spread) > BETWEEN_FILES:
                sentence = f"values spread {spread / usual:.2g} times the median of the files"
            else:
                continue
            yield finding("gain_between_files", where, f"{sentence} of subject {subject}")
