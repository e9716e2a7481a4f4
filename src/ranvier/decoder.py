"""The saved unit: stages, network, decisions and where they came from, in one file."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.channels import TEN_TWENTY
from ranvier.decisions import AlarmRule, Rule, make_decision
from ranvier.decoding import Chain, Prediction, collect, rule_as_dict, rule_from
from ranvier.formats.hed_score import replacing
from ranvier.networks import make_network
from ranvier.recording import COUNT, Array, Layout, Recording
from ranvier.runtime import NetworkStage
from ranvier.stages import build, coverages
from ranvier.store import Prepared, first_output
from ranvier.streaming import Pipeline, check_layout
from ranvier.tasks import make_task
from ranvier.truth import Truth

FORMAT = 2
"""Version of the decoder file that this version of Ranvier writes and reads."""

LARGEST = 2**30
"""Bytes that a decoder file may unpack to."""


@dataclass(frozen=True)
class Decoder:
    """Everything that is needed to decode, and where it came from.

    Parameters
    ----------
    task
        ``"seizure"``, ``"sleep"`` or ``"movement"``.
    stages
        Settings of the stages, as for ``stages.build``.
    channels, rate
        Channels or nodes of the network and steps per second; the stages must give these.
    network, network_settings
        Name and keywords, as for ``networks.make_network``.
    weights
        By name.
    rule
        How the outputs become a decision.
    provenance
        Training data, split and certificate, scores, versions, in plain types.
    """

    task: str
    stages: tuple[Mapping[str, Any], ...]
    channels: tuple[str, ...]
    rate: float
    network: str
    network_settings: Mapping[str, Any]
    weights: Mapping[str, Array] = field(repr=False)
    rule: Rule = field(default_factory=AlarmRule)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def _module(self) -> Any:
        """The network with its weights."""
        import torch

        module = make_network(self.network, self.channels, self.network_settings)
        weights = {name: torch.as_tensor(np.array(w)) for name, w in self.weights.items()}
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"Invalid weights for network {self.network!r}: {reason}") from None
        return module

    def bind(self, layout: Layout) -> Chain:
        """Make the chain for the layout of a recording or a stream.

        Raises
        ------
        ValueError
            If the layout cannot be decoded: no usable lead, or too low a rate.
        """
        before = build(self.stages, layout)
        check_layout("the decoder", Layout(self.channels, self.rate), before.output)
        stages = [*before.stages, NetworkStage(before.output, self._module)]
        return self._deciding(Pipeline(layout, stages))

    def coverage_notes(self, layout: Layout) -> list[str]:
        """Say which derivations cannot be formed from the channels of a layout."""
        found = coverages(build(self.stages, layout))
        return [note for one in found for note in one.notes()]

    def _deciding(self, pipeline: Pipeline, after: float = 0.0) -> Chain:
        first = after + first_output(pipeline)
        return Chain(pipeline, make_decision(self.rule, pipeline.output.rate, first))

    def predict(self, recording: Recording) -> Prediction:
        """Decode a recording, block by block, and keep all that was found out.

        Raises
        ------
        ValueError
            If the recording cannot be decoded.
        """
        try:
            chain = self.bind(recording.layout)
        except ValueError as error:
            raise ValueError(f"{recording.name}: {error}") from None
        state, outputs = chain.initial_state(1), []
        for block in recording.blocks():
            output, state = chain.step(block[None], state)
            outputs.append(output)
        if not outputs:
            outputs = [chain.step(recording.read()[None], state)[0]]
        found = coverages(chain.pipeline)
        return collect(
            outputs,
            recording,
            hop=chain.hop,
            rule=self.rule,
            notes=[*recording.notes, *(note for one in found for note in one.notes())],
            sites=chain.pipeline.output.channels,
            absent=[name for one in found for name in one.missing],
        )

    def predict_prepared(self, prepared: Prepared) -> Prediction:
        """Decode a recording whose features were prepared by the same stages."""
        return self.predict_features(prepared.with_stages(self.stages))

    def predict_features(self, prepared: Prepared) -> Prediction:
        """Decode what the stages have left, whatever they were."""
        nodes = prepared.layout
        pipeline = Pipeline(nodes, [NetworkStage(nodes, self._module)])
        chain = self._deciding(pipeline, prepared.first - prepared.hop)
        state, outputs = chain.initial_state(1), []
        for first in range(0, max(1, len(prepared)), prepared.block):
            features = prepared.features(first, first + prepared.block)
            output, state = chain.step(features[None], state)
            outputs.append(output)
        return collect(
            outputs,
            prepared,
            hop=chain.hop,
            rule=self.rule,
            notes=prepared.notes,
            sites=pipeline.output.channels,
        )

    def decode(self, recording: Recording | str | os.PathLike[str]) -> Truth:
        """Return what is decoded from a recording, or from a file: events, stages or movement.

        Parameters
        ----------
        recording
            A ``Recording``, or the path of one file.
        """
        if not isinstance(recording, Recording):
            from ranvier.formats import read_one

            recording = read_one(recording)
        prediction = self.predict(recording)
        return prediction.events if self.task == "seizure" else prediction.decoded

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the decoder to one file, ``name.ranvier``; it appears whole or not at all."""
        from safetensors.numpy import save

        path = Path(path)
        weights = save({name: np.ascontiguousarray(w) for name, w in self.weights.items()})
        about = self.as_dict()
        parts = {
            "decoder.json": json.dumps({**about, "sha256": _digest(about)}, indent=1).encode(),
            "weights.safetensors": weights,
            "golden.npz": _golden(self),
        }
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
            for name, content in parts.items():
                file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return path

    def as_dict(self) -> dict[str, Any]:
        """Return all but the weights in plain types."""
        return {
            "format": FORMAT,
            "ranvier": version("ranvier"),
            "task": self.task,
            "stages": [dict(stage) for stage in self.stages],
            "channels": list(self.channels),
            "rate": self.rate,
            "network": self.network,
            "network_settings": dict(self.network_settings),
            "rule": rule_as_dict(self.rule),
            "weights_sha256": weights_hash(self.weights),
            "provenance": dict(self.provenance),
        }


