"""Decoders of eight bits, and what that costs; one that costs too much is not saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.decoder import Decoder
from ranvier.int8_cost import Cost, cost_of
from ranvier.onnx_int8 import Fed, Listening, quantised
from ranvier.onnx_runtime import OnnxStage, Written
from ranvier.recording import Array, Recording
from ranvier.splits import LAST_PART, PARTS, cut_by_protocol, cut_in_time, person
from ranvier.streaming import Pipeline
from ranvier.tasks import make_task


@dataclass(frozen=True)
class Plan:
    """How a network is quantised.

    Parameters
    ----------
    method
        A key of ``onnx_int8.METHODS``.
    parts
        Beginnings of the names of the weights that this is done to; empty for all.
    """

    method: str
    parts: tuple[str, ...] = ()


PLANS: Mapping[str, Plan] = {
    "attn_sleep": Plan("static", ("network.views.small.", "network.views.wide.")),
    "inception": Plan("static"),
    "cnn_lstm": Plan("static"),
    "temporal_attention_lstm": Plan("dynamic"),
}
"""Networks that eight bits make faster; what is left out costs little time and much accuracy."""

WINDOWS = 256
"""Calls that ranges are found from."""


@dataclass(frozen=True)
class Quantised:
    """A decoder of eight bits.

    Parameters
    ----------
    decoder
        It computes in eight bits, and its provenance says on what that was tried.
    cost
        What it costs.
    """

    decoder: Decoder
    cost: Cost

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the decoder to one file, ``name.ranvier``.

        Raises
        ------
        ValueError
            If it costs more than the margin; nothing is written then.
        """
        if self.cost.refusals:
            raise ValueError(f"Refused to save: {'; '.join(self.cost.refusals)}")
        return self.decoder.save(path)


def quantise(
    decoder: Decoder,
    recordings: Sequence[Recording],
    *,
    check: Sequence[Recording] = (),
    margin: float = 0.01,
    method: str = "",
    windows: int = WINDOWS,
) -> Quantised:
    """Give a decoder a step of eight bits, and say what that changes.

    Parameters
    ----------
    decoder
        What is quantised; its own step stays in the file beside that of eight bits.
    recordings
        It was trained on; ranges are found on them. Recordings in time are cut as in training.
    check
        Recordings that both are compared on; by default those of ``recordings`` that the decoder
        was chosen on, which then are not calibrated on.
    margin
        Agreement that may be missing, and what each score may lose.
    method
        ``"static"`` or ``"dynamic"``; empty for the one that makes the network faster.
    windows
        Most calls that ranges are found from, spread evenly.

    Raises
    ------
    ValueError
        If the network gets hardly faster and no method is given, a recording is of a subject of the
        test part, nothing is left to calibrate on or to compare, a weight is not finite, or an
        option is out of range; or if torch is not installed, which makes the graph anew.
    """
    if not 0 <= margin < 1 or windows < 1:
        raise ValueError(
            f"Invalid margin or windows: {margin} and {windows}, must be from 0 to below 1, and "
            "at least 1"
        )
    plan = _plan_for(decoder.network, method)
    _refuse_broken(decoder.weights)
    calibration, held_out = _chosen(decoder, recordings, check)
    plain = replace(decoder, engine="onnx", eight_bits=None)
    seen = _seen(plain, calibration, windows) if plan.method == "static" else []
    content = quantised(plain.exported(), plan.method, seen, parts=plan.parts)
    written = Written(decoder._fingerprint, content)
    small = replace(decoder, engine="int8", eight_bits=written)
    pairs = [(plain.predict(one), small.predict(one)) for one in held_out]
    names = tuple(one.name for one in calibration) if seen else ()
    sizes = len(plain.onnx()), len(content)
    cost = cost_of(
        decoder,
        held_out,
        pairs,
        method=plan.method,
        calibrated_on=names,
        windows=len(seen),
        sizes=sizes,
        margin=margin,
    )
    about = {**decoder.provenance, "quantised": cost.as_dict()}
    return Quantised(replace(small, engine="auto", provenance=about), cost)


