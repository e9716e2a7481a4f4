"""The spectrum in C: a transform written for the length of a second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.export.c_constants import Field, number
from ranvier.export.c_part import Part, Place
from ranvier.features import Spectrum

RADICES = (5, 4, 3, 2)
"""Lengths that a pass of the transform can have."""

FLOOR = float(np.log(1e-30))
"""Logarithm of what stands for no amplitude at all."""

OPERATIONS = {2: 16, 3: 30, 4: 40, 5: 76}
"""Floating-point operations of a pass for each group of as many numbers."""


def radices_of(length: int) -> list[int]:
    """Return the passes of a transform, the longest last.

    Raises
    ------
    ValueError
        If the length has a prime factor above 5.
    """
    found, left = [], length
    for radix in RADICES:
        while left % radix == 0:
            found.append(radix)
            left //= radix
    if left > 1:
        raise ValueError(
            f"Invalid rate: a spectrum of {length} samples a second cannot be exported to C, must "
            "be a product of 2, 3 and 5"
        )
    return sorted(found)


def emit_spectrum(stage: Spectrum, place: Place) -> Part:
    """Emit the logarithmic spectra of whole seconds."""
    length, channels = int(stage.rate), place.size
    radices, buffers = radices_of(length), place.storage.buffers
    turns = 2 * np.pi * np.arange(length) / length
    fill = {"length": length, "channels": channels, "features": stage.features}
    code = place.fill(
        "spectrum",
        radices=_radices(place, length, radices),
        buffer=place.fill(f"spectrum_{buffers}", **fill),
        passes="\n".join(_passes(place.part, length, radices)),
        transformed="other" if len(radices) % 2 else "one",
        floor=number(FLOOR, "float"),
        **fill,
    )
    ctype = {"float32": "float", "int16": "int16_t"}[buffers]
    shared = (place.field("int16_t", "power", channels), place.field("float", "left", channels))
    return Part(
        place,
        code,
        "float",
        channels * stage.features,
        needs=("state", "scratch"),
        uses=("bits", "power_of_two", "magnitude", "logarithm", "exponential"),
        constants=(
            place.constant("cosine", "float", np.cos(turns)),
            place.constant("sine", "float", np.sin(turns)),
        ),
        state=(
            place.field(ctype, "samples", channels, length),
            *(shared if buffers == "int16" else ()),
            place.field("uint16_t", "filled"),
            place.field("uint8_t", "spoilt", channels),
        ),
        scratch=tuple(Field("float", name, (2 * length,)) for name in ("one", "other")),
        operations=_operations(length, channels, stage.features, radices) / length,
    )


def _radices(place: Place, length: int, radices: list[int]) -> str:
    passes = [place.fill(f"radix_{one}", length=length) for one in sorted(set(radices))]
    return "\n\n".join([place.fill("turned", length=length), *passes])


def _passes(part: str, length: int, radices: list[int]) -> Iterator[str]:
    left, names = length, ("one", "other")
    for i, radix in enumerate(radices):
        span, apart = left // radix, length // left
        given, to = names[i % 2], names[(i + 1) % 2]
        yield f"        {part}_by_{radix}({span}, {apart}, {given}, {to});"
        left = span


def _operations(length: int, channels: int, features: int, radices: list[int]) -> float:
    transform = sum(OPERATIONS[radix] * length / radix for radix in radices)
    return -(-channels // 2) * transform + channels * (length + 21 * features)
