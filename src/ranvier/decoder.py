"""The saved unit: stages, network, decisions and where they came from, in one file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.decisions import AlarmRule, Rule, make_decision
from ranvier.decoder_file import (
    FORMAT,
    check_description,
    opening,
    pack_weights,
    read_parts,
    unpack_weights,
    write_parts,
)
from ranvier.decoding import Chain, Prediction, check_unit, collect, rule_as_dict, rule_from
from ranvier.golden import ROUNDED, check_golden, golden_layout, pack_golden
from ranvier.networks import make_network
from ranvier.onnx_runtime import STEPS, Graph, OnnxStage, Written, step_from
from ranvier.recording import Array, Layout, Recording
from ranvier.runtime import NetworkStage, check_engine, has_torch
from ranvier.stages import build, coverages
from ranvier.store import Prepared, first_output
from ranvier.streaming import Pipeline, check_layout
from ranvier.tasks import make_task
from ranvier.truth import Truth

if TYPE_CHECKING:
    from ranvier.formats import Source


@dataclass(frozen=True, eq=False)
class Decoder:
    """Everything that is needed to decode, and where it came from.

    Parameters
    ----------
    task
        ``"seizure"``, ``"seizure_type"``, ``"sleep"`` or ``"movement"``.
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
    engine
        What computes: ``"torch"``, ``"onnx"`` for ONNX Runtime, ``"int8"`` for its step of eight
        bits, or ``"auto"``: that step where there is one, else torch where it is installed.
    written
        The network's step as it stood in the file.
    eight_bits
        The same with weights of eight bits, see ``quantise``.
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
    engine: str = "auto"
    written: Written | None = field(default=None, repr=False)
    eight_bits: Written | None = field(default=None, repr=False)

    @cached_property
    def _module(self) -> Any:
        """The network with its weights."""
        module = make_network(self.network, self.channels, self.network_settings)
        import torch

        weights = {name: torch.as_tensor(np.array(w)) for name, w in self.weights.items()}
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"Invalid weights for network {self.network!r}: {reason}") from None
        return module

    @cached_property
    def _graph(self) -> Graph:
        """The network's step in ONNX Runtime."""
        return Graph(self.int8() if self.runs_on == "int8" else self.onnx())

    @cached_property
    def _fingerprint(self) -> str:
        """Of the network and its weights."""
        settings = json.dumps(dict(self.network_settings), sort_keys=True)
        made_of = [self.network, list(self.channels), settings, weights_hash(self.weights)]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    @property
    def runs_on(self) -> str:
        """What computes: ``"torch"``, ``"onnx"`` or ``"int8"``."""
        if self.engine != "auto":
            return self.engine
        return "int8" if self._quantised else "torch" if has_torch() else "onnx"

    @property
    def _quantised(self) -> bool:
        """Whether there is a step of eight bits for these weights."""
        step = self.eight_bits
        return step is not None and bool(step.content) and step.of == self._fingerprint

    def on(self, engine: str) -> Decoder:
        """Return the same decoder, which another engine computes.

        Raises
        ------
        ValueError
            If there is no such engine, or it cannot compute this decoder.
        """
        check_engine(engine)
        chosen = replace(self, engine=engine)
        if chosen.runs_on == "int8":
            chosen.int8()
        elif not has_torch():
            chosen.onnx()
        return chosen

    def int8(self) -> bytes:
        """Return the network's step with weights of eight bits, as ``onnx``.

        Raises
        ------
        ValueError
            If there is none for these weights.
        """
        if self.eight_bits is None or not self._quantised:
            raise ValueError(
                "Invalid engine: 'int8', the decoder has no step of eight bits for its weights: "
                "ranvier quantise makes one"
            )
        return self.eight_bits.content

    def onnx(self) -> bytes:
        """Return the network's step as an ONNX model that ``onnx_runtime.Graph`` opens.

        Raises
        ------
        ValueError
            If it does not stand in the file and cannot be made.
        """
        written = self.written
        if written and written.content and written.of == self._fingerprint:
            return written.content
        if not has_torch():
            reason = written.missing if written else ""
            raise ValueError(
                "Torch is missing, and the decoder has no graph for ONNX Runtime"
                f"{f' ({reason})' if reason else ''}: save it again where torch is installed"
            )
        from ranvier.onnx_rewrites import lean

        return lean(self.exported())

    def exported(self) -> bytes:
        """Return the step as it comes from torch, its weights by name, to be quantised.

        Raises
        ------
        ValueError
            If it cannot be made, for which torch must be installed.
        """
        check_engine("torch")
        from ranvier.onnx_export import export

        return export(self._module, self.network, self.channels, self.network_settings)

    def stage(self, layout: Layout) -> NetworkStage | OnnxStage:
        """Return the network as a stage that takes this layout."""
        if self.runs_on == "torch":
            return NetworkStage(layout, self._module)
        return OnnxStage(layout, self._graph)

    def bind(self, layout: Layout) -> Chain:
        """Make the chain for the layout of a recording or a stream.

        Raises
        ------
        ValueError
            If the layout cannot be decoded: no usable lead, another unit, or too low a rate.
        """
        check_unit(self.task, layout.unit)
        before = build(self.stages, layout)
        check_layout("the decoder", Layout(self.channels, self.rate), before.output)
        return self._deciding(Pipeline(layout, [*before.stages, self.stage(before.output)]))

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
        pipeline = Pipeline(nodes, [self.stage(nodes)])
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

    def decode(self, recording: Source) -> Truth:
        """Return what is decoded from a recording, or from a file: events, stages or movement.

        Parameters
        ----------
        recording
            A ``Recording``, the path of one file, or an MNE Raw.
        """
        from ranvier.datasets import read_one

        prediction = self.predict(read_one(recording))
        return prediction.events if self.task == "seizure" else prediction.decoded

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the decoder to one file, ``name.ranvier``; it appears whole or not at all.

        Where the network's step cannot be written for ONNX Runtime, the file says why.
        """
        plain = replace(self, engine="auto", eight_bits=None) if self._quantised else self
        step, about_step = self._step()
        small, about_small = self._small_step()
        about = {**self.as_dict(), "onnx": about_step, **about_small}
        parts = {
            "weights.safetensors": pack_weights(self.weights),
            **step,
            "golden.npz": pack_golden(plain._golden_pipeline(), self.warm_up),
            **small,
        }
        return write_parts(Path(path), about, parts)

    @property
    def warm_up(self) -> int:
        """Steps of the network before its first valid output."""
        return self.stage(Layout(self.channels, self.rate)).warm_up

    def _golden_pipeline(self) -> Pipeline:
        return self.bind(golden_layout(self.stages, self.channels, self.rate)).pipeline

    def _step(self) -> tuple[dict[str, bytes], dict[str, str]]:
        """Return the file's part with the graph, and its fingerprint, or why there is none."""
        try:
            content = self.onnx()
        except ValueError as error:
            return {}, {"missing": str(error)}
        return {STEPS["onnx"]: content}, {"sha256": hashlib.sha256(content).hexdigest()}

    def _small_step(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Return the file's parts with the step of eight bits and its answer, if there is one."""
        if not self._quantised:
            return {}, {}
        golden = pack_golden(self.on("int8")._golden_pipeline(), self.warm_up)
        about = {"int8": {"sha256": hashlib.sha256(self.int8()).hexdigest()}}
        return {STEPS["int8"]: self.int8(), "golden-int8.npz": golden}, about

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


def load(path: str | os.PathLike[str], *, check: bool = False, engine: str = "auto") -> Decoder:
    """Read a decoder from its file.

    Parameters
    ----------
    path
        A ``.ranvier`` file.
    check
        Run the stored input and compare with the stored answer.
    engine
        What computes, as of ``Decoder``.

    Raises
    ------
    ValueError
        If the file is not a whole decoder of this version, or its answer is another.
    """
    path = Path(path)
    check_engine(engine)
    with opening(path):
        about, parts = read_parts(path)
        decoder = _from_parts(about, parts).on(engine)
        if "golden.npz" not in parts:
            raise KeyError("golden.npz")
        if check:
            whole = decoder.runs_on == "int8"
            golden = parts["golden-int8.npz" if whole else "golden.npz"]
            check_golden(decoder._golden_pipeline(), golden, share=ROUNDED if whole else 0.0)
    return decoder


def _from_parts(about: Mapping[str, Any], parts: Mapping[str, bytes]) -> Decoder:
    weights = unpack_weights(parts["weights.safetensors"])
    if weights_hash(weights) != about["weights_sha256"]:
        raise ValueError("the weights are not those that were saved")
    check_description(about)
    make_task(about["task"])
    decoder = Decoder(
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
    written, small = (step_from(about, parts, decoder._fingerprint, kind) for kind in STEPS)
    return replace(decoder, written=written, eight_bits=small)