def _plan_for(network: str, method: str) -> Plan:
    if method and method != PLANS.get(network, Plan("")).method:
        return Plan(method)
    if network not in PLANS:
        raise ValueError(
            f"Invalid network: {network!r} gets hardly faster in INT8, networks that do are "
            f"{', '.join(PLANS)}; with --method static or dynamic it is quantised all the same"
        )
    return PLANS[network]


def _refuse_broken(weights: Mapping[str, Array]) -> None:
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise ValueError(f"Invalid weights: {name} has one that is not finite")


def _chosen(
    decoder: Decoder, recordings: Sequence[Recording], check: Sequence[Recording]
) -> tuple[list[Recording], list[Recording]]:
    """Return what is calibrated on and what is compared on."""
    fold = decoder.provenance.get("certificate", {}).get("fold", {})
    task = make_task(decoder.task)
    parts, checked = (
        [task.begin(one) for one in _cut(given, fold)] for given in (recordings, check)
    )
    tested = [one for one in parts if _part(one, fold) == "test"]
    if tested and not fold.get("in_time"):
        raise ValueError(
            f"Invalid data: {tested[0].name} is of subject {tested[0].subject!r}, who is in the "
            "test part of the decoder, must not be calibrated on"
        )
    wanted = {"train", ""} if not check else {"train", "validation", ""}
    calibration = [one for one in parts if _part(one, fold) in wanted]
    held_out = checked if check else [one for one in parts if _part(one, fold) == "validation"]
    if fold.get("in_time"):
        held_out = [one for one in held_out if _part(one, fold) != "train"]
    known = {(one.name, one.subject) for one in calibration}
    held_out = [one for one in held_out if (one.name, one.subject) not in known]
    _refuse_nothing(calibration, held_out)
    return calibration, held_out


def _refuse_nothing(calibration: Sequence[Recording], held_out: Sequence[Recording]) -> None:
    if not calibration:
        raise ValueError("Invalid data: no recording to calibrate on, must be at least 1")
    if not held_out:
        raise ValueError(
            "Missing check: none of the recordings is of the part that the decoder was chosen on, "
            "must be recordings to compare on that are not calibrated on"
        )


def _cut(recordings: Sequence[Recording], fold: Mapping[str, Any]) -> list[Recording]:
    """Cut recordings in time as they were for the decoder, if they were."""
    if not fold.get("in_time"):
        return list(recordings)
    if not fold["test"]:
        return cut_in_time(recordings, LAST_PART)
    protocol = fold["protocol"] or "time"
    blocks = sum(len(fold[part]) for part in PARTS) if protocol == "blocked" else 0
    return cut_by_protocol(recordings, protocol, blocks=blocks)


def _part(recording: Recording, fold: Mapping[str, Any]) -> str:
    """Return the part that a recording's person is in; empty for others.

    Decoders of earlier versions know parts in time by their names alone.
    """
    own = {person(recording.subject or recording.name)}
    own |= {recording.name} if fold.get("in_time") else set()
    return next((part for part in PARTS if own & set(map(person, fold.get(part, ())))), "")


def _seen(decoder: Decoder, recordings: Sequence[Recording], windows: int) -> list[Fed]:
    """Return what goes into the network on recordings, evenly spread."""
    pipelines = [decoder.bind(one.layout).pipeline for one in recordings]
    every = zip(pipelines, recordings, strict=True)
    total = sum(pipeline.outputs(one.samples) for pipeline, one in every)
    graph = Listening(decoder.onnx(), -(-total // windows) or 1)
    for bound, recording in zip(pipelines, recordings, strict=True):
        *before, network = bound.stages
        pipeline = Pipeline(recording.layout, [*before, OnnxStage(network.layout, graph)])
        state = pipeline.initial_state(1)
        for block in recording.blocks():
            _, state = pipeline.step(block[None], state)
    return graph.kept
