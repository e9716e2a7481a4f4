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
"""Of the largest answer, or of 1 if that is more, for processors and engines round differently."""

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
    """Pack some seconds of noise, more than stages and network need to warm up, and the answer.

    Raises
    ------
    ValueError
        If no output is valid: such an answer would prove nothing.
    """
    seconds = 8 + pipeline.settling + warm_up / pipeline.output.rate
    shape = (round(seconds * pipeline.rate), len(pipeline.layout.channels))
    noise = np.random.default_rng(0).normal(0, 300, shape).astype(np.int16)
    logits, buffer = _answer(pipeline, noise), io.BytesIO()
    if np.isnan(logits).all():
        raise ValueError(
            f"Invalid decoder: none of {logits.shape[1]} outputs for {seconds:g} s of noise is "
            "valid, must be one or more"
        )
    np.savez_compressed(buffer, signal=noise, logits=logits)
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
        Of the largest logit, or of 1 if that is more, that the answer may differ by, if it is more
        than ``TOLERANCE``.

    Raises
    ------
    ValueError
        If the answer differs by more, or elsewhere is none.
    """
    with np.load(io.BytesIO(packed), allow_pickle=False) as golden:
        found, expected = _answer(pipeline, golden["signal"]), golden["logits"]
    alone = np.count_nonzero(np.isnan(found) != np.isnan(expected))
    if alone:
        raise ValueError(
            f"its stored input is answered otherwise than when it was saved, {alone} of "
            f"{found.size} values are valid in one of the two alone, must be none"
        )
    difference = float(np.nanmax(np.abs(found - expected), initial=0.0))
    largest = max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
    allowed = max(TOLERANCE, share) * largest
    if difference > allowed:
        raise ValueError(
            f"its stored input is answered otherwise than when it was saved, the largest "
            f"difference is {difference:.2g}, must be at most {allowed:.2g}"
        )


def _answer(pipeline: Pipeline, noise: Array) -> Array:
    signal = noise[None].astype(np.float32) / 10
    return pipeline.step(signal, pipeline.initial_state(1))[0]
