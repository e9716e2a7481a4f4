"""The stages of a pipeline in C."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np

from ranvier.export.c_part import Part, Place
from ranvier.export.c_spectrum import emit_spectrum
from ranvier.features import ScalePerStep, Spectrum, Standardise
from ranvier.recording import Array
from ranvier.recursion import GROUP
from ranvier.signal import DeriveMontage, Filter, MarkFlat, Pick, Resample
from ranvier.streaming import LARGEST, Stage

MOST = f"{LARGEST:g}f"
"""The largest sample, as a number in C."""


def emit_mark_flat(stage: MarkFlat, place: Place) -> Part:
    """Emit the counting of how long each lead has not changed."""
    samples = max(1, round(stage.seconds * stage.rate))
    count = "uint16_t" if samples < 2**16 else "uint32_t"
    return Part(
        place,
        place.fill("mark_flat", samples=samples, channels=place.size),
        place.taken,
        place.size,
        needs=("state",),
        state=(
            place.field(place.taken, "last", place.size),
            place.field(count, "since", place.size),
        ),
        start=_all_nan(place, "last"),
    )


def _all_nan(place: Place, name: str) -> str:
    every = f"    for (int c = 0; c < {place.size}; c++)\n"
    return f"{every}        state->{place.part}_{name}[c] = NAN;\n"


def emit_pick(stage: Pick, place: Place) -> Part:
    """Emit the choice of channels."""
    return Part(
        place,
        place.fill("pick", channels=len(stage.channels)),
        place.taken,
        len(stage.channels),
        constants=(place.constant("place", "uint16_t", stage.places),),
    )


def emit_derive_montage(stage: DeriveMontage, place: Place) -> Part:
    """Emit the sums of leads that the layout allows."""
    derivations = stage.coverage.derivations
    terms = [term for derivation in derivations for term in derivation.terms]
    begins = list(accumulate((len(one.terms) for one in derivations), initial=0))
    leads, signs = zip(*terms, strict=True)
    return Part(
        place,
        place.fill("derive_montage", channels=len(derivations)),
        place.taken,
        len(derivations),
        constants=(
            place.constant("begin", "uint16_t", begins),
            place.constant("lead", "uint16_t", leads),
            place.constant("sign", "int8_t", signs),
        ),
        operations=len(terms),
    )


def emit_filter(stage: Filter, place: Place) -> Part:
    """Emit the second-order sections."""
    kept = stage.sections[:, [0, 1, 2, 4, 5]]
    offset = f" + state->{place.part}_reference[c]" if stage.gain_at_zero else ""
    sizes = {"channels": place.size, "sections": len(kept), "group": GROUP, "most": MOST}
    code = place.fill("filter", **sizes, offset=offset)
    return Part(
        place,
        code,
        place.wide,
        place.size,
        needs=("state",),
        constants=(
            place.constant("sections", place.wide, kept),
            place.constant("steady", place.wide, stage.recursion.steady),
        ),
        state=(
            place.field(place.wide, "held", len(kept), place.size, 2),
            place.field(place.taken, "reference", place.size),
            place.field(place.taken, "last", place.size),
            place.field("uint16_t", "since"),
        ),
        start=_all_nan(place, "last"),
        in_place=place.taken == place.wide,
        operations=place.size * (1 + 9 * len(kept)),
    )


def emit_resample(stage: Resample, place: Place) -> Part:
    """Emit the polyphase low-pass; each phase has its own row of taps."""
    up, down = stage.ratio.as_integer_ratio()
    history = -(-len(stage.taps) // up)
    phases = np.zeros((history, up))
    phases.flat[: len(stage.taps)] = stage.taps
    full = len(stage.taps) - (history - 1) * up
    sizes = {"up": up, "down": down, "taps": history, "full": full, "kept": history + 1}
    return Part(
        place,
        place.fill("resample", channels=place.size, **sizes),
        place.wide,
        place.size,
        needs=("state",),
        constants=(place.constant("taps", "float", _in_float32(phases.T)),),
        state=(
            place.field(place.taken, "samples", history + 1, place.size),
            place.field("int32_t", "lag"),
            place.field("uint16_t", "newest"),
            place.field("uint8_t", "begun"),
        ),
        operations=2 * place.size * history * up / down,
    )


def _in_float32(phases: Array) -> Array:
    """Round taps so that each phase passes a constant as before; else an offset becomes a tone."""
    rounded = phases.astype(np.float32).astype(float)
    least = np.where(rounded == 0, np.inf, np.abs(rounded)).argmin(axis=1)
    rounded[np.arange(len(rounded)), least] += (phases - rounded).sum(axis=1)
    return rounded


def emit_scale_per_step(stage: ScalePerStep, place: Place) -> Part:
    """Emit the scaling of each node's features."""
    nodes = len(stage.layout.channels)
    features = place.size // nodes
    sizes = {"nodes": nodes, "features": features, "degrees": max(1, features - 1)}
    return Part(
        place,
        place.fill("scale_per_step", **sizes),
        "float",
        place.size,
        uses=("bits", "root", "dot", "total"),
        in_place=True,
        operations=5 * place.size,
    )


def emit_standardise(stage: Standardise, place: Place) -> Part:
    """Emit the scaling by means and deviations of the training recordings."""
    channels = len(stage.layout.channels)
    shape = (channels, place.size // channels) if place.size > channels else (channels,)
    deviation = np.asarray(stage.deviation, dtype=float)
    gain = 1 / np.where(deviation == 0, 1.0, deviation)
    tables = (("mean", np.asarray(stage.mean, dtype=float)), ("gain", gain))
    return Part(
        place,
        place.fill("standardise", size=place.size),
        "float",
        place.size,
        constants=tuple(
            place.constant(name, "float", np.broadcast_to(values, shape)) for name, values in tables
        ),
        in_place=place.taken == "float",
        operations=2 * place.size,
    )


EMITTERS: dict[type[Stage], Callable[[Any, Place], Part]] = {
    MarkFlat: emit_mark_flat,
    Pick: emit_pick,
    DeriveMontage: emit_derive_montage,
    Filter: emit_filter,
    Resample: emit_resample,
    Spectrum: emit_spectrum,
    ScalePerStep: emit_scale_per_step,
    Standardise: emit_standardise,
}
"""What emits each stage."""