def weights_hash(weights: Mapping[str, Array]) -> str:
    """Return a fingerprint of all weights."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def _digest(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _golden(decoder: Decoder) -> bytes:
    """Pack some seconds of noise, more than the network needs to warm up, and the answer."""
    layout = _golden_layout(decoder)
    seconds = 8 + decoder._module.warm_up / decoder.bind(layout).pipeline.output.rate
    shape = (round(seconds * layout.rate), len(layout.channels))
    noise = np.random.default_rng(0).normal(0, 300, shape).astype(np.int16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, signal=noise, logits=_answer(decoder, noise))
    return buffer.getvalue()


def _golden_layout(decoder: Decoder) -> Layout:
    """Referential leads where a montage is derived, else what the network was trained on."""
    names = {stage["stage"] for stage in decoder.stages}
    if "bin_counts" in names:
        return Layout(decoder.channels, 4 * decoder.rate, COUNT)
    rates = [float(stage.get("rate_out", 0.0)) for stage in decoder.stages]
    free = names & {"resample", "spectrum"}
    rate = max(256.0, *rates) if free else decoder.rate
    return Layout(TEN_TWENTY if "derive_montage" in names else decoder.channels, rate)


def _answer(decoder: Decoder, noise: Array) -> Array:
    pipeline = decoder.bind(_golden_layout(decoder)).pipeline
    signal = noise[None].astype(np.float32) / 10
    return pipeline.step(signal, pipeline.initial_state(1))[0]


_BROKEN = (
    OSError,
    zipfile.BadZipFile,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    UnicodeDecodeError,
    RecursionError,
    RuntimeError,
    zlib.error,
)


def load(path: str | os.PathLike[str], *, check: bool = False) -> Decoder:
    """Read a decoder from its file.

    Parameters
    ----------
    path
        A ``.ranvier`` file.
    check
        Run the stored input and compare with the stored answer.

    Raises
    ------
    ValueError
        If the file is not a whole decoder of this version, or its answer is another.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as file:
            if sum(one.file_size for one in file.infolist()) > LARGEST:
                raise ValueError(f"unpacked it has more than {LARGEST} bytes")
            parts = {name: file.read(name) for name in file.namelist()}
        about = json.loads(parts["decoder.json"])
        decoder = _from_parts(about, parts)
        if "golden.npz" not in parts:
            raise KeyError("golden.npz")
        if check:
            _check_golden(decoder, parts["golden.npz"])
    except FileNotFoundError:
        raise ValueError(f"Invalid decoder: {path} does not exist") from None
    except _BROKEN as error:
        raise ValueError(f"Invalid decoder: {path} is not a whole decoder file ({error})") from None
    except ValueError as error:
        raise ValueError(f"Invalid decoder: {path}: {error}") from None
    return decoder


def _from_parts(about: Mapping[str, Any], parts: Mapping[str, bytes]) -> Decoder:
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_weights

    if about.get("format") != FORMAT:
        raise ValueError(
            f"format {about.get('format')!r}, this version of Ranvier reads format {FORMAT}"
        )
    try:
        weights = load_weights(parts["weights.safetensors"])
    except SafetensorError as error:
        raise ValueError(f"the weights cannot be read ({error})") from None
    if weights_hash(weights) != about["weights_sha256"]:
        raise ValueError("the weights are not those that were saved")
    if _digest({name: about[name] for name in about if name != "sha256"}) != about["sha256"]:
        raise ValueError("decoder.json is not as it was saved")
    make_task(about["task"])
    if not (isinstance(about["rate"], float | int) and 0 < about["rate"] < math.inf):
        raise ValueError(f"Invalid rate: {about['rate']!r}, must be finite and above 0")
    return Decoder(
        about["task"],
        tuple(about["stages"]),
        tuple(about["channels"]),
        about["rate"],
        about["network"],
        about["network_settings"],
        weights,
        rule_from(about["rule"]),
        about["provenance"],
    )


def _check_golden(decoder: Decoder, packed: bytes) -> None:
    with np.load(io.BytesIO(packed), allow_pickle=False) as golden:
        found, expected = _answer(decoder, golden["signal"]), golden["logits"]
    difference = float(np.nanmax(np.abs(found - expected), initial=0.0))
    if difference > 1e-4 or not np.array_equal(np.isnan(found), np.isnan(expected)):
        raise ValueError(
            f"its stored input is answered otherwise than when it was saved, the largest "
            f"difference is {difference:.2g}, must be at most 0.0001"
        )
