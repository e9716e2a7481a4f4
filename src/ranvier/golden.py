"""The stored input of a decoder and its answer, by which a file is known to answer as it did."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.channels import TEN_TWENTY
from ranvier.recording import COUNT, Array, Layout
from ranvier.streaming import Pipeline

TOLERANCE = 1e-4
"""Of the answer, for processors and engines round differently."""

ROUNDED = 0.05
"""Of the largest answer, where what was rounded differently may fall on another whole number."""


def golden_layout(
    stages: Sequence[Mapping[str, Any]], channels: Sequence[str], rate: float
) -> Layout:
    """Return referential leads where a montage is derived, else what the network was trained on."""
    names = {stage["stage"] for stage in stages}
    if "bin_counts" in names:
        return Layout(tuple(channels), 4 * rate, COUNT)
    rates = [float(stage.get("rate_out", 0.0)) for stage in stages]
    free = names & {"resample", "spectrum"}
    highest = max(256.0, *rates) if free else rate
    return Layout(TEN_TWENTY if "derive_montage" in names else tuple(channels), highest)


def pack_golden(pipeline: Pipeline, warm_up: int) -> bytes:
    """Pack some seconds of noise, more than the network needs to warm up, and the answer."""
    seconds = 8 + warm_up / pipeline.output.rate
    shape = (round(seconds * pipeline.rate), len(pipeline.layout.channels))
    noise = np.random.default_rng(0).normal(0, 300, shape).astype(np.int16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, signal=noise, logits=_answer(pipeline, noise))
    return buffer.getvalue()


def check_golden(pipeline: Pipeline, packed: bytes, *, share: float = 0.0) -> None:
    """Refuse a decoder that answers the stored input otherwise.

    Parameters
    ----------
    pipeline
        From the signal to the logits.
    packed
        By ``pack_golden``.
    share
        Of the largest logit, or of 1 if that is more, that the answer may differ by.

    Raises
    ------
    ValueError
        If the answer differs by more than that and than ``TOLERANCE``, or elsewhere is none.
    """
    with np.load(io.BytesIO(packed), allow_pickle=False) as golden:
        found, expected = _answer(pipeline, golden["signal"]), golden["logits"]
    difference = float(np.nanmax(np.abs(found - expected), initial=0.0))
    largest = max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
    allowed = max(TOLERANCE, share * largest)
    if difference > allowed or not np.array_equal(np.isnan(found), np.isnan(expected)):
        raise ValueError(
            f"its stored input is answered otherwise than when it was saved, the largest "
            f"difference is {difference:.2g}, must be at most {allowed:.2g}"
        )


def _answer(pipeline: Pipeline, noise: Array) -> Array:
    signal = noise[None].astype(np.float32) / 10
    return pipeline.step(signal, pipeline.initial_state(1))[0]
